//! What is wrong with a query, and where.

use super::ast::Span;

/// What a fault is about. Loki tells the place of the first kind alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A token that cannot stand where it does.
    Grammar,
    /// All tokens are in their places and mean nothing together.
    Meaning,
    /// Another kind of expression is wanted here.
    Kind,
}

/// A fault in a query, with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse error at line {line}, col {column}: {message}")]
pub struct ParseError {
    pub message: String,
    pub fault: Fault,
    /// Byte offsets in the query.
    pub start: usize,
    pub end: usize,
    /// From 1; columns count characters.
    pub line: usize,
    pub column: usize,
}

impl ParseError {
    pub(super) fn new(query: &str, span: Span, message: impl Into<String>) -> Self {
        let start = floor_boundary(query, span.start as usize);
        let end = floor_boundary(query, span.end as usize).max(start);
        let before = query.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        ParseError { message: message.into(), fault: Fault::Meaning, start, end, line, column }
    }

    pub(super) fn of(self, fault: Fault) -> Self {
        ParseError { fault, ..self }
    }

    /// The text that Loki gives, byte for byte.
    pub fn loki(&self) -> String {
        match self.fault {
            Fault::Grammar if self.end > 0 => self.to_string(),
            Fault::Grammar | Fault::Meaning => format!("parse error : {}", self.message),
            Fault::Kind => self.message.clone(),
        }
    }

    /// The line of the query with carets under the fault:
    ///
    /// ```text
    /// {app="api"} | jsn
    ///               ^^^
    /// ```
    pub fn caret(&self, query: &str) -> String {
        let line = query.lines().nth(self.line.saturating_sub(1)).unwrap_or_default();
        let before = self.column.saturating_sub(1);
        let faulty = query.get(self.start..self.end).unwrap_or_default();
        let width = faulty.lines().next().unwrap_or_default().chars().count().max(1);
        // Tabs are kept, so that the caret stands right however wide they are shown.
        let indent: String = line
            .chars()
            .chain(std::iter::repeat(' '))
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("{line}\n{indent}{}", "^".repeat(width))
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

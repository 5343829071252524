//! What is wrong with a query, and where.

use super::ast::Span;

/// A fault in a query, with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse error at line {line}, col {column}: {message}")]
pub struct ParseError {
    pub message: String,
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
        ParseError { message: message.into(), start, end, line, column }
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

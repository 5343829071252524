//! Cuts a template into text and actions, and an action into tokens.

use super::TemplateError;
use super::error::Part;

/// What stands inside an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A function name or keyword.
    Word(String),
    /// `.name`, without the dot.
    Field(String),
    /// `$name`, without the dollar sign; `$` alone is empty.
    Variable(String),
    Dot,
    Str(String),
    Int(i64),
    Float(f64),
    Declare,
    Assign,
    Pipe,
    Open,
    Close,
    Comma,
    Space,
    End,
}

/// A token and where it begins in the template's text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    pub token: Token,
    pub offset: usize,
}

/// A piece of a template: literal text or the tokens of one action.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Spot>),
}

pub(super) fn fault(offset: usize, message: impl Into<String>) -> TemplateError {
    TemplateError::new(Part::Command, offset, message)
}

/// Splits a whole template.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    while at <= source.len() {
        let rest = source.get(at..).unwrap_or_default();
        let open = rest.find("{{");
        let mut text = open.map_or(rest, |open| &rest[..open]);
        if trim_next {
            text = text.trim_start_matches(is_space);
        }
        let Some(open) = open else {
            push_text(&mut found, text);
            break;
        };
        let mut body = at + open + 2;
        let after = source.get(body..).unwrap_or_default();
        if after.starts_with('-') && after[1..].starts_with(is_space) {
            text = text.trim_end_matches(is_space);
            body += 1;
        }
        push_text(&mut found, text);
        let start = at + open;
        let end = if let Some(comment) = comment_start(source, body) {
            comment_end(source, comment, start)?
        } else {
            let mut tokens = Vec::new();
            let end = Lexer { source, at: body, parens: 0 }.run(&mut tokens)?;
            found.push(Piece::Action(tokens));
            end
        };
        trim_next = end.trims;
        at = end.at;
    }
    Ok(found)
}

fn push_text(found: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        found.push(Piece::Text(text.to_owned()));
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn comment_start(source: &str, body: usize) -> Option<usize> {
    let after = source.get(body..)?;
    let trimmed = after.trim_start_matches(is_space);
    // A space before the comment is allowed after a trim marker alone.
    let spaces = after.len() - trimmed.len();
    let marked = source.as_bytes().get(body.wrapping_sub(1)) == Some(&b'-');
    (trimmed.starts_with("/*") && (spaces == 0 || marked)).then_some(body + spaces)
}

struct ActionEnd {
    /// Just behind `}}`.
    at: usize,
    trims: bool,
}

fn comment_end(source: &str, at: usize, start: usize) -> Result<ActionEnd, TemplateError> {
    let body = source.get(at + 2..).unwrap_or_default();
    let close = body.find("*/").ok_or_else(|| fault(start, "unclosed comment"))?;
    let at = at + 2 + close + 2;
    close_at(source, at).ok_or_else(|| fault(at, "comment ends before closing delimiter"))
}

/// The closing delimiter, with its trim marker, if it stands here.
fn close_at(source: &str, at: usize) -> Option<ActionEnd> {
    let rest = source.get(at..)?;
    if rest.starts_with("}}") {
        return Some(ActionEnd { at: at + 2, trims: false });
    }
    let marker = rest.strip_prefix(is_space)?;
    marker.starts_with("-}}").then_some(ActionEnd { at: at + 4, trims: true })
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    parens: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn run(mut self, tokens: &mut Vec<Spot>) -> Result<ActionEnd, TemplateError> {
        loop {
            let offset = self.at;
            if let Some(end) = close_at(self.source, self.at) {
                if self.parens > 0 {
                    return Err(fault(offset, "unclosed left paren"));
                }
                tokens.push(Spot { token: Token::End, offset });
                return Ok(end);
            }
            let token = self.token()?;
            tokens.push(Spot { token, offset });
        }
    }

    fn token(&mut self) -> Result<Token, TemplateError> {
        let offset = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Err(fault(offset, "unclosed action"));
        };
        let single = |token| Ok((token, 1));
        let (token, used) = match first {
            c if is_space(c) => {
                // Stops in front of a space that belongs to a trimming ` -}}`.
                let mut used = 1;
                while self.rest()[used..].starts_with(is_space)
                    && close_at(self.source, self.at + used).is_none()
                {
                    used += 1;
                }
                Ok((Token::Space, used))
            }
            ':' if self.rest().starts_with(":=") => Ok((Token::Declare, 2)),
            ':' => return Err(fault(offset, "expected :=")),
            '=' => single(Token::Assign),
            '|' => single(Token::Pipe),
            ',' => single(Token::Comma),
            '(' => {
                self.parens += 1;
                single(Token::Open)
            }
            ')' if self.parens == 0 => return Err(fault(offset, "unexpected right paren")),
            ')' => {
                self.parens -= 1;
                single(Token::Close)
            }
            '"' => self.quoted(),
            '`' => self.raw(),
            '\'' => self.character(),
            '$' => {
                let name = word(&self.rest()[1..]);
                self.check_end(1 + name.len())?;
                Ok((Token::Variable(name.to_owned()), 1 + name.len()))
            }
            '.' => {
                let name = word(&self.rest()[1..]);
                if name.starts_with(|c: char| c.is_ascii_digit()) {
                    self.number()
                } else if name.is_empty() {
                    self.check_end(1)?;
                    Ok((Token::Dot, 1))
                } else {
                    self.check_end(1 + name.len())?;
                    Ok((Token::Field(name.to_owned()), 1 + name.len()))
                }
            }
            '+' | '-' | '0'..='9' => self.number(),
            c if is_word(c) => {
                let name = word(self.rest());
                self.check_end(name.len())?;
                Ok((Token::Word(name.to_owned()), name.len()))
            }
            c => Err(fault(offset, format!("unexpected {c:?} in command"))),
        }?;
        self.at += used;
        Ok(token)
    }

    /// A name must be followed by something that ends it.
    fn check_end(&self, used: usize) -> Result<(), TemplateError> {
        match self.rest().get(used..).and_then(|rest| rest.chars().next()) {
            None => Ok(()),
            Some(c)
                if is_space(c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '(' | '=' | '}') =>
            {
                Ok(())
            }
            Some(c) => {
                Err(fault(self.at + used, format!("bad character U+{:04X} {c:?}", c as u32)))
            }
        }
    }

    fn quoted(&self) -> Result<(Token, usize), TemplateError> {
        let (text, used) = crate::model::unquote(&self.rest()[1..])
            .ok_or_else(|| fault(self.at, "unterminated quoted string"))?;
        Ok((Token::Str(text), used + 1))
    }

    fn raw(&self) -> Result<(Token, usize), TemplateError> {
        let body = &self.rest()[1..];
        let end = body.find('`').ok_or_else(|| fault(self.at, "unterminated raw quoted string"))?;
        Ok((Token::Str(body[..end].replace('\r', "")), end + 2))
    }

    fn character(&self) -> Result<(Token, usize), TemplateError> {
        let bad = || fault(self.at, "malformed character constant");
        let body = &self.rest()[1..];
        let (value, used) = match body.strip_prefix('\\') {
            Some(escaped) if escaped.starts_with('\'') => ('\'', 2),
            Some(_) => {
                // The escape ends where the closing quote stands.
                let end = body.find('\'').ok_or_else(bad)?;
                let (text, _) =
                    crate::model::unquote(&format!("{}\"", &body[..end])).ok_or_else(bad)?;
                (text.chars().next().ok_or_else(bad)?, end)
            }
            None => {
                let c = body.chars().next().ok_or_else(bad)?;
                (c, c.len_utf8())
            }
        };
        if !body[used..].starts_with('\'') {
            return Err(bad());
        }
        Ok((Token::Int(i64::from(value as u32)), used + 2))
    }

    fn number(&self) -> Result<(Token, usize), TemplateError> {
        let rest = self.rest();
        let is_hex = rest.trim_start_matches(['+', '-']).starts_with(['0'])
            && rest.trim_start_matches(['+', '-']).get(1..2).is_some_and(|x| "xX".contains(x));
        let mut used = 0;
        let mut previous = ' ';
        for c in rest.chars() {
            let sign = matches!(c, '+' | '-')
                && (used == 0
                    || (!is_hex && matches!(previous, 'e' | 'E'))
                    || matches!(previous, 'p' | 'P'));
            if !(sign || c.is_ascii_alphanumeric() || c == '.' || c == '_') {
                break;
            }
            previous = c;
            used += c.len_utf8();
        }
        let text = rest.get(..used).unwrap_or_default();
        let token =
            number(text).ok_or_else(|| fault(self.at, format!("bad number syntax: {text:?}")))?;
        Ok((token, used))
    }
}

fn number(text: &str) -> Option<Token> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = |digits: &str, radix| {
        let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
        i64::try_from(if negative { -value } else { value }).ok().map(Token::Int)
    };
    if let Some(hex) = lower.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = lower.strip_prefix("0o") {
        return radix(octal, 8);
    }
    if let Some(binary) = lower.strip_prefix("0b") {
        return radix(binary, 2);
    }
    if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) {
        return radix(&lower[1..], 8);
    }
    if lower.bytes().all(|b| b.is_ascii_digit()) {
        return radix(&lower, 10);
    }
    if !lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = lower.parse().ok()?;
    Some(Token::Float(if negative { -value } else { value }))
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(text: &str) -> &str {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    &text[..end]
}

//! A lenient logfmt scanner, after go-logfmt as Loki uses it.

use std::borrow::Cow;

/// One step of the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pair<'a> {
    /// `key=value`; the value is never empty. Escapes of a quoted value are resolved.
    Value { key: &'a str, value: Cow<'a, str>, quoted: bool },
    /// A key without a value: `key`, `key=` or `key=""`.
    Empty { key: &'a str },
    /// A malformed piece; the scanner goes on after it. The message is go-logfmt's.
    Malformed { message: String },
}

/// Walks the pairs of a line in order.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    line: &'a str,
    at: usize,
    skip_malformed: bool,
}

impl<'a> Scanner<'a> {
    /// Reports malformed pieces as `Pair::Malformed`.
    pub fn new(line: &'a str) -> Self {
        Scanner { line, at: 0, skip_malformed: false }
    }

    /// Leaves malformed pieces out, and does not spend time on their messages.
    pub fn lenient(line: &'a str) -> Self {
        Scanner { line, at: 0, skip_malformed: true }
    }

    /// The byte offset behind the last pair.
    pub fn offset(&self) -> usize {
        self.at
    }

    fn byte(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    /// Moves to the next byte that `stop` accepts, or to the end.
    fn advance_to(&mut self, stop: impl Fn(u8) -> bool) {
        let rest = self.line.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| stop(*byte)).unwrap_or(rest.len());
    }

    fn text(&self, start: usize, end: usize) -> &'a str {
        // Both ends stand beside ASCII bytes, so they are character boundaries.
        self.line.get(start..end).unwrap_or_default()
    }

    fn scan(&mut self) -> Option<Result<Pair<'a>, Fault>> {
        self.advance_to(|byte| byte > b' ');
        let key_start = self.at;
        self.byte()?;
        self.advance_to(|byte| byte <= b' ' || byte == b'=' || byte == b'"');
        let key = self.text(key_start, self.at);
        match self.byte() {
            Some(byte @ b'"') => return Some(self.unexpected(byte)),
            Some(byte @ b'=') if key.is_empty() => return Some(self.unexpected(byte)),
            Some(b'=') => {
                if has_replacement(key) {
                    let fault = self.fault(Problem::InvalidKey);
                    self.skip_piece();
                    return Some(Err(fault));
                }
                self.at += 1;
            }
            _ => {
                return Some(if has_replacement(key) {
                    Err(self.fault(Problem::InvalidKey))
                } else {
                    Ok(Pair::Empty { key })
                });
            }
        }
        Some(match self.byte() {
            None | Some(0..=b' ') => Ok(Pair::Empty { key }),
            Some(b'"') => self.quoted_value(key),
            Some(_) => self.bare_value(key),
        })
    }

    fn bare_value(&mut self, key: &'a str) -> Result<Pair<'a>, Fault> {
        let start = self.at;
        self.advance_to(|byte| byte <= b' ' || byte == b'=' || byte == b'"');
        match self.byte() {
            Some(byte @ (b'=' | b'"')) => self.unexpected(byte),
            _ => {
                let value = Cow::Borrowed(self.text(start, self.at));
                Ok(Pair::Value { key, value, quoted: false })
            }
        }
    }

    fn quoted_value(&mut self, key: &'a str) -> Result<Pair<'a>, Fault> {
        let start = self.at + 1;
        let body = self.line.as_bytes().get(start..).unwrap_or_default();
        let mut has_escape = false;
        let mut len = 0;
        loop {
            match body.get(len) {
                None => {
                    self.at = self.line.len();
                    return Err(self.fault(Problem::UnterminatedQuote));
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escape = true;
                    len += 2;
                }
                Some(_) => len += 1,
            }
        }
        self.at = start + len + 1;
        let raw = self.text(start, start + len);
        let value = if has_escape {
            match unescape(raw) {
                Some(value) => Cow::Owned(value),
                None => return Err(self.fault(Problem::InvalidQuote)),
            }
        } else {
            Cow::Borrowed(raw)
        };
        Ok(if value.is_empty() {
            Pair::Empty { key }
        } else {
            Pair::Value { key, value, quoted: true }
        })
    }

    fn unexpected(&mut self, byte: u8) -> Result<Pair<'a>, Fault> {
        let fault = self.fault(Problem::Unexpected(byte));
        self.skip_piece();
        Err(fault)
    }

    fn skip_piece(&mut self) {
        self.advance_to(|byte| byte <= b' ');
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault { position: self.at + 1, problem }
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            return match self.scan()? {
                Ok(pair) => Some(pair),
                Err(_) if self.skip_malformed => continue,
                Err(fault) => Some(Pair::Malformed { message: fault.message() }),
            };
        }
    }
}

/// What is wrong, at a byte position from 1.
struct Fault {
    position: usize,
    problem: Problem,
}

enum Problem {
    Unexpected(u8),
    InvalidKey,
    UnterminatedQuote,
    InvalidQuote,
}

impl Fault {
    fn message(&self) -> String {
        let position = self.position;
        let what = match self.problem {
            Problem::Unexpected(byte) => {
                return format!(
                    "logfmt syntax error at pos {position} : unexpected '{}'",
                    char::from(byte)
                );
            }
            Problem::InvalidKey => "invalid key",
            Problem::UnterminatedQuote => "unterminated quoted value",
            Problem::InvalidQuote => "invalid quoted value",
        };
        format!("logfmt syntax error at pos {position} : {what}")
    }
}

fn has_replacement(key: &str) -> bool {
    !key.is_ascii() && key.contains(char::REPLACEMENT_CHARACTER)
}

/// JSON's escapes, and `\'`. `None` for any other.
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(rest.get(..at)?);
        let escape = rest.get(at + 1..)?;
        rest = escape.get(1..)?;
        match escape.bytes().next()? {
            byte @ (b'"' | b'\\' | b'/' | b'\'') => text.push(char::from(byte)),
            b'b' => text.push('\u{8}'),
            b'f' => text.push('\u{c}'),
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            b'u' => {
                let unit = hex4(rest)?;
                rest = rest.get(4..)?;
                let low = rest.strip_prefix("\\u").and_then(hex4);
                let (decoded, took_low) = match (char::from_u32(unit), low) {
                    (Some(c), _) => (c, false),
                    (None, Some(low @ 0xdc00..=0xdfff)) if unit < 0xdc00 => {
                        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        (char::from_u32(code)?, true)
                    }
                    // A lone surrogate.
                    (None, _) => (char::REPLACEMENT_CHARACTER, false),
                };
                text.push(decoded);
                if took_low {
                    rest = rest.get(6..)?;
                }
            }
            _ => return None,
        }
    }
    text.push_str(rest);
    Some(text)
}

fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests;

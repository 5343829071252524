//! A line cut into tokens, as templates are made of: of a text words and what stands between them,
//! of a JSON line the words of its message, of logfmt keys and values.

use std::sync::LazyLock;

use regex::Regex;
use regex_syntax::hir::{Class, HirKind};

use crate::query::stage::json_scan::{self, Commas, Kind};
use crate::text::logfmt::{Pair, Scanner};

/// Stands for the parts in which lines of one pattern differ; a `|>` filter reads it.
pub const HOLE: &str = "<_>";
/// Fields that hold what a person wrote, the first of them that is a string.
pub const MESSAGE_KEYS: [&str; 6] = ["log", "message", "msg", "msg_", "_msg", "content"];
/// Lines of fewer or more tokens say nothing, nor do longer ones.
const TOKENS_MIN: usize = 4;
const TOKENS_MAX: usize = 80;
const LINE_BYTES_MAX: usize = 3000;

/// How the lines of a stream are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reading {
    Text,
    Json,
    Logfmt,
}

impl Reading {
    /// A guess from the first line of a stream.
    pub fn guess(line: &str) -> Reading {
        static LOGFMT: LazyLock<Option<Regex>> = LazyLock::new(|| {
            let value = r#"(?:[^"][^\t\n\f\r ]*|".+")"#;
            let key = "[0-9A-Za-z_]+=";
            Regex::new(&format!("^(?:{key}{value} )*(?:{key}{value})+$")).ok()
        });
        if line.len() >= 2 && line.starts_with('{') && line.ends_with('}') {
            Reading::Json
        } else if LOGFMT.as_ref().is_some_and(|logfmt| logfmt.is_match(line)) {
            Reading::Logfmt
        } else {
            Reading::Text
        }
    }
}

/// Whether an ASCII byte stands between words of a text. All but the space are tokens themselves.
pub fn parts_tokens(byte: u8) -> bool {
    byte == b' '
        || byte == b'='
        || (byte.is_ascii_punctuation() && !b"_-.:/$+<>^`|~".contains(&byte))
}

/// Punctuation of other scripts.
fn is_punctuation(c: char) -> bool {
    static RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
        let Ok(hir) = regex_syntax::parse(r"\p{P}") else { return Vec::new() };
        let HirKind::Class(Class::Unicode(class)) = hir.kind() else { return Vec::new() };
        class.ranges().iter().map(|range| (range.start(), range.end())).collect()
    });
    let at = RANGES.partition_point(|(_, end)| *end < c);
    RANGES.get(at).is_some_and(|(start, _)| *start <= c)
}

/// Whether a token is likely to be another one in the next line.
pub fn has_number(token: &[u8]) -> bool {
    if token.is_ascii() {
        return token.iter().any(u8::is_ascii_digit);
    }
    String::from_utf8_lossy(token).chars().any(char::is_numeric)
}

/// Not always cut between characters: punctuation beyond ASCII is parted behind its first byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tokens {
    bytes: Vec<u8>,
    ends: Vec<u16>,
    /// Behind each token, where they are kept at all.
    spaces: Vec<u16>,
}

impl Tokens {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.ends.get(at).copied().map_or(0, usize::from);
        self.bytes.get(at.checked_sub(1).map_or(0, end)..end(at)).unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// The bits of tokens that differ from those of another line of as many.
    pub fn difference(&self, other: &Tokens) -> u128 {
        let differ = self.iter().zip(other.iter()).enumerate().filter(|(_, (a, b))| a != b);
        differ.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.capacity() + (self.ends.capacity() + self.spaces.capacity()) * 2
    }

    /// Without room to spare.
    pub fn fitted(&self) -> Tokens {
        Tokens { bytes: self.bytes.clone(), ends: self.ends.clone(), spaces: self.spaces.clone() }
    }

    fn push(&mut self, token: &[u8]) {
        self.bytes.extend_from_slice(token);
        self.ends.push(u16::try_from(self.bytes.len()).unwrap_or(u16::MAX));
    }

    /// Takes in another line; `false` for one that belongs to no pattern.
    pub fn read(&mut self, line: &str, reading: Reading) -> bool {
        let is_read = match reading {
            Reading::Text => self.read_text(line),
            Reading::Json => message(line).is_some_and(|message| self.read_text(message)),
            Reading::Logfmt => self.read_logfmt(line),
        };
        is_read && (TOKENS_MIN..=TOKENS_MAX).contains(&self.len())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.spaces.clear();
    }

    /// The words of a text, such as the message of a JSON line.
    pub fn read_text(&mut self, line: &str) -> bool {
        self.clear();
        if line.len() > LINE_BYTES_MAX {
            return false;
        }
        let bytes = line.as_bytes();
        let (mut start, mut begins_with_space) = (0, false);
        for (at, c) in line.char_indices() {
            let parts = match u8::try_from(c) {
                Ok(byte) if c.is_ascii() => parts_tokens(byte),
                _ => !c.is_alphanumeric() && is_punctuation(c),
            };
            if !parts {
                continue;
            }
            if self.len() > TOKENS_MAX {
                return false;
            }
            if at > start {
                self.push(bytes.get(start..at).unwrap_or_default());
            }
            if c == ' ' {
                self.spaces.resize(self.len(), 0);
                match self.spaces.last_mut() {
                    Some(spaces) => *spaces = spaces.saturating_add(1),
                    None => begins_with_space = true,
                }
            } else {
                self.push(bytes.get(at..=at).unwrap_or_default());
            }
            start = at + 1;
        }
        if start < bytes.len() {
            self.push(bytes.get(start..).unwrap_or_default());
        }
        if begins_with_space {
            // Loki looks for the token before the first space and finds no space from there on.
            self.spaces.clear();
        }
        (TOKENS_MIN..=TOKENS_MAX).contains(&self.len())
    }

    fn read_logfmt(&mut self, line: &str) -> bool {
        self.clear();
        if line.len() > LINE_BYTES_MAX {
            return false;
        }
        for pair in Scanner::new(line) {
            let (key, value) = match &pair {
                Pair::Value { key, value, .. } => (*key, value.as_ref()),
                Pair::Empty { key } => (*key, ""),
                Pair::Malformed { .. } => return false,
            };
            self.push(key.as_bytes());
            self.push(if is_variable(key) { HOLE } else { value }.as_bytes());
        }
        true
    }

    /// The pattern of these lines, given the tokens in which they differ.
    pub fn pattern(&self, differ: u128, reading: Reading) -> String {
        let hole = |at: usize| differ & (1 << at) != 0;
        let token = |at: usize| if hole(at) { HOLE.as_bytes() } else { self.get(at) };
        let mut out = Vec::with_capacity(self.bytes.len() + self.len());
        if reading == Reading::Logfmt {
            for at in (0..self.len()).step_by(2) {
                let key = String::from_utf8_lossy(token(at)).replace(is_refused, "");
                if key.is_empty() {
                    return String::new();
                }
                out.extend((at > 0).then_some(b' '));
                out.extend_from_slice(key.as_bytes());
                out.push(b'=');
                push_value(&mut out, &String::from_utf8_lossy(token(at + 1)));
            }
        } else {
            let around = if reading == Reading::Json { HOLE.as_bytes() } else { b"" };
            out.extend_from_slice(around);
            for at in 0..self.len() {
                out.extend_from_slice(token(at));
                let spaces = self.spaces.get(at).copied().map_or(0, usize::from);
                out.resize(out.len() + spaces, b' ');
            }
            out.extend_from_slice(around);
        }
        without_repeats(&String::from_utf8_lossy(&out))
    }
}

/// Fields that are another one in every line.
pub fn is_variable(key: &str) -> bool {
    key == "t" || ["ts", "traceID", "time", "timestamp"].iter().any(|k| key.eq_ignore_ascii_case(k))
}

/// What no key of logfmt may hold, and no value without quotes.
fn is_refused(c: char) -> bool {
    c <= ' ' || matches!(c, '=' | '"' | '\u{7f}' | char::REPLACEMENT_CHARACTER)
}

fn push_value(out: &mut Vec<u8>, value: &str) {
    if !value.contains(is_refused) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '\\' | '"' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' | char::REPLACEMENT_CHARACTER => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    out.extend_from_slice(quoted.as_bytes());
}

/// Holes side by side are one.
fn without_repeats(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(HOLE) {
        let (before, hole) = rest.split_at(at + HOLE.len());
        out.push_str(before);
        rest = hole;
        while let Some(next) = rest.strip_prefix(HOLE) {
            rest = next;
        }
    }
    out + rest
}

/// The message of a JSON line, as it stands between its quotes.
fn message(line: &str) -> Option<&str> {
    let mut found: [Option<Option<&str>>; MESSAGE_KEYS.len()] = Default::default();
    let member = &mut |key: &str, value: json_scan::Found| {
        let value = value?;
        if let Some(place) = MESSAGE_KEYS.iter().position(|known| *known == key)
            && let Some(known) = found.get_mut(place)
        {
            let text = line.get(value.start..value.end);
            known.get_or_insert(text.filter(|_| value.kind == Kind::String));
        }
        Ok(())
    };
    // What stands in front of a fault counts.
    let _: Result<(), &str> =
        json_scan::each_member(line, 0, Commas::Optional, &mut String::new(), member);
    found.into_iter().flatten().flatten().next()
}

#[cfg(test)]
mod tests;

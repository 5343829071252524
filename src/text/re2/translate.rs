//! From RE2's syntax, as Go's `regexp` accepts it, to that of the `regex` crate.
//!
//! The two agree on most patterns and differ quietly on the rest: Perl classes are ASCII in RE2,
//! a brace that starts no repetition is a literal, any escaped punctuation is itself, `[`, `&&`,
//! `--` and `~~` mean nothing in a class, and stacked repetitions are refused. So the whole
//! pattern is read here and written anew; nothing of it is passed through unread.

use std::collections::HashSet;
use std::fmt::Write;

const REPEAT_MAX: u32 = 1000;

/// A character class of Unicode's, in states of the automaton.
const UNICODE_CLASS_SIZE: usize = 700;

/// Rewrites a pattern, or says what is wrong in the words of Go's `regexp`.
pub fn to_rust(pattern: &str) -> Result<String, String> {
    translate(pattern).map(|(text, _)| text)
}

/// The rewritten pattern, and about how many states it compiles to.
pub fn translate(pattern: &str) -> Result<(String, usize), String> {
    let mut translator = Translator {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        groups: Vec::new(),
        names: HashSet::new(),
        last: Last::Nothing,
        weight: 1,
        size: 0,
    };
    match translator.run() {
        Ok(()) => Ok((translator.out, translator.size)),
        Err(fault) => Err(format!("error parsing regexp: {fault}")),
    }
}

/// What stands before a repetition operator.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// The start of the pattern, of a group or of an alternative: nothing to repeat.
    Nothing,
    /// Something to repeat, and the largest product of nested counts inside it.
    Atom { weight: u32, size: usize },
    /// A repetition whose operator began at this byte; a second one on top is an error.
    Repeat { start: usize },
}

pub(super) struct Translator<'a> {
    pub(super) pattern: &'a str,
    pub(super) at: usize,
    pub(super) out: String,
    /// For each open group, the weight and the size of what came before it on its level.
    groups: Vec<(u32, usize)>,
    names: HashSet<&'a str>,
    last: Last,
    /// The largest weight on the present level.
    weight: u32,
    /// States that the present level has come to.
    size: usize,
}

impl<'a> Translator<'a> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.peek() {
            match c {
                '(' => self.open_group()?,
                ')' => {
                    let (outer_weight, outer_size) = self
                        .groups
                        .pop()
                        .ok_or_else(|| format!("unexpected ): `{}`", self.pattern))?;
                    self.bump(')');
                    self.out.push(')');
                    let (inner, size) = (self.weight, self.size);
                    (self.weight, self.size) = (outer_weight, outer_size);
                    self.atom(inner, size + 2);
                }
                '|' => {
                    self.bump(c);
                    self.out.push('|');
                    self.last = Last::Nothing;
                }
                '[' => {
                    let start = self.out.len();
                    self.class()?;
                    let size = class_size(self.out.get(start..).unwrap_or_default());
                    self.atom(1, size);
                }
                '^' | '$' | '.' => {
                    self.bump(c);
                    self.out.push(c);
                    self.atom(1, 10);
                }
                '*' | '+' | '?' => self.simple_repeat(c)?,
                '{' => self.brace()?,
                '\\' => self.escape()?,
                c => {
                    self.bump(c);
                    self.literal(c);
                    self.atom(1, c.len_utf8());
                }
            }
        }
        if self.groups.is_empty() {
            Ok(())
        } else {
            Err(format!("missing closing ): `{}`", self.pattern))
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self, c: char) {
        self.at += c.len_utf8();
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        self.pattern.get(start..self.at).unwrap_or_default()
    }

    fn atom(&mut self, weight: u32, size: usize) {
        self.weight = self.weight.max(weight);
        self.size = self.size.saturating_add(size);
        self.last = Last::Atom { weight, size };
    }

    fn literal(&mut self, c: char) {
        push_char(&mut self.out, c);
    }

    fn open_group(&mut self) -> Result<(), String> {
        let Some(perl) = self.rest().strip_prefix("(?") else {
            self.at += 1;
            self.out.push('(');
            self.enter_group();
            return Ok(());
        };
        if perl.starts_with("P<") || perl.starts_with('<') {
            return self.open_named_group(perl);
        }
        let start = self.at;
        self.at += 2;
        let mut flags = String::new();
        let mut negated = false;
        let mut complete = true;
        while let Some(c) = self.peek() {
            self.bump(c);
            match c {
                'i' | 'm' | 's' | 'U' => {
                    if !flags.contains(c) {
                        flags.push(c);
                    }
                    complete = true;
                }
                '-' if !negated => {
                    negated = true;
                    flags.push('-');
                    // A minus must be followed by a flag.
                    complete = false;
                }
                ':' | ')' if complete => {
                    let flags = resolve_flags(self.since(start));
                    if c == ':' {
                        let _ = write!(self.out, "(?{flags}:");
                        self.enter_group();
                    } else if !flags.is_empty() {
                        // What was to repeat before the flags is still there for RE2, which
                        // nobody relies on; the regex crate refuses it, so it is refused here.
                        let _ = write!(self.out, "(?{flags})");
                        self.last = Last::Nothing;
                    }
                    return Ok(());
                }
                _ => {
                    return Err(format!(
                        "invalid or unsupported Perl syntax: `{}`",
                        self.since(start)
                    ));
                }
            }
        }
        Err(format!("missing closing ): `{}`", self.pattern))
    }

    fn open_named_group(&mut self, perl: &'a str) -> Result<(), String> {
        let whole = self.rest();
        let after = perl.strip_prefix('P').unwrap_or(perl);
        let body = after.strip_prefix('<').unwrap_or(after);
        let Some((name, tail)) = body.split_once('>') else {
            return Err(format!("invalid named capture: `{whole}`"));
        };
        let opening = whole.get(..whole.len() - tail.len()).unwrap_or(whole);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!("invalid named capture: `{opening}`"));
        }
        if !self.names.insert(name) {
            return Err(format!("duplicate capture group name: `{name}`"));
        }
        self.at += opening.len();
        // RE2 lets a name begin with a digit; as a label it gets an underscore.
        let lead = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        let _ = write!(self.out, "(?P<{lead}{name}>");
        self.enter_group();
        Ok(())
    }

    fn enter_group(&mut self) {
        self.groups.push((self.weight, self.size));
        (self.weight, self.size) = (1, 0);
        self.last = Last::Nothing;
    }

    fn simple_repeat(&mut self, operator: char) -> Result<(), String> {
        let start = self.at;
        self.bump(operator);
        self.repeat(start, None, |out| out.push(operator))
    }

    fn brace(&mut self) -> Result<(), String> {
        let start = self.at;
        let Some((count, len)) = parse_count(self.rest()) else {
            self.bump('{');
            self.literal('{');
            self.atom(1, 1);
            return Ok(());
        };
        self.at += len;
        let shown = self.since(start);
        let bad_size = || format!("invalid repeat count: `{shown}`");
        let Count { min, max } = count;
        let top = max.unwrap_or(min);
        if min > REPEAT_MAX || top > REPEAT_MAX || min > top {
            return Err(bad_size());
        }
        self.repeat(start, Some(count), |out| {
            let _ = match max {
                Some(max) if max == min => write!(out, "{{{min}}}"),
                Some(max) => write!(out, "{{{min},{max}}}"),
                None => write!(out, "{{{min},}}"),
            };
        })
    }

    fn repeat(
        &mut self,
        start: usize,
        count: Option<Count>,
        emit: impl FnOnce(&mut String),
    ) -> Result<(), String> {
        let lazy = self.rest().starts_with('?');
        if lazy {
            self.at += 1;
        }
        let (inner, size) = match self.last {
            Last::Atom { weight, size } => (weight, size),
            Last::Nothing => {
                return Err(format!(
                    "missing argument to repetition operator: `{}`",
                    self.since(start)
                ));
            }
            Last::Repeat { start: first } => {
                return Err(format!("invalid nested repetition operator: `{}`", self.since(first)));
            }
        };
        let weight = match count {
            None => inner,
            Some(Count { min, max }) => {
                let times = max.unwrap_or(min).max(1);
                let product = inner.saturating_mul(times);
                if product > REPEAT_MAX {
                    return Err(format!("invalid repeat count: `{}`", self.since(start)));
                }
                // One of them is counted already.
                let more = size.saturating_mul(times.saturating_sub(1) as usize);
                self.size = self.size.saturating_add(more);
                product
            }
        };
        emit(&mut self.out);
        if lazy {
            self.out.push('?');
        }
        self.weight = self.weight.max(weight);
        self.last = Last::Repeat { start };
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let mut chars = rest.chars();
        chars.next();
        let Some(kind) = chars.next() else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        let simple = match kind {
            'A' => Some("\\A"),
            'z' => Some("\\z"),
            'b' => Some("(?-u:\\b)"),
            'B' => Some("(?-u:\\B)"),
            _ => None,
        };
        if let Some(simple) = simple {
            self.at += 2;
            self.out.push_str(simple);
            self.atom(1, 1);
            return Ok(());
        }
        match kind {
            'C' => return Err("invalid escape sequence: `\\C`".to_owned()),
            'Q' => {
                let body = rest.get(2..).unwrap_or_default();
                let (text, taken) = match body.split_once("\\E") {
                    Some((text, _)) => (text, text.len() + 2),
                    None => (body, body.len()),
                };
                self.at += 2 + taken;
                for c in text.chars() {
                    self.literal(c);
                    self.atom(1, c.len_utf8());
                }
                return Ok(());
            }
            _ => {}
        }
        let size = if let Some(class) = self.class_escape()? {
            self.out.push_str(&class);
            class_size(&class)
        } else {
            let c = self.char_escape()?;
            self.literal(c);
            c.len_utf8()
        };
        self.atom(1, size);
        Ok(())
    }

    /// An escape that stands for one character, at the backslash.
    pub(super) fn char_escape(&mut self) -> Result<char, String> {
        let start = self.at;
        self.at += 1;
        let Some(kind) = self.peek() else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        self.bump(kind);
        let code = match kind {
            // A single digit above 0 would be a back-reference.
            '1'..='7' if !self.peek().is_some_and(|c| ('0'..='7').contains(&c)) => None,
            '0'..='7' => {
                let mut code = kind.to_digit(8);
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.at += 1;
                    code = code.map(|code| code * 8 + digit);
                }
                code
            }
            'x' => self.hex(),
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            c if c.is_ascii_punctuation() || (c.is_ascii() && !c.is_ascii_alphanumeric()) => {
                Some(u32::from(c))
            }
            _ => None,
        };
        code.and_then(char::from_u32)
            .ok_or_else(|| format!("invalid escape sequence: `{}`", self.since(start)))
    }

    fn hex(&mut self) -> Option<u32> {
        let rest = self.rest();
        let (digits, len) = match rest.strip_prefix('{') {
            Some(body) => {
                let (digits, _) = body.split_once('}')?;
                (digits, digits.len() + 2)
            }
            None => (rest.get(..2)?, 2),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += len;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// About how many states a class is, as it is written anew: those of Unicode are many.
fn class_size(class: &str) -> usize {
    let negated = class.matches('^').count();
    class.len()
        + 10 * negated
        + UNICODE_CLASS_SIZE * (class.matches("\\p").count() + class.matches("\\P").count())
}

/// The group's flags, each once; a flag both set and unset is unset, as RE2 reads in order.
fn resolve_flags(opening: &str) -> String {
    let (set, unset) = opening.split_once('-').unwrap_or((opening, ""));
    let known = |text: &str, flag: char| text.contains(flag);
    let on: String =
        ['i', 'm', 's', 'U'].into_iter().filter(|f| known(set, *f) && !known(unset, *f)).collect();
    let off: String = ['i', 'm', 's', 'U'].into_iter().filter(|f| known(unset, *f)).collect();
    if off.is_empty() { on } else { format!("{on}-{off}") }
}

#[derive(Clone, Copy)]
struct Count {
    min: u32,
    /// `None` for `{n,}`.
    max: Option<u32>,
}

/// `{n}`, `{n,}` or `{n,m}` at the start of the text, and its length. Anything else is literal.
fn parse_count(text: &str) -> Option<(Count, usize)> {
    let body = text.strip_prefix('{')?;
    let inner_len = body.bytes().take_while(|b| b.is_ascii_digit() || *b == b',').count();
    let (inner, closing) = body.split_at_checked(inner_len)?;
    if !closing.starts_with('}') {
        return None;
    }
    let count = match inner.split_once(',') {
        None => {
            let exact = parse_number(inner)?;
            Count { min: exact, max: Some(exact) }
        }
        Some((min, "")) => Count { min: parse_number(min)?, max: None },
        Some((min, max)) => Count { min: parse_number(min)?, max: Some(parse_number(max)?) },
    };
    Some((count, inner.len() + 2))
}

/// Decimal digits without a leading zero; numbers too large to hold become the largest.
fn parse_number(digits: &str) -> Option<u32> {
    let well_formed = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    well_formed.then(|| digits.parse().unwrap_or(u32::MAX))
}

pub(super) fn push_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{:02X}", u32::from(c));
    }
}

//! LogQL text to tokens, as Loki's lexer cuts it.

use crate::model::unquote;
use crate::text::units;

use super::ast::Span;
use super::token::{self, Flag, Symbol, Token, TokenKind};

/// All tokens of a query. The list ends with `End`, or with the first `Fault`.
pub fn tokenize(query: &str) -> Vec<Token> {
    let mut lexer = Lexer { query, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let (start, kind) = lexer.next_token();
        let last = matches!(kind, TokenKind::End | TokenKind::Fault(_));
        tokens.push(Token { kind, span: span(start, lexer.at) });
        if last {
            return tokens;
        }
    }
}

/// Queries are far below 4 GiB.
fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

struct Lexer<'a> {
    query: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn next_token(&mut self) -> (usize, TokenKind) {
        if let Err(start) = self.skip_blank() {
            return (start, TokenKind::Fault("comment not terminated".to_owned()));
        }
        let start = self.at;
        let Some(first) = self.peek() else { return (start, TokenKind::End) };
        let kind = match first {
            '"' => self.quoted(),
            '`' => self.raw(),
            '\'' => self.character(),
            '[' => self.range(),
            c if c == '_' || c.is_alphabetic() => self.identifier(),
            c if c.is_ascii_digit() => self.number(),
            '.' if self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.number(),
            '-' => self.minus(),
            _ => self.symbol(),
        };
        (start, kind)
    }

    fn rest(&self) -> &'a str {
        self.query.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Passes what may be a number's unit. One that goes on and on is none; to look through all
    /// of it for each of its points would take hours.
    fn take_unit(&mut self, accept: impl Fn(char) -> bool) {
        const UNIT_CHARS_MAX: usize = 64;
        let ahead = self.rest().chars().take(UNIT_CHARS_MAX).take_while(|c| accept(*c));
        self.at += ahead.map(char::len_utf8).sum::<usize>();
    }

    fn since(&self, start: usize) -> &'a str {
        self.query.get(start..self.at).unwrap_or_default()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// White space and comments: `# ..`, `// ..` and `/* .. */`. `Err` with the start of a
    /// comment that has no end.
    fn skip_blank(&mut self) -> Result<(), usize> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if let Some(body) = rest.strip_prefix("/*") {
                let Some(len) = body.find("*/") else {
                    let start = self.at;
                    self.at = self.query.len();
                    return Err(start);
                };
                self.at += len + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn fault(&mut self, message: impl Into<String>) -> TokenKind {
        TokenKind::Fault(message.into())
    }

    fn quoted(&mut self) -> TokenKind {
        self.at += 1;
        if let Some((text, len)) = unquote(self.rest()) {
            self.at += len;
            return TokenKind::String(text);
        }
        // Either the end of the string is missing, or an escape is wrong.
        let mut escaped = false;
        let closing = self.rest().find(|c| match c {
            '\n' => true,
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"',
        });
        let body = self.rest();
        let end = closing.unwrap_or(body.len());
        let closed = body.get(end..).is_some_and(|tail| tail.starts_with('"'));
        self.at += end;
        self.fault(if closed { "invalid char escape" } else { "literal not terminated" })
    }

    fn raw(&mut self) -> TokenKind {
        self.at += 1;
        match self.rest().split_once('`') {
            Some((text, _)) => {
                self.at += text.len() + 1;
                TokenKind::String(text.to_owned())
            }
            None => {
                self.at = self.query.len();
                self.fault("literal not terminated")
            }
        }
    }

    /// `'x'` is a Go character, which LogQL has no use for: an identifier, so that the parser
    /// refuses it where a string should be.
    fn character(&mut self) -> TokenKind {
        let start = self.at;
        self.at += 1;
        let body = self.take_while(|c| c != '\'' && c != '\n');
        if !self.rest().starts_with('\'') {
            return self.fault("literal not terminated");
        }
        self.at += 1;
        if body.chars().count() == 1 {
            TokenKind::Identifier(self.since(start).to_owned())
        } else {
            self.fault("invalid char literal")
        }
    }

    fn range(&mut self) -> TokenKind {
        let Some((text, _)) = self.rest().get(1..).and_then(|body| body.split_once(']')) else {
            self.at = self.query.len();
            return self.fault("missing closing ']' in duration");
        };
        self.at += text.len() + 2;
        match units::parse_prometheus_duration(text) {
            Some(ns) => TokenKind::RangeNs(ns),
            None => self.fault(units::prometheus_duration_fault(text)),
        }
    }

    fn identifier(&mut self) -> TokenKind {
        let text = self.take_while(|c| c == '_' || c.is_alphanumeric());
        let lower = text.to_lowercase();
        if let Some(function) = token::function(&lower) {
            return if self.is_call() { function } else { TokenKind::Identifier(text.to_owned()) };
        }
        match token::reserved_word(&lower) {
            Some(word) => TokenKind::Word(word),
            None => TokenKind::Identifier(text.to_owned()),
        }
    }

    /// Whether `(`, or `by (` or `without (`, comes next: what makes a name a function.
    fn is_call(&self) -> bool {
        let mut ahead = Lexer { query: self.query, at: self.at };
        if ahead.skip_blank().is_err() {
            return false;
        }
        if ahead.rest().starts_with('(') {
            return true;
        }
        let word = ahead.take_while(|c| c == '_' || c.is_alphanumeric());
        let groups = word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without");
        groups && ahead.skip_blank().is_ok() && ahead.rest().starts_with('(')
    }

    fn number(&mut self) -> TokenKind {
        let start = self.at;
        if let Err(message) = self.scan_number() {
            return self.fault(message);
        }
        let end = self.at;
        self.with_unit(start, end).unwrap_or_else(|| {
            self.at = end;
            TokenKind::Number(self.since(start).to_owned())
        })
    }

    /// A number as Go's scanner takes it. Hexadecimal and the like are taken and refused later.
    fn scan_number(&mut self) -> Result<(), String> {
        let start = self.at;
        let digits = |c: char| c.is_ascii_digit() || c == '_';
        let rest = self.rest();
        let prefix = rest.get(..2).unwrap_or_default().to_ascii_lowercase();
        if matches!(prefix.as_str(), "0x" | "0o") {
            self.at += 2;
            self.take_while(|c| c.is_ascii_hexdigit() || c == '_');
            return Ok(());
        }
        // `0B` is the beginning of a binary number to Go's scanner, not no bytes.
        if prefix == "0b" && !rest.get(2..).is_some_and(|rest| rest.starts_with(['0', '1'])) {
            self.at += 2;
            return Err("decimal literal has no digits".to_owned());
        }
        self.take_while(digits);
        let mut is_integer = true;
        if self.rest().starts_with('.') {
            is_integer = false;
            self.at += 1;
            self.take_while(digits);
        }
        if self.rest().starts_with(['e', 'E']) {
            is_integer = false;
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            if self.take_while(digits).is_empty() {
                return Err("exponent has no digits".to_owned());
            }
        }
        let text = self.since(start);
        let octal_fault = text.chars().find(|c| matches!(c, '8' | '9'));
        match octal_fault {
            Some(digit) if is_integer && text.len() > 1 && text.starts_with('0') => {
                Err(format!("invalid digit '{digit}' in octal literal"))
            }
            _ => Ok(()),
        }
    }

    /// A duration or a size: the number from `start` to `end` with a unit directly behind it.
    fn with_unit(&mut self, start: usize, end: usize) -> Option<TokenKind> {
        self.at = end;
        self.take_unit(|c| c.is_numeric() || matches!(c, 'n' | 'u' | '\u{b5}' | '.') || is_unit(c));
        if self.at > end {
            let text = self.since(start);
            let ns =
                units::parse_prometheus_duration(text).or_else(|| units::parse_go_duration(text));
            if let Some(ns) = ns {
                return Some(TokenKind::DurationNs(ns));
            }
        }
        self.at = end;
        // Exabytes are left out, as they may not fit into 64 bits.
        self.take_unit(|c| {
            c.is_numeric() || matches!(c, 'B' | 'i' | 'k' | 'K' | 'M' | 'G' | 'T' | 'P' | '.')
        });
        if self.at > end
            && let Some(bytes) = units::parse_bytes(self.since(start))
        {
            return Some(TokenKind::Bytes(bytes));
        }
        None
    }

    /// A minus, a negative duration, or a flag.
    fn minus(&mut self) -> TokenKind {
        let start = self.at;
        for (text, flag) in [("--strict", Flag::Strict), ("--keep-empty", Flag::KeepEmpty)] {
            if let Some(after) = self.rest().strip_prefix(text)
                && !after.starts_with(|c: char| c == '-' || c.is_alphabetic())
            {
                self.at += text.len();
                return TokenKind::Flag(flag);
            }
        }
        self.at += 1;
        let text_end = self.at;
        self.take_while(|c| {
            c.is_numeric() || matches!(c, 'n' | 'u' | '\u{b5}' | '.') || is_unit(c)
        });
        let text = self.since(start);
        if text.ends_with(is_unit)
            && let Some(ns) = units::parse_go_duration(text)
        {
            return TokenKind::DurationNs(ns);
        }
        self.at = text_end;
        TokenKind::Symbol(Symbol::Sub)
    }

    fn symbol(&mut self) -> TokenKind {
        // Two characters before one.
        const SYMBOLS: [(&str, Symbol); 26] = [
            ("==", Symbol::CmpEq),
            ("=~", Symbol::Re),
            ("!=", Symbol::Neq),
            ("!~", Symbol::Nre),
            ("!>", Symbol::NotPattern),
            ("|=", Symbol::PipeExact),
            ("|~", Symbol::PipeMatch),
            ("|>", Symbol::PipePattern),
            (">=", Symbol::Gte),
            ("<=", Symbol::Lte),
            (",", Symbol::Comma),
            (".", Symbol::Dot),
            ("{", Symbol::OpenBrace),
            ("}", Symbol::CloseBrace),
            ("]", Symbol::CloseBracket),
            ("(", Symbol::OpenParen),
            (")", Symbol::CloseParen),
            ("=", Symbol::Eq),
            ("|", Symbol::Pipe),
            (">", Symbol::Gt),
            ("<", Symbol::Lt),
            ("+", Symbol::Add),
            ("*", Symbol::Mul),
            ("/", Symbol::Div),
            ("%", Symbol::Mod),
            ("^", Symbol::Pow),
        ];
        let rest = self.rest();
        if let Some((text, symbol)) = SYMBOLS.iter().find(|(text, _)| rest.starts_with(text)) {
            self.at += text.len();
            return TokenKind::Symbol(*symbol);
        }
        let c = rest.chars().next().unwrap_or_default();
        self.at += c.len_utf8();
        // To Loki any other character is a name of its own, which fits nowhere.
        TokenKind::Identifier(c.to_string())
    }
}

fn is_unit(c: char) -> bool {
    matches!(c, 'm' | 's' | 'h' | 'd' | 'w' | 'y')
}

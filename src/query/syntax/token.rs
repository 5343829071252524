//! The words of LogQL.

use super::ast::{BinaryOp, RangeOp, Span, VectorOp};

#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TokenKind {
    Identifier(String),
    String(String),
    /// As written; whether it is a number that Go can read shows when it is used.
    Number(String),
    DurationNs(i64),
    Bytes(u64),
    /// `[5m]`
    RangeNs(i64),
    /// `--strict`, `--keep-empty`
    Flag(Flag),
    RangeOp(RangeOp),
    VectorOp(VectorOp),
    Word(Word),
    Symbol(Symbol),
    /// A fault of the lexer, reported if the parser gets this far.
    Fault(String),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    Strict,
    KeepEmpty,
}

/// Words with a meaning of their own, and how Loki's messages call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    By,
    Without,
    Bool,
    Unwrap,
    Offset,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Or,
    And,
    Unless,
    Json,
    Regexp,
    Logfmt,
    Unpack,
    Pattern,
    LabelFormat,
    LineFormat,
    Decolorize,
    Drop,
    Keep,
    /// Followed by a parenthesis, as are the ones below.
    Ip,
    Vector,
    LabelReplace,
    BytesConversion,
    DurationConversion,
    DurationSecondsConversion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbol {
    Comma,
    Dot,
    OpenBrace,
    CloseBrace,
    CloseBracket,
    OpenParen,
    CloseParen,
    Eq,
    Neq,
    Re,
    Nre,
    NotPattern,
    Pipe,
    PipeExact,
    PipeMatch,
    PipePattern,
    CmpEq,
    Gt,
    Gte,
    Lt,
    Lte,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

const WORDS: [(&str, Word); 22] = [
    ("by", Word::By),
    ("without", Word::Without),
    ("bool", Word::Bool),
    ("unwrap", Word::Unwrap),
    ("offset", Word::Offset),
    ("on", Word::On),
    ("ignoring", Word::Ignoring),
    ("group_left", Word::GroupLeft),
    ("group_right", Word::GroupRight),
    ("or", Word::Or),
    ("and", Word::And),
    ("unless", Word::Unless),
    ("json", Word::Json),
    ("regexp", Word::Regexp),
    ("logfmt", Word::Logfmt),
    ("unpack", Word::Unpack),
    ("pattern", Word::Pattern),
    ("label_format", Word::LabelFormat),
    ("line_format", Word::LineFormat),
    ("decolorize", Word::Decolorize),
    ("drop", Word::Drop),
    ("keep", Word::Keep),
];

/// Words that are plain identifiers unless a parenthesis follows.
const FUNCTION_WORDS: [(&str, Word); 6] = [
    ("ip", Word::Ip),
    ("vector", Word::Vector),
    ("label_replace", Word::LabelReplace),
    ("bytes", Word::BytesConversion),
    ("duration", Word::DurationConversion),
    ("duration_seconds", Word::DurationSecondsConversion),
];

/// A reserved word, in lower case.
pub fn reserved_word(lower: &str) -> Option<Word> {
    WORDS.iter().find(|(text, _)| *text == lower).map(|(_, word)| *word)
}

/// A function's name, in lower case.
pub fn function(lower: &str) -> Option<TokenKind> {
    let range = RangeOp::ALL.iter().find(|op| op.as_str() == lower);
    let vector = VectorOp::ALL.iter().find(|op| op.as_str() == lower);
    let word = FUNCTION_WORDS.iter().find(|(text, _)| *text == lower);
    match (range, vector, word) {
        (Some(op), ..) => Some(TokenKind::RangeOp(*op)),
        (_, Some(op), _) => Some(TokenKind::VectorOp(*op)),
        (_, _, Some((_, word))) => Some(TokenKind::Word(*word)),
        _ => None,
    }
}

impl Symbol {
    pub fn as_str(self) -> &'static str {
        match self {
            Symbol::Comma => ",",
            Symbol::Dot => ".",
            Symbol::OpenBrace => "{",
            Symbol::CloseBrace => "}",
            Symbol::CloseBracket => "]",
            Symbol::OpenParen => "(",
            Symbol::CloseParen => ")",
            Symbol::Eq => "=",
            Symbol::Neq => "!=",
            Symbol::Re => "=~",
            Symbol::Nre => "!~",
            Symbol::NotPattern => "!>",
            Symbol::Pipe => "|",
            Symbol::PipeExact => "|=",
            Symbol::PipeMatch => "|~",
            Symbol::PipePattern => "|>",
            Symbol::CmpEq => "==",
            Symbol::Gt => ">",
            Symbol::Gte => ">=",
            Symbol::Lt => "<",
            Symbol::Lte => "<=",
            Symbol::Add => "+",
            Symbol::Sub => "-",
            Symbol::Mul => "*",
            Symbol::Div => "/",
            Symbol::Mod => "%",
            Symbol::Pow => "^",
        }
    }
}

impl TokenKind {
    /// How Loki's messages name the token.
    pub fn shown(&self) -> String {
        match self {
            TokenKind::Identifier(_) => "IDENTIFIER".to_owned(),
            TokenKind::String(_) => "STRING".to_owned(),
            TokenKind::Number(_) => "NUMBER".to_owned(),
            TokenKind::DurationNs(_) => "DURATION".to_owned(),
            TokenKind::Bytes(_) => "BYTES".to_owned(),
            TokenKind::RangeNs(_) => "RANGE".to_owned(),
            TokenKind::Flag(_) => "FUNCTION_FLAG".to_owned(),
            TokenKind::RangeOp(op) => op.as_str().to_uppercase(),
            TokenKind::VectorOp(op) => op.as_str().to_uppercase(),
            TokenKind::Word(Word::Ip) => "ip".to_owned(),
            TokenKind::Word(Word::Vector) => "VECTOR".to_owned(),
            TokenKind::Word(Word::LabelReplace) => "label_replace".to_owned(),
            TokenKind::Word(Word::BytesConversion) => "BYTES_CONV".to_owned(),
            TokenKind::Word(Word::DurationConversion) => "DURATION_CONV".to_owned(),
            TokenKind::Word(Word::DurationSecondsConversion) => "DURATION_SECONDS_CONV".to_owned(),
            TokenKind::Word(word) => WORDS
                .iter()
                .find(|(_, candidate)| candidate == word)
                .map_or("IDENTIFIER", |(text, _)| text)
                .to_owned(),
            TokenKind::Symbol(symbol) => symbol.as_str().to_owned(),
            TokenKind::Fault(message) => message.clone(),
            TokenKind::End => "$end".to_owned(),
        }
    }

    /// The binary operator, if it is one.
    pub fn binary_op(&self) -> Option<BinaryOp> {
        Some(match self {
            TokenKind::Word(Word::Or) => BinaryOp::Or,
            TokenKind::Word(Word::And) => BinaryOp::And,
            TokenKind::Word(Word::Unless) => BinaryOp::Unless,
            TokenKind::Symbol(symbol) => match symbol {
                Symbol::CmpEq => BinaryOp::Eq,
                Symbol::Neq => BinaryOp::Neq,
                Symbol::Gt => BinaryOp::Gt,
                Symbol::Gte => BinaryOp::Gte,
                Symbol::Lt => BinaryOp::Lt,
                Symbol::Lte => BinaryOp::Lte,
                Symbol::Add => BinaryOp::Add,
                Symbol::Sub => BinaryOp::Sub,
                Symbol::Mul => BinaryOp::Mul,
                Symbol::Div => BinaryOp::Div,
                Symbol::Mod => BinaryOp::Mod,
                Symbol::Pow => BinaryOp::Pow,
                _ => return None,
            },
            _ => return None,
        })
    }
}

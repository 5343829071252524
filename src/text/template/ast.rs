//! The tree of a parsed template. Function names and variables are resolved when parsing, so
//! that rendering looks nothing up by name but the data's own fields.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use super::Value;
use super::funcs::Function;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    /// `{{ pipe }}`; assignments print nothing.
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Range),
    Template {
        name: String,
        data: Option<Pipe>,
        offset: usize,
    },
    Break,
    Continue,
}

#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub pipe: Pipe,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(super) struct Range {
    pub branch: Branch,
    pub index: Option<usize>,
    pub element: Option<usize>,
    /// `range $i = ...` assigns to variables that exist.
    pub offset: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Pipe {
    /// The slot that takes the result, for `$x := ...` and `$x = ...`.
    pub variable: Option<usize>,
    pub commands: Vec<Command>,
    pub offset: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub head: Expr,
    pub args: Vec<Expr>,
    pub offset: usize,
    /// Where each argument begins.
    pub arg_offsets: Vec<usize>,
    /// Compiled when the function takes a regex and the template gives it as a literal.
    pub regex: Option<Arc<Regex>>,
}

#[derive(Debug, Clone)]
pub(super) enum Expr {
    Dot,
    Const(Value),
    /// `.a.b`
    Field(Vec<String>),
    /// `$` and `$.a.b`
    Root(Vec<String>),
    /// `$x.a.b`; the number is the place among the variables in scope.
    Variable(usize, Vec<String>),
    /// `$labels` and the like: a field of the data that the template was first rendered with.
    Global(&'static str, Vec<String>),
    /// `(...)` and `(...).a.b`
    Nested(Box<Pipe>, Vec<String>),
    /// A function, and the fields asked of what it gives (`now.Unix`).
    Function(&'static Function, Vec<String>),
}

/// The main text and the named templates.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub main: Vec<Node>,
    pub named: HashMap<String, Vec<Node>>,
    /// As Go itself has it: nil prints as `<no value>` and has no fields, and numbers compare
    /// with their own kind only.
    pub is_strict: bool,
}

//! Tokens to tree.

use std::sync::Arc;

use super::ast::{Branch, Command, Expr, Node, Pipe, Range, Tree};
use super::funcs::{self, Function};
use super::lex::{self, Piece, Spot, Token, fault};
use super::{Functions, TemplateError, Value};
use crate::limits::TEMPLATE_PARSE_DEPTH_MAX;
use crate::text::re2::{self, Budget};

type Result<T> = std::result::Result<T, TemplateError>;

/// Parses `source` with the named templates of `library`; a later definition replaces an
/// earlier one.
pub(super) fn parse(
    library: &[String],
    source: &str,
    functions: Functions,
    regexes: &mut Budget,
) -> Result<Tree> {
    let is_strict = functions == Functions::LogQl;
    let mut tree = Tree { is_strict, ..Tree::default() };
    for text in library.iter().map(String::as_str).chain([source]) {
        tree = parse_one(tree, text, functions, regexes)?;
    }
    Ok(tree)
}

/// Adds the templates that a text defines; its own nodes become the main ones.
fn parse_one(tree: Tree, source: &str, functions: Functions, regexes: &mut Budget) -> Result<Tree> {
    let mut pieces = lex::pieces(source)?;
    pieces.reverse();
    let mut parser = Parser {
        pieces,
        functions,
        tokens: Vec::new(),
        at: 0,
        scope: Vec::new(),
        in_define: false,
        loops: 0,
        depth: 0,
        end_offset: source.len(),
        regexes,
        tree,
    };
    let (main, stop) = parser.block()?;
    if let Stop::Word { word, offset, .. } = stop {
        return Err(fault(offset, format!("unexpected {{{{{word}}}}}")));
    }
    parser.tree.main = main;
    Ok(parser.tree)
}

struct Parser<'a> {
    /// In reverse, so that the next one is popped off the end.
    pieces: Vec<Piece>,
    functions: Functions,
    tokens: Vec<Spot>,
    at: usize,
    scope: Vec<String>,
    in_define: bool,
    loops: usize,
    depth: usize,
    end_offset: usize,
    regexes: &'a mut Budget,
    tree: Tree,
}

/// What ended a list of nodes.
enum Stop {
    Text,
    /// `end` or `else`; the tokens behind an `else` are still to be read.
    Word {
        word: &'static str,
        offset: usize,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum BranchKind {
    If,
    With,
    Range,
}

impl Parser<'_> {
    fn offset(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(self.end_offset, |spot| spot.offset)
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |spot| &spot.token)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        while *self.peek() == Token::Space {
            self.at += 1;
        }
    }

    fn deeper<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= TEMPLATE_PARSE_DEPTH_MAX {
            return Err(fault(self.offset(), "template is nested too deeply"));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn block(&mut self) -> Result<(Vec<Node>, Stop)> {
        self.deeper(Self::block_at)
    }

    fn block_at(&mut self) -> Result<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.pop() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            self.tokens = tokens;
            self.at = 0;
            self.skip_space();
            let offset = self.offset();
            let keyword = match self.peek() {
                Token::Word(word) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" => {
                    self.at += 1;
                    self.expect_end("end")?;
                    return Ok((nodes, Stop::Word { word: "end", offset }));
                }
                "else" => {
                    self.at += 1;
                    self.skip_space();
                    return Ok((nodes, Stop::Word { word: "else", offset }));
                }
                "if" => nodes.push(self.branch(BranchKind::If)?),
                "with" => nodes.push(self.branch(BranchKind::With)?),
                "range" => nodes.push(self.branch(BranchKind::Range)?),
                "break" | "continue" => {
                    self.at += 1;
                    self.expect_end(&keyword)?;
                    if self.loops == 0 {
                        return Err(fault(
                            offset,
                            format!("{{{{{keyword}}}}} outside {{{{range}}}}"),
                        ));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "define" => {
                    if self.depth > 1 || self.in_define {
                        return Err(fault(offset, "unexpected {{define}} inside another block"));
                    }
                    self.define()?;
                }
                "block" => nodes.push(self.block_node()?),
                "template" => {
                    self.at += 1;
                    let name = self.name("template")?;
                    self.skip_space();
                    let data = match self.peek() {
                        Token::End => None,
                        _ => Some(self.pipeline("template clause", &Token::End)?),
                    };
                    nodes.push(Node::Template { name, data, offset });
                }
                _ => nodes.push(Node::Action(self.pipeline("command", &Token::End)?)),
            }
        }
        self.tokens.clear();
        Ok((nodes, Stop::Text))
    }

    fn expect_end(&mut self, context: &str) -> Result<()> {
        self.skip_space();
        match self.peek() {
            Token::End => Ok(()),
            other => Err(fault(self.offset(), format!("unexpected {} in {context}", show(other)))),
        }
    }

    fn name(&mut self, context: &str) -> Result<String> {
        self.skip_space();
        let offset = self.offset();
        match self.next() {
            Token::Str(name) => Ok(name),
            other => Err(fault(offset, format!("unexpected {} in {context} clause", show(&other)))),
        }
    }

    fn unclosed<T>(&self) -> Result<T> {
        Err(fault(self.end_offset, "unexpected EOF"))
    }

    /// The body of a named template: variables and loops outside do not reach in.
    fn named_body(&mut self, name: String) -> Result<()> {
        let scope = std::mem::take(&mut self.scope);
        let loops = std::mem::replace(&mut self.loops, 0);
        let in_define = std::mem::replace(&mut self.in_define, true);
        let (body, stop) = self.block()?;
        match stop {
            Stop::Word { word: "end", .. } => {}
            Stop::Word { word, offset } => {
                return Err(fault(offset, format!("unexpected {{{{{word}}}}} in define clause")));
            }
            Stop::Text => return self.unclosed(),
        }
        self.scope = scope;
        self.loops = loops;
        self.in_define = in_define;
        // As in Go, an empty redefinition does not replace what is there.
        let is_empty =
            body.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()));
        if !is_empty || !self.tree.named.contains_key(&name) {
            self.tree.named.insert(name, body);
        }
        Ok(())
    }

    fn define(&mut self) -> Result<()> {
        self.at += 1;
        let name = self.name("define")?;
        self.expect_end("define clause")?;
        self.named_body(name)
    }

    fn block_node(&mut self) -> Result<Node> {
        let offset = self.offset();
        self.at += 1;
        let name = self.name("block")?;
        let data = self.pipeline("block clause", &Token::End)?;
        self.named_body(name.clone())?;
        Ok(Node::Template { name, data: Some(data), offset })
    }

    fn branch(&mut self, kind: BranchKind) -> Result<Node> {
        let offset = self.offset();
        let scope = self.scope.len();
        self.at += 1;
        let (mut index, mut element) = (None, None);
        let pipe = if kind == BranchKind::Range {
            (index, element) = self.range_variables()?;
            self.pipeline("range", &Token::End)?
        } else {
            self.pipeline(if kind == BranchKind::If { "if" } else { "with" }, &Token::End)?
        };
        let inner = self.scope.len();
        self.loops += usize::from(kind == BranchKind::Range);
        let (body, stop) = self.block()?;
        self.loops -= usize::from(kind == BranchKind::Range);
        self.scope.truncate(inner);
        let otherwise = match stop {
            Stop::Text => return self.unclosed(),
            Stop::Word { word: "end", .. } => Vec::new(),
            Stop::Word { .. } => self.else_part(kind)?,
        };
        self.scope.truncate(scope);
        let branch = Branch { pipe, body, otherwise };
        Ok(match kind {
            BranchKind::If => Node::If(branch),
            BranchKind::With => Node::With(branch),
            BranchKind::Range => Node::Range(Range { branch, index, element, offset }),
        })
    }

    fn else_part(&mut self, kind: BranchKind) -> Result<Vec<Node>> {
        let chained = match (self.peek(), kind) {
            (Token::Word(word), BranchKind::If) if word == "if" => true,
            (Token::Word(word), BranchKind::With) if word == "with" => true,
            _ => false,
        };
        if chained {
            // `else if` is an `if` inside the `else` that shares its `end`.
            return Ok(vec![self.deeper(|parser| parser.branch(kind))?]);
        }
        self.expect_end("else")?;
        let (otherwise, stop) = self.block()?;
        match stop {
            Stop::Word { word: "end", .. } => Ok(otherwise),
            Stop::Word { offset, .. } => Err(fault(offset, "expected end; found {{else}}")),
            Stop::Text => self.unclosed(),
        }
    }

    /// `$e :=`, `$i, $e :=` and the same with `=`, in front of what is ranged over.
    fn range_variables(&mut self) -> Result<(Option<usize>, Option<usize>)> {
        let start = self.at;
        let mut names = Vec::new();
        loop {
            self.skip_space();
            let Token::Variable(name) = self.peek().clone() else { break };
            self.at += 1;
            names.push(name);
            self.skip_space();
            match self.peek() {
                Token::Comma if names.len() < 2 => self.at += 1,
                Token::Comma => {
                    return Err(fault(self.offset(), "too many declarations in range"));
                }
                Token::Declare | Token::Assign => {
                    let declares = *self.peek() == Token::Declare;
                    self.at += 1;
                    let mut slots = Vec::new();
                    for name in names {
                        slots.push(if declares { self.declare(name) } else { self.find(&name)? });
                    }
                    let first = slots.first().copied();
                    return Ok(match slots.get(1) {
                        Some(second) => (first, Some(*second)),
                        None => (None, first),
                    });
                }
                _ => break,
            }
        }
        if names.len() > 1 {
            return Err(fault(self.offset(), "missing value for range"));
        }
        self.at = start;
        Ok((None, None))
    }

    fn declare(&mut self, name: String) -> usize {
        self.scope.push(name);
        self.scope.len() - 1
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.scope
            .iter()
            .rposition(|known| known == name)
            .ok_or_else(|| fault(self.offset(), format!("undefined variable \"${name}\"")))
    }

    fn pipeline(&mut self, context: &str, end: &Token) -> Result<Pipe> {
        self.deeper(|parser| parser.pipeline_at(context, end))
    }

    fn pipeline_at(&mut self, context: &str, end: &Token) -> Result<Pipe> {
        self.skip_space();
        let offset = self.offset();
        let mut target = None;
        let start = self.at;
        if let Token::Variable(name) = self.peek().clone() {
            self.at += 1;
            self.skip_space();
            match self.next() {
                Token::Declare => target = Some((name, true)),
                Token::Assign => target = Some((name, false)),
                _ => self.at = start,
            }
        }
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            if self.peek() == end {
                break;
            }
            let (command, piped) = self.command()?;
            if !commands.is_empty() && matches!(command.head, Expr::Dot | Expr::Const(_)) {
                let stage = commands.len() + 1;
                let message = format!("non executable command in pipeline stage {stage}");
                return Err(fault(command.offset, message));
            }
            commands.push(command);
            if !piped {
                break;
            }
            // A `|` with nothing behind it does nothing, as in Go.
        }
        if commands.is_empty() {
            return Err(fault(offset, format!("missing value for {context}")));
        }
        if self.peek() != end {
            let message = format!("unexpected {} in {context}", show(self.peek()));
            return Err(fault(self.offset(), message));
        }
        if *end == Token::Close {
            self.at += 1;
        }
        // A variable is in scope behind its own declaration only.
        let variable = match target {
            None => None,
            Some((name, true)) => Some(self.declare(name)),
            Some((name, false)) => Some(self.find(&name)?),
        };
        Ok(Pipe { variable, commands, offset })
    }

    /// Gives the command and whether a `|` follows it.
    fn command(&mut self) -> Result<(Command, bool)> {
        let offset = self.offset();
        let mut operands = Vec::new();
        let mut arg_offsets = Vec::new();
        let piped = loop {
            self.skip_space();
            let at = self.offset();
            if matches!(self.peek(), Token::End | Token::Close) {
                break false;
            }
            if *self.peek() == Token::Pipe {
                self.at += 1;
                break true;
            }
            if !operands.is_empty() {
                arg_offsets.push(at);
            }
            operands.push(self.operand()?);
            match self.peek() {
                Token::Space | Token::End | Token::Close | Token::Pipe => {}
                other => {
                    return Err(fault(at, format!("unexpected {} in operand", show(other))));
                }
            }
        };
        if operands.is_empty() {
            return Err(fault(offset, "empty command"));
        }
        let head = operands.remove(0);
        if matches!(head, Expr::Const(Value::Nil)) {
            return Err(fault(offset, "nil is not a command"));
        }
        if !operands.is_empty() && matches!(head, Expr::Dot | Expr::Const(_)) {
            return Err(fault(offset, "can't give argument to non-function"));
        }
        let regex = self.literal_regex(&head, &operands, offset)?;
        Ok((Command { head, args: operands, offset, arg_offsets, regex }, piped))
    }

    fn operand(&mut self) -> Result<Expr> {
        let offset = self.offset();
        let term = match self.next() {
            Token::Dot => Expr::Dot,
            Token::Field(name) => Expr::Field(vec![name]),
            Token::Variable(name) if name.is_empty() => Expr::Root(Vec::new()),
            Token::Variable(name) => self.variable(&name, offset)?,
            Token::Str(text) => Expr::Const(Value::Str(text.into())),
            Token::Int(number) => Expr::Const(Value::Int(number)),
            Token::Float(number) => Expr::Const(Value::Float(number)),
            Token::Word(word) => match word.as_str() {
                "true" => Expr::Const(Value::Bool(true)),
                "false" => Expr::Const(Value::Bool(false)),
                "nil" => Expr::Const(Value::Nil),
                _ => Expr::Function(self.function(&word, offset)?, Vec::new()),
            },
            Token::Open => Expr::Nested(
                Box::new(self.pipeline("parenthesized pipeline", &Token::Close)?),
                Vec::new(),
            ),
            other => {
                return Err(fault(offset, format!("unexpected {} in command", show(&other))));
            }
        };
        let mut fields = Vec::new();
        while let Token::Field(name) = self.peek().clone() {
            self.at += 1;
            fields.push(name);
        }
        if fields.is_empty() {
            return Ok(term);
        }
        Ok(match term {
            Expr::Field(first) => Expr::Field([first, fields].concat()),
            Expr::Root(_) => Expr::Root(fields),
            Expr::Variable(slot, _) => Expr::Variable(slot, fields),
            Expr::Global(name, _) => Expr::Global(name, fields),
            Expr::Nested(pipe, _) => Expr::Nested(pipe, fields),
            Expr::Function(function, _) => Expr::Function(function, fields),
            Expr::Dot | Expr::Const(_) => {
                return Err(fault(offset, "unexpected . after term"));
            }
        })
    }

    fn variable(&self, name: &str, offset: usize) -> Result<Expr> {
        if let Some(slot) = self.scope.iter().rposition(|known| known == name) {
            return Ok(Expr::Variable(slot, Vec::new()));
        }
        if self.functions == Functions::Rule {
            let field = match name {
                "labels" => Some("Labels"),
                "value" => Some("Value"),
                "externalLabels" => Some("ExternalLabels"),
                "externalURL" => Some("ExternalURL"),
                _ => None,
            };
            if let Some(field) = field {
                return Ok(Expr::Global(field, Vec::new()));
            }
        }
        Err(fault(offset, format!("undefined variable \"${name}\"")))
    }

    fn function(&self, name: &str, offset: usize) -> Result<&'static Function> {
        funcs::lookup(self.functions, name)
            .ok_or_else(|| fault(offset, format!("function {name:?} not defined")))
    }

    /// Regexes that stand in the template are compiled with it, and their faults found; but
    /// LogQL tells the fault of each line.
    fn literal_regex(
        &mut self,
        head: &Expr,
        args: &[Expr],
        offset: usize,
    ) -> Result<Option<Arc<regex::Regex>>> {
        match (head, args.first()) {
            (Expr::Function(function, _), Some(Expr::Const(Value::Str(pattern))))
                if function.takes_regex =>
            {
                self.regexes.take(pattern).map_err(|error| fault(offset, error))?;
                match re2::compile(pattern) {
                    Ok(regex) => Ok(Some(Arc::new(regex))),
                    Err(_) if self.functions == Functions::LogQl => Ok(None),
                    Err(error) => Err(fault(offset, error)),
                }
            }
            _ => Ok(None),
        }
    }
}

fn show(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("<{word}>"),
        Token::Field(name) => format!("<.{name}>"),
        Token::Variable(name) => format!("variable \"${name}\""),
        Token::Dot => "<.>".to_owned(),
        Token::Str(text) => format!("{text:?}"),
        Token::Int(number) => number.to_string(),
        Token::Float(number) => number.to_string(),
        Token::Declare => "\":=\"".to_owned(),
        Token::Assign => "\"=\"".to_owned(),
        Token::Pipe => "\"|\"".to_owned(),
        Token::Open => "\"(\"".to_owned(),
        Token::Close => "\")\"".to_owned(),
        Token::Comma => "\",\"".to_owned(),
        Token::Space => "space".to_owned(),
        Token::End => "\"}}\"".to_owned(),
    }
}

//! Walks the tree and writes text. Work, depth and output are bounded, whatever the template.

use std::sync::Arc;

use super::ast::{Branch, Command, Expr, Node, Pipe, Range, Tree};
use super::error::Part;
use super::funcs::{Env, Function, Kind, Run};
use super::{TemplateError, Value, methods, print};
use crate::limits::{
    TEMPLATE_DEPTH_MAX, TEMPLATE_ITEMS_MAX, TEMPLATE_NODES_MAX, TEMPLATE_OUTPUT_BYTES_MAX,
    TEMPLATE_STEPS_MAX,
};
use crate::text::re2;

/// What compiling the smallest regex costs.
const REGEX_STEPS: usize = 100;

type Result<T> = std::result::Result<T, TemplateError>;

pub(super) struct Exec<'a> {
    tree: &'a Tree,
    /// The data the template was rendered with, for functions and `$labels`.
    root: &'a Value,
    out: &'a mut String,
    out_start: usize,
    steps: usize,
    depth: usize,
    /// Arguments of the calls under way; one buffer for all of them.
    args: Vec<Value>,
    /// The word that was looked at last: faults of values are put there.
    word: (usize, Part),
    nil_in_map: bool,
}

/// One template's own `$` and variables.
struct Frame {
    dollar: Value,
    variables: Vec<Value>,
}

enum Flow {
    On,
    Break,
    Continue,
}

pub(super) fn run(tree: &Tree, root: &Value, out: &mut String) -> Result<()> {
    let out_start = out.len();
    let mut exec = Exec {
        tree,
        root,
        out,
        out_start,
        steps: 0,
        depth: 0,
        args: Vec::new(),
        word: (0, Part::Operand),
        nil_in_map: false,
    };
    let mut frame = Frame { dollar: root.clone(), variables: Vec::new() };
    let result = exec.nodes(&tree.main, root, &mut frame);
    match result {
        Ok(_) => Ok(()),
        Err(error) => {
            out.truncate(out_start);
            Err(error)
        }
    }
}

fn fault(offset: usize, message: impl Into<String>) -> TemplateError {
    TemplateError::new(Part::Command, offset, message)
}

/// A fault of one word.
fn word_fault(offset: usize, message: impl Into<String>) -> TemplateError {
    TemplateError::new(Part::Operand, offset, message)
}

/// Go's message for a call with too many or too few arguments.
fn wrong_count(function: &Function, count: usize) -> String {
    let at_least = if function.args_min == function.args_max { "" } else { "at least " };
    let (name, want) = (function.name, function.args_min);
    format!("wrong number of args for {name}: want {at_least}{want} got {count}")
}

impl Command {
    fn with_offsets(&self) -> impl Iterator<Item = (&Expr, usize)> {
        let offsets = self.arg_offsets.iter().copied().chain(std::iter::repeat(self.offset));
        self.args.iter().zip(offsets)
    }
}

impl Exec<'_> {
    fn spend(&mut self, steps: usize, offset: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > TEMPLATE_STEPS_MAX {
            return Err(fault(offset, "template takes too many steps"));
        }
        Ok(())
    }

    /// Text that a template makes costs steps by its length, so that memory and time are bound together.
    fn spend_value(&mut self, value: &Value, offset: usize) -> Result<()> {
        match value {
            Value::Str(text) if text.len() > TEMPLATE_OUTPUT_BYTES_MAX => {
                Err(fault(offset, "template makes a text that is too long"))
            }
            Value::Str(text) => self.spend(text.len() / 256, offset),
            Value::List(items) if items.len() > TEMPLATE_ITEMS_MAX => {
                Err(fault(offset, "template makes a list that is too long"))
            }
            Value::List(items) => self.spend(items.len() / 16, offset),
            _ => Ok(()),
        }
    }

    fn write(&mut self, text: &str, offset: usize) -> Result<()> {
        if self.out.len() - self.out_start + text.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err(fault(offset, "template output is too long"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn write_value(&mut self, value: &Value, offset: usize) -> Result<()> {
        match value {
            Value::Str(text) => self.write(text, offset),
            Value::Nil if self.tree.is_strict => self.write("<no value>", offset),
            other => {
                let text = print::display(other);
                self.spend(text.len() / 256, offset)?;
                self.write(&text, offset)
            }
        }
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value, frame: &mut Frame) -> Result<Flow> {
        for node in nodes {
            match node {
                Node::Text(text) => {
                    self.spend(1 + text.len() / 256, 0)?;
                    self.write(text, 0)?;
                }
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot, frame)?;
                    if pipe.variable.is_none() {
                        self.write_value(&value, pipe.offset)?;
                    }
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::If(_) | Node::With(_) | Node::Range(_) | Node::Template { .. } => {
                    if self.depth >= TEMPLATE_DEPTH_MAX {
                        return Err(fault(0, "template is nested too deeply"));
                    }
                    self.depth += 1;
                    let flow = self.nested(node, dot, frame);
                    self.depth -= 1;
                    match flow? {
                        Flow::On => {}
                        flow => return Ok(flow),
                    }
                }
            }
        }
        Ok(Flow::On)
    }

    fn nested(&mut self, node: &Node, dot: &Value, frame: &mut Frame) -> Result<Flow> {
        match node {
            Node::If(branch) => self.branch(branch, dot, frame, |_| None),
            Node::With(branch) => self.branch(branch, dot, frame, |value| Some(value.clone())),
            Node::Range(range) => self.range(range, dot, frame),
            Node::Template { name, data, offset } => {
                let data = match data {
                    Some(pipe) => self.pipe(pipe, dot, frame)?,
                    None => Value::Nil,
                };
                let tree = self.tree;
                let body = tree
                    .named
                    .get(name)
                    .ok_or_else(|| fault(*offset, format!("template {name:?} not defined")))?;
                let mut inner = Frame { dollar: data.clone(), variables: Vec::new() };
                self.nodes(body, &data, &mut inner)?;
                Ok(Flow::On)
            }
            _ => Ok(Flow::On),
        }
    }

    fn branch(
        &mut self,
        branch: &Branch,
        dot: &Value,
        frame: &mut Frame,
        new_dot: impl Fn(&Value) -> Option<Value>,
    ) -> Result<Flow> {
        let value = self.pipe(&branch.pipe, dot, frame)?;
        if !value.is_true() {
            return self.nodes(&branch.otherwise, dot, frame);
        }
        match new_dot(&value) {
            Some(inner) => self.nodes(&branch.body, &inner, frame),
            None => self.nodes(&branch.body, dot, frame),
        }
    }

    fn range(&mut self, range: &Range, dot: &Value, frame: &mut Frame) -> Result<Flow> {
        let value = self.pipe(&range.branch.pipe, dot, frame)?;
        let value = match value {
            Value::Object(object) => object.to_value(),
            plain => plain,
        };
        let mut any = false;
        match &value {
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    any = true;
                    if !self.turn(range, Value::from_usize(at), item, frame)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.iter() {
                    any = true;
                    if !self.turn(range, Value::Str(key.as_str().into()), item, frame)? {
                        break;
                    }
                }
            }
            Value::Int(count) => {
                for at in 0..(*count).max(0) {
                    any = true;
                    if !self.turn(range, Value::Int(at), &Value::Int(at), frame)? {
                        break;
                    }
                }
            }
            Value::Nil => {}
            // A key that is not there reads as an empty text: nothing to range over.
            Value::Str(text) if text.is_empty() && !self.tree.is_strict => {}
            other => {
                let message = format!("range can't iterate over {}", print::display(other));
                return Err(self.value_fault(message));
            }
        }
        if any { Ok(Flow::On) } else { self.nodes(&range.branch.otherwise, dot, frame) }
    }

    /// One turn of a range; gives whether to go on.
    fn turn(
        &mut self,
        range: &Range,
        index: Value,
        item: &Value,
        frame: &mut Frame,
    ) -> Result<bool> {
        self.spend(1, range.offset)?;
        if let Some(slot) = range.element {
            // With one variable over a number, as in Go, it is the number itself.
            set(&mut frame.variables, slot, item.clone());
        }
        if let Some(slot) = range.index {
            set(&mut frame.variables, slot, index);
        }
        Ok(!matches!(self.nodes(&range.branch.body, item, frame)?, Flow::Break))
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value, frame: &mut Frame) -> Result<Value> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last, dot, frame)?);
        }
        let value = last.unwrap_or_default();
        if let Some(slot) = pipe.variable {
            set(&mut frame.variables, slot, value.clone());
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &Command,
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value> {
        self.spend(1, command.offset)?;
        let value = match &command.head {
            Expr::Function(function, fields) if fields.is_empty() => match function.run {
                Run::Plain(run) => self.call(command, function, run, last, dot, frame)?,
                Run::And => self.short_circuit(command, last, dot, frame, false)?,
                Run::Or => self.short_circuit(command, last, dot, frame, true)?,
            },
            Expr::Field(_)
            | Expr::Root(_)
            | Expr::Variable(..)
            | Expr::Global(..)
            | Expr::Nested(..)
            | Expr::Function(..) => {
                if command.args.is_empty() && last.is_none() {
                    self.expr(&command.head, command.offset, dot, frame)?
                } else {
                    self.method(command, last, dot, frame)?
                }
            }
            Expr::Dot | Expr::Const(_) => {
                if last.is_some() {
                    return Err(fault(command.offset, "can't give argument to non-function"));
                }
                self.expr(&command.head, command.offset, dot, frame)?
            }
        };
        self.spend_value(&value, command.offset)?;
        Ok(value)
    }

    fn call(
        &mut self,
        command: &Command,
        function: &Function,
        run: fn(&Env, &[Value]) -> std::result::Result<Value, String>,
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value> {
        let base = self.args.len();
        let is_strict = self.tree.is_strict;
        let count = command.args.len() + usize::from(last.is_some());
        if count < function.args_min || count > function.args_max {
            return Err(word_fault(command.offset, wrong_count(function, count)));
        }
        self.word = (command.offset, Part::Operand);
        self.nil_in_map = false;
        for (arg, offset) in command.with_offsets() {
            let value = self.expr(arg, offset, dot, frame)?;
            if is_strict {
                let kind = Kind::of(function.name, self.args.len() - base);
                self.check_kind(kind, &value, matches!(arg, Expr::Const(_)))?;
            }
            self.args.push(value);
        }
        if let Some(last) = last {
            if is_strict {
                let kind = Kind::of(function.name, count - 1);
                self.nil_in_map = false;
                self.check_kind(kind, &last, false)?;
            }
            self.args.push(last);
        }
        self.spend_args(base, command, function)?;
        let nil_in_map = self.nil_in_map;
        let env = Env { root: self.root, regex: command.regex.as_deref(), is_strict, nil_in_map };
        let result = run(&env, self.args.get(base..).unwrap_or_default());
        self.args.truncate(base);
        let value = result.map_err(|error| {
            fault(command.offset, format!("error calling {}: {error}", function.name))
        })?;
        if matches!(value, Value::List(_) | Value::Map(_)) {
            self.spend_tree(&value, command.offset)?;
        }
        Ok(value)
    }

    /// A fault of a value, at the word that was looked at last.
    fn value_fault(&self, message: impl Into<String>) -> TemplateError {
        TemplateError::new(self.word.1, self.word.0, message)
    }

    /// Go looks at the type of each argument before the call.
    fn check_kind(&self, kind: Kind, value: &Value, is_literal: bool) -> Result<()> {
        if kind.takes(value) {
            return Ok(());
        }
        let want = kind.name();
        let message = match value {
            Value::Nil if is_literal => format!("cannot assign nil to {want}"),
            Value::Nil if self.nil_in_map => {
                format!("wrong type for value; expected {want}; got interface {{}}")
            }
            Value::Nil => format!("invalid value; expected {want}"),
            _ if is_literal => {
                let want = if kind == Kind::Int { "integer" } else { want };
                let fault = self.value_fault(format!("expected {want}; found "));
                return Err(TemplateError { names_words: true, ..fault });
            }
            value => format!("wrong type for value; expected {want}; got {}", value.type_name()),
        };
        Err(self.value_fault(message))
    }

    /// What a function reads costs steps by its length too: its result may be a single number.
    fn spend_args(&mut self, base: usize, command: &Command, function: &Function) -> Result<()> {
        let args = self.args.get(base..).unwrap_or_default();
        let mut steps: usize = args
            .iter()
            .map(|arg| match arg {
                Value::Str(text) => text.len() / 64,
                Value::List(items) => items.len() / 16,
                Value::Map(map) => map.len() / 16,
                _ => 0,
            })
            .sum();
        // A pattern that was not known before is compiled for this call alone.
        if function.takes_regex
            && command.regex.is_none()
            && let Some(Value::Str(pattern)) = args.first()
        {
            steps += REGEX_STEPS + re2::weight(pattern) / 4;
        }
        self.spend(steps, command.offset)
    }

    /// A list that a function made, with all that is in it: a list of lists of the same list is
    /// small in memory and endless when it is shown.
    fn spend_tree(&mut self, value: &Value, offset: usize) -> Result<()> {
        let mut left = TEMPLATE_NODES_MAX;
        if !value.fits(&mut left, 0) {
            return Err(fault(offset, "template makes a list that is too long or too deep"));
        }
        self.spend((TEMPLATE_NODES_MAX - left) / 64, offset)
    }

    /// `and` and `or` look at an argument only when the ones before do not decide.
    fn short_circuit(
        &mut self,
        command: &Command,
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
        decided_by: bool,
    ) -> Result<Value> {
        let mut value = None;
        for (arg, offset) in command.with_offsets() {
            let next = self.expr(arg, offset, dot, frame)?;
            if next.is_true() == decided_by {
                return Ok(next);
            }
            value = Some(next);
        }
        last.or(value).ok_or_else(|| {
            let name = if decided_by { "or" } else { "and" };
            let message = format!("wrong number of args for {name}: want at least 1 got 0");
            word_fault(command.offset, message)
        })
    }

    /// `.a.Method arg...`
    fn method(
        &mut self,
        command: &Command,
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value> {
        let refuse = || fault(command.offset, "can't give argument to non-function");
        let (subject, fields) = match &command.head {
            Expr::Field(fields) => (dot.clone(), fields),
            Expr::Root(fields) => (frame.dollar.clone(), fields),
            Expr::Variable(slot, fields) => (variable(frame, *slot), fields),
            Expr::Global(name, fields) => (self.global(name), fields),
            Expr::Nested(pipe, fields) => (self.nested_pipe(pipe, dot, frame)?, fields),
            Expr::Function(function, fields) => (self.bare(function, command.offset)?, fields),
            Expr::Dot | Expr::Const(_) => return Err(refuse()),
        };
        let (name, path) = fields.split_last().ok_or_else(refuse)?;
        let subject = self.path(subject, path)?;
        if self.tree.is_strict && matches!(subject, Value::Nil) {
            return Ok(Value::Nil);
        }
        let no_method = || format!("{name} is not a method but has arguments");
        let mut args = Vec::with_capacity(command.args.len() + 1);
        for (arg, offset) in command.with_offsets() {
            match self.expr(arg, offset, dot, frame) {
                Ok(value) => args.push(value),
                // Go finds the missing method before it looks at the arguments.
                Err(_) if matches!(subject, Value::Map(_) | Value::Str(_) | Value::Object(_)) => {
                    return Err(word_fault(command.offset, no_method()));
                }
                Err(error) => return Err(error),
            }
        }
        args.extend(last);
        methods::call(&subject, name, &args)
            .unwrap_or_else(|| Err(no_method()))
            .map_err(|error| word_fault(command.offset, error))
    }

    fn expr(
        &mut self,
        expr: &Expr,
        offset: usize,
        dot: &Value,
        frame: &mut Frame,
    ) -> Result<Value> {
        self.word = (offset, Part::Operand);
        self.nil_in_map = false;
        match expr {
            Expr::Dot => Ok(dot.clone()),
            Expr::Const(value) => Ok(value.clone()),
            Expr::Field(fields) => match (fields.as_slice(), dot) {
                // The plain `{{ .label }}` of every line: no detour.
                ([name], Value::Object(object)) => match object.field(name) {
                    Some(value) => Ok(value),
                    None => self.path(dot.clone(), fields),
                },
                _ => self.path(dot.clone(), fields),
            },
            Expr::Root(fields) => self.path(frame.dollar.clone(), fields),
            Expr::Variable(slot, fields) => self.path(variable(frame, *slot), fields),
            Expr::Global(name, fields) => self.path(self.global(name), fields),
            Expr::Nested(pipe, fields) => {
                let value = self.nested_pipe(pipe, dot, frame)?;
                self.nil_in_map = false;
                self.path(value, fields)
            }
            Expr::Function(function, fields) => {
                let value = self.bare(function, offset)?;
                self.word.1 = Part::Name;
                self.path(value, fields)
            }
        }
    }

    fn nested_pipe(&mut self, pipe: &Pipe, dot: &Value, frame: &mut Frame) -> Result<Value> {
        // Parsing bounds how deep parentheses nest.
        self.pipe(pipe, dot, frame)
    }

    /// A function without arguments, as an operand.
    fn bare(&mut self, function: &Function, offset: usize) -> Result<Value> {
        self.spend(1, offset)?;
        if function.args_min > 0 {
            return Err(word_fault(offset, wrong_count(function, 0)));
        }
        match function.run {
            Run::Plain(run) => {
                let is_strict = self.tree.is_strict;
                let env = Env { root: self.root, regex: None, is_strict, nil_in_map: false };
                run(&env, &[]).map_err(|error| {
                    fault(offset, format!("error calling {}: {error}", function.name))
                })
            }
            Run::And | Run::Or => Err(word_fault(offset, wrong_count(function, 0))),
        }
    }

    fn global(&self, name: &str) -> Value {
        methods::field(self.root, name).and_then(|found| found.ok()).unwrap_or_default()
    }

    fn path(&mut self, mut value: Value, fields: &[String]) -> Result<Value> {
        let mut is_entry = false;
        for name in fields {
            if self.tree.is_strict && matches!(value, Value::Nil) {
                if !self.nil_in_map {
                    return Ok(value);
                }
                let message = format!("nil pointer evaluating interface {{}}.{name}");
                return Err(self.value_fault(message));
            }
            let in_map = matches!(value, Value::Map(_));
            let was_entry = std::mem::replace(&mut is_entry, in_map);
            value = match methods::field(&value, name) {
                Some(found) => found.map_err(|error| self.value_fault(error))?,
                None => {
                    methods::missing(&value, name).map_err(|error| {
                        // To Go an entry of a map has no more of a type than this.
                        self.value_fault(match was_entry {
                            true => format!("can't evaluate field {name} in type interface {{}}"),
                            false => error,
                        })
                    })?
                }
            };
            self.nil_in_map = in_map && matches!(value, Value::Nil);
        }
        Ok(value)
    }
}

fn variable(frame: &Frame, slot: usize) -> Value {
    frame.variables.get(slot).cloned().unwrap_or_default()
}

fn set(variables: &mut Vec<Value>, slot: usize, value: Value) {
    if slot >= variables.len() {
        variables.resize(slot + 1, Value::Nil);
    }
    if let Some(place) = variables.get_mut(slot) {
        *place = value;
    }
}

/// Shared by all renderings of one template.
pub(super) type SharedTree = Arc<Tree>;

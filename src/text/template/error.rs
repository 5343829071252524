//! What is wrong with a template, and where.

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A function or field with all its arguments.
    Command,
    /// One word of a command.
    Operand,
    /// A function's name, without the fields behind it.
    Name,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    pub message: String,
    /// Byte offset in the template's text.
    pub offset: usize,
    pub(super) part: Part,
    /// Whether the message ends with the words that stand at the place.
    pub(super) names_words: bool,
}

impl TemplateError {
    pub(super) fn new(part: Part, offset: usize, message: impl Into<String>) -> Self {
        TemplateError { message: message.into(), offset, part, names_words: false }
    }

    /// The error of a template that cannot be read, in the words of Go: with its line.
    pub fn unreadable(&self, name: &str, source: &str) -> String {
        let before = source.get(..self.offset).unwrap_or(source);
        let line = 1 + before.matches('\n').count();
        format!("template: {name}:{line}: {}", self.message)
    }

    /// The error of a template that was run, in the words of Go: with the place in the text
    /// and what stands there.
    pub fn located(&self, name: &str, source: &str) -> String {
        let rest = source.get(self.offset..).unwrap_or_default();
        let context = words(rest, self.part);
        // Go puts an error about `.a.b` where the second field begins.
        let found = if self.names_words { context.as_str() } else { "" };
        let inner = match self.part {
            Part::Operand if context.starts_with(['.', '$']) => {
                context.get(1..).and_then(|tail| tail.find('.')).map_or(0, |at| at + 1)
            }
            _ => 0,
        };
        let before = source.get(..self.offset + inner).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        format!(
            "template: {name}:{line}:{column}: executing {name:?} at <{context}>: {}{found}",
            self.message
        )
    }
}

/// The command or operand at the start of the text, with one space between words.
fn words(text: &str, part: Part) -> String {
    let mut found = String::new();
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            found.push(c);
            if escaped {
                escaped = false;
            } else if c == '\\' && open != '`' {
                escaped = true;
            } else if c == open {
                quote = None;
            }
            continue;
        }
        let is_end = match c {
            '}' => text.get(at..).is_some_and(|rest| rest.starts_with("}}")),
            '-' => text.get(at..).is_some_and(|rest| rest.starts_with("-}}")),
            '|' => depth == 0,
            ')' => depth == 0,
            '.' => part == Part::Name,
            _ => part != Part::Command && depth == 0 && c.is_whitespace(),
        };
        if is_end {
            break;
        }
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' | '`' | '\'' => quote = Some(c),
            _ => {}
        }
        if !c.is_whitespace() {
            found.push(c);
        } else if !found.ends_with([' ', '(']) {
            found.push(' ');
        }
    }
    found.truncate(found.trim_end().len());
    found
}

#[cfg(test)]
mod tests {
    use super::super::{Functions, Template, Value};

    #[track_caller]
    fn check(source: &str, expect: &str) {
        let template = Template::parse(source, Functions::LogQl).unwrap();
        let data =
            Value::map([("a".to_owned(), "x".into()), ("__line__".to_owned(), "text".into())]);
        let error = template.render(&data).unwrap_err();
        assert_eq!(error.located("line", source), expect);
    }

    #[test]
    fn places_as_go_tells_them() {
        check(
            "{{ .a | duration }}",
            "template: line:1:8: executing \"line\" at <duration>: error calling duration: time: \
             invalid duration \"x\"",
        );
        check(
            "one\n{{ div  1 0 -}}",
            "template: line:2:3: executing \"line\" at <div 1 0>: error calling div: runtime \
             error: integer divide by zero",
        );
        check(
            "{{ .a.b }}",
            "template: line:1:5: executing \"line\" at <.a.b>: can't evaluate field b in type \
             interface {}",
        );
        check(
            "{{.a | now}}",
            "template: line:1:7: executing \"line\" at <now>: wrong number of args for now: want \
             0 got 1",
        );
        check(
            "{{ upper true }}",
            "template: line:1:9: executing \"line\" at <true>: expected string; found true",
        );
        check(
            "{{ trunc `x` .a }}",
            "template: line:1:9: executing \"line\" at <`x`>: expected integer; found `x`",
        );
        check(
            "{{ .a | eq .a | upper }}",
            "template: line:1:16: executing \"line\" at <upper>: wrong type for value; expected \
             string; got bool",
        );
        check(
            "{{ unixEpoch (trim .a) }}",
            "template: line:1:19: executing \"line\" at <.a>: wrong type for value; expected \
             time.Time; got string",
        );
        check(
            "{{ upper __line__.Nope }}",
            "template: line:1:9: executing \"line\" at <__line__>: can't evaluate field Nope \
             in type string",
        );
        check(
            "{{ range .a }}{{ end }}",
            "template: line:1:9: executing \"line\" at <.a>: range can't iterate over x",
        );
        check(
            "{{.a ToUpper}}",
            "template: line:1:2: executing \"line\" at <.a>: a is not a method but has arguments",
        );
        check(
            "{{ printf \"%d}}\" (unixToTime .a | unixEpoch) }}",
            "template: line:1:18: executing \"line\" at <unixToTime .a>: error calling \
             unixToTime: unable to parse time 'x': strconv.ParseInt: parsing \"x\": invalid syntax",
        );
    }
}

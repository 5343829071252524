//! Joins the lines of one record (stack traces, wrapped SQL): used by sources, which hold back
//! what is not complete, and by the pipeline stage, which joins inside one batch.

use std::time::Duration;

use regex::Regex;

/// When a new record begins, and the bounds of one.
#[derive(Debug, Clone)]
pub struct MultilineRule {
    /// A line that matches begins a new record.
    pub firstline: Regex,
    pub lines_max: usize,
    pub bytes_max: usize,
    pub wait_max: Duration,
}

/// Joins the lines of one stream. The caller flushes after `wait_max` without a new line.
#[derive(Debug, Clone, Default)]
pub struct Joiner {
    held: Option<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    text: String,
    lines: usize,
}

/// A complete record: the joined text and how many lines it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub text: String,
    pub lines: usize,
}

impl Joiner {
    /// Takes a line; gives the record that it completes. Lines before the first match pass through.
    pub fn push(&mut self, rule: &MultilineRule, line: &str) -> Vec<Joined> {
        let mut done = Vec::new();
        if rule.firstline.is_match(line) {
            done.extend(self.flush());
            self.held = Some(Held { text: line.to_owned(), lines: 1 });
            return done;
        }
        match &mut self.held {
            None => done.push(Joined { text: line.to_owned(), lines: 1 }),
            Some(held) => {
                let too_big = held.lines >= rule.lines_max
                    || held.text.len() + 1 + line.len() > rule.bytes_max;
                if too_big {
                    done.extend(self.flush());
                    self.held = Some(Held { text: line.to_owned(), lines: 1 });
                } else {
                    held.text.push('\n');
                    held.text.push_str(line);
                    held.lines += 1;
                }
            }
        }
        done
    }

    pub fn flush(&mut self) -> Option<Joined> {
        self.held.take().map(|held| Joined { text: held.text, lines: held.lines })
    }

    /// Lines taken in that are not yet given out.
    pub fn held_lines(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.lines)
    }
}

/// The names that `preset` knows.
pub const PRESETS: [&str; 8] =
    ["java", "python", "go-panic", "ruby", "node", "dotnet", "php", "postgres"];

/// The pattern of a preset: what the first line of a record looks like. Each is written as "does
/// not look like the rest of a stack trace", so that lines of any layout begin a record. RE2 has
/// no look-ahead, hence the spelled-out letters: `C([^a]|$)` is "a C, but not Ca".
pub fn preset(name: &str) -> Option<&'static str> {
    Some(match name {
        // The rest: indented, `Caused by:`, and `package.Class: message`.
        "java" => {
            r"^(?:[^\sa-zC})\]]|C(?:[^a]|$)|Ca(?:[^u]|$)|Cau(?:[^s]|$)|[a-z][\w$]*(?:[^\w$.]|$)|[a-z][\w$]*\.(?:[^\w$]|$))"
        }
        // The rest: indented, `Namespace.Exception: message`, `--- End of ...`.
        "dotnet" => {
            r"^(?:[^\sA-Za-z_})\]-]|-(?:[^-]|$)|[A-Za-z_]\w*(?:[^\w.]|$)|[A-Za-z_]\w*\.(?:[^A-Za-z_]|$))"
        }
        // The rest: indented, and what closes an object that was printed.
        "node" => r"^[^\s})\]]",
        // The rest: indented, `Traceback (`, `SomeError: message`, a bare `KeyboardInterrupt`,
        // `During handling of ...`, `The above exception ...`.
        "python" => {
            r"^(?:[^\sA-Za-z_}]|(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b|[A-CE-SU-Za-z_][\w.-]*[^\w.:-]|D(?:[^u\W]|u[^r\W])[\w.-]*[^\w.:-]|T(?:[^rh\W]|r[^a\W]|ra[^c\W]|h[^e\W]|he\w)[\w.-]*[^\w.:-]|The [^a])"
        }
        // The rest: frames (`pkg.func(`), indented places, `goroutine N`, `created by`,
        // `[signal ...]`, registers, `exit status`.
        "go-panic" => {
            r"^(?:[^\sa-z\[)}]|\[(?:[^s]|$)|(?:panic|fatal error): |[a-z_]+=|[abdfh-qs-z][\w-]* |[a-z]+: )"
        }
        // The rest: indented, and places without a message (`file.rb:1:in 'x'`).
        "ruby" => r"^(?:[^\s/.<a-z]|[a-z/.<]\S*:\d+:in [`'].*': |[a-z][\w-]*(?:[ =]|$))",
        // The rest: indented, `#0 ...`, `Stack trace:`, `Next SomeException`, Monolog's
        // `[stacktrace]` and `"}`.
        "php" => {
            r#"^(?:[^\s#"}SN\[]|S(?:[^t]|$)|St(?:[^a]|$)|Sta(?:[^c]|$)|N(?:[^e]|$)|Ne(?:[^x]|$)|Nex(?:[^t]|$)|\[(?:[^s]|$)|"(?:[^}]|$))"#
        }
        // The rest: wrapped statements, and DETAIL, HINT, CONTEXT, STATEMENT with their own time.
        "postgres" => {
            r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[^ ]| [^ ])*?[ :](?:DEBUG[1-5]?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC): "
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

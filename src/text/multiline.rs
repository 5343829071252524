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

/// Presets by name: `java`, `python`, `go-panic`, `ruby`, `node`, `dotnet`, `php`, `postgres`.
pub fn preset(name: &str) -> Option<&'static str> {
    Some(match name {
        // Anything that does not begin like a continuation begins a record.
        "java" | "dotnet" | "node" => r"^(?:[^\s}\])]|$)(?:[^a]|a[^t]|at[^ ]|$)",
        "python" => {
            r"^(?:Traceback \(most recent call last\):|\d{4}-\d\d-\d\d|\S.*(?:DEBUG|INFO|WARN|ERROR|CRITICAL))"
        }
        "go-panic" => r"^(?:panic: |fatal error: |\d{4}[-/]\d\d[-/]\d\d|\{|time=|level=)",
        "ruby" | "php" => r"^(?:[A-Z], \[|\[\d|\d{4}-\d\d-\d\d|PHP )",
        "postgres" => r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
        _ => return None,
    })
}

//! How entries and series look in a terminal and in a pipe.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal as _, Stdout, Write};

use super::client::{LogEntry, Series};
use crate::app::cli::{Color, Output};

pub struct Printer {
    out: BufWriter<Stdout>,
    output: Output,
    colored: bool,
    is_terminal: bool,
}

const RESET: &str = "\x1b[0m";
const FAINT: &str = "\x1b[2m";

fn color_of(labels: &BTreeMap<String, String>) -> &'static str {
    let level = ["detected_level", "level"].iter().find_map(|name| labels.get(*name));
    match level.map(|level| level.to_ascii_lowercase()).as_deref() {
        Some("fatal" | "critical") => "\x1b[1;31m",
        Some("error" | "err") => "\x1b[31m",
        Some("warn" | "warning") => "\x1b[33m",
        Some("info") => "\x1b[36m",
        Some("debug" | "trace") => "\x1b[2m",
        _ => "",
    }
}

fn shown(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", crate::model::quote(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

impl Printer {
    pub fn new(output: Output, color: Color) -> Printer {
        let is_terminal = std::io::stdout().is_terminal();
        let colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        Printer { out: BufWriter::new(std::io::stdout()), output, colored, is_terminal }
    }

    pub fn entry(&mut self, entry: &LogEntry) -> anyhow::Result<()> {
        match self.output {
            Output::Raw => writeln!(self.out, "{}", entry.line)?,
            Output::Jsonl => {
                let value = serde_json::json!({
                    "timestamp": entry.ts.to_string(),
                    "labels": entry.labels,
                    "line": entry.line,
                });
                writeln!(self.out, "{value}")?;
            }
            Output::Default => {
                let (time, labels) = (entry.ts, shown(&entry.labels));
                let mut line = Cow::Borrowed(entry.line.as_str());
                if self.colored || self.is_terminal {
                    // Control characters of the line stay out of the terminal.
                    let is_hostile = |c: char| c.is_control() && c != '\n' && c != '\t';
                    line = Cow::Owned(line.replace(is_hostile, ""));
                }
                if self.colored {
                    let color = color_of(&entry.labels);
                    writeln!(
                        self.out,
                        "{FAINT}{time}{RESET} {FAINT}{labels}{RESET} {color}{line}{RESET}"
                    )?;
                } else {
                    writeln!(self.out, "{time} {labels} {line}")?;
                }
            }
        }
        Ok(())
    }

    pub fn series(&mut self, series: &[Series]) -> anyhow::Result<()> {
        for one in series {
            match self.output {
                Output::Jsonl => {
                    let value = serde_json::json!({"metric": one.labels, "values": one.points});
                    writeln!(self.out, "{value}")?;
                }
                Output::Raw => {
                    for (_, value) in &one.points {
                        writeln!(self.out, "{value}")?;
                    }
                }
                Output::Default => {
                    writeln!(self.out, "{}", shown(&one.labels))?;
                    for (secs, value) in &one.points {
                        let time = crate::model::Timestamp::from_millis((secs * 1000.0) as i64);
                        writeln!(self.out, "  {time} {value}")?;
                    }
                }
            }
        }
        self.flush()
    }

    pub fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

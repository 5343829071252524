//! `parse: auto`: recognizes the format of each line, so that most users write no stages. Fields
//! are read when later stages ask for them; level and trace id go to structured metadata at once.
//! `parse: <name>` takes a format, or a pipeline of the library.

use super::super::compile::Compile;
use super::super::discover::DETECTED_LEVEL;
use super::super::format::{self, Format};
use super::super::item::Item;
use super::super::json_scan::{Flow, Kind, members};
use super::super::level;
use super::super::run::{Stage, Step};
use super::super::trace;
use crate::config::pipeline::Node;
use crate::model::Text;
use crate::text::logfmt::{Pair, Scanner};

/// Formats that need no pipeline.
pub(in crate::pipeline) const FORMATS: [&str; 6] =
    ["auto", "json", "logfmt", "access", "syslog", "klog"];

const TRACE_ID: &str = "trace_id";
const TRACE_ID_NAME: Text = Text::from_static(TRACE_ID);
const LEVEL: &str = "level";
const DETECTED_LEVEL_NAME: Text = Text::from_static(DETECTED_LEVEL);

#[derive(Debug)]
struct Parse {
    /// The formats that are tried; all when empty.
    only: Vec<Format>,
}

pub(super) fn compile(cx: &mut Compile<'_>, at: &Node, body: &Node) -> Vec<Step> {
    let Some(name) = body.as_str() else {
        cx.fault(at, "stage parse takes `auto`, a format or the name of a pipeline");
        return Vec::new();
    };
    let only = match name {
        "auto" => Vec::new(),
        "json" => vec![Format::Json],
        "logfmt" => vec![Format::Logfmt],
        "access" => vec![Format::Access],
        "syslog" => vec![Format::Syslog3164, Format::Syslog5424],
        "klog" => vec![Format::Klog],
        _ => return cx.included(body, name),
    };
    vec![Step { name: format!("parse {name}"), stage: Box::new(Parse { only }) }]
}

pub(in crate::pipeline) fn auto_steps() -> Vec<Step> {
    vec![Step { name: "parse auto".to_owned(), stage: Box::new(Parse { only: Vec::new() }) }]
}

impl Stage for Parse {
    fn run(&self, item: &mut Item) {
        let format = match self.only.as_slice() {
            [] => format::detect(&item.line),
            [one @ (Format::Json | Format::Logfmt)] => Some(*one),
            some => format::detect(&item.line).filter(|format| some.contains(format)),
        };
        if let Some(range) = trace::find(&item.line)
            && item.metadata(TRACE_ID).is_none()
        {
            let id = item.line.slice(range);
            item.extracted.set(TRACE_ID, id.clone());
            item.set_metadata(TRACE_ID_NAME, id);
        }
        let Some(format) = format else { return };
        item.extracted.read_from(format, item.line.clone());
        let found = match format {
            Format::Json => json_level(item.line.as_bytes()),
            Format::Logfmt => logfmt_level(&item.line),
            _ => format::level(format, &item.line),
        };
        if let Some(found) = found {
            item.extracted.set(LEVEL, found.clone());
            if item.metadata(DETECTED_LEVEL).is_none() {
                item.set_metadata(DETECTED_LEVEL_NAME, found);
            }
        }
    }
}

/// Names of fields that hold a level, however they are written.
fn names_level(key: &[u8]) -> bool {
    const NAMES: [&str; 8] = [
        "level",
        "lvl",
        "severity",
        "log.level",
        "loglevel",
        "severity_text",
        "severitytext",
        "log_level",
    ];
    matches!(key.len(), 3 | 5 | 8 | 9 | 12 | 13)
        && NAMES.iter().any(|name| key.eq_ignore_ascii_case(name.as_bytes()))
}

/// The first level of the outer object or of one inside it; numbers as pino writes them count.
fn json_level(line: &[u8]) -> Option<Text> {
    let mut found = None;
    members(line, 2, &mut |member| {
        if matches!(member.kind, Kind::Text | Kind::Number)
            && line.get(member.key).is_some_and(names_level)
        {
            found = line.get(member.value).and_then(level::normalize_more);
        }
        if found.is_some() { Flow::Stop } else { Flow::Go }
    });
    found
}

fn logfmt_level(line: &str) -> Option<Text> {
    Scanner::new(line).find_map(|pair| match pair {
        Pair::Value { key, value, .. } if names_level(key.as_bytes()) => {
            level::normalize_more(value.as_bytes())
        }
        _ => None,
    })
}

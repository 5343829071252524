//! The stages, one file each, under promtail's names, and our own short forms of them.

use crate::config::pipeline::Node;
use crate::config::unknown;

use super::compile::Compile;
use super::run::{Stage, Step};

mod cri;
mod decolorize;
mod docker;
mod drop;
mod json;
mod label_lists;
mod labels;
mod limit;
mod logfmt;
mod luhn;
mod matching;
mod metrics;
mod multiline;
mod output;
mod pack;
pub(super) mod parse;
mod pattern;
mod regex;
mod replace;
mod sampling;
mod static_labels;
mod structured_metadata;
mod template;
mod tenant;
pub(super) mod timestamp;
mod truncate;

/// Every stage that a file may name. The first 25 and `pipeline` are promtail's.
const NAMES: [&str; 36] = [
    "json",
    "logfmt",
    "regex",
    "replace",
    "metrics",
    "labels",
    "labeldrop",
    "timestamp",
    "output",
    "docker",
    "cri",
    "match",
    "template",
    "tenant",
    "drop",
    "sampling",
    "limit",
    "multiline",
    "pack",
    "labelallow",
    "static_labels",
    "decolorize",
    "eventlogmessage",
    "geoip",
    "structured_metadata",
    "pipeline",
    "non_indexed_labels",
    "windowsevent",
    "pattern",
    "label_drop",
    "label_keep",
    "luhn",
    "truncate",
    "parse",
    "when",
    "metadata",
];

/// Compiles one stage. `at` is where its name stands, `body` what is under it. Faults are noted
/// in `cx`; then the result is empty.
pub(super) fn compile(cx: &mut Compile<'_>, name: &str, at: &Node, body: &Node) -> Vec<Step> {
    let stage: Option<Box<dyn Stage>> = match name {
        "parse" => return parse::compile(cx, at, body),
        "pipeline" => match body.as_str() {
            Some(included) => return cx.included(body, included),
            None => {
                cx.fault(at, "stage pipeline takes the name of a pipeline");
                None
            }
        },
        "json" => json::compile(cx, body),
        "logfmt" => logfmt::compile(cx, body),
        "regex" => regex::compile(cx, body),
        "pattern" => pattern::compile(cx, body),
        "replace" => replace::compile(cx, at, body),
        "template" => template::compile(cx, body),
        "metrics" => metrics::compile(cx, body),
        "labels" => labels::compile(cx, body),
        "structured_metadata" | "non_indexed_labels" | "metadata" => {
            structured_metadata::compile(cx, body)
        }
        "static_labels" => static_labels::compile(cx, body),
        "labeldrop" | "label_drop" => label_lists::compile(cx, body, label_lists::Keep::Others),
        "labelallow" | "label_keep" => label_lists::compile(cx, body, label_lists::Keep::Listed),
        "timestamp" => timestamp::compile(cx, body),
        "output" => output::compile(cx, body),
        "docker" => docker::compile(cx, body),
        "cri" => cri::compile(cx, body),
        "match" => matching::compile(cx, at, body),
        "when" => matching::compile_when(cx, at, body),
        "tenant" => tenant::compile(cx, at, body),
        "drop" => drop::compile(cx, at, body),
        "sampling" => sampling::compile(cx, body),
        "limit" => limit::compile(cx, at, body),
        "multiline" => multiline::compile(cx, body),
        "pack" => pack::compile(cx, body),
        "decolorize" => decolorize::compile(cx, body),
        "luhn" => luhn::compile(cx, body),
        "truncate" => truncate::compile(cx, body),
        "geoip" | "eventlogmessage" | "windowsevent" => {
            cx.fault(
                at,
                format!("stage {name} is not run by stockade; remove it, or keep promtail for it"),
            );
            None
        }
        _ => {
            cx.fault(at, unknown("stage", name, &NAMES));
            None
        }
    };
    stage.map(|stage| vec![Step { name: name.to_owned(), stage }]).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;

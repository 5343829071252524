//! Rule groups back to YAML, for the ruler API. Strings are written as JSON strings, which every
//! YAML reader takes.

use std::fmt::Write;
use std::sync::Arc;

use super::rule::{Group, Rule, RuleKind};
use crate::text::units::format_prometheus_duration;

/// One group, as the API takes it.
pub fn write_group(group: &Group) -> String {
    let mut out = String::new();
    group_body(&mut out, group, "", "");
    out
}

/// Namespaces with their groups. The groups come sorted by namespace.
pub fn write_namespaces(groups: &[Arc<Group>]) -> String {
    let mut out = String::new();
    let mut namespace = None;
    for group in groups {
        if namespace != Some(&group.namespace) {
            line(&mut out, "", &format!("{}:", quoted(&group.namespace)));
            namespace = Some(&group.namespace);
        }
        group_body(&mut out, group, "    - ", "      ");
    }
    out
}

fn group_body(out: &mut String, group: &Group, first: &str, indent: &str) {
    line(out, first, &format!("name: {}", quoted(&group.name)));
    if group.interval_is_written {
        line(out, indent, &format!("interval: {}", format_prometheus_duration(group.interval_ns)));
    }
    if group.limit_written > 0 {
        line(out, indent, &format!("limit: {}", group.limit_written));
    }
    if group.query_offset_is_written {
        let offset = format_prometheus_duration(group.query_offset_ns);
        line(out, indent, &format!("query_offset: {offset}"));
    }
    map(out, indent, "labels", group.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    if group.rules.is_empty() {
        line(out, indent, "rules: []");
        return;
    }
    line(out, indent, "rules:");
    for rule in &group.rules {
        rule_body(out, rule, indent);
    }
}

fn rule_body(out: &mut String, rule: &Rule, indent: &str) {
    let inner = format!("{indent}      ");
    let kind = if rule.is_alert() { "alert" } else { "record" };
    line(out, indent, &format!("    - {kind}: {}", quoted(&rule.name)));
    line(out, &inner, &format!("expr: {}", quoted(&rule.query)));
    let mut notes = Vec::new();
    if let RuleKind::Alert { hold_ns, keep_firing_ns, annotations } = &rule.kind {
        for (key, ns) in [("for", *hold_ns), ("keep_firing_for", *keep_firing_ns)] {
            if ns > 0 {
                line(out, &inner, &format!("{key}: {}", format_prometheus_duration(ns)));
            }
        }
        notes.extend(annotations.iter().map(|(name, text)| (name.as_str(), text.source())));
    }
    map(out, &inner, "labels", rule.labels_written.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    map(out, &inner, "annotations", notes.into_iter());
}

fn map<'a>(
    out: &mut String,
    indent: &str,
    key: &str,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let mut pairs = pairs.peekable();
    if pairs.peek().is_some() {
        line(out, indent, &format!("{key}:"));
    }
    for (name, value) in pairs {
        line(out, indent, &format!("    {}: {}", quoted(name), quoted(value)));
    }
}

fn line(out: &mut String, indent: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{indent}{text}");
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

//! Prometheus relabelling, as promtail's `relabel_configs` use it.

use regex::Regex;

use crate::config::sources::RawRelabel;
use crate::config::{Diagnostic, Spanned};
use crate::model::Labels;
use crate::text::re2;

/// A rule with its regex compiled.
#[derive(Debug, Clone)]
pub(super) struct RelabelRule {
    sources: Vec<String>,
    separator: String,
    regex: Regex,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Replace { target: String, replacement: String },
    Keep,
    Drop,
    LabelMap { replacement: String },
    LabelDrop,
    LabelKeep,
    HashMod { target: String, modulus: u64 },
    Lowercase { target: String },
    Uppercase { target: String },
}

const ACTIONS: [&str; 9] = [
    "replace",
    "keep",
    "drop",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "hashmod",
    "lowercase",
    "uppercase",
];

impl RelabelRule {
    pub fn new(file: &str, raw: &Spanned<RawRelabel>) -> Result<Self, Diagnostic> {
        let fault = |message: String| Diagnostic::at(file, raw, message);
        let rule = &raw.value;
        let action = rule.action.as_deref().unwrap_or("replace").to_ascii_lowercase();
        let target = || {
            let name = rule
                .target_label
                .clone()
                .ok_or_else(|| fault(format!("relabel action {action} needs target_label")))?;
            // A replacement may put the name together: `${1}_total`.
            if name.contains('$') || Labels::is_valid_name(&name) {
                Ok(name)
            } else {
                Err(fault(format!("target_label {name:?} is not a label name")))
            }
        };
        let replacement = || rule.replacement.clone().unwrap_or_else(|| "$1".to_owned());
        let action = match action.as_str() {
            "replace" => Action::Replace { target: target()?, replacement: replacement() },
            "keep" => Action::Keep,
            "drop" => Action::Drop,
            "labelmap" => Action::LabelMap { replacement: replacement() },
            "labeldrop" => Action::LabelDrop,
            "labelkeep" => Action::LabelKeep,
            "hashmod" => Action::HashMod {
                target: target()?,
                modulus: rule
                    .modulus
                    .filter(|modulus| *modulus > 0)
                    .ok_or_else(|| fault("relabel action hashmod needs a modulus".to_owned()))?,
            },
            "lowercase" => Action::Lowercase { target: target()? },
            "uppercase" => Action::Uppercase { target: target()? },
            other => {
                let known = ACTIONS.join(", ");
                return Err(fault(format!("unknown relabel action {other:?}; known: {known}")));
            }
        };
        let regex = re2::compile_anchored(rule.regex.as_deref().unwrap_or("(.*)"))
            .map_err(|error| fault(format!("relabel regex: {error}")))?;
        Ok(RelabelRule {
            sources: rule.source_labels.clone(),
            separator: rule.separator.clone().unwrap_or_else(|| ";".to_owned()),
            regex,
            action,
        })
    }

    /// Changes the label set; false when the target is dropped.
    pub fn apply(&self, set: &mut Vec<(String, String)>) -> bool {
        let value = self
            .sources
            .iter()
            .map(|name| get(set, name).unwrap_or_default())
            .collect::<Vec<_>>()
            .join(&self.separator);
        match &self.action {
            Action::Keep => return self.regex.is_match(&value),
            Action::Drop => return !self.regex.is_match(&value),
            Action::Replace { target, replacement } => {
                if let Some(found) = self.regex.captures(&value) {
                    let mut name = String::new();
                    found.expand(target, &mut name);
                    let mut replaced = String::new();
                    found.expand(replacement, &mut replaced);
                    if Labels::is_valid_name(&name) {
                        put(set, &name, replaced);
                    }
                }
            }
            Action::LabelMap { replacement } => {
                let mapped: Vec<(String, String)> = set
                    .iter()
                    .filter(|(name, _)| self.regex.is_match(name))
                    .map(|(name, value)| {
                        (self.regex.replace(name, replacement).into_owned(), value.clone())
                    })
                    .collect();
                for (name, value) in mapped {
                    put(set, &name, value);
                }
            }
            Action::LabelDrop => set.retain(|(name, _)| !self.regex.is_match(name)),
            // The hidden labels are left for the rules that follow, as promtail's own are.
            Action::LabelKeep => {
                set.retain(|(name, _)| name.starts_with("__") || self.regex.is_match(name));
            }
            Action::HashMod { target, modulus } => {
                put(set, target, (md5_low(&value) % modulus).to_string());
            }
            Action::Lowercase { target } => put(set, target, value.to_lowercase()),
            Action::Uppercase { target } => put(set, target, value.to_uppercase()),
        }
        true
    }
}

fn get<'a>(set: &'a [(String, String)], name: &str) -> Option<&'a str> {
    set.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn put(set: &mut Vec<(String, String)>, name: &str, value: String) {
    set.retain(|(n, _)| n != name);
    if !value.is_empty() {
        set.push((name.to_owned(), value));
    }
}

/// The low eight bytes of an MD5 sum, big-endian, as Prometheus takes them for `hashmod`.
fn md5_low(text: &str) -> u64 {
    let digest = super::md5::md5(text.as_bytes());
    let mut low = [0; 8];
    low.copy_from_slice(&digest[8..]);
    u64::from_be_bytes(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_yaml_plain;

    /// Applies rules given as YAML to `a=1 b=2`; shows the set or "dropped".
    #[track_caller]
    fn check(rules: &str, labels: &str, expect: &str) {
        let raw: Vec<Spanned<RawRelabel>> = parse_yaml_plain("f", rules).unwrap();
        let mut set: Vec<(String, String)> = labels
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        for rule in &raw {
            match RelabelRule::new("f", rule) {
                Err(error) => return assert_eq!(error.to_string(), expect),
                Ok(rule) if !rule.apply(&mut set) => return assert_eq!("dropped", expect),
                Ok(_) => {}
            }
        }
        set.sort();
        let shown: Vec<String> = set.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(shown.join(" "), expect);
    }

    #[test]
    fn actions() {
        check("[{source_labels: [a], target_label: b}]", "a=1", "a=1 b=1");
        check(
            "[{source_labels: [a, b], separator: '-', regex: '(.)-(.)', replacement: '$2$1', target_label: c}]",
            "a=1 b=2",
            "a=1 b=2 c=21",
        );
        check("[{source_labels: [a], regex: x, target_label: b}]", "a=1", "a=1");
        check("[{target_label: a, replacement: ''}]", "a=1", "");
        check(
            "[{source_labels: [a], regex: '(.*)', target_label: '${1}_x', replacement: y}]",
            "a=q",
            "a=q q_x=y",
        );
        check("[{source_labels: [a], regex: '1', action: keep}]", "a=1", "a=1");
        check("[{source_labels: [a], regex: '2', action: keep}]", "a=1", "dropped");
        check("[{source_labels: [a], regex: '1', action: drop}]", "a=1", "dropped");
        check("[{source_labels: [none], regex: '', action: drop}]", "a=1", "dropped");
        check("[{regex: '__meta_(.+)', action: labelmap}]", "__meta_x=1", "__meta_x=1 x=1");
        check("[{regex: 'a|b', action: labeldrop}]", "a=1 b=2 c=3", "c=3");
        check("[{regex: 'a', action: labelkeep}]", "a=1 b=2 __c=3", "__c=3 a=1");
        check("[{source_labels: [a], target_label: a, action: uppercase}]", "a=xY", "a=XY");
        check("[{source_labels: [a], target_label: a, action: Lowercase}]", "a=xY", "a=xy");
    }

    #[test]
    fn hashmod_is_that_of_prometheus() {
        // MD5("foo") = acbd18db4cc2f85cedef654fccc4a4d8; its low half modulo 1000.
        check(
            "[{source_labels: [a], target_label: m, modulus: 1000, action: hashmod}]",
            "a=foo",
            &format!("a=foo m={}", 0xedef_654f_ccc4_a4d8_u64 % 1000),
        );
    }

    #[test]
    fn faults_have_a_place() {
        check(
            "[{action: replce}]",
            "",
            "f:1:2: unknown relabel action \"replce\"; known: replace, keep, drop, labelmap, labeldrop, labelkeep, hashmod, lowercase, uppercase",
        );
        check("- action: replace", "", "f:1:3: relabel action replace needs target_label");
        check(
            "[{action: hashmod, target_label: a}]",
            "",
            "f:1:2: relabel action hashmod needs a modulus",
        );
        check("[{target_label: 'a-b'}]", "", "f:1:2: target_label \"a-b\" is not a label name");
    }
}

//! The rules compiled into the binary, and what to do when one of them fires.

use super::error::AlertError;
use super::load::{GroupDefaults, RuleFile, load_text};
use super::rule::Origin;

/// Name and text of each shipped file.
const FILES: &[(&str, &str)] = &[
    ("auth.yaml", include_str!("../../alerts/auth.yaml")),
    ("web.yaml", include_str!("../../alerts/web.yaml")),
    ("crashes.yaml", include_str!("../../alerts/crashes.yaml")),
    ("errors.yaml", include_str!("../../alerts/errors.yaml")),
    ("dependencies.yaml", include_str!("../../alerts/dependencies.yaml")),
    ("host.yaml", include_str!("../../alerts/host.yaml")),
    ("http.yaml", include_str!("../../alerts/http.yaml")),
    ("jobs.yaml", include_str!("../../alerts/jobs.yaml")),
    ("volume.yaml", include_str!("../../alerts/volume.yaml")),
    ("data.yaml", include_str!("../../alerts/data.yaml")),
];

const RUNBOOKS: &str = include_str!("../../alerts/runbooks.md");

/// The shipped rules. A file of the user with the same name takes the place of a shipped one.
pub fn shipped(defaults: GroupDefaults) -> Result<Vec<RuleFile>, AlertError> {
    FILES.iter().map(|(name, text)| load_text(Origin::Shipped, name, text, defaults)).collect()
}

/// What to do about an alert of a shipped rule, as Markdown: one section of the runbooks.
pub fn runbook(alert: &str) -> Option<&'static str> {
    let heading = format!("\n## {alert}\n");
    let start = RUNBOOKS.find(&heading)? + 1;
    let section = RUNBOOKS.get(start..)?;
    let end = section.get(3..)?.find("\n## ").map_or(section.len(), |at| at + 4);
    section.get(..end)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::alert::check::{RuleTest, run_tests};
    use crate::alert::rule::RuleKind;

    fn files() -> Vec<RuleFile> {
        match shipped(GroupDefaults::default()) {
            Ok(files) => files,
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn check(name: &str) {
        let file = files().into_iter().find(|file| file.name == name).unwrap();
        let report = run_tests(&file);
        let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert!(report.passed > 0);
    }

    #[test]
    fn auth() {
        check("auth.yaml");
    }

    #[test]
    fn web() {
        check("web.yaml");
    }

    #[test]
    fn crashes() {
        check("crashes.yaml");
    }

    #[test]
    fn errors() {
        check("errors.yaml");
    }

    #[test]
    fn dependencies() {
        check("dependencies.yaml");
    }

    #[test]
    fn host() {
        check("host.yaml");
    }

    #[test]
    fn http() {
        check("http.yaml");
    }

    #[test]
    fn jobs() {
        check("jobs.yaml");
    }

    #[test]
    fn volume() {
        check("volume.yaml");
    }

    #[test]
    fn data() {
        check("data.yaml");
    }

    /// Every shipped rule says how bad it is and what to do, and has lines that it must match
    /// and must leave alone.
    #[test]
    fn rules_are_complete() {
        for file in files() {
            let mut samples: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
            for test in &file.tests {
                if let RuleTest::Samples(test) = test {
                    let counts = samples.entry(&test.alert).or_default();
                    counts.0 += test.matching.len();
                    counts.1 += test.keep.len();
                }
            }
            for rule in file.groups.iter().flat_map(|group| &group.rules) {
                let RuleKind::Alert { annotations, .. } = &rule.kind else { continue };
                let has = |name: &str| annotations.iter().any(|(n, _)| n == name);
                let label = |name: &str| {
                    rule.labels.iter().find(|(n, _)| n == name).map(|(_, text)| text.source())
                };
                assert!(
                    matches!(label("severity"), Some("critical" | "warning" | "info")),
                    "{}",
                    rule.name
                );
                assert!(
                    label("category").is_some() && label("priority").is_some(),
                    "{}",
                    rule.name
                );
                assert!(
                    has("summary") && has("description") && has("runbook_url"),
                    "{}",
                    rule.name
                );
                let (matching, keep) = samples.get(rule.name.as_str()).copied().unwrap_or_default();
                assert!(matching >= 2 && keep >= 2, "{}: {matching} and {keep}", rule.name);
                let runbook = runbook(&rule.name).unwrap_or_default();
                assert!(runbook.len() > 40, "no runbook for {}", rule.name);
                assert!(runbook.starts_with(&format!("## {}\n", rule.name)));
                assert_eq!(runbook.matches("\n## ").count(), 0);
            }
        }
    }

    #[test]
    fn every_file_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/alerts");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        let compiled: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(on_disk, compiled);
    }
}

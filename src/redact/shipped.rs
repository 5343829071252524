//! The rule sets in the binary, and reading more of them from files.

use std::path::Path;

use crate::config::redaction::{RawRedaction, RawRuleSet, RawRuleSource};
use crate::config::{Diagnostic, parse_yaml_plain};

/// Largest rule file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Rules with the name of the file they come from, which faults are told with.
#[derive(Debug, Clone)]
pub struct RuleSet {
    pub file: String,
    pub raw: RawRuleSet,
}

const SHIPPED: [(&str, &str); 6] = [
    ("redaction/credentials.yaml", include_str!("../../redaction/credentials.yaml")),
    ("redaction/fields.yaml", include_str!("../../redaction/fields.yaml")),
    ("redaction/tokens.yaml", include_str!("../../redaction/tokens.yaml")),
    ("redaction/webhooks.yaml", include_str!("../../redaction/webhooks.yaml")),
    ("redaction/personal.yaml", include_str!("../../redaction/personal.yaml")),
    ("redaction/network.yaml", include_str!("../../redaction/network.yaml")),
];

impl RuleSet {
    pub fn parse(file: &str, text: &str) -> Result<RuleSet, Diagnostic> {
        let raw = parse_yaml_plain(file, text)?;
        Ok(RuleSet { file: file.to_owned(), raw })
    }

    /// The rules that come with the product.
    pub fn shipped() -> Result<Vec<RuleSet>, Vec<Diagnostic>> {
        gather(SHIPPED.iter().map(|(file, text)| RuleSet::parse(file, text)))
    }

    /// The shipped rules and then those that the configuration names. Relative paths are taken
    /// from `base`; a folder means all YAML files in it.
    pub fn load(
        config_file: &str,
        raw: &RawRedaction,
        base: &Path,
    ) -> Result<Vec<RuleSet>, Vec<Diagnostic>> {
        let mut sets = RuleSet::shipped()?;
        let mut inline = RawRuleSet::default();
        let mut faults = Vec::new();
        for source in &raw.rules {
            match source {
                RawRuleSource::Inline(rule) => inline.rules.push((**rule).clone()),
                RawRuleSource::File(path) => match RuleSet::read(&base.join(path)) {
                    Ok(read) => sets.extend(read),
                    Err(more) => faults.extend(more),
                },
            }
        }
        if !inline.rules.is_empty() {
            sets.push(RuleSet { file: config_file.to_owned(), raw: inline });
        }
        if faults.is_empty() { Ok(sets) } else { Err(faults) }
    }

    /// Reads a rule file, or all rule files of a folder in order of their names.
    pub fn read(path: &Path) -> Result<Vec<RuleSet>, Vec<Diagnostic>> {
        let shown = path.display().to_string();
        let fault = |error: &std::io::Error| {
            vec![Diagnostic::new(&shown, 0, 0, format!("cannot be read: {error}"))]
        };
        if path.is_dir() {
            let mut files = Vec::new();
            for item in std::fs::read_dir(path).map_err(|error| fault(&error))? {
                let file = item.map_err(|error| fault(&error))?.path();
                if file.extension().is_some_and(|end| end == "yaml" || end == "yml") {
                    files.push(file);
                }
            }
            files.sort();
            return gather(files.iter().map(|file| read_file(file)));
        }
        gather([read_file(path)])
    }
}

fn read_file(path: &Path) -> Result<RuleSet, Diagnostic> {
    let shown = path.display().to_string();
    let fault = |message: String| Diagnostic::new(&shown, 0, 0, message);
    let len = std::fs::metadata(path).map_err(|e| fault(format!("cannot be read: {e}")))?.len();
    if len > FILE_BYTES_MAX {
        return Err(fault(format!("is larger than {FILE_BYTES_MAX} bytes; split it")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| fault(format!("cannot be read: {e}")))?;
    RuleSet::parse(&shown, &text)
}

fn gather(
    results: impl IntoIterator<Item = Result<RuleSet, Diagnostic>>,
) -> Result<Vec<RuleSet>, Vec<Diagnostic>> {
    let mut sets = Vec::new();
    let mut faults = Vec::new();
    for result in results {
        match result {
            Ok(set) => sets.push(set),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(sets) } else { Err(faults) }
}

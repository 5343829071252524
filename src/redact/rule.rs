//! Raw rules made ready: patterns compiled, literals spread, faults told with their place.

use regex::bytes::{Regex, RegexBuilder};

use super::action::ValueKind;
use super::detect::key_value::{Keys, flatten};
use super::prefilter::Target;
use crate::config::redaction::{
    RawAction, RawBoundary, RawCategory, RawDetector, RawPrecedence, RawRule, RawValidator,
};
use crate::config::{Diagnostic, Spanned};
use crate::limits;

/// How far behind its literal a match may reach, if the rule does not say.
const AFTER_BYTES_DEFAULT: usize = 512;
const AFTER_BYTES_MAX: usize = 4096;

/// A rule ready to run.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) category: RawCategory,
    pub(super) precedence: RawPrecedence,
    pub(super) action: RawAction,
    pub(super) value_kind: ValueKind,
    pub(super) finder: Finder,
}

/// How a rule finds its matches.
#[derive(Debug)]
pub(super) enum Finder {
    Pattern(Pattern),
    Keys(Keys),
    Detector(RawDetector),
}

/// A regular expression that is tried where a literal of its rule stands.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// 0: the match begins at the literal, and the regex is anchored.
    pub(super) before_bytes: usize,
    pub(super) after_bytes: usize,
    pub(super) validator: Option<RawValidator>,
    pub(super) boundary: RawBoundary,
    /// No literals: the pattern runs over every line.
    pub(super) everywhere: bool,
}

impl Rule {
    pub(super) fn compile(file: &str, raw: &RawRule) -> Result<Rule, Diagnostic> {
        let name = raw.name.value.clone();
        let fault = |message: String| Diagnostic::at(file, &raw.name, message);
        if name.is_empty() || !name.bytes().all(is_label) {
            return Err(fault(format!("rule name {name:?} may hold a-z, 0-9, '_' and '-' only")));
        }
        let label = raw.label.as_ref().map_or_else(|| name.clone(), |label| label.value.clone());
        if label.is_empty() || !label.bytes().all(is_label) {
            return Err(fault(format!("label {label:?} may hold a-z, 0-9, '_' and '-' only")));
        }
        let detector = raw.detector.as_ref().map(|detector| detector.value);
        let finder = match (&raw.pattern, detector, raw.keys.is_empty()) {
            (pattern, None, false) => Finder::Keys(compile_keys(file, raw, pattern.as_ref())?),
            (Some(pattern), None, true) => Finder::Pattern(compile_pattern(file, raw, pattern)?),
            (None, Some(detector), true) => Finder::Detector(detector),
            (None, Some(RawDetector::Cookie), false) => Finder::Detector(RawDetector::Cookie),
            (None, None, true) => {
                return Err(fault(format!(
                    "rule {name:?} has no pattern, keys or detector; give one of them"
                )));
            }
            _ => {
                return Err(fault(format!(
                    "rule {name:?} has a detector beside a pattern or keys; keep one of them"
                )));
            }
        };
        if raw.action == RawAction::TruncateIp && detector != Some(RawDetector::Ip) {
            return Err(fault(format!("rule {name:?}: truncate_ip is for addresses only")));
        }
        let precedence = raw.precedence.unwrap_or(match &finder {
            Finder::Keys(_) => RawPrecedence::KeyValue,
            Finder::Pattern(_) => RawPrecedence::Token,
            Finder::Detector(RawDetector::Pem) => RawPrecedence::Pem,
            Finder::Detector(RawDetector::Cookie | RawDetector::UrlUserinfo) => {
                RawPrecedence::Header
            }
            Finder::Detector(RawDetector::Ip) => RawPrecedence::Generic,
            Finder::Detector(_) => RawPrecedence::Checksum,
        });
        Ok(Rule {
            name,
            label,
            category: raw.category,
            precedence,
            action: raw.action,
            value_kind: ValueKind::of(detector),
            finder,
        })
    }

    /// Whether the rule looks at every text.
    pub(super) fn scans_all(&self) -> bool {
        match &self.finder {
            Finder::Pattern(pattern) => pattern.everywhere,
            Finder::Detector(detector) => *detector == RawDetector::Ip,
            Finder::Keys(_) => false,
        }
    }

    /// What the first scan looks for on behalf of this rule.
    pub(super) fn literals(&self, index: u16, raw: &RawRule) -> Vec<(String, Target)> {
        let target = Target::Rule(index);
        let words = |words: &[&str]| words.iter().map(|w| ((*w).to_owned(), target)).collect();
        match &self.finder {
            Finder::Keys(_) => raw
                .keys
                .iter()
                .flat_map(|key| spellings(&key.value))
                .map(|key| (key, Target::Key { rule: index }))
                .collect(),
            Finder::Pattern(_) => {
                raw.literals.iter().map(|literal| (literal.value.clone(), target)).collect()
            }
            Finder::Detector(RawDetector::Cookie) => {
                vec![("cookie".to_owned(), Target::Key { rule: index })]
            }
            Finder::Detector(RawDetector::Email) => words(&["@"]),
            Finder::Detector(RawDetector::Pem) => words(&["-----BEGIN "]),
            Finder::Detector(RawDetector::UrlUserinfo) => words(&["://"]),
            Finder::Detector(
                RawDetector::Card
                | RawDetector::Iban
                | RawDetector::Ip
                | RawDetector::Phone
                | RawDetector::Ssn,
            ) => Vec::new(),
        }
    }
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
}

/// `api_key` is also written `apikey`, `api-key`, `api.key` and `apiKey`.
fn spellings(key: &str) -> Vec<String> {
    if key.contains('_') {
        ["", "_", "-", "."].iter().map(|joint| key.replace('_', joint)).collect()
    } else {
        vec![key.to_owned()]
    }
}

fn compile_keys(
    file: &str,
    raw: &RawRule,
    pattern: Option<&Spanned<String>>,
) -> Result<Keys, Diagnostic> {
    for key in &raw.keys {
        if key.value.is_empty() || !key.value.bytes().all(|b| is_label(b) && b != b'-') {
            return Err(Diagnostic::at(
                file,
                key,
                format!("key {:?}: write it in lower case with '_' between words", key.value),
            ));
        }
    }
    let value = pattern
        .map(|pattern| compile_regex(file, pattern, &format!("^(?s:{})$", pattern.value)))
        .transpose()?;
    Ok(Keys {
        names: raw.keys.iter().map(|key| flatten(key.value.as_bytes())).collect(),
        keep: raw.keep_keys.iter().map(|key| flatten(key.as_bytes())).collect(),
        value,
        validator: raw.validator,
    })
}

fn compile_pattern(
    file: &str,
    raw: &RawRule,
    pattern: &Spanned<String>,
) -> Result<Pattern, Diagnostic> {
    for literal in &raw.literals {
        if literal.value.is_empty() {
            return Err(Diagnostic::at(file, literal, "literal is empty"));
        }
    }
    let everywhere = raw.literals.is_empty();
    let anchored = !everywhere && raw.before_bytes == 0;
    let source = if anchored { format!("^(?:{})", pattern.value) } else { pattern.value.clone() };
    let regex = compile_regex(file, pattern, &source)?;
    if regex.is_match(b"") {
        return Err(Diagnostic::at(file, pattern, "pattern matches the empty text"));
    }
    Ok(Pattern {
        regex,
        before_bytes: raw.before_bytes.min(AFTER_BYTES_MAX),
        after_bytes: raw.after_bytes.unwrap_or(AFTER_BYTES_DEFAULT).min(AFTER_BYTES_MAX),
        validator: raw.validator,
        boundary: raw.boundary.unwrap_or(RawBoundary::Word),
        everywhere,
    })
}

fn compile_regex(file: &str, at: &Spanned<String>, source: &str) -> Result<Regex, Diagnostic> {
    RegexBuilder::new(source).unicode(false).size_limit(limits::REGEX_BYTES_MAX).build().map_err(
        |error| {
            let text = error.to_string();
            let message = text.lines().last().unwrap_or("pattern does not compile").to_owned();
            Diagnostic::at(file, at, format!("pattern: {message}"))
        },
    )
}

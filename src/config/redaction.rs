//! What the YAML says about redaction: the `redaction:` part of the configuration and the
//! rule sets, which the product ships and users add to in the same format.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use super::Spanned;

/// The `redaction:` part of the configuration. Left out altogether it means the defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRedaction {
    /// Turning redaction off takes both `enabled: false` and `i_understand: true`.
    pub enabled: bool,
    pub i_understand: bool,
    /// Rule files by path, or rules written in place.
    pub rules: Vec<RawRuleSource>,
    /// Which groups of shipped rules are on; `default` if left out.
    pub presets: Vec<Spanned<String>>,
    /// Another action for a rule, by its name.
    pub actions: BTreeMap<String, Spanned<RawAction>>,
    /// Rules to turn on although their preset is off.
    pub enable: Vec<Spanned<String>>,
    pub disable: Vec<Spanned<String>>,
    pub allow: RawAllow,
    /// File with the key of the `hash` action, at least 32 bytes.
    pub hash_key_file: Option<Spanned<String>>,
    /// Mail domains whose addresses are left alone.
    pub own_domains: Vec<String>,
}

impl Default for RawRedaction {
    fn default() -> Self {
        RawRedaction {
            enabled: true,
            i_understand: false,
            rules: Vec::new(),
            presets: Vec::new(),
            actions: BTreeMap::new(),
            enable: Vec::new(),
            disable: Vec::new(),
            allow: RawAllow::default(),
            hash_key_file: None,
            own_domains: Vec::new(),
        }
    }
}

/// What is never redacted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAllow {
    /// Exact values, compared without regard to case.
    pub values: Vec<String>,
    /// Names of fields whose values no rule about personal data touches.
    pub fields: Vec<String>,
}

/// One item of `rules:`.
#[derive(Debug, Clone)]
pub enum RawRuleSource {
    File(String),
    Inline(Box<RawRule>),
}

impl<'de> Deserialize<'de> for RawRuleSource {
    // By hand, since an untagged enum would lose the place of a fault inside the rule.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'de> Visitor<'de> for Source {
            type Value = RawRuleSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a rule file or a rule")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Self::Value, E> {
                Ok(RawRuleSource::File(path.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                RawRule::deserialize(MapAccessDeserializer::new(map))
                    .map(|rule| RawRuleSource::Inline(Box::new(rule)))
            }
        }
        deserializer.deserialize_any(Source)
    }
}

/// A rule file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRuleSet {
    #[serde(default)]
    pub description: String,
    pub rules: Vec<RawRule>,
}

/// One rule: what triggers it, how a match is found and checked, and what is done with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    pub name: Spanned<String>,
    #[serde(default)]
    pub description: String,
    pub category: RawCategory,
    #[serde(default)]
    pub preset: Option<String>,
    /// What stands between `<` and `>` in place of a match; the rule's name if left out.
    #[serde(default)]
    pub label: Option<Spanned<String>>,
    /// Words of which one must occur, in any case, before the pattern is tried. Without any the
    /// pattern runs over every line, which is slow.
    #[serde(default)]
    pub literals: Vec<Spanned<String>>,
    /// A regular expression; its first group, if it has one, is the part to replace. With
    /// `keys` it is instead what the whole value must match.
    #[serde(default)]
    pub pattern: Option<Spanned<String>>,
    /// How far before the literal a match may begin; 0 means at the literal.
    #[serde(default)]
    pub before_bytes: usize,
    /// How far after the start of the literal a match may reach.
    #[serde(default)]
    pub after_bytes: Option<usize>,
    /// A finder in code, in place of a pattern.
    #[serde(default)]
    pub detector: Option<Spanned<RawDetector>>,
    #[serde(default)]
    pub validator: Option<RawValidator>,
    #[serde(default)]
    pub boundary: Option<RawBoundary>,
    #[serde(default)]
    pub precedence: Option<RawPrecedence>,
    #[serde(default)]
    pub action: RawAction,
    /// Names of fields whose values are replaced whatever they are.
    #[serde(default)]
    pub keys: Vec<Spanned<String>>,
    /// Names that end like one of `keys` but are harmless.
    #[serde(default)]
    pub keep_keys: Vec<String>,
    #[serde(default)]
    pub tests: RawTests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawCategory {
    Secret,
    Pii,
}

/// What is done with a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawAction {
    #[default]
    Replace,
    Mask,
    Partial,
    Hash,
    DropField,
    DropLine,
    /// Counts and changes nothing.
    Count,
    /// Keeps the network part of an address.
    TruncateIp,
}

/// Finders in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawDetector {
    Card,
    Cookie,
    Email,
    Iban,
    Ip,
    Pem,
    Phone,
    Ssn,
    UrlUserinfo,
}

/// Checks of a match of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawValidator {
    BasicAuth,
    Card,
    GithubCrc32,
    Iban,
    Jwt,
    Luhn,
    Mixed,
    Ssn,
}

/// Which neighbors a match may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawBoundary {
    None,
    /// No letter, digit or `_` on either side.
    Word,
    /// No character that tokens are made of (letters, digits, `_`, `-`) on either side.
    Token,
}

/// Who wins where matches of two rules begin at the same place; the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawPrecedence {
    Pem,
    Header,
    Token,
    KeyValue,
    Checksum,
    Generic,
}

/// Examples that a rule set carries and that are checked by `stockade test`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTests {
    #[serde(rename = "match")]
    pub matches: Vec<RawMatchTest>,
    pub keep: Vec<Spanned<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMatchTest {
    #[serde(rename = "in")]
    pub input: Spanned<String>,
    #[serde(rename = "out")]
    pub output: String,
}

//! What stands in place of a match.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::detect::ip;
use crate::config::redaction::{RawAction, RawDetector};

/// Shortest key of the `hash` action.
pub(super) const HASH_KEY_BYTES_MIN: usize = 32;

/// A key of the `hash` action. The id is part of each replacement, so that values hashed before
/// and after a change of keys can be told apart.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey {
    pub id: String,
    pub secret: Vec<u8>,
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What kind of value a rule finds, as far as shortening and normalizing it depend on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Card,
    Email,
    Iban,
    Phone,
    Ssn,
    Other,
}

impl ValueKind {
    pub(super) fn of(detector: Option<RawDetector>) -> Self {
        match detector {
            Some(RawDetector::Card) => ValueKind::Card,
            Some(RawDetector::Email) => ValueKind::Email,
            Some(RawDetector::Iban) => ValueKind::Iban,
            Some(RawDetector::Phone) => ValueKind::Phone,
            Some(RawDetector::Ssn) => ValueKind::Ssn,
            _ => ValueKind::Other,
        }
    }

    /// One spelling for all spellings of a value, so that equal values have equal hashes.
    fn normalize(self, value: &str) -> String {
        match self {
            ValueKind::Email => value.to_lowercase(),
            ValueKind::Card | ValueKind::Phone | ValueKind::Ssn => {
                value.chars().filter(char::is_ascii_digit).collect()
            }
            ValueKind::Iban => value
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_uppercase())
                .collect(),
            ValueKind::Other => value.to_owned(),
        }
    }
}

/// The text that replaces `value`. It holds nothing but letters, digits and `_:<>*-`, and for
/// mail addresses `@` and `.`, so that quoting around it stays as it is.
pub(super) fn replacement(
    action: RawAction,
    label: &str,
    kind: ValueKind,
    value: &str,
    key: Option<&HashKey>,
) -> String {
    let typed = || format!("<{label}>");
    match action {
        RawAction::Mask => "****".to_owned(),
        RawAction::Partial => partial(kind, value).unwrap_or_else(typed),
        RawAction::Hash => key.map_or_else(typed, |key| hash(label, kind, value, key)),
        RawAction::TruncateIp => ip::truncate(value).unwrap_or_else(typed),
        RawAction::Replace | RawAction::DropField | RawAction::DropLine | RawAction::Count => {
            typed()
        }
    }
}

/// `<email:k1:9f3ac2d417b0>`: 48 bits of the keyed hash of the normalized value.
pub(super) fn hash(label: &str, kind: ValueKind, value: &str, key: &HashKey) -> String {
    // A key of any length is fine for HMAC; the shortest we allow is checked at load.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key.secret) else {
        return format!("<{label}>");
    };
    mac.update(kind.normalize(value).as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("<{label}:{}:{hex}>", key.id)
}

fn partial(kind: ValueKind, value: &str) -> Option<String> {
    let compact = kind.normalize(value);
    let len = compact.chars().count();
    let stars = |count: usize| "*".repeat(count);
    let last = |count: usize| compact.chars().skip(len.saturating_sub(count)).collect::<String>();
    let first = |count: usize| compact.chars().take(count).collect::<String>();
    match kind {
        ValueKind::Card if len >= 13 => Some(format!("{}{}{}", first(6), stars(len - 10), last(4))),
        ValueKind::Phone if len >= 8 => Some(format!("{}{}", stars(len - 2), last(2))),
        ValueKind::Iban if len >= 15 => Some(format!("{}{}{}", first(2), stars(len - 6), last(4))),
        ValueKind::Ssn => Some(format!("***-**-{}", last(4))),
        ValueKind::Email => {
            let (mailbox, host) = value.split_once('@')?;
            let initial = mailbox.chars().next().filter(char::is_ascii_alphanumeric)?;
            let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
            plain.then(|| format!("{initial}***@{host}"))
        }
        // The prefix that says whose token it is ends with the last separator near the start.
        ValueKind::Other => {
            let head: String = value.chars().take(12).collect();
            let end = head.rfind(['_', '-'])? + 1;
            let prefix = head.get(..end)?;
            let plain = prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
            (plain && value.len() >= end + 16).then(|| format!("{prefix}***"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(action: RawAction, kind: ValueKind, value: &str, expect: &str) {
        let key = HashKey { id: "k1".to_owned(), secret: vec![7; 32] };
        assert_eq!(replacement(action, "x", kind, value, Some(&key)), expect, "{value}");
    }

    #[test]
    fn replaces() {
        use RawAction::{Mask, Partial, Replace, TruncateIp};
        check(Replace, ValueKind::Email, "a@b.org", "<x>");
        check(Mask, ValueKind::Email, "a@b.org", "****");
        check(Partial, ValueKind::Email, "alice@b.org", "a***@b.org");
        check(Partial, ValueKind::Card, "4111 1111 1111 1234", "411111******1234");
        check(Partial, ValueKind::Phone, "+49 170 1234567", "**********67");
        check(Partial, ValueKind::Iban, "DE89 3704 0044 0532 0130 00", "DE****************3000");
        check(Partial, ValueKind::Ssn, "123-45-6789", "***-**-6789");
        check(Partial, ValueKind::Other, "ghp_0123456789abcdefghij", "ghp_***");
        check(Partial, ValueKind::Other, "hunter2", "<x>");
        check(TruncateIp, ValueKind::Other, "203.0.113.7", "203.0.113.0");
    }

    #[test]
    fn equal_values_have_equal_hashes() {
        let key = HashKey { id: "k1".to_owned(), secret: vec![7; 32] };
        let hash = |value| hash("email", ValueKind::Email, value, &key);
        assert_eq!(hash("Alice@Example.org"), hash("alice@example.org"));
        assert_ne!(hash("alice@example.org"), hash("bob@example.org"));
        assert_eq!(hash("alice@example.org").len(), "<email:k1:012345678901>".len());
        let other = HashKey { id: "k2".to_owned(), secret: vec![8; 32] };
        assert_ne!(super::hash("email", ValueKind::Email, "a@b.c", &other), hash("a@b.c"));
        assert!(!format!("{key:?}").contains('7'));
    }
}

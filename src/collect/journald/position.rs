//! Where the reading of a journal stands.

use super::export::ExportEntry;

const VERSION: u8 = 1;

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct JournalPosition {
    v: u8,
    pub cursor: String,
    pub realtime_us: u64,
}

impl JournalPosition {
    /// That of an entry.
    pub fn of(entry: &ExportEntry) -> Option<Self> {
        let cursor = entry.text("__CURSOR")?.to_owned();
        let realtime_us = entry.text("__REALTIME_TIMESTAMP")?.parse().ok()?;
        Some(JournalPosition { v: VERSION, cursor, realtime_us })
    }

    pub fn parse(text: &str) -> Option<Self> {
        let position: JournalPosition = serde_json::from_str(text).ok()?;
        (position.v == VERSION).then_some(position)
    }

    pub fn to_text(&self) -> String {
        // A number and strings cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A part of the cursor: `s` names the sequence of numbers, `b` the boot.
    fn part(&self, name: &str) -> Option<&str> {
        self.cursor.split(';').filter_map(|part| part.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    pub fn boot(&self) -> Option<&str> {
        self.part("b")
    }

    /// Whether the journal whose newest entry this is knows nothing of `saved`: it numbers its
    /// entries anew and its clock is behind, so that seeking to `saved` would wait for ever.
    pub fn is_before_reset(&self, saved: &JournalPosition) -> bool {
        self.part("s") != saved.part("s") && self.realtime_us < saved.realtime_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_a_reset() {
        let position = |cursor: &str, realtime_us| JournalPosition {
            v: VERSION,
            cursor: cursor.to_owned(),
            realtime_us,
        };
        let saved = position("s=a;i=5;b=x;m=1;t=2;x=3", 100);
        assert!(position("s=b;i=1;b=y", 50).is_before_reset(&saved));
        assert!(!position("s=b;i=1;b=y", 150).is_before_reset(&saved));
        assert!(!position("s=a;i=9;b=y", 50).is_before_reset(&saved));
        assert_eq!(saved.boot(), Some("x"));
        assert_eq!(JournalPosition::parse(&saved.to_text()), Some(saved));
        assert_eq!(JournalPosition::parse("\0"), None);
    }
}

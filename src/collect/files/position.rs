//! Where the reading of a file stands, as it is kept in the store.

use super::identity::{FileKey, Fingerprint};
use super::split::Mark;

/// The version this program writes and reads.
const VERSION: u8 = 1;
/// What all positions of files begin with.
pub(super) const PREFIX: &str = "file:";
/// And those of files that have been truncated, which a copy may still continue.
pub(super) const PAST_PREFIX: &str = "file:past:";

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct FilePosition {
    v: u8,
    pub offset: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    inside_cut_line: bool,
    pub print: Fingerprint,
    /// The name the lines are stored under.
    pub path: String,
    pub seen_ns: i64,
}

impl FilePosition {
    pub fn new(mark: Mark, print: Fingerprint, path: String, seen_ns: i64) -> Self {
        let Mark { offset, inside_cut_line } = mark;
        FilePosition { v: VERSION, offset, inside_cut_line, print, path, seen_ns }
    }

    pub fn mark(&self) -> Mark {
        Mark { offset: self.offset, inside_cut_line: self.inside_cut_line }
    }

    /// `None` for text of another version or that has been damaged.
    pub fn parse(text: &str) -> Option<Self> {
        let position: FilePosition = serde_json::from_str(text).ok()?;
        (position.v == VERSION && position.offset <= position.print.at).then_some(position)
    }

    pub fn to_text(&self) -> String {
        // Numbers and a string cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The name of the position once its file has been truncated.
    pub fn past_name(&self) -> String {
        format!("{PAST_PREFIX}{:x}:{:x}:{:x}", self.print.head, self.print.near, self.print.at)
    }
}

/// The key in the name of a position.
pub(super) fn parse_key(name: &str) -> Option<FileKey> {
    let (dev, ino) = name.strip_prefix(PREFIX)?.split_once(':')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some(FileKey { dev: hex(dev)?, ino: hex(ino)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form() {
        let position = FilePosition::new(
            Mark { offset: 5, inside_cut_line: false },
            Fingerprint::of(b"head", 7, b"near"),
            "/a".to_owned(),
            9,
        );
        let text = position.to_text();
        assert_eq!(FilePosition::parse(&text), Some(position));
        for bad in ["", "\0\0", "{}", &text[..20], &text.replace("\"v\":1", "\"v\":2")] {
            assert_eq!(FilePosition::parse(bad), None, "{bad}");
        }
        let key = FileKey { dev: 0x1f, ino: 0xffff_ffff_ffff };
        assert_eq!(parse_key(&key.to_string()), Some(key));
        assert_eq!(parse_key("file:past:1:2:3"), None);
    }
}

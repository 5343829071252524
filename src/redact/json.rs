//! Where strings of JSON begin and end, so that nothing reaches out of the string it is in.

use super::boundary::at;

/// Says of a place that it is inside of a string of JSON, which ends at the next quote that has an
/// even number of backslashes before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct InString;

/// Walks over the JSON of a line once, from left to right.
pub(super) struct Strings<'a> {
    text: &'a [u8],
    /// How far the walk has come; `None`: there is no JSON in the line.
    done: Option<usize>,
    inside: bool,
    escaped: bool,
}

impl<'a> Strings<'a> {
    /// JSON is a line that begins like it, or what follows the first `{"`.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let first = text.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(0);
        let done = match at(text, first) {
            b'{' | b'[' => Some(first),
            _ => memchr::memmem::find(text, b"{\""),
        };
        Strings { text, done, inside: false, escaped: false }
    }

    pub(super) fn is_json(&self) -> bool {
        self.done.is_some()
    }

    /// Whether `to` is inside of a string. Places must be asked for in order; one that has been
    /// passed gets the answer for where the walk is.
    pub(super) fn is_inside(&mut self, to: usize) -> bool {
        let Some(done) = self.done else { return false };
        for byte in self.text.get(done..to).unwrap_or_default() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.inside,
                b'"' => self.inside = !self.inside,
                _ => {}
            }
        }
        self.done = Some(done.max(to));
        self.inside
    }

    /// The mark of being inside of a string at `to`.
    pub(super) fn string_at(&mut self, to: usize) -> Option<InString> {
        self.is_inside(to).then_some(InString)
    }
}

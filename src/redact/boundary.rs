//! What may stand beside a match. Patterns have no look-around, so neighbors are checked here.

use crate::config::redaction::RawBoundary;

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub(super) fn at(text: &[u8], index: usize) -> u8 {
    text.get(index).copied().unwrap_or(0)
}

/// The byte before `index`, or 0 at the start.
pub(super) fn before(text: &[u8], index: usize) -> u8 {
    index.checked_sub(1).map_or(0, |i| at(text, i))
}

/// Whether a match at `start..end` stands free. Words may hang on a `_` at the left, since
/// tokens are often glued to a name (`key_AKIA...`).
pub(super) fn stands_free(text: &[u8], start: usize, end: usize, boundary: RawBoundary) -> bool {
    let (left, right) = (before(text, start), at(text, end));
    match boundary {
        RawBoundary::None => true,
        RawBoundary::Word => !left.is_ascii_alphanumeric() && !is_word(right),
        RawBoundary::Token => !is_word(left) && left != b'-' && !is_word(right) && right != b'-',
    }
}

/// Whether digits at `start..end` stand alone: part of no word, decimal, version or dashed id.
pub(super) fn number_stands_free(text: &[u8], start: usize, end: usize) -> bool {
    let (left, right) = (before(text, start), at(text, end));
    let left_free = match left {
        b'-' => false,
        b'.' => !before(text, start - 1).is_ascii_alphanumeric(),
        b',' => !(before(text, start - 1).is_ascii_digit() && at(text, end) == b'.'),
        _ => !is_word(left),
    };
    let right_free = match right {
        b'.' | b'-' => !at(text, end + 1).is_ascii_alphanumeric(),
        _ => !is_word(right),
    };
    left_free && right_free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, number: &str, free: bool) {
        let start = text.find(number).unwrap();
        assert_eq!(
            number_stands_free(text.as_bytes(), start, start + number.len()),
            free,
            "{text}"
        );
    }

    #[test]
    fn numbers_stand_free_of_words_decimals_and_ids() {
        for text in
            ["4111", " 4111.", "(4111)", ".4111", "4111,", "=4111;", "4111-", "\u{ff1a}4111"]
        {
            check(text, "4111", true);
        }
        for text in ["a4111", "_4111", "-4111", "4111a", "4111.5", "1.4111", "4111-5", "4111_"] {
            check(text, "4111", false);
        }
    }
}

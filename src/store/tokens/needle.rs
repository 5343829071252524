//! A substring that lines must hold, cut into the tokens it consists of.

use super::{HEX, LETTER, RUN_BYTES_MIN, WIDE, class, classes_of, runs};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Exact,
    /// The needle is lower case and matches letters of either case.
    Case,
}

/// On which sides a piece may go on in the token that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// A whole token.
    Neither,
    /// The end of a token.
    Left,
    /// The start of a token.
    Right,
    /// Anywhere in a token.
    Both,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: Vec<u8>,
    pub open: Open,
    /// The longest run of letters in it, lower case, when it is long enough to be indexed:
    /// a filtered token that holds the piece holds this run.
    pub run: Option<Vec<u8>>,
}

/// A line that holds the needle holds a fitting token for each of the pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    pub pieces: Vec<Piece>,
    pub fold: Fold,
}

impl Needle {
    pub fn new(text: &str, fold: Fold) -> Needle {
        let bytes = text.as_bytes();
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if class(bytes[at]) == 0 {
                at += 1;
                continue;
            }
            let start = at;
            while at < bytes.len() && class(bytes[at]) != 0 {
                at += 1;
            }
            let (open_left, open_right) = (start == 0, at == bytes.len());
            match fold {
                Fold::Exact => pieces.extend(piece(&bytes[start..at], open_left, open_right)),
                Fold::Case => cut_wide(&mut pieces, &bytes[start..at], open_left, open_right),
            }
        }
        Needle { pieces, fold }
    }
}

fn piece(text: &[u8], open_left: bool, open_right: bool) -> Option<Piece> {
    let open = match (open_left, open_right) {
        (false, false) => Open::Neither,
        (true, false) => Open::Left,
        (false, true) => Open::Right,
        (true, true) => Open::Both,
    };
    let run = runs(text, HEX | LETTER).max_by_key(|run| run.len());
    let run = run.filter(|run| run.len() >= RUN_BYTES_MIN).map(<[u8]>::to_ascii_lowercase);
    (!text.is_empty()).then(|| Piece { text: text.to_vec(), open, run })
}

/// Characters above ASCII have other forms in the other case, sometimes of another length, and
/// lower-casing may have made a letter next to them. So only the ASCII runs between them are
/// looked for, without their outermost letter at such a border.
fn cut_wide(pieces: &mut Vec<Piece>, text: &[u8], open_left: bool, open_right: bool) {
    if classes_of(text) & WIDE == 0 {
        pieces.extend(piece(text, open_left, open_right));
        return;
    }
    let mut start = 0;
    for run in text.split(|byte| class(*byte) == WIDE) {
        let end = start + run.len();
        let (first, last) = (start == 0, end == text.len());
        let from = usize::from(!first);
        let to = run.len().saturating_sub(usize::from(!last));
        if let Some(run) = run.get(from..to) {
            pieces.extend(piece(run, open_left || !first, open_right || !last));
        }
        start = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, fold: Fold, expect: &[(&str, Open)]) {
        let needle = Needle::new(text, fold);
        let found: Vec<(&str, Open)> = needle
            .pieces
            .iter()
            .map(|piece| (std::str::from_utf8(&piece.text).unwrap(), piece.open))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn cuts_into_pieces() {
        check("", Fold::Exact, &[]);
        check(" = ", Fold::Exact, &[]);
        check("abc", Fold::Exact, &[("abc", Open::Both)]);
        check(
            "abc def ghi",
            Fold::Exact,
            &[("abc", Open::Left), ("def", Open::Neither), ("ghi", Open::Right)],
        );
        check("=x", Fold::Exact, &[("x", Open::Right)]);
        check("x=", Fold::Exact, &[("x", Open::Left)]);
        check("\u{e9}a b", Fold::Exact, &[("\u{e9}a", Open::Left), ("b", Open::Right)]);
        check("[abc\u{e9}def]", Fold::Case, &[("ab", Open::Right), ("ef", Open::Left)]);
        check("i\u{307}", Fold::Case, &[]);
    }
}

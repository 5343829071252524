//! Tokens: runs of letters and digits (every byte above ASCII counts as a letter). A block is
//! found by the tokens in it.
//!
//! Most tokens go to the index of the part. Those that hold a digit and occur once in their
//! block are mostly ids; there are many and nobody lists them, so they go to a filter that only
//! answers "perhaps" or "no", and `Sealed` notes what could lie inside longer ones of them.

mod needle;
mod set;

pub use needle::{Fold, Needle, Open, Piece};
pub use set::{PADDING, TokenSet};

/// Longer tokens go to the filter whatever they are made of: base64 and the like.
pub const INDEXED_BYTES_MAX: usize = 64;
/// Runs of letters of this length inside filtered tokens are indexed, so that a word is known
/// to be absent although ids of letters and digits could hold it. Shorter ones are too common.
pub const RUN_BYTES_MIN: usize = 4;

pub(crate) const DIGIT: u8 = 1;
pub(crate) const HEX: u8 = 2;
pub(crate) const LETTER: u8 = 4;
pub(crate) const WIDE: u8 = 8;

/// What kind of character a byte is; 0 separates tokens.
pub(crate) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        classes[at] = match byte {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            0x80..=0xff => WIDE,
            _ => 0,
        };
        at += 1;
    }
    classes
}

#[inline]
pub(crate) fn class(byte: u8) -> u8 {
    CLASS[byte as usize]
}

/// All classes in a text.
pub(crate) fn classes_of(text: &[u8]) -> u8 {
    text.iter().fold(0, |all, byte| all | class(*byte))
}

/// The longest run of bytes of the given classes, if it is longer than `than`.
fn longer_run(text: &[u8], of: u8, than: usize) -> Option<usize> {
    let is_inside = |byte: &u8| class(*byte) & of != 0;
    let mut longest = than;
    // A longer run that holds none of the places looked at before reaches to `at`.
    let mut at = than;
    while let Some(byte) = text.get(at) {
        if is_inside(byte) {
            let before = text[..at].iter().rev().take_while(|byte| is_inside(byte)).count();
            let after = text[at..].iter().take_while(|byte| is_inside(byte)).count();
            longest = longest.max(before + after);
            at += after;
        }
        at += longest + 1;
    }
    (longest > than).then_some(longest)
}

pub(crate) fn runs(text: &[u8], of: u8) -> impl Iterator<Item = &[u8]> {
    text.split(move |byte| class(*byte) & of == 0).filter(|run| !run.is_empty())
}

/// What a filter is asked with. The case is folded, so that one filter serves both kinds of
/// search; part of the format.
pub(crate) fn filter_hash(token: &[u8]) -> u64 {
    if !token.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase()) {
        return xxhash_rust::xxh3::xxh3_64(token);
    }
    let mut folded = [0; INDEXED_BYTES_MAX];
    match folded.get_mut(..token.len()) {
        Some(folded) => {
            folded.copy_from_slice(token);
            folded.make_ascii_lowercase();
            xxhash_rust::xxh3::xxh3_64(folded)
        }
        None => xxhash_rust::xxh3::xxh3_64(&token.to_ascii_lowercase()),
    }
}

/// Whether a token that occurs once in a block is left to the filter.
pub(crate) fn is_filtered(classes: u8, bytes: usize) -> bool {
    classes & DIGIT != 0 || bytes > INDEXED_BYTES_MAX
}

/// What the filtered tokens of a block look like: how long a needle can be and still lie inside
/// one of them, by what the needle is made of. Lengths stop at 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// The longest token of digits alone, of hex digits, and of anything.
    pub digits: u16,
    pub hex: u16,
    pub mixed: u16,
    /// The longest run of digits in hex tokens; of letters in hex tokens; of digits and of hex
    /// digits in mixed tokens.
    pub digits_in_hex: u16,
    pub letters_in_hex: u16,
    pub digits_in_mixed: u16,
    pub hex_in_mixed: u16,
    /// Characters above ASCII occur in filtered tokens.
    pub wide: bool,
    /// A run of letters was too long to be indexed.
    pub long_run: bool,
}

impl Sealed {
    pub(crate) fn note(&mut self, token: &[u8], classes: u8) {
        // Only what raises a maximum is looked for, and most of the token is passed over.
        let raise = |most: &mut u16, of: u8| {
            if let Some(longer) = longer_run(token, of, usize::from(*most)) {
                *most = u16::try_from(longer).unwrap_or(u16::MAX);
            }
        };
        let bytes = saturated(token);
        if classes & !DIGIT == 0 {
            self.digits = self.digits.max(bytes);
        } else if classes & !(DIGIT | HEX) == 0 {
            self.hex = self.hex.max(bytes);
            raise(&mut self.digits_in_hex, DIGIT);
            raise(&mut self.letters_in_hex, HEX);
        } else {
            self.mixed = self.mixed.max(bytes);
            raise(&mut self.digits_in_mixed, DIGIT);
            raise(&mut self.hex_in_mixed, DIGIT | HEX);
            self.wide |= classes & WIDE != 0;
        }
    }

    /// Whether a filtered token can be this text, as far as lengths tell.
    pub(crate) fn may_be(&self, token: &[u8]) -> bool {
        let classes = classes_of(token);
        let longest = if classes & !DIGIT == 0 {
            self.digits
        } else if classes & !(DIGIT | HEX) == 0 {
            self.hex
        } else {
            self.mixed
        };
        longest >= saturated(token)
    }

    /// Whether a piece can lie inside a longer filtered token of digits or hex digits alone.
    pub(crate) fn may_hold_in_pure(&self, piece: &[u8]) -> bool {
        let classes = classes_of(piece);
        let bytes = saturated(piece);
        if classes & !DIGIT == 0 {
            longer(self.digits, bytes) || self.digits_in_hex >= bytes
        } else if classes & !HEX == 0 {
            self.letters_in_hex >= bytes
        } else {
            classes & !(DIGIT | HEX) == 0 && longer(self.hex, bytes)
        }
    }

    /// The same for tokens of more than that, as far as lengths tell; which runs of letters
    /// are in them is in the index.
    pub(crate) fn may_hold_in_mixed(&self, piece: &[u8]) -> bool {
        let classes = classes_of(piece);
        let bytes = saturated(piece);
        if classes & !DIGIT == 0 {
            self.digits_in_mixed >= bytes
        } else if classes & !(DIGIT | HEX) == 0 {
            self.hex_in_mixed >= bytes
        } else {
            longer(self.mixed, bytes) && (classes & WIDE == 0 || self.wide)
        }
    }
}

fn saturated(text: &[u8]) -> u16 {
    u16::try_from(text.len()).unwrap_or(u16::MAX)
}

/// A length that has reached the end of its scale says nothing.
fn longer(most: u16, bytes: u16) -> bool {
    most > bytes || most == u16::MAX
}

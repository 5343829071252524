//! Checks of what a pattern matched: checksums and decoding. A check that fails means no match.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::detect::{card, iban, ssn};
use crate::config::redaction::RawValidator;

pub(super) fn is_valid(validator: RawValidator, text: &[u8]) -> bool {
    match validator {
        RawValidator::BasicAuth => is_basic_auth(text),
        RawValidator::Card => card::is_card(&digits(text)),
        RawValidator::GithubCrc32 => has_github_checksum(text),
        RawValidator::Iban => {
            let compact: Vec<u8> = text
                .iter()
                .filter(|b| b.is_ascii_alphanumeric())
                .map(u8::to_ascii_uppercase)
                .collect();
            iban::is_iban(&compact)
        }
        RawValidator::Jwt => is_jwt(text),
        RawValidator::Luhn => card::luhn(&digits(text)),
        RawValidator::Mixed => is_mixed(text),
        RawValidator::Ssn => ssn::is_ssn(text),
    }
}

fn digits(text: &[u8]) -> Vec<u8> {
    text.iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect()
}

/// Letters and digits both, as in a token that a machine made.
fn is_mixed(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic)
}

fn unpadded(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text)
}

/// Decodes to `user:password`.
fn is_basic_auth(text: &[u8]) -> bool {
    let text = unpadded(text);
    STANDARD_NO_PAD
        .decode(text)
        .or_else(|_| URL_SAFE_NO_PAD.decode(text))
        .is_ok_and(|decoded| decoded.contains(&b':'))
}

/// The header decodes to JSON that names an algorithm.
fn is_jwt(text: &[u8]) -> bool {
    let header = text.split(|b| *b == b'.').next().unwrap_or_default();
    // What is cut out of a longer run may end with bits of nothing; the whole bytes will do.
    let whole = header.get(..header.len() - usize::from(header.len() % 4 == 1)).unwrap_or_default();
    let Ok(decoded) = URL_SAFE_NO_PAD.decode(whole) else { return false };
    decoded.first() == Some(&b'{') && memchr::memmem::find(&decoded, b"\"alg\"").is_some()
}

/// The last six characters are the checksum of those after the prefix, in base 62.
fn has_github_checksum(text: &[u8]) -> bool {
    let Some(split) = text.iter().rposition(|b| *b == b'_') else { return false };
    let body = text.get(split + 1..).unwrap_or_default();
    let Some((body, checksum)) = body.len().checked_sub(6).and_then(|at| body.split_at_checked(at))
    else {
        return false;
    };
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let expected = checksum.iter().try_fold(0u64, |number, byte| {
        let digit = DIGITS.iter().position(|d| d == byte)?;
        Some(number * 62 + u64::try_from(digit).ok()?)
    });
    expected == Some(u64::from(crc32fast::hash(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(validator: RawValidator, text: &str, valid: bool) {
        assert_eq!(is_valid(validator, text.as_bytes()), valid, "{text}");
    }

    #[test]
    fn validates() {
        check(RawValidator::BasicAuth, "Ym9iOmh1bnRlcjI=", true);
        check(RawValidator::BasicAuth, "aGVsbG8gd29ybGQ", false);
        check(RawValidator::Card, "4111-1111-1111-1111", true);
        check(RawValidator::Iban, "gb82 west 1234 5698 7654 32", true);
        check(RawValidator::Jwt, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", true);
        check(RawValidator::Jwt, "eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxIn0.c2ln", false);
        check(RawValidator::Luhn, "79927398713", true);
        check(RawValidator::Mixed, "abc1", true);
        check(RawValidator::Mixed, "abcd", false);
        check(RawValidator::Ssn, "123-45-6789", true);
    }

    #[test]
    fn checks_github_tokens() {
        let body = "0123456789abcdefghijABCDEFGHIJ";
        let mut sum = u64::from(crc32fast::hash(body.as_bytes()));
        let mut tail = Vec::new();
        for _ in 0..6 {
            let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
            tail.insert(0, digits[usize::try_from(sum % 62).unwrap()]);
            sum /= 62;
        }
        let token = format!("ghp_{body}{}", String::from_utf8(tail).unwrap());
        check(RawValidator::GithubCrc32, &token, true);
        check(RawValidator::GithubCrc32, "ghp_0123456789abcdefghijABCDEFGHIJ000000", false);
        check(RawValidator::GithubCrc32, "ghp_", false);
    }
}

//! Bank account numbers: country, its length, and the remainder modulo 97.

use crate::redact::boundary::{at, is_word};

/// Country codes with the length of their account numbers.
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 \
    CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 \
    GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 \
    LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 \
    RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 \
    VG24 XK20 YE30";

fn length(country: &[u8]) -> Option<usize> {
    LENGTHS.split_ascii_whitespace().find_map(|item| {
        let (code, len) = item.split_at_checked(2)?;
        if code.as_bytes() == country { len.parse().ok() } else { None }
    })
}

/// The end of the account number that begins at `start`, which holds two capital letters and
/// two digits. Groups of four may have a space or dash between them.
pub(in crate::redact) fn find(text: &[u8], start: usize) -> Option<usize> {
    let len = length(text.get(start..start + 2)?)?;
    let mut compact = Vec::with_capacity(len);
    let mut i = start;
    while compact.len() < len {
        let byte = at(text, i);
        if byte.is_ascii_alphanumeric() {
            compact.push(byte.to_ascii_uppercase());
        } else if !(matches!(byte, b' ' | b'-') && compact.len() % 4 == 0) {
            return None;
        }
        i += 1;
    }
    (!is_word(at(text, i)) && is_iban(&compact)).then_some(i)
}

/// Whether the letters and digits (capitals, no spaces) are an account number.
pub(in crate::redact) fn is_iban(compact: &[u8]) -> bool {
    if compact.get(..2).and_then(length) != Some(compact.len()) {
        return false;
    }
    let (head, tail) = compact.split_at(4);
    let remainder = tail.iter().chain(head).try_fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    });
    remainder == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(find(text.as_bytes(), 0).map(|end| &text[..end]), expect, "{text}");
    }

    #[test]
    fn finds_account_numbers() {
        check("GB82WEST12345698765432", Some("GB82WEST12345698765432"));
        check("GB82 WEST 1234 5698 7654 32, x", Some("GB82 WEST 1234 5698 7654 32"));
        check("DE89370400440532013000.", Some("DE89370400440532013000"));
        check("FR1420041010050500013M02606", Some("FR1420041010050500013M02606"));
        check("MT84MALT011000012345MTLCAST001S", Some("MT84MALT011000012345MTLCAST001S"));
        check("NO9386011117947", Some("NO9386011117947"));
    }

    #[test]
    fn leaves_the_rest() {
        check("GB82WEST12345698765433", None);
        check("GB82WEST123456987654321", None);
        check("ZZ82WEST12345698765432", None);
        check("GB82", None);
        check("GB8 2WEST12345698765432", None);
    }
}

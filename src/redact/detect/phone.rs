//! Telephone numbers in international form: `+`, a country code that exists, 8 to 15 digits.

use crate::redact::boundary::{at, before, is_word};

/// Country codes, each with the fewest and most digits that follow it.
const COUNTRIES: &str = "1:10-10 7:10-10 20:8-10 27:9-9 30:10-10 31:9-9 32:8-9 33:9-9 34:9-9 \
    36:8-9 39:6-11 40:9-9 41:9-9 43:7-13 44:9-10 45:8-8 46:7-10 47:8-8 48:9-9 49:7-13 51:8-9 \
    52:10-11 53:8-8 54:10-11 55:10-11 56:9-9 57:10-10 58:10-10 60:8-10 61:9-9 62:8-12 63:9-10 \
    64:8-10 65:8-8 66:8-9 81:9-10 82:8-11 84:9-10 86:10-12 90:10-10 91:10-10 92:9-10 93:9-9 \
    94:9-9 95:7-10 98:10-10 211:9-9 212:9-9 213:8-9 216:8-8 218:9-9 220:7-7 221:9-9 222:8-8 \
    223:8-8 224:9-9 225:10-10 226:8-8 227:8-8 228:8-8 229:8-10 230:7-8 231:8-9 232:8-8 233:9-9 \
    234:8-10 235:8-8 236:8-8 237:9-9 238:7-7 239:7-7 240:9-9 241:7-8 242:9-9 243:9-9 244:9-9 \
    245:7-9 248:7-7 249:9-9 250:9-9 251:9-9 252:7-9 253:8-8 254:9-10 255:9-9 256:9-9 257:8-8 \
    258:8-9 260:9-9 261:9-9 262:9-9 263:8-10 264:8-9 265:7-9 266:8-8 267:7-8 268:8-8 269:7-7 \
    297:7-7 350:8-8 351:9-9 352:6-11 353:7-9 354:7-9 355:8-9 356:8-8 357:8-8 358:6-11 359:7-9 \
    370:8-8 371:8-8 372:7-8 373:8-8 374:8-8 375:9-9 376:6-9 377:8-9 378:6-10 380:9-9 381:8-9 \
    382:8-8 383:8-9 385:8-9 386:8-8 387:8-8 389:8-8 420:9-9 421:9-9 423:7-9 500:5-5 501:7-7 \
    502:8-8 503:8-8 504:8-8 505:8-8 506:8-8 507:7-8 509:8-8 590:9-9 591:8-8 592:7-7 593:8-9 \
    594:9-9 595:9-9 596:9-9 597:6-7 598:8-8 599:7-8 670:7-8 673:7-7 674:7-7 675:7-8 676:5-7 \
    677:5-7 678:5-7 679:7-7 685:5-7 687:6-6 689:6-8 800:8-8 850:8-10 852:8-8 853:8-8 855:8-9 \
    856:8-10 880:8-10 886:8-9 960:7-7 961:7-8 962:8-9 963:8-9 964:8-10 965:8-8 966:8-9 967:7-9 \
    968:8-8 970:8-9 971:8-9 972:8-9 973:8-8 974:8-8 975:8-8 976:8-8 977:8-10 992:9-9 993:8-8 \
    994:9-9 995:9-9 996:9-9 998:9-9";

/// How many digits the whole number may have, by its first digits.
fn total_digits(digits: &[u8]) -> Option<(usize, usize)> {
    COUNTRIES.split_ascii_whitespace().find_map(|item| {
        let (code, range) = item.split_once(':')?;
        if !digits.starts_with(code.as_bytes()) {
            return None;
        }
        let (min, max) = range.split_once('-')?;
        let (min, max): (usize, usize) = (min.parse().ok()?, max.parse().ok()?);
        Some(((code.len() + min).max(8), (code.len() + max).min(15)))
    })
}

/// The number whose first digit, right behind a `+`, is at `first`.
pub(in crate::redact) fn find(text: &[u8], first: usize) -> Option<(usize, usize)> {
    let start = first.checked_sub(1)?;
    let left = before(text, start);
    if is_word(left) || matches!(left, b'+' | b'.' | b')') {
        return None;
    }
    let leading: Vec<u8> =
        text.iter().skip(first).take(8).copied().filter(u8::is_ascii_digit).collect();
    let (min, max) = total_digits(&leading)?;
    let mut digits = 0;
    let mut end = None;
    let mut i = first;
    // Group by group: the number ends with the last group that still fits.
    loop {
        let group = text.iter().skip(i).take(max + 1).take_while(|b| b.is_ascii_digit()).count();
        if group == 0 || digits + group > max {
            break;
        }
        digits += group;
        i += group;
        if digits >= min && !is_word(at(text, i)) {
            end = Some(i);
        }
        let separator = separator_len(text, i);
        if separator == 0 {
            break;
        }
        i += separator;
    }
    let end = end?;
    let decimal = at(text, end) == b'.' && at(text, end + 1).is_ascii_digit();
    let dashed = at(text, end) == b'-' && at(text, end + 1).is_ascii_alphanumeric();
    (!decimal && !dashed).then_some((start, end))
}

/// One separator, or a closing and an opening one around an area code.
fn separator_len(text: &[u8], i: usize) -> usize {
    let len = text
        .iter()
        .skip(i)
        .take(3)
        .take_while(|b| matches!(b, b' ' | b'-' | b'.' | b'(' | b')' | b'/'))
        .count();
    let plausible = match text.get(i..i + len) {
        Some([_]) => true,
        Some([b' ' | b'-', b'('] | [b')', b' ' | b'-']) => true,
        _ => false,
    };
    let digits = if at(text, i) == b'.' { 2 } else { 1 };
    let goes_on = (0..digits).all(|ahead| at(text, i + len + ahead).is_ascii_digit());
    if plausible && goes_on { len } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let plus = text.find('+').unwrap();
        let found = find(text.as_bytes(), plus + 1).map(|(start, end)| &text[start..end]);
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn finds_numbers() {
        check("call +4915112345678 now", Some("+4915112345678"));
        check("+49 170 1234567, x", Some("+49 170 1234567"));
        check("+1 (415) 555-2671.", Some("+1 (415) 555-2671"));
        check("+1-415-555-2671", Some("+1-415-555-2671"));
        check("+44 20 7946 0958 200", Some("+44 20 7946 0958"));
        check("tel:+33612345678", Some("+33612345678"));
        check("\"+33 6 12 34 56 78\"", Some("+33 6 12 34 56 78"));
    }

    #[test]
    fn leaves_other_numbers() {
        for text in [
            "10:11:12+0000",
            "x +0200 y",
            "+01:00",
            "1+4915112345678",
            "+999123456789",
            "+12345678",
            "+123456789012345678",
            "1.5e+4915112345678",
            "+1415555267.5",
        ] {
            check(text, None);
        }
    }
}

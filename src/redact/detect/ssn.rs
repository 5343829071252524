//! US social security numbers, written with dashes.

use crate::redact::boundary::{at, number_stands_free};

/// Finds `ddd-dd-dddd` in a run of digits with single spaces or dashes between them.
pub(in crate::redact) fn find(
    text: &[u8],
    run: (usize, usize),
    mut found: impl FnMut(usize, usize),
) {
    let mut start = run.0;
    while start + 11 <= run.1 {
        let end = start + 11;
        if is_ssn(text.get(start..end).unwrap_or_default()) && number_stands_free(text, start, end)
        {
            found(start, end);
            start = end;
        }
        start += 1;
    }
}

/// Areas 000, 666 and 900 to 999, group 00 and serial 0000 are never given out.
pub(in crate::redact) fn is_ssn(text: &[u8]) -> bool {
    let shaped = text.len() == 11
        && text.iter().enumerate().all(|(place, byte)| match place {
            3 | 6 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shaped
        && !matches!(text.get(..3), Some(b"000" | b"666"))
        && at(text, 0) != b'9'
        && text.get(4..6) != Some(b"00")
        && text.get(7..) != Some(b"0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_rules() {
        for good in ["123-45-6789", "219-09-9999", "001-01-1023", "899-99-0001"] {
            assert!(is_ssn(good.as_bytes()), "{good}");
        }
        for bad in [
            "000-45-6789",
            "666-45-6789",
            "900-45-6789",
            "123-00-6789",
            "123-45-0000",
            "123-456789",
            "1234-5-6789",
            "",
        ] {
            assert!(!is_ssn(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn stands_alone() {
        let find_all = |text: &str| {
            let mut ends = Vec::new();
            find(text.as_bytes(), (0, text.len()), |start, end| ends.push((start, end)));
            ends
        };
        assert_eq!(find_all("123-45-6789"), [(0, 11)]);
        assert_eq!(find_all("12 123-45-6789"), [(3, 14)]);
        assert_eq!(find_all("123-45-6789-1"), []);
        assert_eq!(find_all("1-123-45-6789"), []);
    }
}

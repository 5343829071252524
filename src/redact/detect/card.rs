//! Payment card numbers: shape, issuer, length, Luhn, and nothing glued to them.

use crate::redact::boundary::{at, before, number_stands_free};

/// Finds the cards in a run of digits with single spaces or dashes between them.
pub(in crate::redact) fn find(
    text: &[u8],
    run: (usize, usize),
    mut found: impl FnMut(usize, usize),
) {
    let groups = groups(text, run);
    let mut first = 0;
    while let Some(&(start, _)) = groups.get(first) {
        match card_from(text, groups.get(first..).unwrap_or_default(), start) {
            Some((end, used)) => {
                found(start, with_track_data(text, end));
                first += used;
            }
            None => first += 1,
        }
    }
}

/// Ranges of the digit groups of a run; a run of more groups than any card has is looked at in
/// full, group by group.
fn groups(text: &[u8], (start, end): (usize, usize)) -> Vec<(usize, usize)> {
    let mut groups = Vec::new();
    let mut from = start;
    for i in start..=end {
        if i == end || !at(text, i).is_ascii_digit() {
            groups.push((from, i));
            from = i + 1;
        }
    }
    groups
}

fn card_from(text: &[u8], groups: &[(usize, usize)], start: usize) -> Option<(usize, usize)> {
    let mut digits: Vec<u8> = Vec::with_capacity(19);
    let mut lens: Vec<usize> = Vec::with_capacity(5);
    let mut separator = 0;
    let mut best = None;
    for (index, &(from, to)) in groups.iter().take(5).enumerate() {
        if index == 1 {
            separator = before(text, from);
        } else if index > 1 && before(text, from) != separator {
            break;
        }
        if digits.len() + (to - from) > 19 {
            break;
        }
        digits.extend(text.get(from..to)?.iter().map(|b| b - b'0'));
        lens.push(to - from);
        if is_card_shape(&lens) && is_card(&digits) && number_stands_free(text, start, to) {
            best = Some((to, index + 1));
        }
    }
    best
}

/// One block, fours, or the 4-6-5 and 4-6-4 of American Express and Diners.
fn is_card_shape(lens: &[usize]) -> bool {
    match lens {
        [len] => (13..=19).contains(len),
        [4, 6, 5] | [4, 6, 4] => true,
        [firsts @ .., last] => {
            firsts.len() >= 3 && firsts.iter().all(|len| *len == 4) && (1..=4).contains(last)
        }
        [] => false,
    }
}

/// Magnetic stripe data behind the number (`=` and at least seven digits) goes with it.
fn with_track_data(text: &[u8], end: usize) -> usize {
    if !matches!(at(text, end), b'=' | b'D') {
        return end;
    }
    let digits = text.iter().skip(end + 1).take(40).take_while(|b| b.is_ascii_digit()).count();
    if digits >= 7 { end + 1 + digits } else { end }
}

/// Whether these digits are a number that an issuer could have given out.
pub(in crate::redact) fn is_card(digits: &[u8]) -> bool {
    is_issued(digits) && luhn(digits)
}

fn is_issued(digits: &[u8]) -> bool {
    let Some(first_six) = digits.get(..6) else { return false };
    let prefix = first_six.iter().fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    let len = digits.len();
    match prefix {
        400_000..=499_999 => matches!(len, 13 | 16 | 19),
        510_000..=559_999 | 222_100..=272_099 => len == 16,
        340_000..=349_999 | 370_000..=379_999 => len == 15,
        601_100..=601_199 | 644_000..=659_999 => (16..=19).contains(&len),
        352_800..=358_999 => (16..=19).contains(&len),
        300_000..=305_999 | 360_000..=369_999 | 380_000..=399_999 => len == 14,
        620_000..=629_999 => (16..=19).contains(&len),
        _ => false,
    }
}

pub(in crate::redact) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::prefilter::{Hits, Prefilter};

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let mut hits = Hits::default();
        Prefilter::new(Vec::new(), true).scan(text.as_bytes(), &mut hits);
        let mut found = Vec::new();
        for run in hits.digit_runs {
            find(text.as_bytes(), run, |start, end| found.push(&text[start..end]));
        }
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn finds_cards() {
        check("4111111111111111", &["4111111111111111"]);
        check("x 4111 1111 1111 1111.", &["4111 1111 1111 1111"]);
        check("12 4111-1111-1111-1111 12", &["4111-1111-1111-1111"]);
        check("3782 822463 10005", &["3782 822463 10005"]);
        check("378282246310005", &["378282246310005"]);
        check("30569309025904 3530111333300000", &["30569309025904", "3530111333300000"]);
        check("6011111111111117,5555555555554444", &["6011111111111117", "5555555555554444"]);
        check("2223003122003222", &["2223003122003222"]);
        check(
            ";4111111111111111=25121010000000000000?",
            &["4111111111111111=25121010000000000000"],
        );
        check(
            "4111 1111 1111 1111 5555 5555 5555 4444",
            &["4111 1111 1111 1111", "5555 5555 5555 4444"],
        );
    }

    #[test]
    fn leaves_other_numbers() {
        for text in [
            "4111111111111112",
            "1700000000000 1700000000000000 1700000000000000000",
            "4111 1111-1111 1111",
            "blk_4111111111111111",
            "12345678-1234-4111-1111-111111111111",
            "v4111111111111111",
            "4111111111111111.5",
            "0.4111111111111111",
            "0000000000000000",
            "4111111111111111abcdef",
            "41111111111111111111111",
        ] {
            check(text, &[]);
        }
    }
}

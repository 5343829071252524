//! Floats as Go's strconv prints them.

/// Where `%g` without precision turns to an exponent: a million prints as `1e+06`.
const SHORTEST_EXPONENT_MAX: i32 = 6;

/// `%e`: digits, point, exponent of at least two digits.
pub(super) fn exponent(value: f64, precision: Option<usize>) -> String {
    if let Some(special) = special(value) {
        return special.to_owned();
    }
    let text = match precision {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, number) = match exponent.strip_prefix('-') {
        Some(number) => ('-', number),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{number:0>2}")
}

/// `%f`.
pub(super) fn fixed(value: f64, precision: Option<usize>) -> String {
    if let Some(special) = special(value) {
        return special.to_owned();
    }
    match precision {
        Some(precision) => format!("{value:.precision$}"),
        None => format!("{value}"),
    }
}

/// `%g`: the shortest digits when there is no precision, and `%e` for exponents out of range.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(special) = special(value) {
        return special.to_owned();
    }
    let precision = precision.map(|digits| digits.max(1));
    let scientific = match precision {
        Some(digits) => format!("{value:.*e}", digits - 1),
        None => format!("{value:e}"),
    };
    let (digits, exponent_text) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent_text.parse().unwrap_or_default();
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let count_i32 = i32::try_from(count).unwrap_or(i32::MAX);
    let limit = match precision {
        None => SHORTEST_EXPONENT_MAX,
        Some(wanted) => {
            let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
            if wanted > count_i32 && count_i32 > power { count_i32 } else { wanted }
        }
    };
    if power < -4 || power >= limit {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.abs());
    }
    let decimals = usize::try_from(count_i32 - 1 - power).unwrap_or(0);
    match precision {
        // The digits are already rounded; printing them again as a number keeps them.
        Some(_) => {
            let rounded: f64 = scientific.parse().unwrap_or(value);
            format!("{rounded:.decimals$}")
        }
        None => format!("{value}"),
    }
}

/// `%v` of a float64.
pub(super) fn plain(value: f64) -> String {
    general(value, None)
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_go() {
        let shortest = [
            (0.0, "0"),
            (1.5, "1.5"),
            (12_000.0, "12000"),
            (-0.25, "-0.25"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e21, "1e+21"),
            (123_456.0, "123456"),
            (1_000_000.0, "1e+06"),
            (1.795168555e9, "1.795168555e+09"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expect) in shortest {
            assert_eq!(plain(value), expect);
        }
        let four = [
            (0.0, "0"),
            (1234.5, "1234"),
            (12345.0, "1.234e+04"),
            (99.999, "100"),
            (0.12345, "0.1235"),
            (1.0, "1"),
            (0.000012345, "1.234e-05"),
        ];
        for (value, expect) in four {
            assert_eq!(general(value, Some(4)), expect, "{value}");
        }
        assert_eq!(exponent(1234.5678, Some(6)), "1.234568e+03");
        assert_eq!(exponent(0.0, Some(2)), "0.00e+00");
        assert_eq!(fixed(2.0 / 3.0, Some(2)), "0.67");
    }
}

//! Texts as numbers, with the error texts of Go's library: Loki shows them in
//! `__error_details__`.

use crate::model::quote;
use crate::text::units;

/// Go's `strconv.ParseFloat`.
pub fn number(text: &str) -> Result<f64, String> {
    let syntax = || format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(text));
    let value: f64 = text.parse().map_err(|_| syntax())?;
    let named = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    if value.is_infinite() && !named {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote(text)));
    }
    Ok(value)
}

/// Go's `time.ParseDuration`, in nanoseconds.
pub fn duration_ns(text: &str) -> Result<i64, String> {
    units::parse_go_duration(text).ok_or_else(|| {
        let quoted = quote(text);
        let body = text.strip_prefix(['-', '+']).unwrap_or(text);
        let digits = body.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let begins_as_number = digits.len() < body.len() && body != ".";
        if !begins_as_number {
            return format!("time: invalid duration {quoted}");
        }
        let unit_end = digits.find(|c: char| c == '.' || c.is_ascii_digit());
        let unit = digits.get(..unit_end.unwrap_or(digits.len())).unwrap_or_default();
        match unit {
            "" => format!("time: missing unit in duration {quoted}"),
            "ns" | "us" | "\u{b5}s" | "\u{3bc}s" | "ms" | "s" | "m" | "h" => {
                format!("time: invalid duration {quoted}")
            }
            unknown => format!("time: unknown unit {} in duration {quoted}", quote(unknown)),
        }
    })
}

/// humanize's `ParseBytes`.
pub fn bytes(text: &str) -> Result<u64, String> {
    units::parse_bytes(text).ok_or_else(|| {
        let number_end = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(number_end);
        match number(&digits.replace(',', "")) {
            Err(message) => message,
            Ok(_) => format!("unhandled size name: {}", unit.trim().to_lowercase()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<f64, &str>) {
        assert_eq!(number(text), expect.map_err(str::to_owned));
    }

    #[test]
    fn numbers_as_go_reads_them() {
        check("200", Ok(200.0));
        check("1e3", Ok(1000.0));
        check("-4", Ok(-4.0));
        check("+Inf", Ok(f64::INFINITY));
        check("n/a", Err(r#"strconv.ParseFloat: parsing "n/a": invalid syntax"#));
        check("", Err(r#"strconv.ParseFloat: parsing "": invalid syntax"#));
        check("1e999", Err(r#"strconv.ParseFloat: parsing "1e999": value out of range"#));
        assert!(number("NaN").is_ok_and(f64::is_nan));
    }

    #[test]
    fn faults_of_durations_and_sizes() {
        assert_eq!(duration_ns("5q"), Err(r#"time: unknown unit "q" in duration "5q""#.to_owned()));
        assert_eq!(duration_ns("5"), Err(r#"time: missing unit in duration "5""#.to_owned()));
        assert_eq!(duration_ns("x"), Err(r#"time: invalid duration "x""#.to_owned()));
        assert_eq!(bytes("5 foo"), Err("unhandled size name: foo".to_owned()));
    }
}

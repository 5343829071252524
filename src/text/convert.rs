//! Texts as numbers, with the error texts of Go's library: Loki shows them in
//! `__error_details__`.

use crate::model::quote;
use crate::text::units;

/// Go's `strconv.ParseFloat`.
pub fn number(text: &str) -> Result<f64, String> {
    let syntax = || format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(text));
    let value: f64 = match text.parse() {
        Ok(value) => value,
        Err(_) => unusual_number(text).ok_or_else(syntax)?,
    };
    let named = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    if value.is_infinite() && !named {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote(text)));
    }
    Ok(value)
}

/// What Go reads and Rust does not: `1_000` and hexadecimal floats such as `0x1.8p3`.
fn unusual_number(text: &str) -> Option<f64> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        Some(hex) => hex_float(hex)?,
        // Most texts that are no number come as far as here, some of them long.
        None if !body.contains('_') => return None,
        None => {
            let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
            let chars: Vec<char> = body.chars().collect();
            let well_placed = chars.iter().enumerate().all(|(at, c)| {
                let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied();
                *c != '_' || (digit(before) && digit(chars.get(at + 1).copied()))
            });
            if !well_placed {
                return None;
            }
            body.replace('_', "").parse().ok()?
        }
    };
    Some(if negative { -value } else { value })
}

/// The digits behind `0x`; Go wants the exponent to be given.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() || mantissa.len() > 64 {
        return None;
    }
    let mut value = 0.0_f64;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let places = i32::try_from(fraction.len()).ok()?;
    Some(value * 2.0_f64.powi(exponent.checked_sub(4 * places)?))
}

/// Go's `time.ParseDuration`, in nanoseconds.
pub fn duration_ns(text: &str) -> Result<i64, String> {
    units::parse_go_duration(text).ok_or_else(|| {
        let quoted = quote_ascii(text);
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
            unknown => format!("time: unknown unit {} in duration {quoted}", quote_ascii(unknown)),
        }
    })
}

/// How Go's `time` quotes: what is not plain ASCII byte by byte.
fn quote_ascii(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='\x7f' => out.push(c),
            c => {
                let mut bytes = [0; 4];
                let bytes = c.encode_utf8(&mut bytes).bytes();
                out.extend(bytes.map(|byte| format!("\\x{byte:02x}")));
            }
        }
    }
    out.push('"');
    out
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
        check("1_000", Ok(1000.0));
        check("0x1.8p3", Ok(12.0));
        check("-0x10p0", Ok(-16.0));
        check("1__0", Err(r#"strconv.ParseFloat: parsing "1__0": invalid syntax"#));
        check("_1", Err(r#"strconv.ParseFloat: parsing "_1": invalid syntax"#));
        check("0x10", Err(r#"strconv.ParseFloat: parsing "0x10": invalid syntax"#));
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
        assert_eq!(
            duration_ns("caf\u{e9}\n\""),
            Err(r#"time: invalid duration "caf\xc3\xa9\x0a\"""#.to_owned())
        );
        assert_eq!(duration_ns("x"), Err(r#"time: invalid duration "x""#.to_owned()));
        assert_eq!(bytes("5 foo"), Err("unhandled size name: foo".to_owned()));
    }
}

//! Go's `fmt.Sprintf`.

use super::print::{self, Nil};
use super::{Value, float};
use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use crate::model::quote;

/// Widest field; Go allows a million, but a width is seldom typed on purpose above this.
const WIDTH_MAX: usize = 10_000;

#[derive(Default, Clone, Copy)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

pub(super) fn sprintf(format: &str, args: &[Value], nil: Nil) -> Result<String, String> {
    let mut out = String::new();
    let mut next = 0;
    let mut reordered = false;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err("printf makes a text that is too long".to_owned());
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = chars.peek() {
            match flag {
                '-' => flags.minus = true,
                '+' => flags.plus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            chars.next();
        }
        reordered |= argument_index(&mut chars, &mut next);
        if chars.peek() == Some(&'*') {
            chars.next();
            match args.get(next) {
                Some(Value::Int(width)) if width.unsigned_abs() <= WIDTH_MAX as u64 => {
                    flags.minus |= *width < 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                _ => out.push_str("%!(BADWIDTH)"),
            }
            next = next.saturating_add(1);
        } else {
            flags.width = number(&mut chars);
        }
        if chars.peek() == Some(&'.') {
            chars.next();
            reordered |= argument_index(&mut chars, &mut next);
            if chars.peek() == Some(&'*') {
                chars.next();
                match args.get(next) {
                    Some(Value::Int(digits)) if (0..=WIDTH_MAX as i64).contains(digits) => {
                        flags.precision = usize::try_from(*digits).ok();
                    }
                    _ => out.push_str("%!(BADPREC)"),
                }
                next = next.saturating_add(1);
            } else {
                flags.precision = Some(number(&mut chars).unwrap_or(0));
            }
        }
        reordered |= argument_index(&mut chars, &mut next);
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(arg) = args.get(next) else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        next = next.saturating_add(1);
        verb_into(&mut out, verb, flags, arg, nil);
    }
    if !reordered && next < args.len() {
        let extra: Vec<String> = args
            .get(next..)
            .unwrap_or_default()
            .iter()
            .map(|arg| match arg {
                Value::Nil => "<nil>".to_owned(),
                arg => format!("{}={}", arg.type_name(), print::display(arg)),
            })
            .collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `[2]`
fn argument_index(chars: &mut Chars, next: &mut usize) -> bool {
    if chars.peek() != Some(&'[') {
        return false;
    }
    chars.next();
    let index = number(chars).unwrap_or(0);
    if chars.peek() == Some(&']') {
        chars.next();
    }
    *next = index.wrapping_sub(1);
    true
}

fn number(chars: &mut Chars) -> Option<usize> {
    let mut value = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        let so_far: usize = value.unwrap_or(0);
        value = Some((so_far * 10 + digit as usize).min(WIDTH_MAX));
        chars.next();
    }
    value
}

fn verb_into(out: &mut String, verb: char, flags: Flags, arg: &Value, nil: Nil) {
    if verb == 'T' {
        return pad(out, flags, arg.type_name());
    }
    let made = match (verb, arg) {
        ('v', Value::Nil) if nil == Nil::Shown => Some("<nil>".to_owned()),
        (_, Value::Nil) if nil == Nil::Shown => None,
        ('v', Value::Int(number)) => Some(integer(*number, 'd', flags)),
        ('v', Value::Float(number)) => Some(sign(float::plain(*number), flags)),
        ('v' | 's', Value::Duration(_) | Value::Time(..)) => Some(print::display(arg)),
        ('v', Value::Str(text)) if flags.sharp => Some(quote(text)),
        ('v', Value::Str(text)) | ('s', Value::Str(text)) => Some(cut(text, flags).to_owned()),
        ('v', other)
        | ('s', other @ (Value::Nil | Value::List(_) | Value::Map(_) | Value::Object(_))) => {
            Some(print::display(other))
        }
        ('q', Value::Str(text)) if flags.sharp && !text.contains('`') => Some(format!("`{text}`")),
        ('q', Value::Str(text)) => Some(quote(cut(text, flags))),
        ('q', Value::Int(number)) => Some(format!("'{}'", code_point(*number))),
        ('q', other @ (Value::List(_) | Value::Map(_) | Value::Object(_))) => {
            Some(print::display(&quoted_items(&other.shown())))
        }
        ('x' | 'X', Value::Str(text)) => Some(hex(text, verb)),
        ('t', Value::Bool(flag)) => Some(flag.to_string()),
        ('d' | 'b' | 'o' | 'O' | 'x' | 'X', Value::Int(number) | Value::Duration(number)) => {
            Some(integer(*number, verb, flags))
        }
        ('c', Value::Int(number)) => Some(code_point(*number).to_string()),
        ('U', Value::Int(number)) => Some(format!("U+{number:04X}")),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(number)) => {
            let text = match verb {
                'e' | 'E' => float::exponent(*number, flags.precision.or(Some(6))),
                'f' | 'F' => float::fixed(*number, flags.precision.or(Some(6))),
                _ => float::general(*number, flags.precision),
            };
            let text = if verb.is_ascii_uppercase() { text.to_uppercase() } else { text };
            Some(sign(text, flags))
        }
        _ => None,
    };
    match made {
        Some(text) => {
            let is_number = matches!(arg, Value::Int(_) | Value::Float(_) | Value::Duration(_))
                && !matches!(verb, 'c' | 'q' | 'U');
            if is_number && flags.zero && !flags.minus {
                pad_zero(out, flags, &text);
            } else {
                pad(out, flags, &text);
            }
        }
        None if matches!(arg, Value::Nil) => out.push_str(&format!("%!{verb}(<nil>)")),
        // A verb that does not fit shows the value with the same flags.
        None => {
            out.push_str(&format!("%!{verb}({}=", arg.type_name()));
            if flags.zero && !flags.minus && matches!(arg, Value::Str(_)) {
                pad_zero(out, flags, cut(&print::display(arg), flags));
            } else {
                verb_into(out, 'v', flags, arg, nil);
            }
            out.push(')');
        }
    }
}

fn quoted_items(value: &Value) -> Value {
    match value {
        Value::Str(text) => quote(text).into(),
        Value::List(items) => Value::list(items.iter().map(quoted_items).collect()),
        Value::Map(map) => {
            Value::map(map.iter().map(|(key, item)| (quote(key), quoted_items(item))))
        }
        other => other.clone(),
    }
}

fn cut(text: &str, flags: Flags) -> &str {
    match flags.precision {
        None => text,
        Some(count) => {
            let end = text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
            &text[..end]
        }
    }
}

fn code_point(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn hex(text: &str, verb: char) -> String {
    let upper = verb == 'X';
    text.bytes()
        .map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") })
        .collect()
}

fn sign(text: String, flags: Flags) -> String {
    if text.starts_with(['-', '+']) {
        // Infinity carries its plus always.
        return text;
    }
    match flags {
        Flags { plus: true, .. } => format!("+{text}"),
        Flags { space: true, .. } => format!(" {text}"),
        _ => text,
    }
}

fn integer(number: i64, verb: char, flags: Flags) -> String {
    let magnitude = number.unsigned_abs();
    let (prefix, digits) = match verb {
        'b' => (if flags.sharp { "0b" } else { "" }, format!("{magnitude:b}")),
        'o' => (if flags.sharp { "0" } else { "" }, format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => (if flags.sharp { "0x" } else { "" }, format!("{magnitude:x}")),
        'X' => (if flags.sharp { "0X" } else { "" }, format!("{magnitude:X}")),
        _ => ("", magnitude.to_string()),
    };
    let zeros = flags.precision.unwrap_or(0).saturating_sub(digits.len());
    let text = format!("{prefix}{}{digits}", "0".repeat(zeros));
    if number < 0 { format!("-{text}") } else { sign(text, flags) }
}

fn pad(out: &mut String, flags: Flags, text: &str) {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if flags.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

fn pad_zero(out: &mut String, flags: Flags, text: &str) {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    let digits = text.trim_start_matches(['-', '+', ' ']);
    out.push_str(&text[..text.len() - digits.len()]);
    out.extend(std::iter::repeat_n('0', missing));
    out.push_str(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, args: &[Value], expect: &str) {
        assert_eq!(sprintf(format, args, Nil::Hidden).unwrap(), expect);
    }

    #[test]
    fn formats_like_go() {
        let (i, f, s) = (Value::Int, Value::Float, |text: &str| Value::from(text));
        check("%d %s %v %q", &[i(5), s("a"), s("b"), s("c\"")], r#"5 a b "c\"""#);
        check(
            "%f %.2f %e %g",
            &[f(1.5), f(2.0), f(1500.0), f(0.1)],
            "1.500000 2.00 1.500000e+03 0.1",
        );
        check(
            "%x %X %x %o %b %c %U",
            &[i(255), i(255), s("hi"), i(8), i(5), i(65), i(65)],
            "ff FF 6869 10 101 A U+0041",
        );
        check(
            "%5d|%-5s|%05d|%+d|% d",
            &[i(42), s("ab"), i(-42), i(7), i(7)],
            "   42|ab   |-0042|+7| 7",
        );
        check("%t %T %T %T", &[Value::Bool(true), i(1), s(""), f(1.0)], "true int string float64");
        check("100%%", &[], "100%");
        check("%d", &[s("hi")], "%!d(string=hi)");
        check(
            "%05d|%-4d|%04s",
            &[s("hi"), s("b"), i(5)],
            "%!d(string=000hi)|%!d(string=b   )|%!s(int=0005)",
        );
        check("%d %d", &[i(1)], "1 %!d(MISSING)");
        check("%d", &[i(1), i(2)], "1%!(EXTRA int=2)");
        check("%!", &[], "%!!(MISSING)");
        check("%", &[], "%!(NOVERB)");
        check("%[2]d %[1]d", &[i(1), i(2)], "2 1");
        check("%*d|%.*f", &[i(4), i(7), i(1), f(2.25)], "   7|2.2");
        check(
            "%.2s|%5.1f|%#x|%#v",
            &[s("h\u{e9}llo"), f(3.15), i(255), s("x")],
            "h\u{e9}|  3.1|0xff|\"x\"",
        );
        check("%v %s", &[Value::list(vec![i(1), s("a")]), Value::Nil], "[1 a] ");
        check("%q", &[Value::list(vec![s("a"), s("b")])], r#"["a" "b"]"#);
        // Arguments count from 1; no argument is one more than the last.
        check("%[0]*d", &[i(1)], "%!(BADWIDTH)%!d(MISSING)");
        check("%99999999d", &[i(1)], &format!("{:>10000}", 1));
    }
}

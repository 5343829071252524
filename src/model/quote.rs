//! Go string literals, as LogQL and pushed label sets write them.

/// Reads up to the closing quote, with Go's escapes; gives the text and how many bytes it took,
/// the quote included. `None` for a string that is not closed or has a bad escape.
pub fn unquote(body: &str) -> Option<(String, usize)> {
    let bytes = body.as_bytes();
    let mut raw: Vec<u8> = Vec::new();
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some((String::from_utf8(raw).ok()?, at + 1)),
            b'\n' => return None,
            b'\\' => {
                let escape = *bytes.get(at + 1)?;
                at += 2;
                let simple = match escape {
                    b'a' => Some(7),
                    b'b' => Some(8),
                    b'f' => Some(12),
                    b'n' => Some(b'\n'),
                    b'r' => Some(b'\r'),
                    b't' => Some(b'\t'),
                    b'v' => Some(11),
                    b'\\' | b'"' => Some(escape),
                    _ => None,
                };
                if let Some(byte) = simple {
                    raw.push(byte);
                    continue;
                }
                let (digits, radix) = match escape {
                    b'x' => (2, 16),
                    b'u' => (4, 16),
                    b'U' => (8, 16),
                    b'0'..=b'7' => {
                        at -= 1;
                        (3, 8)
                    }
                    _ => return None,
                };
                let code = u32::from_str_radix(body.get(at..at + digits)?, radix).ok()?;
                at += digits;
                if matches!(escape, b'u' | b'U') {
                    let mut buffer = [0; 4];
                    raw.extend_from_slice(
                        char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes(),
                    );
                } else {
                    raw.push(u8::try_from(code).ok()?);
                }
            }
            byte => {
                raw.push(byte);
                at += 1;
            }
        }
    }
}

/// A string literal as Go's `strconv.Quote` writes it, so far as LogQL needs.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                quoted.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

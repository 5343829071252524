//! Syslog lines as files and relays hold them: RFC 5424, and RFC 3164 with or without priority.

use crate::model::Text;
use crate::pipeline::level;

use super::Places;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Old,
    New,
}

/// `<PRI>`: its value and where it ends.
fn priority(line: &str) -> Option<(u16, usize)> {
    let body = line.strip_prefix('<')?;
    let end = body.as_bytes().iter().take(4).position(|b| *b == b'>')?;
    let value: u16 = body.get(..end)?.parse().ok()?;
    (value <= 191).then_some((value, end + 2))
}

pub fn version(line: &str) -> Option<Version> {
    let (_, end) = priority(line)?;
    let rest = line.get(end..)?;
    if rest.starts_with("1 ") && parse_5424(line).is_some() {
        return Some(Version::New);
    }
    begins_with_date(rest).then_some(Version::Old)
}

/// `Nov 20 11:07:53 `.
pub fn begins_with_date(line: &str) -> bool {
    let shape = b"Aaa 00 00:00:00 ";
    line.as_bytes().get(..shape.len()).is_some_and(|head| {
        head.iter().zip(shape).enumerate().all(|(at, (byte, want))| match want {
            b'A' => byte.is_ascii_uppercase(),
            b'a' => byte.is_ascii_lowercase(),
            b'0' => byte.is_ascii_digit() || (at == 4 && *byte == b' '),
            other => byte == other,
        })
    })
}

pub fn parse_3164(line: &str) -> Option<Places> {
    let start = priority(line).map_or(0, |(_, end)| end);
    if !begins_with_date(line.get(start..)?) {
        return None;
    }
    let host_start = start + 16;
    let host_end = host_start + line.get(host_start..)?.find(' ')?;
    let tag_start = host_end + 1;
    let rest = line.get(tag_start..)?;
    let mut places: Places = vec![("time", start..start + 15), ("host", host_start..host_end)];
    // `app[pid]: message`; the tag may be missing.
    let message_start = match rest.find(": ") {
        Some(colon) if rest.get(..colon).is_some_and(|tag| !tag.contains(' ')) => {
            let tag = rest.get(..colon)?;
            let app_end = tag.find('[').unwrap_or(tag.len());
            places.push(("app", tag_start..tag_start + app_end));
            if app_end + 1 < tag.len() && tag.ends_with(']') {
                places.push(("pid", tag_start + app_end + 1..tag_start + tag.len() - 1));
            }
            tag_start + colon + 2
        }
        _ => tag_start,
    };
    places.push(("message", message_start..line.len()));
    Some(places)
}

pub fn parse_5424(line: &str) -> Option<Places> {
    let (_, end) = priority(line)?;
    line.get(end..)?.strip_prefix("1 ")?;
    let mut at = end + 2;
    let mut places: Places = Vec::with_capacity(7);
    for name in ["time", "host", "app", "pid", "msgid"] {
        let word_end = at + line.get(at..)?.find(' ')?;
        if line.get(at..word_end)? != "-" {
            places.push((name, at..word_end));
        }
        at = word_end + 1;
    }
    let data_end = structured_data_end(line, at)?;
    if line.get(at..data_end)? != "-" {
        places.push(("structured_data", at..data_end));
    }
    let mut message = (data_end + 1).min(line.len());
    if line.get(message..)?.starts_with('\u{feff}') {
        message += '\u{feff}'.len_utf8();
    }
    places.push(("message", message..line.len()));
    Some(places)
}

/// `-`, or elements in brackets in which a quoted `]` does not count.
fn structured_data_end(line: &str, at: usize) -> Option<usize> {
    let bytes = line.as_bytes();
    if bytes.get(at) == Some(&b'-') {
        return Some(at + 1);
    }
    let mut end = at;
    while bytes.get(end) == Some(&b'[') {
        let mut quoted = false;
        loop {
            end += 1;
            match *bytes.get(end)? {
                b'\\' => end += 1,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
        }
        end += 1;
    }
    (end > at).then_some(end)
}

/// From the priority's severity.
pub fn level(line: &str) -> Option<Text> {
    let (priority, _) = priority(line)?;
    Some(match priority & 7 {
        0 => level::FATAL,
        1 | 2 => level::CRITICAL,
        3 => level::ERROR,
        4 => level::WARN,
        5 | 6 => level::INFO,
        _ => level::DEBUG,
    })
}

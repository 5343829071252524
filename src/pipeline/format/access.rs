//! Access logs in the common and combined formats of Apache and nginx.

use crate::model::Text;
use crate::pipeline::level;

use super::Places;

/// Cheap look before parsing: `] "` and three digits after a quote.
pub fn fits(line: &str) -> bool {
    line.contains("] \"") && parse(line).is_some()
}

/// `host ident user [time] "request" status bytes "referer" "agent"`, the last two optional;
/// whatever a server adds behind is left alone.
pub fn parse(line: &str) -> Option<Places> {
    let mut places: Places = Vec::with_capacity(11);
    let host_end = line.find(' ')?;
    let bracket = line.find(" [")?;
    let user_start = line.get(host_end + 1..bracket)?.find(' ')? + host_end + 2;
    let time_end = line.get(bracket..)?.find("] \"")? + bracket;
    places.push(("remote_addr", 0..host_end));
    places.push(("remote_user", user_start..bracket));
    places.push(("time_local", bracket + 2..time_end));
    let request = quoted(line, time_end + 2)?;
    places.push(("request", request.clone()));
    let mut words = line.get(request.clone())?.splitn(3, ' ');
    let mut at = request.start;
    for name in ["method", "path", "protocol"] {
        let Some(word) = words.next() else { break };
        places.push((name, at..at + word.len()));
        at += word.len() + 1;
    }
    let status = request.end + 2..request.end + 5;
    if !line.get(status.clone())?.bytes().all(|b| b.is_ascii_digit())
        || line.as_bytes().get(request.end + 1) != Some(&b' ')
    {
        return None;
    }
    places.push(("status", status.clone()));
    let size_start = status.end + 1;
    let rest = line.get(size_start..).unwrap_or_default();
    let size_end = size_start + rest.find(' ').unwrap_or(rest.len());
    let size = line.get(size_start..size_end).unwrap_or_default();
    if !size.is_empty() && (size == "-" || size.bytes().all(|b| b.is_ascii_digit())) {
        places.push(("bytes", size_start..size_end));
        if let Some(referer) = quoted(line, size_end + 1) {
            places.push(("referer", referer.clone()));
            if let Some(agent) = quoted(line, referer.end + 2) {
                places.push(("user_agent", agent));
            }
        }
    }
    Some(places)
}

/// The place between a quote that stands here and the next one that is not escaped.
fn quoted(line: &str, at: usize) -> Option<std::ops::Range<usize>> {
    if line.as_bytes().get(at) != Some(&b'"') {
        return None;
    }
    let mut end = at + 1;
    loop {
        end += memchr::memchr2(b'"', b'\\', line.as_bytes().get(end..)?)?;
        if line.as_bytes().get(end) == Some(&b'"') {
            return Some(at + 1..end);
        }
        end += 2;
    }
}

/// Server faults are errors, client faults warnings.
pub fn level(line: &str) -> Option<Text> {
    let places = parse(line)?;
    let (_, status) = places.iter().find(|(name, _)| *name == "status")?;
    Some(match line.as_bytes().get(status.start)? {
        b'5' => level::ERROR,
        b'4' => level::WARN,
        _ => level::INFO,
    })
}

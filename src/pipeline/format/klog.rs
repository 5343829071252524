//! glog's header: `I1120 11:07:53.000001   12345 file.go:42] message`.

use crate::model::Text;
use crate::pipeline::level;

use super::Places;

pub fn fits(line: &str) -> bool {
    parse(line).is_some()
}

pub fn parse(line: &str) -> Option<Places> {
    let bytes = line.as_bytes();
    let shape = b"L0000 00:00:00.0";
    let head = bytes.get(..shape.len())?;
    let same = head.iter().zip(shape).all(|(byte, want)| match want {
        b'0' => byte.is_ascii_digit(),
        b'L' => matches!(byte, b'I' | b'W' | b'E' | b'F'),
        other => byte == other,
    });
    if !same {
        return None;
    }
    let time_end = line.get(6..)?.find(' ')? + 6;
    let bracket = line.get(time_end..)?.find("] ")? + time_end;
    let mut words = line.get(time_end..bracket)?.split_ascii_whitespace();
    let (pid, caller) = (words.next()?, words.next()?);
    if words.next().is_some() || !caller.contains(':') {
        return None;
    }
    let caller_start = bracket - caller.len();
    let pid_end = line.get(..caller_start)?.trim_end().len();
    Some(vec![
        ("severity", 0..1),
        ("time", 1..time_end),
        ("pid", pid_end - pid.len()..pid_end),
        ("caller", caller_start..bracket),
        ("message", bracket + 2..line.len()),
    ])
}

pub fn level(line: &str) -> Option<Text> {
    Some(match line.as_bytes().first()? {
        b'I' => level::INFO,
        b'W' => level::WARN,
        b'E' => level::ERROR,
        b'F' => level::FATAL,
        _ => return None,
    })
}

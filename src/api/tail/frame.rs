//! Frames of a tail in Loki's form.

use std::fmt::Write as _;

use super::outbox::Dropped;
use crate::api::encode;
use crate::query::{Categorize, LogRow, group_streams};

/// What frames look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Streams(Categorize),
    /// That of `/api/prom/tail`.
    Legacy,
}

/// One frame; each entry is a stream object of its own.
pub fn frame(rows: &[LogRow], form: Form, dropped: &Dropped) -> String {
    let mut out = String::from("{\"streams\":[");
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let Form::Streams(categorize) = form else {
            encode::legacy_group(&mut out, std::slice::from_ref(row), Categorize::No);
            continue;
        };
        out.push_str("{\"stream\":");
        for group in group_streams(std::slice::from_ref(row), categorize) {
            encode::pairs(&mut out, group.labels.iter().copied());
        }
        out.push_str(",\"values\":[");
        encode::entry(&mut out, row, categorize);
        out.push_str("]}");
    }
    out.push(']');
    if !dropped.is_empty() {
        tell_dropped(&mut out, dropped);
    }
    if form == Form::Streams(Categorize::Yes) {
        out.push_str(",\"encodingFlags\":[\"categorize-labels\"]");
    }
    out.push('}');
    out
}

/// Loki names each entry. Of those beyond the names there is a number, and another of those
/// that were never looked at, of which some may not have matched.
fn tell_dropped(out: &mut String, dropped: &Dropped) {
    out.push_str(",\"dropped_entries\":[");
    let mut first = true;
    let mut begin = |out: &mut String, ts: i64| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        let _ = write!(out, "{{\"timestamp\":\"{ts}\",\"labels\":");
    };
    for (ts, labels) in &dropped.named {
        begin(out, ts.0);
        encode::labels(out, labels);
        out.push('}');
    }
    if dropped.more > 0 {
        begin(out, dropped.more_until.0);
        let _ = write!(out, "{{\"dropped\":\"{}\"}}}}", dropped.more);
    }
    if dropped.unread > 0 {
        begin(out, 0);
        let _ = write!(out, "{{\"unread\":\"{}\"}}}}", dropped.unread);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Timestamp};

    #[test]
    fn frames_say_what_is_missing() {
        let dropped = Dropped {
            named: vec![
                (Timestamp(1), Labels::from_pairs([("a", "1")])),
                (Timestamp(2), Labels::from_pairs([("a", "2")])),
            ],
            more: 7,
            more_until: Timestamp(9),
            unread: 3,
        };
        assert_eq!(
            frame(&[], Form::Streams(Categorize::No), &dropped),
            concat!(
                r#"{"streams":[],"dropped_entries":[{"timestamp":"1","labels":{"a":"1"}},"#,
                r#"{"timestamp":"2","labels":{"a":"2"}},{"timestamp":"9","labels":{"dropped":"7"}},"#,
                r#"{"timestamp":"0","labels":{"unread":"3"}}]}"#
            )
        );
        assert_eq!(frame(&[], Form::Legacy, &Dropped::default()), r#"{"streams":[]}"#);
    }
}

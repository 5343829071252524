//! Log text in messages is written by strangers: it must not ping people, draw links or break
//! out of its block.

use serde_json::Value;

use super::notifier::Guard;

const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// For text of alerts in our own messages: nothing in it has a meaning.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("```") {
            out.push_str("'''");
            rest = &rest[3..];
            continue;
        }
        if rest.starts_with("://") {
            // Breaks the link that would be drawn, and previewed, otherwise.
            out.push(':');
            out.push(ZERO_WIDTH_SPACE);
            out.push_str("//");
            rest = &rest[3..];
            continue;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => {
                out.push('@');
                if is_broadcast(&rest[1..]) {
                    out.push(ZERO_WIDTH_SPACE);
                }
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// The same on one line, no longer than so many characters.
pub(super) fn line(text: &str, chars_max: usize) -> String {
    let flat = text.replace(['\r', '\n'], " ");
    plain(&cut(flat.trim(), chars_max))
}

/// For values in users' own templates: their markup is theirs, but no value may ping people.
pub(super) fn no_mentions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == '<' && after.starts_with(['!', '@', '#']) {
            out.push_str("&lt;");
        } else {
            out.push(c);
            if c == '@' && is_broadcast(after) {
                out.push(ZERO_WIDTH_SPACE);
            }
        }
        rest = after;
    }
    out
}

fn is_broadcast(after_at: &str) -> bool {
    ["channel", "here", "everyone", "group"].iter().any(|word| {
        after_at.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    })
}

pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => {
            let mut short: String = text.chars().take(chars_max.saturating_sub(3)).collect();
            short.push_str("...");
            short
        }
    }
}

/// A link, if the address is one; the address cannot break out of it.
pub(super) fn link(url: &str, name: &str) -> Option<String> {
    let is_safe = (url.starts_with("http://") || url.starts_with("https://"))
        && !url.contains(['<', '>', '|', '\n', ' ', '"']);
    is_safe.then(|| format!("<{}|{name}>", url.replace('&', "&amp;")))
}

/// Fields that are ours and hold no text of others; the guard would take their digits for
/// numbers of persons.
const OWN_FIELDS: [&str; 10] = [
    "fingerprint",
    "startsAt",
    "endsAt",
    "version",
    "status",
    "color",
    "time",
    "eventId",
    "mrkdwn_in",
    "channel",
];

/// Runs the guard over each text of a payload.
pub(super) fn guard_json(value: &mut Value, guard: &Guard) {
    match value {
        Value::String(text) => *text = guard(text),
        Value::Array(items) => items.iter_mut().for_each(|item| guard_json(item, guard)),
        Value::Object(map) => {
            for (name, item) in map.iter_mut() {
                if !OWN_FIELDS.contains(&name.as_str()) {
                    guard_json(item, guard);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_text_has_no_power() {
        assert_eq!(plain("a<b>&c <!here> <@U1>"), "a&lt;b&gt;&amp;c &lt;!here&gt; &lt;@U1&gt;");
        assert_eq!(plain("@Channel @here @bob"), "@\u{200b}Channel @\u{200b}here @bob");
        assert_eq!(plain("x ```\ny"), "x '''\ny");
        assert_eq!(plain("see https://evil/x"), "see https:\u{200b}//evil/x");
        assert_eq!(plain("a\u{1b}[31mb\0"), "a[31mb");
        assert_eq!(line("a\nb\r\nc", 99), "a b  c");
        assert_eq!(line("abcdefgh", 6), "abc...");
        assert_eq!(
            no_mentions("<https://a|b> <!here> @everyone"),
            "<https://a|b> &lt;!here> @\u{200b}everyone"
        );
        assert_eq!(link("https://a/?x=1&y=2", "q").unwrap(), "<https://a/?x=1&amp;y=2|q>");
        assert_eq!(link("javascript:x", "q"), None);
        assert_eq!(link("https://a|b>", "q"), None);
    }
}

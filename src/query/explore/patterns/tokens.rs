//! A line cut into words and what stands between them. Of JSON and logfmt a value is one word,
//! however many spaces it holds; only the message is cut further.

use crate::query::stage::json_scan::{self, Kind};

/// Fields that hold what a person wrote, in Loki's order.
pub const MESSAGE_KEYS: [&str; 6] = ["log", "message", "msg", "msg_", "_msg", "content"];
/// Longer lines are rarely texts that repeat.
const WORDS_MAX: usize = 100;

/// `gaps[0] words[0] gaps[1] ... gaps[n]`
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tokens<'a> {
    /// `None` where the text is another one in every line.
    pub words: Vec<Option<&'a str>>,
    pub gaps: Vec<&'a str>,
    /// The words that say what kind of line it is: from, to.
    pub telling: (usize, usize),
}

impl<'a> Tokens<'a> {
    pub fn of(line: &'a str) -> Option<Tokens<'a>> {
        let tokens = if line.starts_with('{') { json(line) } else { logfmt(line) };
        let tokens = tokens.or_else(|| text(line))?;
        (!tokens.words.is_empty() && tokens.words.len() <= WORDS_MAX).then_some(tokens)
    }

    /// A value of a field as one word, unless it is a text of its own that hardly repeats.
    fn value(&mut self, gap: &'a str, value: &'a str) {
        self.gaps.push(gap);
        let repeats = !varies(value) && !value.contains(is_gap);
        self.words.push(repeats.then_some(value));
    }

    /// The words of a message; gives where in `line` the last of them ends.
    fn message(&mut self, line: &'a str, from: usize, start: usize, end: usize) -> usize {
        let first = self.words.len();
        let mut done = from;
        let mut at = start;
        while let Some((word_start, word_end)) = next_word(line, at, end) {
            self.gaps.push(line.get(done..word_start).unwrap_or_default());
            self.words.push(line.get(word_start..word_end));
            (done, at) = (word_end, word_end);
            if self.words.len() > WORDS_MAX {
                break;
            }
        }
        self.telling = (first, self.words.len());
        done
    }
}

/// Whether a word is likely to be another one in the next line.
pub fn varies(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || "=,;()[]{}<>\"'|&?".contains(c)
}

/// Where the next word of `line[at..end]` stands.
fn next_word(line: &str, at: usize, end: usize) -> Option<(usize, usize)> {
    let rest = line.get(at..end)?;
    // A colon beside a gap belongs to it: `"status":200`, `error: no`. Others are part of times
    // and addresses.
    let start = rest.find(|c| !is_gap(c) && c != ':')?;
    let word = rest.get(start..)?;
    let word = word.get(..word.find(is_gap).unwrap_or(word.len()))?.trim_end_matches(':');
    Some((at + start, at + start + word.len()))
}

fn text(line: &str) -> Option<Tokens<'_>> {
    let mut tokens = Tokens::default();
    let done = tokens.message(line, 0, 0, line.len());
    tokens.gaps.push(line.get(done..)?);
    Some(tokens)
}

/// `None` when it is not one object that can be walked through.
fn json(line: &str) -> Option<Tokens<'_>> {
    let bytes = line.as_bytes();
    let mut tokens = Tokens::default();
    let (mut done, mut at, mut depth) = (0, 0, 0_usize);
    let mut has_message = false;
    while let Some((here, byte)) = json_scan::next_token(bytes, at) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.checked_sub(1)?,
            b',' => {}
            b'"' => {
                let (key_end, _) = json_scan::string_end(bytes, here + 1)?;
                let key = line.get(here + 1..key_end)?;
                let (colon, _) =
                    json_scan::next_token(bytes, key_end + 1).filter(|(_, c)| *c == b':')?;
                let value = json_scan::value(bytes, colon + 1).ok()?;
                if value.kind == Kind::Object {
                    at = value.start;
                    continue;
                }
                let is_message = depth == 1 && !has_message && MESSAGE_KEYS.contains(&key);
                if is_message && value.kind == Kind::String {
                    has_message = true;
                    done = tokens.message(line, done, value.start, value.end);
                } else if value.kind != Kind::Null && value.end > value.start {
                    tokens.value(line.get(done..value.start)?, line.get(value.start..value.end)?);
                    done = value.end;
                }
                if tokens.words.len() > WORDS_MAX {
                    return Some(tokens);
                }
                at = value.next;
                continue;
            }
            _ => return None,
        }
        at = here + 1;
    }
    tokens.gaps.push(line.get(done..)?);
    (depth == 0).then_some(tokens)
}

/// `None` when it does not begin with `key=` or has more loose words than pairs.
fn logfmt(line: &str) -> Option<Tokens<'_>> {
    let mut tokens = Tokens::default();
    let (mut done, mut at) = (0, 0);
    let (mut pairs, mut loose) = (0, 0);
    let mut has_message = false;
    loop {
        at += line.get(at..)?.find(|c: char| c != ' ').unwrap_or(line.len() - at);
        let rest = line.get(at..)?;
        if rest.is_empty() {
            break;
        }
        let key_len = rest.find([' ', '=', '"']).unwrap_or(rest.len());
        if key_len == 0 || !rest.get(key_len..)?.starts_with('=') {
            loose += 1;
            let end = at + key_len.max(1);
            if loose > pairs || !line.is_char_boundary(end) {
                return None;
            }
            at = end;
            continue;
        }
        pairs += 1;
        let key = rest.get(..key_len)?;
        let start = at + key_len + 1;
        let (start, end, next) = match line.get(start..)?.strip_prefix('"') {
            Some(_) => {
                let (end, _) = json_scan::string_end(line.as_bytes(), start + 1)?;
                (start + 1, end, end + 1)
            }
            None => {
                let value = line.get(start..)?;
                let end = start + value.find(' ').unwrap_or(value.len());
                (start, end, end)
            }
        };
        if !has_message && MESSAGE_KEYS.contains(&key) {
            has_message = true;
            done = tokens.message(line, done, start, end);
        } else if end > start {
            tokens.value(line.get(done..start)?, line.get(start..end)?);
            done = end;
        }
        at = next;
        if tokens.words.len() > WORDS_MAX {
            return Some(tokens);
        }
    }
    tokens.gaps.push(line.get(done..)?);
    (pairs > 1).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &[Option<&str>], telling: &[&str]) {
        let tokens = Tokens::of(line).unwrap();
        assert_eq!(tokens.words, expect, "{line}");
        assert_eq!(tokens.gaps.len(), tokens.words.len() + 1, "{line}");
        let (from, to) = tokens.telling;
        let told: Vec<&str> = tokens.words[from..to].iter().flatten().copied().collect();
        assert_eq!(told, telling, "{line}");
        if tokens.words.iter().all(Option::is_some) {
            let mut whole = tokens.gaps[0].to_owned();
            for (word, gap) in tokens.words.iter().zip(&tokens.gaps[1..]) {
                whole.push_str(word.unwrap());
                whole.push_str(gap);
            }
            assert_eq!(whole, line);
        }
    }

    #[test]
    fn words_of_lines() {
        check(
            "error: no such file",
            &[Some("error"), Some("no"), Some("such"), Some("file")],
            &["error", "no", "such", "file"],
        );
        check(
            r#"{"level":"info","msg":"took long","http":{"path":"/a b"},"n":12,"t":[1,{"a":2}],"z":null}"#,
            &[Some("info"), Some("took"), Some("long"), None, None, None],
            &["took", "long"],
        );
        check(
            r#"ts=12 level=info msg="queue full" job=sync empty= flag"#,
            &[None, Some("info"), Some("queue"), Some("full"), Some("sync")],
            &["queue", "full"],
        );
        check(
            "a=b and some more words",
            &[Some("a"), Some("b"), Some("and"), Some("some"), Some("more"), Some("words")],
            &["a", "b", "and", "some", "more", "words"],
        );
        check(r#"{"a":"b""#, &[Some("a"), Some("b")], &["a", "b"]);
        assert_eq!(Tokens::of("  "), None);
        assert_eq!(Tokens::of(""), None);
    }

    #[test]
    fn broken_lines_are_texts() {
        for line in [
            "{",
            "{\"a\":",
            "{\"a\" 1}",
            "a=\"b",
            "a=b c=\"d",
            "é=ü é=\"",
            "{}}",
            "=",
            "\"",
            "a= =b é",
        ] {
            let _ = Tokens::of(line);
        }
    }
}

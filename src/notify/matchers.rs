//! Matchers as Alertmanager writes them: `severity="critical"`, `env=~prod.*, team!=""`.

use crate::model::{MatchOp, Matcher};
use crate::text::re2;

/// Reads one or more matchers, separated by commas, in braces or not.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let mut rest = text.trim();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner
            .strip_suffix('}')
            .ok_or_else(|| format!("matcher {text:?} has an opening brace without a closing one"))?
            .trim();
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (matcher, after) = one(rest).map_err(|what| format!("matcher {text:?}: {what}"))?;
        found.push(matcher);
        rest = after.trim_start();
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim_start();
        } else if !rest.is_empty() {
            return Err(format!("matcher {text:?}: expected a comma before {rest:?}"));
        }
    }
    Ok(found)
}

fn one(text: &str) -> Result<(Matcher, &str), String> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(body) => quoted(body).ok_or("the quoted name is not closed")?,
        None => {
            let end = text.find(['=', '!', '~', ',']).unwrap_or(text.len());
            (text[..end].trim().to_owned(), &text[end..])
        }
    };
    if name.is_empty() {
        return Err("the label name is missing".to_owned());
    }
    let rest = rest.trim_start();
    let (op, rest) =
        [("=~", MatchOp::Re), ("!~", MatchOp::Nre), ("!=", MatchOp::Neq), ("=", MatchOp::Eq)]
            .iter()
            .find_map(|(sign, op)| rest.strip_prefix(sign).map(|rest| (*op, rest)))
            .ok_or("expected =, !=, =~ or !~ behind the name")?;
    let rest = rest.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(body) => quoted(body).ok_or("the quoted value is not closed")?,
        None => {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].trim().to_owned(), &rest[end..])
        }
    };
    Ok((matcher(&name, op, &value)?, rest))
}

/// Up to the closing quote. A backslash before anything but `n`, `"` and itself stays, so
/// that regexes need not be escaped twice.
fn quoted(body: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &body[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

/// Builds one matcher; regexes are anchored at both ends.
pub fn matcher(name: &str, op: MatchOp, value: &str) -> Result<Matcher, String> {
    match op {
        MatchOp::Eq | MatchOp::Neq => Ok(Matcher::text(name, op, value)),
        MatchOp::Re | MatchOp::Nre => {
            let regex = re2::compile_anchored(value)
                .map_err(|error| format!("label {name:?}: regex {value:?}: {error}"))?;
            Ok(Matcher::regex(name, op, value, regex))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let shown = match parse_matchers(text) {
            Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" & "),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn reads_both_spellings() {
        check(r#"severity="critical""#, r#"severity="critical""#);
        check("severity = critical", r#"severity="critical""#);
        check(r#"{a=~"x|y", b!~z.*,c!=""}"#, r#"a=~"x|y" & b!~"z.*" & c!="""#);
        check(r#"a=~"\d+\.com""#, r#"a=~"\\d+\\.com""#);
        check(r#""service.name"="a,b", c="d""#, r#"service.name="a,b" & c="d""#);
        check("", "");
        check("{}", "");
        check("a", r#"error: matcher "a": expected =, !=, =~ or !~ behind the name"#);
        check("=x", r#"error: matcher "=x": the label name is missing"#);
        check(r#"a="x"#, "error: matcher \"a=\\\"x\": the quoted value is not closed");
        check(
            r#"{a="x""#,
            "error: matcher \"{a=\\\"x\\\"\" has an opening brace without a closing one",
        );
        assert!(parse_matchers("a=~(").is_err());
    }
}

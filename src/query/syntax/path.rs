//! The paths of `| json a="x.y[0][\"k\"]"` and the keys of `| logfmt a="k"`.

use crate::limits::JSON_PATH_STEPS_MAX;

/// A step of a JSON path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// A member of an object.
    Key(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// Parses `servers[0].name`, `["user.name"]`, `a["b"].c`.
pub fn json_path(text: &str) -> Result<Vec<PathStep>, String> {
    let mut rest = skip_blank(text);
    let mut steps = Vec::new();
    if rest.is_empty() {
        return Err("syntax error: unexpected $end, expecting LSB or FIELD".to_owned());
    }
    while !rest.is_empty() {
        // A line that is as deep is walked with a frame of the stack for each step.
        if steps.len() == JSON_PATH_STEPS_MAX {
            return Err(format!("more than {JSON_PATH_STEPS_MAX} steps"));
        }
        let after = if let Some(inner) = rest.strip_prefix('[') {
            let (step, after) = bracket(skip_blank(inner))?;
            steps.push(step);
            after
        } else {
            let dotless = match rest.strip_prefix('.') {
                Some(_) if steps.is_empty() => None,
                Some(after_dot) => Some(skip_blank(after_dot)),
                None if steps.is_empty() => Some(rest),
                None => None,
            };
            let Some((name, after)) = dotless.and_then(field) else {
                return Err(unexpected(dotless.unwrap_or(rest)));
            };
            steps.push(PathStep::Key(name.to_owned()));
            after
        };
        rest = skip_blank(after);
    }
    Ok(steps)
}

/// The inside of `["key"]` or `[0]`, and what is behind the bracket.
fn bracket(inner: &str) -> Result<(PathStep, &str), String> {
    let (step, after) = if let Some(body) = inner.strip_prefix('"') {
        let (key, after) = body.split_once('"').ok_or("syntax error: unexpected $end")?;
        (PathStep::Key(key.to_owned()), after)
    } else {
        let len = inner.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = inner.split_at(len);
        if digits.is_empty() {
            return Err(unexpected(inner));
        }
        if after.starts_with('.') {
            return Err("cannot use float as array index".to_owned());
        }
        let index = digits.parse().map_err(|_| format!("array index {digits} is too large"))?;
        (PathStep::Index(index), after)
    };
    let after = skip_blank(after);
    match after.strip_prefix(']') {
        Some(behind) => Ok((step, behind)),
        None => Err(unexpected(after)),
    }
}

/// Parses the key of a logfmt field: a bare name or a quoted one.
pub fn logfmt_key(text: &str) -> Result<String, String> {
    let text = skip_blank(text);
    let (key, after) = if let Some(body) = text.strip_prefix('"') {
        body.split_once('"').ok_or("syntax error: unexpected $end")?
    } else {
        field(text).ok_or_else(|| unexpected(text))?
    };
    let after = skip_blank(after);
    if after.is_empty() { Ok(key.to_owned()) } else { Err(unexpected(after)) }
}

fn field(text: &str) -> Option<(&str, &str)> {
    let starts_well = text.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    let len = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    starts_well.then(|| text.split_at(len))
}

fn unexpected(at: &str) -> String {
    match at.chars().next() {
        Some(c) => format!("unexpected char {c}"),
        None => "syntax error: unexpected $end".to_owned(),
    }
}

fn skip_blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n'])
}

//! `${NAME}` and `${NAME:-default}` in configuration text.

use super::Diagnostic;

/// A variable that is not set, or a `${` that is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvError {
    line: usize,
    column: usize,
    message: String,
}

impl EnvError {
    pub fn in_file(self, file: &str) -> Diagnostic {
        Diagnostic::new(file, self.line, self.column, self.message)
    }
}

/// Expands variables. `$$` is a dollar sign; comments are left alone, so that a commented
/// example does not demand a variable.
pub fn expand_env(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, EnvError> {
    let mut expanded = String::with_capacity(text.len());
    for (line_at, line) in text.split_inclusive('\n').enumerate() {
        let mut rest = line;
        while let Some(dollar) = rest.find('$') {
            let column = line.len() - rest.len() + dollar + 1;
            let before = &rest[..dollar];
            let in_comment = line[..column - 1]
                .find('#')
                .is_some_and(|at| at == 0 || line[..at].ends_with([' ', '\t']));
            if in_comment {
                break;
            }
            expanded.push_str(before);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$$") {
                expanded.push('$');
                rest = after;
            } else if let Some(body) = rest.strip_prefix("${") {
                let fault = |message: String| EnvError { line: line_at + 1, column, message };
                let end = body.find('}').ok_or_else(|| fault("\"${\" is not closed".to_owned()))?;
                let (name, default) = match body[..end].split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (&body[..end], None),
                };
                let value = lookup(name).filter(|v| !v.is_empty() || default.is_none());
                match (value, default) {
                    (Some(value), _) => expanded.push_str(&value),
                    (None, Some(default)) => expanded.push_str(default),
                    (None, None) => {
                        return Err(fault(format!(
                            "environment variable {name} is not set; set it or write ${{{name}:-default}}"
                        )));
                    }
                }
                rest = &body[end + 1..];
            } else {
                expanded.push('$');
                rest = &rest[1..];
            }
        }
        expanded.push_str(rest);
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let shown = match expand_env(text, &lookup) {
            Ok(text) => text,
            Err(error) => error.in_file("f").to_string(),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn expands() {
        check("a: ${A} ${B:-x} ${EMPTY:-y} $$ $1", "a: 1 x y $ $1");
        check("a: ${A:-x}\n# ${B}\nb: \"#${A}\"", "a: 1\n# ${B}\nb: \"#1\"");
        check(
            "x: 1\ny: ${B}",
            "f:2:4: environment variable B is not set; set it or write ${B:-default}",
        );
        check("x: ${B", "f:1:4: \"${\" is not closed");
    }
}

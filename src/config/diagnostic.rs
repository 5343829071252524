//! Errors in configuration files: where, what, and what was probably meant.

use std::fmt;

/// A fault in a file, shown as `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: String,
    /// From 1; 0 when the place is not known.
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl Diagnostic {
    pub fn new(file: &str, line: usize, column: usize, message: impl Into<String>) -> Self {
        Diagnostic { file: file.to_owned(), line, column, message: message.into() }
    }

    /// A fault at a value that was read as `Spanned`.
    pub fn at<T>(
        file: &str,
        spanned: &serde_saphyr::Spanned<T>,
        message: impl Into<String>,
    ) -> Self {
        let place = spanned.referenced;
        Diagnostic::new(file, to_usize(place.line()), to_usize(place.column()), message)
    }

    pub(super) fn from_yaml(file: &str, error: &serde_saphyr::Error) -> Self {
        let error = error.without_snippet();
        let (line, column) = error
            .location()
            .map_or((0, 0), |place| (to_usize(place.line()), to_usize(place.column())));
        let message = match error {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
                unknown("key", field, expected)
            }
            serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
                unknown("value", variant, expected)
            }
            other => {
                let text = other.to_string();
                // The crate adds its own " at line 1, column 2"; ours stands in front.
                text.split(" at line ").next().unwrap_or(&text).to_owned()
            }
        };
        Diagnostic::new(file, line, column, message)
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// `unknown key "lables"; did you mean "labels"?`
pub fn unknown(what: &str, given: &str, expected: &[&str]) -> String {
    let nearest = expected
        .iter()
        .map(|name| (edit_distance(given, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len().max(given.len()) / 3);
    match nearest {
        Some((_, name)) => format!("unknown {what} {given:?}; did you mean {name:?}?"),
        None if expected.is_empty() => format!("unknown {what} {given:?}; none is allowed here"),
        None => format!("unknown {what} {given:?}; known here: {}", expected.join(", ")),
    }
}

/// Levenshtein distance, ignoring case.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().take(64).collect();
    let b: Vec<char> = b.to_lowercase().chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
        }
    }
}

impl std::error::Error for Diagnostic {}

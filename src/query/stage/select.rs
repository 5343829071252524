//! `| drop a, b="v"` and `| keep a, b=~"v.*"`.

use crate::model::Matcher;
use crate::query::syntax::ast::LabelTarget;

use super::compile::Pinned;
use super::names::NameId;
use super::row::{ERROR, ERROR_DETAILS, Row};

/// A label, or a label with a certain value.
#[derive(Debug, Clone)]
struct Target {
    what: What,
    matcher: Option<Matcher>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Label(NameId),
    Error,
    ErrorDetails,
}

impl Target {
    fn compile(syntax: &LabelTarget, pinned: &mut Pinned) -> Self {
        let (name, matcher) = match syntax {
            LabelTarget::Name(name) => (name, None),
            LabelTarget::Matcher(matcher) => (&matcher.name, Some(matcher.clone())),
        };
        let what = match name.as_str() {
            ERROR => What::Error,
            ERROR_DETAILS => What::ErrorDetails,
            _ => What::Label(pinned.id(name)),
        };
        Target { what, matcher }
    }

    fn fits(&self, value: &str) -> bool {
        self.matcher.as_ref().is_none_or(|matcher| matcher.matches(value))
    }
}

/// Removes labels.
#[derive(Debug, Clone)]
pub struct Drop(Vec<Target>);

impl Drop {
    pub(super) fn compile(targets: &[LabelTarget], pinned: &mut Pinned) -> Self {
        Drop(targets.iter().map(|target| Target::compile(target, pinned)).collect())
    }

    pub(super) fn run(&self, row: &mut Row<'_>) {
        for target in &self.0 {
            match target.what {
                What::Error if target.fits(row.error().unwrap_or_default()) => row.clear_error(),
                What::ErrorDetails if target.fits(row.error_details()) => {
                    row.clear_error_details();
                }
                What::Label(name) if target.fits(row.value(name).unwrap_or_default()) => {
                    row.remove(name);
                }
                What::Label(_) | What::Error | What::ErrorDetails => {}
            }
        }
    }
}

/// Removes all labels but these; the error labels always stay.
#[derive(Debug, Clone)]
pub struct Keep(Vec<Target>);

impl Keep {
    pub(super) fn compile(targets: &[LabelTarget], pinned: &mut Pinned) -> Self {
        Keep(targets.iter().map(|target| Target::compile(target, pinned)).collect())
    }

    pub(super) fn run(&self, row: &mut Row<'_>) {
        row.retain(|name, value| {
            self.0.iter().any(|target| target.what == What::Label(name) && target.fits(value))
        });
    }
}

//! Go's text/template: parsing and rendering, with the functions that Loki, Promtail,
//! Prometheus rules and Alertmanager offer.

mod ast;
mod error;
mod exec;
mod float;
mod funcs;
mod lex;
mod methods;
mod parse;
mod print;
mod printf;
mod sha3;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use crate::text::re2::Budget;

pub use error::TemplateError;
pub use value::{Object, Value};

/// Which functions a template may call. Unknown functions are an error when parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functions {
    /// LogQL `line_format` and `label_format`; `__line__` and `__timestamp__` read from the data.
    LogQl,
    /// Promtail's `template` and `replace` stages.
    Promtail,
    /// Annotations of Prometheus and Loki rules (`$labels`, `$value`, humanize...).
    Rule,
    /// Alertmanager's notification templates.
    Notification,
}

/// A parsed template. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Template {
    source: Arc<str>,
    tree: exec::SharedTree,
}

impl Template {
    pub fn parse(source: &str, functions: Functions) -> Result<Template, TemplateError> {
        Template::parse_with(&[], source, functions)
    }

    /// The same for a template that is one of several in a query, with what its regexes may
    /// still come to.
    pub fn parse_within(
        source: &str,
        functions: Functions,
        regexes: &mut Budget,
    ) -> Result<Template, TemplateError> {
        let tree = Arc::new(parse::parse(&[], source, functions, regexes)?);
        Ok(Template { source: source.into(), tree })
    }

    /// The same with the templates that are defined in `library` at hand.
    pub fn parse_with(
        library: &[String],
        source: &str,
        functions: Functions,
    ) -> Result<Template, TemplateError> {
        let tree = Arc::new(parse::parse(library, source, functions, &mut Budget::default())?);
        Ok(Template { source: source.into(), tree })
    }

    /// Renders with `.` set to `data`. A missing map key or field renders as nothing.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        let mut out = String::new();
        self.render_into(data, &mut out)?;
        Ok(out)
    }

    /// Appends to a buffer that the caller reuses; for hot paths. After an error the buffer
    /// is as it was.
    pub fn render_into(&self, data: &Value, out: &mut String) -> Result<(), TemplateError> {
        exec::run(&self.tree, data, out)
    }

    pub fn source(&self) -> &str {
        &self.source
    }
}

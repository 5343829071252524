//! Labels and annotations of rules: plain text or Go templates over one sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits::{RULE_ANNOTATION_BYTES_MAX, RULE_LABEL_BYTES_MAX};
use crate::model::{Labels, Text};
use crate::text::template::{Functions, Template, TemplateError, Value};

/// What Prometheus puts in front of every rule template.
const PRELUDE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                       {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// A label or annotation of a rule.
#[derive(Debug, Clone)]
pub struct RuleText {
    source: String,
    /// `None` for text without actions, which is most of it.
    template: Option<Template>,
}

impl RuleText {
    pub fn parse(source: &str) -> Result<RuleText, TemplateError> {
        let template = if source.contains("{{") {
            let whole = format!("{PRELUDE}{source}");
            Some(Template::parse(&whole, Functions::Rule).map_err(|error| TemplateError {
                message: error.message,
                offset: error.offset.saturating_sub(PRELUDE.len()),
            })?)
        } else {
            None
        };
        Ok(RuleText { source: source.to_owned(), template })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether an action reads the sample's value: as a label it would make a new alert of
    /// every change, which would never get out of pending.
    pub fn uses_value(&self) -> bool {
        self.source.split("{{").skip(1).any(|rest| {
            let action = rest.split("}}").next().unwrap_or(rest);
            action.contains("$value") || action.contains(".Value")
        })
    }

    /// A template that fails shows its error and does not keep the alert from firing.
    fn render(&self, name: &str, data: &Value) -> String {
        match &self.template {
            None => self.source.clone(),
            Some(template) => template
                .render(data)
                .unwrap_or_else(|error| format!("<error expanding template {name}: {error}>")),
        }
    }
}

/// What is the same for all samples.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub external_url: String,
    pub external_labels: Labels,
}

/// The data of one sample's templates.
pub fn data(series: &Labels, value: f64, around: &Surroundings) -> Value {
    let fields = [
        ("Labels", label_map(series)),
        ("Value", Value::Float(value)),
        ("ExternalLabels", label_map(&around.external_labels)),
        ("ExternalURL", Value::Str(Text::from(around.external_url.as_str()))),
    ];
    Value::Map(Arc::new(fields.map(|(name, value)| (name.to_owned(), value)).into()))
}

fn label_map(labels: &Labels) -> Value {
    let map: BTreeMap<String, Value> =
        labels.iter().map(|(name, value)| (name.to_owned(), Value::Str(value.into()))).collect();
    Value::Map(Arc::new(map))
}

/// The final labels: the sample's, then the rule's, which win, then the name.
pub fn render_labels(
    series: &Labels,
    texts: &[(String, RuleText)],
    data: &Value,
    last: (&str, &str),
) -> Labels {
    let rendered = texts
        .iter()
        .map(|(name, text)| (name.clone(), cut(text.render(name, data), RULE_LABEL_BYTES_MAX)));
    let series = series
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let last = [(last.0.to_owned(), last.1.to_owned())];
    Labels::from_pairs(series.chain(rendered).chain(last))
}

pub fn render_annotations(texts: &[(String, RuleText)], data: &Value) -> Labels {
    Labels::from_pairs(texts.iter().map(|(name, text)| {
        (name.clone(), cut(text.render(name, data), RULE_ANNOTATION_BYTES_MAX))
    }))
}

/// Cuts at a character boundary.
pub fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

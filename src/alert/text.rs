//! Labels and annotations of rules: plain text or Go templates over one sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits::{RULE_ANNOTATION_BYTES_MAX, RULE_LABEL_BYTES_MAX};
use crate::model::{Labels, Text};
use crate::text::template::{Functions, Template, TemplateError, Value};

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
            Some(Template::parse(source, Functions::Rule)?)
        } else {
            None
        };
        Ok(RuleText { source: source.to_owned(), template })
    }

    /// Text that is no template, whatever it holds.
    pub fn plain(text: &str) -> RuleText {
        RuleText { source: text.to_owned(), template: None }
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
    // A label that the series has empty stays, as it tells alerts apart; one that the rule makes
    // empty is taken away.
    rendered
        .fold(Labels::of_series(series), |labels, (name, value)| labels.with(&name, &value))
        .with(last.0, last.1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expect: &str) {
        let around = Surroundings {
            external_url: "https://logs.test".to_owned(),
            external_labels: Labels::from_pairs([("site", "berlin")]),
        };
        let series = Labels::from_pairs([("service_name", "api")]);
        let text = RuleText::parse(source).unwrap();
        assert_eq!(text.render("summary", &data(&series, 1234.5, &around)), expect);
    }

    #[test]
    fn renders() {
        check("plain", "plain");
        check("{{ $labels.service_name }}{{ $labels.host }}: {{ $value }}", "api: 1234.5");
        check("{{ .Labels.service_name }} {{ .Value | humanize }}", "api 1.234k");
        check("{{ $externalLabels.site }} {{ $externalURL }}", "berlin https://logs.test");
        check("{{ range $k, $v := $labels }}{{ $k }}={{ $v }}{{ end }}", "service_name=api");
        check(
            "{{ template \"none\" }}",
            "<error expanding template summary: template \"none\" not defined>",
        );
    }

    #[test]
    fn finds_values_in_labels() {
        for (source, expect) in [
            ("{{ $value }}", true),
            ("{{ printf \"%.0f\" .Value }}", true),
            ("{{ $labels.value }} $value", false),
            ("costs $value", false),
        ] {
            assert_eq!(RuleText::parse(source).unwrap().uses_value(), expect, "{source}");
        }
    }

    #[test]
    fn final_labels() {
        let series = Labels::from_pairs([("__name__", "x"), ("job", "a"), ("severity", "low")]);
        let texts = [("severity".to_owned(), RuleText::parse("high {{ $labels.job }}").unwrap())];
        let data = data(&series, 1.0, &Surroundings::default());
        let labels = render_labels(&series, &texts, &data, ("alertname", "X"));
        assert_eq!(labels.to_string(), r#"{alertname="X", job="a", severity="high a"}"#);
    }

    #[test]
    fn cuts_at_characters() {
        assert_eq!(cut("aéb".to_owned(), 2), "a");
        assert_eq!(cut("aéb".to_owned(), 3), "aé");
        assert_eq!(cut("aéb".to_owned(), 4), "aéb");
    }
}

//! Alertmanager's data model for templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outbox::Job;
use super::state::fingerprint;
use crate::model::{Alert, Labels, Timestamp};
use crate::text::gotime::{ZERO_TIME, Zone};
use crate::text::template::{Object, Value};

/// The templates that Alertmanager defines; users refer to them by these names.
pub(super) const DEFAULT_TEMPLATES: &str = include_str!("default.tmpl");

/// Makes a value of a label or annotation safe for the service it goes to.
pub(super) type Clean = fn(&str) -> String;

/// What a template sees as `.`.
#[derive(Debug)]
pub(super) struct Data {
    fields: BTreeMap<&'static str, Value>,
}

impl Data {
    pub fn new(job: &Job, external_url: &str, clean: Clean) -> Data {
        let pairs = |map: &BTreeMap<String, String>| {
            Kv::value(map.iter().map(|(name, value)| (name.as_str(), value.as_str())), clean)
        };
        let is_firing = job.alerts.iter().any(|alert| !alert.is_resolved());
        let fields = BTreeMap::from([
            ("Receiver", Value::from(job.receiver.as_str())),
            ("Status", if is_firing { "firing" } else { "resolved" }.into()),
            ("Alerts", Value::object(Alerts::new(&job.alerts, clean))),
            ("GroupLabels", pairs(&job.group_labels)),
            ("CommonLabels", Kv::value(common(&job.alerts, |alert| &alert.labels).iter(), clean)),
            (
                "CommonAnnotations",
                Kv::value(common(&job.alerts, |alert| &alert.annotations).iter(), clean),
            ),
            ("RouteLabels", pairs(&job.route_labels)),
            ("ExternalURL", external_url.into()),
            ("GroupKey", job.group_key.as_str().into()),
            ("NotificationReason", job.reason.as_str().into()),
            ("TruncatedAlerts", Value::Int(i64::try_from(job.more).unwrap_or(i64::MAX))),
        ]);
        Data { fields }
    }
}

impl Object for Data {
    fn field(&self, name: &str) -> Option<Value> {
        self.fields.get(name).cloned()
    }

    fn to_value(&self) -> Value {
        Value::map(self.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
    }
}

/// What all alerts agree on.
pub(super) fn common(alerts: &[Arc<Alert>], of: fn(&Alert) -> &Labels) -> Labels {
    let Some((first, others)) = alerts.split_first() else { return Labels::default() };
    Labels::from_pairs(
        of(first)
            .iter()
            .filter(|(name, value)| others.iter().all(|other| of(other).get(name) == Some(value))),
    )
}

/// `.Alerts`: a list with `.Firing` and `.Resolved`.
#[derive(Debug)]
struct Alerts {
    all: Arc<Vec<Value>>,
    firing: Arc<Vec<Value>>,
    resolved: Arc<Vec<Value>>,
}

impl Alerts {
    fn new(alerts: &[Arc<Alert>], clean: Clean) -> Alerts {
        let part = |wanted: fn(&Alert) -> bool| {
            Arc::new(
                alerts
                    .iter()
                    .filter(|alert| wanted(alert))
                    .map(|alert| one(alert, clean))
                    .collect::<Vec<_>>(),
            )
        };
        Alerts {
            all: part(|_| true),
            firing: part(|alert| !alert.is_resolved()),
            resolved: part(Alert::is_resolved),
        }
    }
}

impl Object for Alerts {
    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Firing" => Some(Value::List(self.firing.clone())),
            "Resolved" => Some(Value::List(self.resolved.clone())),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        Value::List(self.all.clone())
    }
}

fn one(alert: &Alert, clean: Clean) -> Value {
    let time = |ns: i64| Value::Time(Timestamp(ns), Zone::Utc);
    let samples = alert.samples.iter().map(|sample| {
        Value::map([
            ("Time".to_owned(), time(sample.ts_ns)),
            ("Line".to_owned(), clean(&sample.line).into()),
        ])
    });
    let fields = [
        ("Status", if alert.is_resolved() { "resolved" } else { "firing" }.into()),
        ("Labels", Kv::value(alert.labels.iter(), clean)),
        ("Annotations", Kv::value(alert.annotations.iter(), clean)),
        ("StartsAt", time(alert.starts_at_ns)),
        ("EndsAt", time(alert.ends_at_ns.unwrap_or(ZERO_TIME.0))),
        ("GeneratorURL", alert.generator_url.as_str().into()),
        ("Fingerprint", fingerprint(&alert.labels).into()),
        ("Value", Value::Float(alert.value)),
        ("Count", Value::Int(i64::try_from(alert.count).unwrap_or(i64::MAX))),
        ("Samples", Value::list(samples.collect())),
    ];
    Value::map(fields.map(|(name, value)| (name.to_owned(), value)))
}

/// Names and values, as Alertmanager's KV.
#[derive(Debug, Clone)]
struct Kv(BTreeMap<String, String>);

impl Kv {
    fn value<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, clean: Clean) -> Value {
        Value::object(Kv(pairs.map(|(name, value)| (name.to_owned(), clean(value))).collect()))
    }

    /// Sorted by name, `alertname` first.
    fn sorted(&self) -> Pairs {
        let first = self.0.get_key_value("alertname");
        let rest = self.0.iter().filter(|(name, _)| *name != "alertname");
        Pairs(first.into_iter().chain(rest).map(|(n, v)| (n.clone(), v.clone())).collect())
    }
}

impl Object for Kv {
    fn field(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(|value| value.as_str().into())
    }

    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        match (name, args) {
            ("SortedPairs", []) => Some(Ok(Value::object(self.sorted()))),
            ("Remove", [gone]) => {
                let gone = match gone {
                    Value::Object(object) => object.to_value(),
                    plain => plain.clone(),
                };
                let Value::List(names) = gone else {
                    return Some(Err("Remove needs a list of names".to_owned()));
                };
                let is_gone = |name: &String| {
                    names
                        .iter()
                        .any(|gone| matches!(gone, Value::Str(text) if text.as_str() == name))
                };
                let left = self.0.iter().filter(|(name, _)| !is_gone(name));
                Some(Ok(Value::object(Kv(left.map(|(n, v)| (n.clone(), v.clone())).collect()))))
            }
            ("Names" | "Values" | "String", []) => self.sorted().call(name, args),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        Value::map(self.0.iter().map(|(name, value)| (name.clone(), value.as_str().into())))
    }
}

#[derive(Debug)]
struct Pairs(Vec<(String, String)>);

impl Object for Pairs {
    fn field(&self, _: &str) -> Option<Value> {
        None
    }

    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let list = |pick: fn(&(String, String)) -> &String| {
            Value::list(self.0.iter().map(|pair| pick(pair).as_str().into()).collect())
        };
        match (name, args) {
            ("Names", []) => Some(Ok(list(|pair| &pair.0))),
            ("Values", []) => Some(Ok(list(|pair| &pair.1))),
            ("String", []) => {
                let shown: Vec<String> = self.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
                Some(Ok(shown.join(", ").into()))
            }
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        let pair = |(name, value): &(String, String)| {
            Value::map([
                ("Name".to_owned(), name.as_str().into()),
                ("Value".to_owned(), value.as_str().into()),
            ])
        };
        Value::list(self.0.iter().map(pair).collect())
    }
}

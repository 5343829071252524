//! Rules and answers made by hand.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::alert::evaluate::{Evaluate, Evidence, Sample};
use crate::alert::expr::{self, Look};
use crate::alert::load::RuleFile;
use crate::alert::rule::{Group, Origin, Rule, RuleId, RuleKind};
use crate::alert::ruler::{Ruler, RulerOptions};
use crate::alert::text::RuleText;
use crate::clock::SimClock;
use crate::metrics::Metrics;
use crate::model::{Alert, Labels, Matcher, SampleLine, TENANT_DEFAULT, TimeRange, Timestamp};
use crate::query::syntax::ast::{LogExpr, MetricExpr, MetricKind, RangeAggregation, RangeOp, Span};

pub const SECOND: i64 = 1_000_000_000;
pub const INTERVAL: i64 = 10 * SECOND;

type Answer = dyn Fn(&str, i64) -> Result<Vec<(&'static str, f64)>, String> + Send + Sync;

/// Answers by the rule's selector `{rule="..."}` and the time in seconds.
pub struct Script {
    answer: Box<Answer>,
    pub asked: Mutex<Vec<(String, i64)>>,
    pub evidence_asked: Mutex<Vec<(LogExpr, TimeRange)>>,
}

impl Script {
    pub fn new(
        answer: impl Fn(&str, i64) -> Result<Vec<(&'static str, f64)>, String> + Send + Sync + 'static,
    ) -> Arc<Script> {
        Arc::new(Script {
            answer: Box::new(answer),
            asked: Mutex::default(),
            evidence_asked: Mutex::default(),
        })
    }

    /// Seconds at which a rule was asked.
    pub fn asked(&self, rule: &str) -> Vec<i64> {
        self.asked.lock().iter().filter(|(r, _)| r == rule).map(|(_, at)| *at).collect()
    }
}

impl Evaluate for Script {
    fn instant(
        &self,
        tenant: &str,
        expr: &MetricExpr,
        at: Timestamp,
    ) -> Result<Vec<Sample>, String> {
        assert_eq!(tenant, TENANT_DEFAULT);
        let rule = expr.log_exprs()[0].matchers[0].value.clone();
        let at_secs = at.0.div_euclid(SECOND);
        self.asked.lock().push((rule.clone(), at_secs));
        let samples = (self.answer)(&rule, at_secs)?;
        Ok(samples
            .into_iter()
            .map(|(service, value)| Sample {
                labels: Labels::from_pairs([("service_name", service)]),
                value,
            })
            .collect())
    }

    fn evidence(
        &self,
        _tenant: &str,
        log: &LogExpr,
        range: TimeRange,
        lines_max: usize,
    ) -> Result<Evidence, String> {
        self.evidence_asked.lock().push((log.clone(), range));
        let line = SampleLine { ts_ns: range.end.0 - 1, line: "login failed".to_owned() };
        Ok(Evidence { count: 7, lines: vec![line; lines_max] })
    }
}

/// A rule over `count_over_time({rule="NAME"}[range])`.
pub fn rule(name: &str, range_ns: i64, hold_ns: i64) -> Rule {
    let expr = MetricExpr {
        kind: MetricKind::Range(Box::new(RangeAggregation {
            op: RangeOp::CountOverTime,
            param: None,
            log: LogExpr {
                matchers: vec![Matcher::eq("rule", name)],
                stages: Vec::new(),
                span: Span::default(),
            },
            unwrap: None,
            range_ns,
            offset_ns: 0,
            grouping: None,
        })),
        span: Span::default(),
    };
    let text = |text: &str| RuleText::parse(text).unwrap();
    Rule {
        id: RuleId::default(),
        name: name.to_owned(),
        query: format!("count({name})"),
        look: Look { ..expr::look(&expr) },
        expr,
        labels: vec![("severity".to_owned(), text("warning"))],
        labels_written: Vec::new(),
        kind: RuleKind::Alert {
            hold_ns,
            keep_firing_ns: 0,
            annotations: vec![("summary".to_owned(), text("something is wrong"))],
        },
    }
}

pub fn record(name: &str) -> Rule {
    Rule { kind: RuleKind::Record, labels: Vec::new(), ..rule(name, INTERVAL, 0) }
}

pub fn group(name: &str, rules: Vec<Rule>) -> Group {
    Group {
        origin: Origin::File,
        tenant: TENANT_DEFAULT.into(),
        namespace: "rules.yaml".to_owned(),
        name: name.to_owned(),
        interval_ns: INTERVAL,
        query_offset_ns: 0,
        limit: 100,
        limit_written: 0,
        interval_is_written: true,
        query_offset_is_written: false,
        labels: Vec::new(),
        rules,
    }
}

pub fn file(groups: Vec<Group>) -> Vec<RuleFile> {
    vec![RuleFile { name: "rules.yaml".to_owned(), groups, tests: Vec::new() }]
}

pub fn open(
    folder: &Path,
    groups: Vec<Group>,
    script: &Arc<Script>,
    clock: &SimClock,
) -> (Ruler, Metrics) {
    let metrics = Metrics::default();
    let options =
        RulerOptions { external_url: "https://logs.test".to_owned(), ..RulerOptions::new(folder) };
    let evaluate: Arc<dyn Evaluate> = script.clone();
    let ruler = Ruler::open(options, file(groups), evaluate, clock.shared(), &metrics).unwrap();
    (ruler, metrics)
}

/// Evaluates all groups at slot `at_secs`, as the loop would, and gives what went out.
pub fn tick(ruler: &Ruler, clock: &SimClock, at_secs: i64) -> Vec<Alert> {
    clock.set_ns(at_secs * SECOND);
    let mut sent = Vec::new();
    for group in &ruler.rules().groups {
        ruler.0.run_group(group, at_secs * SECOND, &mut |batch| sent.extend(batch));
    }
    ruler.0.run_orphans(at_secs * SECOND, &mut |batch| sent.extend(batch));
    sent
}

/// `name service starts-ends`, in seconds.
pub fn shown(alerts: &[Alert]) -> Vec<String> {
    alerts
        .iter()
        .map(|alert| {
            let ends = alert.ends_at_ns.map(|ns| (ns / SECOND).to_string()).unwrap_or_default();
            format!(
                "{} {} {}-{ends}",
                alert.name(),
                alert.labels.get("service_name").unwrap_or("none"),
                alert.starts_at_ns / SECOND,
            )
        })
        .collect()
}

/// The last word on each alert: (name, service, start) to end.
pub fn last_words(alerts: &[Alert]) -> HashMap<(String, String, i64), Option<i64>> {
    alerts
        .iter()
        .filter(|alert| !alert.name().starts_with("Rule"))
        .map(|alert| {
            let service = alert.labels.get("service_name").unwrap_or_default().to_owned();
            ((alert.name().to_owned(), service, alert.starts_at_ns), alert.ends_at_ns)
        })
        .collect()
}

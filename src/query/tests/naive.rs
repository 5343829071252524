//! The engine against an evaluator that does everything the slow and obvious way: for each step
//! it walks over all lines, and reads each with a JSON library.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::model::{Entry, Labels, MatchOp, Matcher, TENANT_DEFAULT, TimeRange, Timestamp};
use crate::query::syntax::ast::*;
use crate::query::{
    Direction, Engine, InstantQuery, QueryContext, QueryData, QueryLimits, RangeQuery,
};
use crate::store::read::{Cancel, MemoryLogs};

const SEC: i64 = 1_000_000_000;

#[derive(Debug, Clone)]
struct Line {
    stream: usize,
    secs: i64,
    status: u32,
    /// Without one, the line says so with an empty text: a label all the same.
    user: String,
    wide: bool,
}

impl Line {
    fn text(&self) -> String {
        let Line { status, user, .. } = self;
        let mark = match (user.is_empty(), self.wide) {
            (true, _) => "",
            (false, true) => r"\u0021",
            (false, false) => "!",
        };
        if self.wide {
            format!(
                r#"{{"x":[1,{{"status":9}}],"status":{status},"req":{{"user":"{user}{mark}"}}}}"#
            )
        } else {
            format!(r#"{{"status": {status} , "req":{{"user":"{user}{mark}"}},"n":null}}"#)
        }
    }
}

fn stream_labels(stream: usize) -> Labels {
    let env = if stream.is_multiple_of(2) { "prod" } else { "dev" };
    Labels::from_pairs([("app", "api"), ("env", env), ("pod", &stream.to_string())])
}

#[derive(Debug, Clone)]
struct Shape {
    contains: Option<String>,
    json: bool,
    status_at_least: Option<u32>,
    user: Option<String>,
    drop_pod: bool,
}

#[derive(Debug, Clone)]
struct Metric {
    op: RangeOp,
    range_secs: i64,
    offset_secs: i64,
    group: Option<(bool, Vec<String>)>,
    outer: Option<(VectorOp, Vec<String>)>,
}

fn stage(kind: StageKind) -> Stage {
    Stage { kind, span: Span::default() }
}

impl Shape {
    fn log(&self) -> LogExpr {
        let mut stages = Vec::new();
        if self.json {
            stages.push(stage(StageKind::Json { fields: Vec::new() }));
        }
        if let Some(least) = self.status_at_least {
            stages.push(stage(StageKind::LabelFilter(LabelFilter::Number {
                name: "status".to_owned(),
                op: CompareOp::Gte,
                value: f64::from(least),
            })));
        }
        if let Some(user) = &self.user {
            let matcher = Matcher::text("req_user", MatchOp::Neq, format!("{user}!"));
            stages.push(stage(StageKind::LabelFilter(LabelFilter::Text(matcher))));
        }
        if self.drop_pod {
            let targets = vec![LabelTarget::Name("pod".to_owned())];
            stages.push(stage(StageKind::Drop { targets }));
        }
        if let Some(text) = &self.contains {
            let operands = vec![LineOperand::Text(text.clone())];
            stages
                .push(stage(StageKind::LineFilter(LineFilter { op: LineOp::Contains, operands })));
        }
        let matchers = vec![Matcher::eq("app", "api")];
        LogExpr { matchers, stages, span: Span::default() }
    }

    /// The labels of a line, or `None` when it is filtered out.
    fn labels(&self, line: &Line) -> Option<BTreeMap<String, String>> {
        let mut labels: BTreeMap<String, String> = stream_labels(line.stream)
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let text = line.text();
        if self.json {
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            labels.insert("status".to_owned(), parsed["status"].to_string());
            let user = parsed["req"]["user"].as_str().unwrap();
            labels.insert("req_user".to_owned(), user.to_owned());
        }
        if let Some(least) = self.status_at_least {
            let status: u32 = labels.get("status")?.parse().unwrap();
            if status < least {
                return None;
            }
        }
        if let Some(user) = &self.user {
            let value = labels.get("req_user").map(String::as_str).unwrap_or_default();
            if value == format!("{user}!") {
                return None;
            }
        }
        if self.drop_pod {
            labels.remove("pod");
        }
        if self.contains.as_ref().is_some_and(|part| !text.contains(part.as_str())) {
            return None;
        }
        Some(labels)
    }
}

fn to_labels(labels: &BTreeMap<String, String>) -> Labels {
    Labels::of_series(labels.clone())
}

fn group(labels: &Labels, without: bool, names: &[String]) -> Labels {
    Labels::of_series(
        labels.iter().filter(|(name, _)| names.iter().any(|listed| listed == name) != without),
    )
}

impl Metric {
    fn needs_unwrap(&self) -> bool {
        !matches!(self.op, RangeOp::Rate | RangeOp::CountOverTime | RangeOp::BytesOverTime)
    }

    fn expr(&self, shape: &Shape) -> MetricExpr {
        let unwrap = self.needs_unwrap().then(|| Unwrap {
            label: "status".to_owned(),
            conversion: None,
            filters: Vec::new(),
            span: Span::default(),
        });
        let grouping = self.group.clone().map(|(without, labels)| Grouping { without, labels });
        let metric = |kind| MetricExpr { kind, span: Span::default() };
        let range = metric(MetricKind::Range(Box::new(RangeAggregation {
            op: self.op,
            param: (self.op == RangeOp::QuantileOverTime).then_some(0.75),
            log: shape.log(),
            unwrap,
            range_ns: self.range_secs * SEC,
            offset_ns: self.offset_secs * SEC,
            grouping,
        })));
        match &self.outer {
            None => range,
            Some((op, labels)) => metric(MetricKind::Vector(Box::new(VectorAggregation {
                op: *op,
                param: None,
                expr: range,
                grouping: Some(Grouping { without: false, labels: labels.clone() }),
            }))),
        }
    }

    /// The unwrapped label stays only where a grouping asks for it; that of a sum around a sum
    /// is the grouping of both.
    fn keeps_unwrapped(&self) -> bool {
        let names = match (&self.group, &self.outer) {
            (Some((false, names)), _) => names,
            (None, Some((VectorOp::Sum, names))) if self.op == RangeOp::SumOverTime => names,
            _ => return false,
        };
        names.iter().any(|name| name == "status")
    }

    /// Whether pieces of the answer are put together in a way that forgets labels without a value.
    fn forgets_empty(&self, shape: &Shape) -> bool {
        let is_pushed = matches!(self.outer, Some((VectorOp::Sum, _)))
            && self.group.is_none()
            && !matches!(self.op, RangeOp::AvgOverTime | RangeOp::MaxOverTime);
        match (self.op, &self.group) {
            _ if is_pushed => false,
            (RangeOp::QuantileOverTime, _) => false,
            (RangeOp::AvgOverTime, Some(_)) => true,
            (_, Some((without, _))) => *without,
            (_, None) => shape.drop_pod,
        }
    }

    fn at(&self, shape: &Shape, lines: &[Line], secs: i64) -> BTreeMap<Labels, f64> {
        let end = secs - self.offset_secs;
        let mut series: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        let mut sorted: Vec<&Line> = lines.iter().collect();
        sorted.sort_by_key(|line| line.secs);
        for line in sorted {
            if line.secs <= end - self.range_secs || line.secs > end {
                continue;
            }
            let Some(mut labels) = shape.labels(line) else { continue };
            let value = if self.needs_unwrap() {
                let Some(status) = labels.get("status").cloned() else { continue };
                if !self.keeps_unwrapped() {
                    labels.remove("status");
                }
                status.parse().unwrap()
            } else if self.op == RangeOp::BytesOverTime {
                line.text().len() as f64
            } else {
                1.0
            };
            let mut labels = to_labels(&labels);
            if let Some((without, names)) = &self.group {
                labels = group(&labels, *without, names);
            }
            series.entry(labels).or_default().push((line.secs, value));
        }
        let forgets_empty = self.forgets_empty(shape);
        let values: BTreeMap<Labels, f64> = series
            .into_iter()
            .map(|(labels, samples)| {
                let said = if forgets_empty { Labels::from_pairs(labels.iter()) } else { labels };
                (said, self.value(&samples))
            })
            .collect();
        let Some((op, names)) = &self.outer else { return values };
        let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for (labels, value) in values {
            groups.entry(group(&labels, false, names)).or_default().push(value);
        }
        groups
            .into_iter()
            .map(|(labels, values)| {
                let value = match op {
                    VectorOp::Sum => values.iter().sum(),
                    VectorOp::Count => values.len() as f64,
                    VectorOp::Max => values.iter().copied().fold(f64::MIN, f64::max),
                    _ => values.iter().sum::<f64>() / values.len() as f64,
                };
                (labels, value)
            })
            .collect()
    }

    fn value(&self, samples: &[(i64, f64)]) -> f64 {
        let mut values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
        let sum: f64 = values.iter().sum();
        match self.op {
            RangeOp::Rate => sum / self.range_secs as f64,
            RangeOp::AvgOverTime => sum / values.len() as f64,
            RangeOp::MaxOverTime => values.iter().copied().fold(f64::MIN, f64::max),
            RangeOp::QuantileOverTime => {
                values.sort_by(f64::total_cmp);
                let rank = 0.75 * (values.len() as f64 - 1.0);
                let low = values[rank.floor() as usize];
                let high = values[(rank.floor() as usize + 1).min(values.len() - 1)];
                low + (high - low) * rank.fract()
            }
            _ => sum,
        }
    }
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0..4_usize, 0..120_i64, 0..6_u32, "[ab]{0,2}", any::<bool>())
        .prop_map(|(stream, secs, status, user, wide)| Line { stream, secs, status, user, wide });
    prop::collection::vec(line, 0..60)
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        prop::option::of(prop::sample::select(vec!["a", "\"status\":3", "b!", "zz"])),
        any::<bool>(),
        prop::option::of(0..6_u32),
        prop::option::of("[ab]"),
        any::<bool>(),
    )
        .prop_map(|(contains, json, status_at_least, user, drop_pod)| Shape {
            contains: contains.map(str::to_owned),
            json,
            status_at_least,
            user,
            drop_pod,
        })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let all = ["env", "pod", "status", "req_user", "missing"];
    prop::sample::subsequence(all.map(str::to_owned).to_vec(), 0..3)
}

fn metric() -> impl Strategy<Value = Metric> {
    let op = prop::sample::select(vec![
        RangeOp::Rate,
        RangeOp::CountOverTime,
        RangeOp::BytesOverTime,
        RangeOp::SumOverTime,
        RangeOp::AvgOverTime,
        RangeOp::MaxOverTime,
        RangeOp::QuantileOverTime,
    ]);
    let outer =
        prop::sample::select(vec![VectorOp::Sum, VectorOp::Count, VectorOp::Max, VectorOp::Avg]);
    (op, 1..60_i64, -10..20_i64, prop::option::of((any::<bool>(), names()))).prop_flat_map(
        move |(op, range_secs, offset_secs, group)| {
            let groupable = matches!(
                op,
                RangeOp::AvgOverTime | RangeOp::MaxOverTime | RangeOp::QuantileOverTime
            );
            let group = group.filter(|_| groupable);
            prop::option::of((outer.clone(), names())).prop_map(move |outer| Metric {
                op,
                range_secs,
                offset_secs,
                group: group.clone(),
                outer,
            })
        },
    )
}

fn engine(lines: &[Line]) -> (Engine, QueryContext) {
    let mut logs = MemoryLogs::default();
    for (at, line) in lines.iter().enumerate() {
        // Nothing is an exact repeat: repeats would be dropped.
        let ts = Timestamp(line.secs * SEC - 1000 + at as i64);
        logs.add(TENANT_DEFAULT, &stream_labels(line.stream), Entry::new(ts, line.text()));
    }
    let context = QueryContext {
        tenant: TENANT_DEFAULT.to_owned(),
        cancel: Cancel::default(),
        limits: QueryLimits::default(),
    };
    (Engine::new(Arc::new(logs)), context)
}

fn same(found: &BTreeMap<Labels, f64>, expect: &BTreeMap<Labels, f64>) -> bool {
    found.len() == expect.len()
        && found.iter().zip(expect).all(|((a, x), (b, y))| a == b && (x - y).abs() < 1e-9)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn metric_queries(lines in lines(), shape in shape(), metric in metric(), step in 1..40_i64) {
        let (engine, context) = engine(&lines);
        let query = RangeQuery {
            expr: Expr::Metric(metric.expr(&shape)),
            start: Timestamp(0),
            end: Timestamp(120 * SEC),
            step_ns: step * SEC,
            interval_ns: 0,
            limit: 100,
            direction: Direction::Backward,
        };
        let QueryData::Matrix(series) = engine.range(&query, &context).unwrap().data else {
            panic!("no matrix");
        };
        let mut by_step: BTreeMap<i64, BTreeMap<Labels, f64>> = BTreeMap::new();
        for series in series {
            for (ts, value) in series.points {
                by_step.entry(ts.0 / SEC).or_default().insert(series.labels.clone(), value);
            }
        }
        for secs in (0..=120_i64).step_by(step as usize) {
            let expect = metric.at(&shape, &lines, secs);
            let found = by_step.remove(&secs).unwrap_or_default();
            prop_assert!(same(&found, &expect), "at {secs}: {found:?} instead of {expect:?}");
        }
        let instant = InstantQuery {
            expr: Expr::Metric(metric.expr(&shape)),
            at: Timestamp(60 * SEC),
            limit: 100,
            direction: Direction::Backward,
        };
        let QueryData::Vector(samples) = engine.instant(&instant, &context).unwrap().data else {
            panic!("no vector");
        };
        let found = samples.into_iter().map(|sample| (sample.labels, sample.value)).collect();
        prop_assert!(same(&found, &metric.at(&shape, &lines, 60)));
    }

    #[test]
    fn log_queries(
        lines in lines(), shape in shape(), limit in 1..20_usize, forward in any::<bool>(),
        start in 0..60_i64, length in 0..100_i64,
    ) {
        let (engine, context) = engine(&lines);
        let direction = if forward { Direction::Forward } else { Direction::Backward };
        let range = TimeRange::new(Timestamp(start * SEC), Timestamp((start + length) * SEC));
        let query = RangeQuery {
            expr: Expr::Log(shape.log()),
            start: range.start,
            end: range.end,
            step_ns: SEC,
            interval_ns: 0,
            limit,
            direction,
        };
        let QueryData::Streams(rows) = engine.range(&query, &context).unwrap().data else {
            panic!("no streams");
        };
        let mut expect: Vec<(Timestamp, Labels)> = lines
            .iter()
            .enumerate()
            .map(|(at, line)| (Timestamp(line.secs * SEC - 1000 + at as i64), line))
            .filter(|(ts, _)| range.contains(*ts))
            .filter_map(|(ts, line)| Some((ts, to_labels(&shape.labels(line)?))))
            .collect();
        expect.sort_by_key(|(ts, _)| *ts);
        if !forward {
            expect.reverse();
        }
        expect.truncate(limit);
        let found: Vec<(Timestamp, Labels)> = rows
            .iter()
            .map(|row| (row.ts, Labels::of_series(crate::query::merged_labels(row))))
            .collect();
        prop_assert_eq!(found, expect);
    }
}

//! Random trees and broken texts.

use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{MatchOp, Matcher};
use crate::query::syntax::ast::*;
use crate::query::syntax::parse_filter::bytes_literal;
use crate::query::syntax::pretty::Layout;
use crate::query::syntax::{parse, pretty};
use crate::text::{re2, units};

fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b_1", "level", "rate", "sum", "duration", "ip", "__error__", "\u{e4}x"])
        .prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    "[ -~\u{e4}\u{1f680}\n\t\r\u{1}]{0,8}"
}

fn regex() -> impl Strategy<Value = String> {
    select(vec!["a.*", "", "(?i)x|y", "\\d+\"`", "[a-z]{2,}", "\\\\n\n"]).prop_map(str::to_owned)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let plain = (name(), select(vec![MatchOp::Eq, MatchOp::Neq]), text())
        .prop_map(|(name, op, value)| Matcher::text(name, op, value));
    let pattern =
        (name(), select(vec![MatchOp::Re, MatchOp::Nre]), regex()).prop_map(|(name, op, value)| {
            let compiled = re2::compile_anchored(&value).unwrap();
            Matcher::regex(name, op, value, compiled)
        });
    prop_oneof![plain, pattern]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![select(vec![0.0, 1.0, -2.5, 1e6, 1e21, 1e-7, 0.95, 123_456_789.0]), -1e9..1e9_f64]
}

fn span() -> Span {
    Span::default()
}

fn compare() -> impl Strategy<Value = CompareOp> {
    use CompareOp::{Eq, Gt, Gte, Lt, Lte, Neq};
    select(vec![Eq, Neq, Gt, Gte, Lt, Lte])
}

fn label_filter() -> impl Strategy<Value = LabelFilter> {
    let leaf = prop_oneof![
        matcher().prop_map(LabelFilter::Text),
        (name(), compare(), number()).prop_map(|(name, op, value)| LabelFilter::Number {
            name,
            op,
            value
        }),
        (name(), compare(), any::<i64>()).prop_map(|(name, op, ns)| LabelFilter::Duration {
            name,
            op,
            ns,
            literal: units::format_go_duration(ns),
        }),
        (name(), compare(), 0..2_000_000_000_000_000_000_u64, 0..60_u32).prop_map(
            |(name, op, bytes, shift)| {
                let bytes = (bytes >> shift) as f64 as u64;
                LabelFilter::Bytes { name, op, bytes, literal: bytes_literal(bytes) }
            }
        ),
        (name(), select(vec![MatchOp::Eq, MatchOp::Neq])).prop_map(|(name, op)| {
            LabelFilter::Ip { name, op, pattern: "10.0.0.0/8".to_owned() }
        }),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(left, right, or)| {
            let (left, right) = (Box::new(left), Box::new(right));
            if or { LabelFilter::Or(left, right) } else { LabelFilter::And(left, right) }
        })
    })
}

fn line_filter() -> impl Strategy<Value = LineFilter> {
    let operand =
        prop_oneof![text().prop_map(LineOperand::Text), Just(LineOperand::Ip("::1".to_owned()))];
    prop_oneof![
        prop::collection::vec(operand.clone(), 1..4)
            .prop_map(|operands| LineFilter { op: LineOp::Contains, operands }),
        operand.prop_map(|one| LineFilter { op: LineOp::NotContains, operands: vec![one] }),
        regex().prop_map(|regex| LineFilter {
            op: LineOp::NotMatch,
            operands: vec![LineOperand::Text(regex)]
        }),
        Just(LineFilter {
            op: LineOp::Pattern,
            operands: vec![LineOperand::Text("<_> x".to_owned())]
        }),
    ]
}

fn fields() -> impl Strategy<Value = Vec<FieldPath>> {
    let path = select(vec!["a", "b_1"]).prop_map(str::to_owned);
    let field = (name(), path).prop_map(|(label, path)| FieldPath { label, path });
    prop::collection::vec(field, 0..3)
}

fn targets() -> impl Strategy<Value = Vec<LabelTarget>> {
    let target =
        prop_oneof![name().prop_map(LabelTarget::Name), matcher().prop_map(LabelTarget::Matcher)];
    prop::collection::vec(target, 1..4)
}

fn stage() -> impl Strategy<Value = Stage> {
    let assignment = (any::<bool>(), name()).prop_map(|(rename, name)| {
        let value = if rename {
            AssignedValue::Rename(name)
        } else {
            AssignedValue::Template("{{.x}} \"y\"".to_owned())
        };
        vec![LabelAssignment { label: "target".to_owned(), value }]
    });
    prop_oneof![
        line_filter().prop_map(StageKind::LineFilter),
        fields().prop_map(|fields| StageKind::Json { fields }),
        (any::<bool>(), any::<bool>(), fields()).prop_map(|(strict, keep_empty, fields)| {
            StageKind::Logfmt { strict, keep_empty, fields }
        }),
        Just(StageKind::Regexp { pattern: "(?P<x>\\d)".to_owned() }),
        Just(StageKind::Pattern { pattern: "<x> \"<_>".to_owned() }),
        Just(StageKind::Unpack),
        Just(StageKind::Decolorize),
        label_filter().prop_map(StageKind::LabelFilter),
        Just(StageKind::LineFormat { template: "{{.x}}\n".to_owned() }),
        assignment.prop_map(|assignments| StageKind::LabelFormat { assignments }),
        targets().prop_map(|targets| StageKind::Drop { targets }),
        targets().prop_map(|targets| StageKind::Keep { targets }),
    ]
    .prop_map(|kind| Stage { kind, span: span() })
}

fn log() -> impl Strategy<Value = LogExpr> {
    (prop::collection::vec(matcher(), 0..3), prop::collection::vec(stage(), 0..4)).prop_map(
        |(mut matchers, stages)| {
            matchers.push(Matcher::eq("app", "api"));
            let stages = without_swallowed(stages);
            LogExpr { matchers, stages, span: span() }
        },
    )
}

/// `| drop a != "x"` is one stage, so no text stands for a name followed by such a filter.
fn without_swallowed(stages: Vec<Stage>) -> Vec<Stage> {
    let mut kept: Vec<Stage> = Vec::new();
    for stage in stages {
        let after_name = matches!(
            kept.last().map(|stage| &stage.kind),
            Some(StageKind::Drop { targets } | StageKind::Keep { targets })
                if matches!(targets.last(), Some(LabelTarget::Name(_)))
        );
        if !(after_name && matches!(stage.kind, StageKind::LineFilter(_))) {
            kept.push(stage);
        }
    }
    kept
}

fn grouping() -> impl Strategy<Value = Grouping> {
    (any::<bool>(), prop::collection::vec(name(), 0..3))
        .prop_map(|(without, labels)| Grouping { without, labels })
}

fn unwrap() -> impl Strategy<Value = Unwrap> {
    let conversion = select(vec![
        None,
        Some(Conversion::Bytes),
        Some(Conversion::Duration),
        Some(Conversion::DurationSeconds),
    ]);
    (name(), conversion, prop::collection::vec(label_filter(), 0..2)).prop_map(
        |(label, conversion, filters)| Unwrap { label, conversion, filters, span: span() },
    )
}

fn range() -> impl Strategy<Value = MetricExpr> {
    let parts = (
        select(RangeOp::ALL.to_vec()),
        0.0..1.0_f64,
        log(),
        unwrap(),
        any::<bool>(),
        0..1_000_000_000_i64,
        prop_oneof![Just(0), any::<i64>()],
        prop::option::of(grouping()),
    );
    parts.prop_map(|(op, param, log, unwrap, wants_unwrap, range_ms, offset_ns, grouping)| {
        let unwraps = op.needs_unwrap() || (op.allows_unwrap() && wants_unwrap);
        let aggregation = RangeAggregation {
            op,
            param: (op == RangeOp::QuantileOverTime).then_some(param),
            log,
            unwrap: unwraps.then_some(unwrap),
            range_ns: range_ms * 1_000_000,
            offset_ns,
            grouping: grouping.filter(|_| op.allows_grouping()),
        };
        MetricExpr { kind: MetricKind::Range(Box::new(aggregation)), span: span() }
    })
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::{Add, And, Div, Eq, Gt, Lte, Mod, Mul, Neq, Or, Pow, Sub, Unless};
    select(vec![Add, Sub, Mul, Div, Mod, Pow, Eq, Neq, Gt, Lte, And, Or, Unless])
}

fn matching() -> impl Strategy<Value = Option<VectorMatching>> {
    let labels = || prop::collection::vec(name(), 0..3);
    let group = select(vec![None, Some(GroupSide::Left), Some(GroupSide::Right)]);
    let matching =
        (any::<bool>(), labels(), group, labels()).prop_map(|(on, labels, group, include)| {
            let include = if group.is_some() { include } else { Vec::new() };
            VectorMatching { on, labels, group, include }
        });
    prop::option::of(matching)
        .prop_map(|m| m.filter(|m| m.on || !m.labels.is_empty() || m.group.is_some()))
}

fn metric() -> impl Strategy<Value = MetricExpr> {
    let leaf = prop_oneof![
        4 => range(),
        1 => number().prop_map(|n| MetricExpr { kind: MetricKind::VectorOf(n.abs()), span: span() }),
        1 => number().prop_map(|n| MetricExpr { kind: MetricKind::Number(n), span: span() }),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let vector = (select(VectorOp::ALL.to_vec()), 1..99_u64, inner.clone(), grouping())
            .prop_map(|(op, param, expr, grouping)| {
                let plain =
                    matches!(op, VectorOp::Sort | VectorOp::SortDesc | VectorOp::ApproxTopk);
                let says_something = grouping.without || !grouping.labels.is_empty();
                MetricKind::Vector(Box::new(VectorAggregation {
                    op,
                    param: op.takes_param().then_some(param),
                    expr,
                    grouping: (says_something && !plain).then_some(grouping),
                }))
            });
        let binary = (binary_op(), inner.clone(), inner.clone(), any::<bool>(), matching())
            .prop_map(|(op, left, right, return_bool, matching)| {
                let is_number = |e: &MetricExpr| matches!(e.kind, MetricKind::Number(_));
                let folds = is_number(&left) && is_number(&right);
                let refused = op.is_set() && (is_number(&left) || is_number(&right));
                if folds || refused {
                    return left.kind;
                }
                MetricKind::Binary(Box::new(BinaryExpr { op, left, right, return_bool, matching }))
            });
        let replace = (inner, text(), regex()).prop_map(|(expr, dst, pattern)| {
            MetricKind::LabelReplace(Box::new(LabelReplace {
                expr,
                dst,
                replacement: "$1".to_owned(),
                src: "s".to_owned(),
                pattern,
            }))
        });
        prop_oneof![vector, binary, replace].prop_map(|kind| MetricExpr { kind, span: span() })
    })
}

#[track_caller]
fn reads_back(expr: &Expr) {
    let layout = Layout { columns_max: 30 };
    let narrow = match expr {
        Expr::Log(log) => layout.log(log, 0),
        Expr::Metric(metric) => layout.metric(metric, 0),
    };
    for text in [expr.to_string(), pretty(expr), narrow] {
        match parse(&text) {
            Ok(again) => assert_eq!(&again, expr, "{text}"),
            Err(error) => panic!("{error}\n{}", error.caret(&text)),
        }
    }
}

const ACCEPTED: &str = include_str!("accepted.logql");

/// A query that parses, then broken: pieces cut out, doubled or replaced.
fn broken() -> impl Strategy<Value = String> {
    let queries: Vec<&str> = ACCEPTED.lines().collect();
    let pieces = vec![
        "(",
        ")",
        "{",
        "}",
        "[5m]",
        "|",
        "|=",
        "\"",
        "`",
        "by (a)",
        ",",
        "or",
        "and",
        "unwrap x",
        "1",
        "5m",
        "-",
        "^",
        "offset 1h",
        "#",
        "/*",
        "\u{e4}",
        "json",
        "ip(",
        "rate(",
        "\\",
        "=~",
    ];
    let edit = (any::<prop::sample::Index>(), 0..6_usize, select(pieces));
    (select(queries), prop::collection::vec(edit, 1..5)).prop_map(|(query, edits)| {
        let mut chars: Vec<char> = query.chars().collect();
        for (index, cut, piece) in edits {
            let at = index.index(chars.len() + 1);
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

fn survives(query: &str) {
    match parse(query) {
        // Numbers that are none have no literal, though `1 / 0` makes one.
        Ok(expr) if !expr.to_string().contains("NaN") && !expr.to_string().contains("Inf") => {
            reads_back(&expr);
        }
        Ok(_) => {}
        Err(error) => {
            assert!(error.start <= error.end && error.end <= query.len());
            assert!(error.line >= 1 && error.column >= 1);
            assert!(error.caret(query).contains('^'));
        }
    }
}

proptest! {
    #[test]
    fn log_queries_read_back(log in log()) {
        reads_back(&Expr::Log(log));
    }

    #[test]
    fn metric_queries_read_back(metric in metric()) {
        reads_back(&Expr::Metric(metric));
    }

    #[test]
    fn broken_queries_survive(query in broken()) {
        survives(&query);
    }

    #[test]
    fn random_bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_words_survive(words in prop::collection::vec(select(vec![
        "{", "}", "a", "=", "\"b\"", "|", "json", "(", ")", "sum", "rate", "[1m]", "by", ",", "1",
        "+", "^", "and", "or", "on", "group_left", "unwrap", "offset", "5m", "5KB", "|=", "ip",
        "label_format", "drop", "vector", "topk", "bool", "-", ">", "!=", "=~", "label_replace",
    ]), 0..24)) {
        survives(&words.join(" "));
    }
}

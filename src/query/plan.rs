//! From a query to what the store is asked: which substrings a line must hold to matter, and
//! which values its labels.

use crate::model::{MatchOp, Matcher};
use crate::store::read::{FieldHint, Hints};
use crate::text::pattern::Pattern;
use crate::text::re2::{self, Literal};

use super::stage::{ERROR, ERROR_DETAILS};
use super::syntax::ast::{LabelFilter, LineFilter, LineOp, LineOperand, LogExpr, StageKind};

/// Shorter substrings rule out nothing.
const LITERAL_BYTES_MIN: usize = 2;

/// Substrings that every line with a result must hold.
pub fn hints(log: &LogExpr) -> Hints {
    let mut hints = Hints::default();
    let mut relabelled = false;
    for stage in &log.stages {
        match &stage.kind {
            StageKind::LineFilter(filter) => {
                for group in required(filter) {
                    add(group, &mut hints);
                }
            }
            // From here on the line is another one: what it must hold says nothing any more.
            StageKind::LineFormat { .. } | StageKind::Unpack | StageKind::Decolorize => break,
            StageKind::Json { .. }
            | StageKind::Logfmt { .. }
            | StageKind::Regexp { .. }
            | StageKind::Pattern { .. }
            | StageKind::Drop { .. }
            | StageKind::Keep { .. } => {}
            StageKind::LabelFilter(filter) if !relabelled => {
                require_fields(filter, &mut hints.fields);
            }
            StageKind::LabelFilter(_) => {}
            // From here on a value may be made of anything.
            StageKind::LabelFormat { .. } => relabelled = true,
        }
    }
    hints
}

/// Values that labels must have, whatever else the filter says.
fn require_fields(filter: &LabelFilter, fields: &mut Vec<FieldHint>) {
    match filter {
        LabelFilter::And(left, right) => {
            require_fields(left, fields);
            require_fields(right, fields);
        }
        LabelFilter::Text(Matcher { name, op: MatchOp::Eq, value, .. }) => {
            let is_error = name == ERROR || name == ERROR_DETAILS;
            // The label may have another name where it comes from.
            let is_extracted = name.ends_with("_extracted");
            // Parsers put a space in place of what was no text in the line.
            let as_it_stands = !value.is_empty() && !value.contains(' ');
            if !is_error && !is_extracted && as_it_stands {
                let hint = FieldHint { name: name.clone(), value: value.clone() };
                if !fields.contains(&hint) {
                    fields.push(hint);
                }
            }
        }
        // Numbers can be written in several ways.
        LabelFilter::Text(_)
        | LabelFilter::Number { .. }
        | LabelFilter::Duration { .. }
        | LabelFilter::Bytes { .. }
        | LabelFilter::Ip { .. }
        | LabelFilter::Or(..) => {}
    }
}

pub(super) type Group = Vec<Literal>;

/// An and of ors of literals.
fn required(filter: &LineFilter) -> Vec<Group> {
    let mut operands = filter.alternatives().into_iter();
    let (Some(first), others) = (operands.next(), operands) else { return Vec::new() };
    let mut groups = required_by(filter.op, first);
    for operand in others {
        // Of several alternatives, a line holds one group of one of them: join the best.
        let (Some(mut best), Some(more)) =
            (groups.into_iter().next(), required_by(filter.op, operand).into_iter().next())
        else {
            return Vec::new();
        };
        best.extend(more);
        groups = vec![best];
    }
    groups
}

/// What a line holds that passes one operand of a filter.
pub(super) fn required_by(op: LineOp, operand: &LineOperand) -> Vec<Group> {
    let LineOperand::Text(text) = operand else { return Vec::new() };
    let exact = |text: &str| vec![Literal { text: text.to_owned(), ignore_case: false }];
    match op {
        LineOp::Contains => vec![exact(text)],
        LineOp::Match => re2::required_literals(text).groups,
        LineOp::Pattern => Pattern::parse_filter(text)
            .map(|pattern| pattern.literals().into_iter().map(exact).collect())
            .unwrap_or_default(),
        LineOp::NotContains | LineOp::NotMatch | LineOp::NotPattern => Vec::new(),
    }
}

fn add(group: Group, hints: &mut Hints) {
    if group.iter().any(|literal| literal.text.len() < LITERAL_BYTES_MIN) {
        return;
    }
    if group.iter().any(|literal| literal.ignore_case) {
        // A line that holds a text holds its folded form once the line is folded too.
        let folded = group.iter().map(|literal| re2::fold(&literal.text).into_owned());
        hints.substrings_ci.push(folded.collect());
    } else {
        hints.substrings.push(group.into_iter().map(|literal| literal.text).collect());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::stage::Pipeline;
    use crate::query::syntax::ast::{Span, Stage};

    fn filter(op: LineOp, operands: &[&str]) -> StageKind {
        let operands = operands.iter().map(|text| LineOperand::Text((*text).to_owned())).collect();
        StageKind::LineFilter(LineFilter { op, operands })
    }

    #[track_caller]
    fn check(kinds: Vec<StageKind>, exact: &[&[&str]], any_case: &[&[&str]]) {
        let stages = kinds.into_iter().map(|kind| Stage { kind, span: Span::default() }).collect();
        let log = LogExpr { matchers: Vec::new(), stages, span: Span::default() };
        let owned = |lists: &[&[&str]]| -> Vec<Vec<String>> {
            lists.iter().map(|list| list.iter().map(|s| (*s).to_owned()).collect()).collect()
        };
        let expect =
            Hints { substrings: owned(exact), substrings_ci: owned(any_case), ..Hints::default() };
        assert_eq!(hints(&log), expect);
    }

    #[test]
    fn literals_that_lines_must_hold() {
        check(vec![filter(LineOp::Contains, &["abc"])], &[&["abc"]], &[]);
        check(vec![filter(LineOp::Contains, &["abc", "de"])], &[&["abc", "de"]], &[]);
        check(vec![filter(LineOp::Contains, &["abc", "d"])], &[], &[]);
        check(vec![filter(LineOp::Contains, &["abc", ""])], &[&["abc"]], &[]);
        check(vec![filter(LineOp::Pattern, &["abc", ""])], &[], &[]);
        check(vec![filter(LineOp::NotContains, &["abc"])], &[], &[]);
        check(vec![filter(LineOp::Match, &["(?i)Timeout"])], &[], &[&["timeout"]]);
        check(vec![filter(LineOp::Match, &[".*"])], &[], &[]);
        check(vec![filter(LineOp::Pattern, &["<_> failed for <_>"])], &[&[" failed for "]], &[]);
        check(vec![StageKind::Unpack, filter(LineOp::Contains, &["abc"])], &[], &[]);
        check(
            vec![
                filter(LineOp::Contains, &["abc"]),
                StageKind::Json { fields: Vec::new() },
                filter(LineOp::Contains, &["def"]),
            ],
            &[&["abc"], &["def"]],
            &[],
        );
    }

    #[test]
    fn values_that_labels_must_have() {
        let text = r#"{a="b"} | json | x="1" and (y="2" or z="3"), w=~"q" | __error__="" | u=""
            | v="a b" | n_extracted="e" | s != "t" | x="1" | d > 5 | label_format k=x | k="9""#;
        let Ok(crate::query::syntax::Expr::Log(log)) = crate::query::syntax::parse(text) else {
            panic!("{text}");
        };
        let hint = FieldHint { name: "x".to_owned(), value: "1".to_owned() };
        assert_eq!(hints(&log).fields, [hint]);
        let stage = "{a=\"b\"} | json | line_format \"{{.x}}\" | logfmt | x=\"1\"";
        let Ok(crate::query::syntax::Expr::Log(log)) = crate::query::syntax::parse(stage) else {
            panic!("{stage}");
        };
        assert_eq!(hints(&log).fields, []);
    }

    fn any_filter() -> impl Strategy<Value = StageKind> {
        let op = prop::sample::select(vec![
            LineOp::Contains,
            LineOp::NotContains,
            LineOp::Match,
            LineOp::Pattern,
        ]);
        let operand = prop::sample::select(vec![
            "ab", "abc", "(?i)aB", "b.c", "a|bc", "<_>ab<_>", "ab<_>c", "", "c",
        ]);
        (op, prop::collection::vec(operand, 1..3)).prop_map(|(op, operands)| filter(op, &operands))
    }

    proptest! {
        #[test]
        fn lines_that_pass_hold_what_hints_say(
            kinds in prop::collection::vec(any_filter(), 1..4), line in "[abcABC ]{0,12}",
        ) {
            let stages: Vec<Stage> =
                kinds.into_iter().map(|kind| Stage { kind, span: Span::default() }).collect();
            let log = LogExpr { matchers: Vec::new(), stages, span: Span::default() };
            if let Ok(pipeline) = Pipeline::compile(&log.stages) {
                let none = std::iter::empty::<(&str, &str)>();
                if pipeline.worker().run(crate::model::Timestamp(0), &line, none).is_some() {
                    let hints = hints(&log);
                    let holds = |text: &str, group: &[String]| {
                        group.iter().any(|part| text.contains(part.as_str()))
                    };
                    let folded = re2::fold(&line).into_owned();
                    prop_assert!(hints.substrings.iter().all(|group| holds(&line, group)));
                    prop_assert!(hints.substrings_ci.iter().all(|group| holds(&folded, group)));
                }
            }
        }
    }
}

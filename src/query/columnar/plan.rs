//! What stages do, in a form that can be worked out shape by shape.

use std::sync::Arc;

use crate::model::{MatchOp, Matcher};
use crate::query::plan::required_by;
use crate::query::run::extract::Metadata;
use crate::query::stage::{ERROR, ERROR_DETAILS, IpFilter, LineFilter, ValueTest, text_matcher};
use crate::query::syntax::ast::{
    Conversion, FieldPath, Grouping, LabelFilter as FilterSyntax, LabelTarget,
    LineFilter as LineFilterSyntax, LineOp, LineOperand, RangeAggregation, RangeOp, Stage,
    StageKind,
};
use crate::query::syntax::path::{PathStep, json_path, logfmt_key};

use super::{MAYBE, NO, Verdict, YES};

const EXTRACTED: &str = "_extracted";

/// The stages of a query for columns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plan(pub(super) Arc<Stages>);

#[derive(Debug, Default)]
pub(super) struct Stages {
    pub lines: Vec<LineTest>,
    /// Texts that lines are searched for.
    pub needles: Vec<String>,
    pub steps: Vec<Step>,
    pub tests: Vec<Test>,
    /// Nothing comes behind the steps: a row that passes them is what the query asks for.
    pub is_whole: bool,
    pub identity: Identity,
    pub measure: Measure,
}

/// A stage that deals in labels.
#[derive(Debug)]
pub(super) enum Step {
    Filter(Tree<Leaf>),
    Json,
    JsonFields(Vec<(String, Vec<String>)>),
    Logfmt { keep_empty: bool },
    LogfmtFields(Vec<(String, String)>),
    Drop(Vec<String>),
    Keep(Vec<String>),
}

#[derive(Debug, Clone)]
pub(super) enum Tree<L> {
    Leaf(L),
    And(Box<Tree<L>>, Box<Tree<L>>),
    Or(Box<Tree<L>>, Box<Tree<L>>),
}

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub name: String,
    /// Which of the tests.
    pub test: usize,
}

/// A test of one label's value.
#[derive(Debug)]
pub(super) enum Test {
    Text(Matcher),
    /// Of the error label. Rows that columns decide about have no error.
    Error(Matcher),
    Value(ValueTest),
    Ip {
        negated: bool,
        filter: IpFilter,
    },
}

impl Test {
    /// `MAYBE` for a value that cannot be converted: such lines get an error.
    pub fn verdict(&self, value: Option<&str>) -> Verdict {
        let passes = match (self, value) {
            (Test::Text(matcher), value) => matcher.matches(value.unwrap_or_default()),
            (Test::Error(matcher), _) => matcher.matches_empty(),
            (_, None) => false,
            (Test::Value(test), Some(value)) => match test.test(value) {
                Ok(passes) => passes,
                Err(_) => return MAYBE,
            },
            (Test::Ip { negated, filter }, Some(value)) => filter.matches(value) != *negated,
        };
        if passes { YES } else { NO }
    }

    /// Whether the test gives another answer for a line with an error.
    pub fn sees_errors(&self) -> bool {
        matches!(self, Test::Error(_) | Test::Ip { .. })
    }
}

/// Which labels tell series apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Identity {
    #[default]
    Nothing,
    By(Vec<String>),
    Without(Vec<String>),
}

/// What a row counts for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Measure {
    #[default]
    Count,
    Bytes,
    Unwrap {
        label: String,
        conversion: Option<Conversion>,
    },
}

/// A filter on the line.
#[derive(Debug)]
pub(super) struct LineTest {
    pub filter: LineFilter,
    pub negated: bool,
    pub alternatives: Vec<Alternative>,
}

#[derive(Debug)]
pub(super) enum Alternative {
    /// The line holds this text.
    Contains(usize),
    /// A line that passes holds one text of each list.
    Holds(Vec<Vec<usize>>),
}

impl Plan {
    /// For log queries: rows that do not pass are not among the results.
    pub fn lines(stages: &[Stage]) -> Result<Plan, String> {
        let mut plan = Stages::default();
        plan.is_whole = plan.add(stages, false)?;
        Ok(Plan(Arc::new(plan)))
    }

    pub fn metric(
        range: &RangeAggregation,
        stages: &[Stage],
        grouping: Option<&Grouping>,
        nothing: bool,
        nothing_wanted: bool,
    ) -> Result<Plan, String> {
        let mut plan = Stages::default();
        plan.is_whole = plan.add(stages, nothing_wanted)?;
        plan.identity = match grouping {
            _ if nothing => Identity::Nothing,
            Some(grouping) if grouping.without => Identity::Without(grouping.labels.clone()),
            Some(grouping) => Identity::By(grouping.labels.clone()),
            None => Identity::Without(Vec::new()),
        };
        if let Some(unwrap) = &range.unwrap {
            if let Identity::Without(names) = &mut plan.identity {
                names.push(unwrap.label.clone());
            }
            for filter in &unwrap.filters {
                let first = plan.tests.len();
                let tree = plan.filter(filter)?;
                // They see the errors of values that are no numbers.
                plan.is_whole &= !plan
                    .tests
                    .iter()
                    .skip(first)
                    .any(|test| test.sees_errors() && test.verdict(None) != YES);
                // Behind a stage that is left to the pipeline the label may be another.
                if plan.is_whole {
                    plan.steps.push(Step::Filter(tree));
                }
            }
            let label = unwrap.label.clone();
            plan.measure = Measure::Unwrap { label, conversion: unwrap.conversion };
        } else if matches!(range.op, RangeOp::BytesRate | RangeOp::BytesOverTime) {
            plan.measure = Measure::Bytes;
        }
        Ok(Plan(Arc::new(plan)))
    }

    pub fn filters_labels(&self) -> bool {
        self.0.steps.iter().any(|step| matches!(step, Step::Filter(_)))
    }

    pub fn filters_lines(&self) -> bool {
        !self.0.lines.is_empty()
    }

    pub fn is_whole(&self) -> bool {
        self.0.is_whole
    }

    pub fn counts_bytes(&self) -> bool {
        self.0.measure == Measure::Bytes
    }

    /// Which metadata makes a difference to the result.
    pub fn metadata(&self) -> Metadata {
        if self.0.is_whole { self.watched() } else { Metadata::All }
    }

    /// Which metadata makes a difference to what is worked out over columns.
    pub fn watched(&self) -> Metadata {
        let mut names: Vec<String> = Vec::new();
        match &self.0.identity {
            Identity::Without(_) if self.0.is_whole => return Metadata::All,
            Identity::By(by) => names.extend(by.iter().cloned()),
            Identity::Without(_) | Identity::Nothing => {}
        }
        if let Measure::Unwrap { label, .. } = &self.0.measure {
            names.push(label.clone());
        }
        for step in &self.0.steps {
            match step {
                Step::Filter(tree) => tree.each(&mut |leaf| names.push(leaf.name.clone())),
                // These give labels whose names may collide with metadata.
                Step::JsonFields(fields) => names.extend(fields.iter().map(|f| f.0.clone())),
                Step::LogfmtFields(fields) => names.extend(fields.iter().map(|f| f.0.clone())),
                Step::Json | Step::Logfmt { .. } | Step::Drop(_) | Step::Keep(_) => {}
            }
        }
        let stems: Vec<String> = names
            .iter()
            .filter_map(|name| name.strip_suffix(EXTRACTED).map(str::to_owned))
            .collect();
        names.extend(stems);
        names.sort();
        names.dedup();
        Metadata::Named(names)
    }
}

impl<L> Tree<L> {
    pub fn each(&self, leaf: &mut impl FnMut(&L)) {
        match self {
            Tree::Leaf(found) => leaf(found),
            Tree::And(left, right) | Tree::Or(left, right) => {
                left.each(leaf);
                right.each(leaf);
            }
        }
    }
}

impl Stages {
    /// Adds what can be worked out over columns; says whether that is all.
    fn add(&mut self, stages: &[Stage], nothing_wanted: bool) -> Result<bool, String> {
        let mut is_whole = true;
        let mut has_parsed = false;
        for stage in stages {
            match &stage.kind {
                // Up to here nothing has changed the line, and filters on it come in any order.
                StageKind::LineFilter(filter) => {
                    let test = LineTest::compile(filter, &mut self.needles)?;
                    self.lines.push(test);
                }
                StageKind::LineFormat { .. } | StageKind::Unpack | StageKind::Decolorize => {
                    return Ok(false);
                }
                _ if !is_whole => {}
                StageKind::LabelFilter(filter) => {
                    let tree = self.filter(filter)?;
                    self.steps.push(Step::Filter(tree));
                }
                StageKind::Json { .. } | StageKind::Logfmt { .. } if nothing_wanted => {}
                StageKind::Json { .. } | StageKind::Logfmt { .. } if has_parsed => is_whole = false,
                StageKind::Json { fields } => {
                    has_parsed = true;
                    match json_fields(fields) {
                        Some(_) if fields.is_empty() => self.steps.push(Step::Json),
                        Some(fields) => self.steps.push(Step::JsonFields(fields)),
                        None => is_whole = false,
                    }
                }
                StageKind::Logfmt { keep_empty, fields, .. } => {
                    has_parsed = true;
                    match logfmt_fields(fields) {
                        Some(_) if fields.is_empty() => {
                            self.steps.push(Step::Logfmt { keep_empty: *keep_empty });
                        }
                        Some(fields) => self.steps.push(Step::LogfmtFields(fields)),
                        None => is_whole = false,
                    }
                }
                StageKind::Drop { targets } => match names(targets) {
                    Some(names) => self.steps.push(Step::Drop(names)),
                    None => is_whole = false,
                },
                StageKind::Keep { targets } => match names(targets) {
                    Some(names) => self.steps.push(Step::Keep(names)),
                    None => is_whole = false,
                },
                StageKind::Regexp { .. } | StageKind::Pattern { .. } if nothing_wanted => {}
                _ => is_whole = false,
            }
        }
        Ok(is_whole)
    }

    fn filter(&mut self, syntax: &FilterSyntax) -> Result<Tree<Leaf>, String> {
        let (name, test) = match syntax {
            FilterSyntax::And(left, right) => {
                let (left, right) = (self.filter(left)?, self.filter(right)?);
                return Ok(Tree::And(Box::new(left), Box::new(right)));
            }
            FilterSyntax::Or(left, right) => {
                let (left, right) = (self.filter(left)?, self.filter(right)?);
                return Ok(Tree::Or(Box::new(left), Box::new(right)));
            }
            FilterSyntax::Text(matcher) if matcher.name == ERROR => {
                (&matcher.name, Test::Error(text_matcher(matcher)))
            }
            FilterSyntax::Text(matcher) => (&matcher.name, Test::Text(text_matcher(matcher))),
            FilterSyntax::Number { name, op, value } => {
                (name, Test::Value(ValueTest::Number(*op, *value)))
            }
            FilterSyntax::Duration { name, op, ns, .. } => {
                (name, Test::Value(ValueTest::Duration(*op, *ns)))
            }
            FilterSyntax::Bytes { name, op, bytes, .. } => {
                (name, Test::Value(ValueTest::bytes(*op, *bytes)))
            }
            FilterSyntax::Ip { name, op, pattern } => {
                let filter = IpFilter::parse(pattern)?;
                (name, Test::Ip { negated: *op == MatchOp::Neq, filter })
            }
        };
        self.tests.push(test);
        Ok(Tree::Leaf(Leaf { name: name.clone(), test: self.tests.len() - 1 }))
    }
}

/// Paths of keys alone.
fn json_fields(fields: &[FieldPath]) -> Option<Vec<(String, Vec<String>)>> {
    fields
        .iter()
        .map(|field| {
            let keys = json_path(&field.path).ok()?.into_iter().map(|step| match step {
                PathStep::Key(key) => Some(key),
                _ => None,
            });
            Some((field.label.clone(), keys.collect::<Option<Vec<String>>>()?))
        })
        .collect()
}

fn logfmt_fields(fields: &[FieldPath]) -> Option<Vec<(String, String)>> {
    fields.iter().map(|field| Some((field.label.clone(), logfmt_key(&field.path).ok()?))).collect()
}

/// Names without conditions on values. The error labels are left out: where columns are used,
/// there are none.
fn names(targets: &[LabelTarget]) -> Option<Vec<String>> {
    targets
        .iter()
        .filter(|target| {
            !matches!(target, LabelTarget::Name(name) if name == ERROR || name == ERROR_DETAILS)
        })
        .map(|target| match target {
            LabelTarget::Name(name) => Some(name.clone()),
            LabelTarget::Matcher(_) => None,
        })
        .collect()
}

impl LineTest {
    fn compile(syntax: &LineFilterSyntax, needles: &mut Vec<String>) -> Result<LineTest, String> {
        let filter = LineFilter::compile(syntax)?;
        let (op, negated) = match syntax.op {
            LineOp::NotContains => (LineOp::Contains, true),
            LineOp::NotMatch => (LineOp::Match, true),
            LineOp::NotPattern => (LineOp::Pattern, true),
            op => (op, false),
        };
        let mut needle = |text: &str| {
            let known = needles.iter().position(|known| known == text);
            known.unwrap_or_else(|| {
                needles.push(text.to_owned());
                needles.len() - 1
            })
        };
        let alternatives = syntax
            .alternatives()
            .into_iter()
            .map(|operand| match (operand, op) {
                (LineOperand::Text(text), LineOp::Contains) => Alternative::Contains(needle(text)),
                _ => {
                    let groups = required_by(op, operand);
                    let groups = groups.iter().filter(|group| {
                        group.iter().all(|one| !one.ignore_case && !one.text.is_empty())
                    });
                    Alternative::Holds(
                        groups
                            .map(|group| group.iter().map(|one| needle(&one.text)).collect())
                            .collect(),
                    )
                }
            })
            .collect();
        Ok(LineTest { filter, negated, alternatives })
    }
}

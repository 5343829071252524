//! A LogQL filter as the condition of a stage: stream matchers on the labels, line filters on
//! the line, label filters on whatever is known about the entry.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;

use crate::config::pipeline::Node;
use crate::model::{MatchOp, Matcher, Text};
use crate::query::syntax::ast::{
    CompareOp, LabelFilter, LineFilter, LineOp, LineOperand, LogExpr, StageKind,
};
use crate::query::syntax::{self, Expr};
use crate::text::pattern::Pattern;
use crate::text::{re2, units};

use super::compile::Compile;
use super::format::{self, Format};
use super::item::Item;

/// A compiled condition.
#[derive(Debug)]
pub(crate) struct Condition {
    matchers: Vec<Matcher>,
    tests: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    Line {
        negated: bool,
        operands: Vec<LineTest>,
    },
    Label(LabelTest),
    /// `| json`, `| logfmt`: names are looked up in the line from here on.
    Read(Format),
}

#[derive(Debug)]
enum LineTest {
    Text(String),
    Regex(Regex),
    Pattern(Pattern),
    Ip(IpRange),
}

#[derive(Debug)]
enum LabelTest {
    Text(Matcher),
    Number { name: String, op: CompareOp, value: f64, unit: Unit },
    Ip { name: String, negated: bool, range: IpRange },
    And(Box<LabelTest>, Box<LabelTest>),
    Or(Box<LabelTest>, Box<LabelTest>),
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Plain,
    Duration,
    Bytes,
}

impl Condition {
    /// Compiles the text of a node. A filter without a selector (`|= "x"`) holds for all streams.
    pub fn compile(cx: &mut Compile<'_>, at: &Node) -> Option<Condition> {
        let Some(text) = at.as_str() else {
            cx.fault(
                at,
                format!(
                    "expected a LogQL filter such as '{{app=\"x\"}} |= \"y\"', not {}",
                    at.kind()
                ),
            );
            return None;
        };
        let trimmed = text.trim_start();
        let bare = !trimmed.starts_with('{');
        let full = if bare { format!("{{_=\"_\"}} {trimmed}") } else { text.to_owned() };
        let mut expr = match syntax::parse(&full) {
            Ok(Expr::Log(expr)) => expr,
            Ok(Expr::Metric(_)) => {
                cx.fault(at, "a metric query is no condition; use a selector with filters");
                return None;
            }
            Err(error) => {
                cx.fault(at, format!("selector does not parse: {}", error.message));
                return None;
            }
        };
        if bare {
            expr.matchers.clear();
        }
        match Condition::from_expr(expr) {
            Ok(condition) => Some(condition),
            Err(message) => {
                cx.fault(at, message);
                None
            }
        }
    }

    fn from_expr(expr: LogExpr) -> Result<Condition, String> {
        let mut tests = Vec::new();
        for stage in expr.stages {
            tests.push(match stage.kind {
                StageKind::LineFilter(filter) => line_test(filter)?,
                StageKind::LabelFilter(filter) => Test::Label(label_test(filter)?),
                StageKind::Json { fields } if fields.is_empty() => Test::Read(Format::Json),
                StageKind::Logfmt { fields, .. } if fields.is_empty() => Test::Read(Format::Logfmt),
                _ => {
                    return Err(
                        "only line filters, label filters, `| json` and `| logfmt` may stand in a condition"
                            .to_owned(),
                    );
                }
            });
        }
        Ok(Condition { matchers: expr.matchers, tests })
    }

    pub fn holds(&self, item: &Item) -> bool {
        if !self.matchers.iter().all(|m| m.matches(item.label(&m.name).unwrap_or_default())) {
            return false;
        }
        let mut read = None;
        self.tests.iter().all(|test| match test {
            Test::Line { negated, operands } => {
                operands.iter().any(|operand| operand.holds(&item.line)) != *negated
            }
            Test::Label(filter) => filter.holds(&|name| lookup(item, read, name)),
            Test::Read(format) => {
                read = Some(*format);
                true
            }
        })
    }
}

/// What a label filter sees under a name: what the filter itself read out of the line, what
/// stages extracted, labels as they are now, metadata.
fn lookup(item: &Item, read: Option<Format>, name: &str) -> Option<Text> {
    read.and_then(|format| format::field(format, &item.line, name)?.text())
        .or_else(|| item.extracted.text(name))
        .or_else(|| item.label(name).map(Text::from))
        .or_else(|| item.metadata(name).cloned())
}

fn line_test(filter: LineFilter) -> Result<Test, String> {
    let negated = matches!(filter.op, LineOp::NotContains | LineOp::NotMatch | LineOp::NotPattern);
    let mut operands = Vec::new();
    for operand in filter.operands {
        operands.push(match (operand, filter.op) {
            (LineOperand::Ip(range), _) => LineTest::Ip(IpRange::parse(&range)?),
            (LineOperand::Text(text), LineOp::Contains | LineOp::NotContains) => {
                LineTest::Text(text)
            }
            (LineOperand::Text(text), LineOp::Match | LineOp::NotMatch) => {
                LineTest::Regex(re2::compile(&text)?)
            }
            (LineOperand::Text(text), LineOp::Pattern | LineOp::NotPattern) => {
                LineTest::Pattern(Pattern::parse_filter(&text)?)
            }
        });
    }
    Ok(Test::Line { negated, operands })
}

impl LineTest {
    fn holds(&self, line: &str) -> bool {
        match self {
            LineTest::Text(text) => line.contains(text.as_str()),
            LineTest::Regex(regex) => regex.is_match(line),
            LineTest::Pattern(pattern) => pattern.matches(line),
            LineTest::Ip(range) => addresses(line).any(|ip| range.contains(ip)),
        }
    }
}

fn label_test(filter: LabelFilter) -> Result<LabelTest, String> {
    Ok(match filter {
        LabelFilter::Text(matcher) => LabelTest::Text(matcher),
        LabelFilter::Number { name, op, value } => {
            LabelTest::Number { name, op, value, unit: Unit::Plain }
        }
        LabelFilter::Duration { name, op, ns, .. } => {
            LabelTest::Number { name, op, value: ns as f64, unit: Unit::Duration }
        }
        LabelFilter::Bytes { name, op, bytes, .. } => {
            LabelTest::Number { name, op, value: bytes as f64, unit: Unit::Bytes }
        }
        LabelFilter::Ip { name, op, pattern } => {
            LabelTest::Ip { name, negated: op == MatchOp::Neq, range: IpRange::parse(&pattern)? }
        }
        LabelFilter::And(a, b) => {
            LabelTest::And(Box::new(label_test(*a)?), Box::new(label_test(*b)?))
        }
        LabelFilter::Or(a, b) => {
            LabelTest::Or(Box::new(label_test(*a)?), Box::new(label_test(*b)?))
        }
    })
}

impl LabelTest {
    fn holds(&self, get: &dyn Fn(&str) -> Option<Text>) -> bool {
        match self {
            LabelTest::Text(matcher) => {
                matcher.matches(get(&matcher.name).as_deref().unwrap_or_default())
            }
            LabelTest::Number { name, op, value, unit } => {
                let Some(text) = get(name) else { return false };
                let found = match unit {
                    Unit::Plain => text.parse::<f64>().ok(),
                    Unit::Duration => units::parse_go_duration(&text).map(|ns| ns as f64),
                    Unit::Bytes => units::parse_bytes(&text).map(|bytes| bytes as f64),
                };
                found.is_some_and(|found| match op {
                    CompareOp::Eq => found == *value,
                    CompareOp::Neq => found != *value,
                    CompareOp::Gt => found > *value,
                    CompareOp::Gte => found >= *value,
                    CompareOp::Lt => found < *value,
                    CompareOp::Lte => found <= *value,
                })
            }
            LabelTest::Ip { name, negated, range } => get(name)
                .and_then(|text| text.parse().ok())
                .is_some_and(|ip| range.contains(ip) != *negated),
            LabelTest::And(a, b) => a.holds(get) && b.holds(get),
            LabelTest::Or(a, b) => a.holds(get) || b.holds(get),
        }
    }
}

/// `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`.
#[derive(Debug)]
enum IpRange {
    Net(IpNet),
    Between(IpAddr, IpAddr),
}

impl IpRange {
    fn parse(text: &str) -> Result<IpRange, String> {
        let bad = || format!("{text:?} is no address, CIDR or range of addresses");
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(IpRange::Net(net));
        }
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let from = from.trim().parse().map_err(|_| bad())?;
        let to = to.trim().parse().map_err(|_| bad())?;
        Ok(IpRange::Between(from, to))
    }

    fn contains(&self, ip: IpAddr) -> bool {
        match self {
            IpRange::Net(net) => net.contains(&ip),
            IpRange::Between(from, to) => {
                from.is_ipv4() == ip.is_ipv4() && *from <= ip && ip <= *to
            }
        }
    }
}

/// The addresses in a text: runs of hex digits, dots and colons that parse.
fn addresses(line: &str) -> impl Iterator<Item = IpAddr> + '_ {
    line.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':')).filter_map(|word| {
        let word = word.trim_end_matches(['.', ':']);
        word.parse().ok().or_else(|| word.rsplit_once(':')?.0.parse().ok())
    })
}

//! `|= != |~ !~ |> !>`: keeps or drops a line by its text.

use memchr::memmem::Finder;
use regex::Regex;

use crate::query::syntax::ast::{LineFilter as Syntax, LineOp, LineOperand};
use crate::text::pattern::Pattern;
use crate::text::re2;

use super::ip::IpFilter;

/// One filter: lets a line through if any of its tests says yes, or, negated, if none does.
#[derive(Debug, Clone)]
pub struct LineFilter {
    negated: bool,
    tests: Vec<Test>,
}

#[derive(Debug, Clone)]
enum Test {
    Contains(Box<Finder<'static>>),
    Regex(Regex),
    Pattern(Pattern),
    Ip(IpFilter),
}

impl LineFilter {
    pub fn compile(syntax: &Syntax) -> Result<Self, String> {
        let negated =
            matches!(syntax.op, LineOp::NotContains | LineOp::NotMatch | LineOp::NotPattern);
        let tests = syntax
            .alternatives()
            .into_iter()
            .map(|operand| match (operand, syntax.op) {
                (LineOperand::Ip(pattern), LineOp::Contains | LineOp::NotContains) => {
                    IpFilter::parse(pattern).map(Test::Ip)
                }
                (LineOperand::Ip(_), _) => Err("ip: invalid operation".to_owned()),
                (LineOperand::Text(text), LineOp::Contains | LineOp::NotContains) => {
                    Ok(Test::Contains(Box::new(Finder::new(text).into_owned())))
                }
                (LineOperand::Text(text), LineOp::Match | LineOp::NotMatch) => {
                    re2::compile(text).map(Test::Regex)
                }
                (LineOperand::Text(text), LineOp::Pattern | LineOp::NotPattern) => {
                    Pattern::parse_filter(text).map(Test::Pattern)
                }
            })
            .collect::<Result<Vec<Test>, String>>()?;
        Ok(LineFilter { negated, tests })
    }

    pub fn keeps(&self, line: &str) -> bool {
        let found = self.tests.iter().any(|test| match test {
            Test::Contains(finder) => finder.find(line.as_bytes()).is_some(),
            Test::Regex(regex) => regex.is_match(line),
            Test::Pattern(pattern) => pattern.matches(line),
            Test::Ip(filter) => filter.matches(line),
        });
        found != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: LineOp, operands: &[&str], line: &str, expect: bool) {
        let operands = operands.iter().map(|text| LineOperand::Text((*text).to_owned())).collect();
        let filter = LineFilter::compile(&Syntax { op, operands }).unwrap();
        assert_eq!(filter.keeps(line), expect, "{line:?}");
    }

    #[test]
    fn substrings() {
        check(LineOp::Contains, &["a"], "cat", true);
        check(LineOp::Contains, &["A"], "cat", false);
        check(LineOp::Contains, &["x", "t"], "cat", true);
        check(LineOp::NotContains, &["x", "t"], "cat", false);
        check(LineOp::NotContains, &["x", "y"], "cat", true);
    }

    #[test]
    fn empty_operands() {
        check(LineOp::Contains, &[""], "cat", true);
        check(LineOp::NotContains, &[""], "cat", false);
        check(LineOp::NotMatch, &[""], "cat", false);
        check(LineOp::Contains, &["x", ""], "cat", false);
        check(LineOp::Pattern, &["x", ""], "", true);
        check(LineOp::Pattern, &["x", ""], "cat", false);
    }

    #[test]
    fn regexes_are_unanchored_and_keep_to_one_text_line() {
        check(LineOp::Match, &["c.t"], "a cat", true);
        check(LineOp::Match, &["one.*two"], "one\ntwo", false);
        check(LineOp::Match, &["(?i)CAT"], "cat", true);
    }

    #[test]
    fn addresses_go_with_two_operators_only() {
        let operands = vec![LineOperand::Ip("10.0.0.0/8".to_owned())];
        let filter = Syntax { op: LineOp::Match, operands };
        assert_eq!(LineFilter::compile(&filter).err().as_deref(), Some("ip: invalid operation"));
    }
}

//! Lines held back until their record is complete, each with where it came from.

use std::collections::VecDeque;

use crate::text::multiline::{Joined, Joiner, MultilineRule};

/// A joiner that remembers a mark for each line it holds, so that a source knows from where to
/// read again should the record be lost.
#[derive(Debug, Clone)]
pub(super) struct HeldLines<M> {
    joiner: Joiner,
    marks: VecDeque<M>,
    /// When the last line came.
    last_ns: i64,
}

impl<M> Default for HeldLines<M> {
    fn default() -> Self {
        HeldLines { joiner: Joiner::default(), marks: VecDeque::new(), last_ns: 0 }
    }
}

/// A complete record with the marks of its lines, of which there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<M> {
    pub text: String,
    pub marks: Vec<M>,
}

impl<M> HeldLines<M> {
    pub fn push(
        &mut self,
        rule: &MultilineRule,
        line: &str,
        mark: M,
        now_ns: i64,
    ) -> Vec<Record<M>> {
        self.last_ns = now_ns;
        self.marks.push_back(mark);
        let joined = self.joiner.push(rule, line);
        let mut records: Vec<Record<M>> = joined.into_iter().map(|done| self.take(done)).collect();
        // Should the joiner count lines otherwise than we do, the marks of the last record hold
        // what is left over: better one mark too many than a position that waits for ever.
        let held = self.joiner.held_lines();
        if self.marks.len() > held
            && let Some(last) = records.last_mut()
        {
            last.marks.extend(self.marks.drain(..self.marks.len() - held));
        }
        records
    }

    fn take(&mut self, done: Joined) -> Record<M> {
        let lines = done.lines.min(self.marks.len());
        Record { text: done.text, marks: self.marks.drain(..lines).collect() }
    }

    /// What is held, complete or not.
    pub fn flush(&mut self) -> Option<Record<M>> {
        let record = self.joiner.flush().map(|done| self.take(done));
        self.marks.clear();
        record
    }

    /// What is held, when no line has come for as long as the rule waits.
    pub fn flush_idle(&mut self, rule: &MultilineRule, now_ns: i64) -> Option<Record<M>> {
        let wait_ns = i64::try_from(rule.wait_max.as_nanos()).unwrap_or(i64::MAX);
        if self.is_empty() || now_ns.saturating_sub(self.last_ns) < wait_ns {
            return None;
        }
        self.flush()
    }

    pub fn oldest(&self) -> Option<&M> {
        self.marks.front()
    }

    pub fn marks(&self) -> impl Iterator<Item = &M> {
        self.marks.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rule() -> MultilineRule {
        MultilineRule {
            firstline: regex::Regex::new(r"^\S").unwrap(),
            lines_max: 3,
            bytes_max: 100,
            wait_max: Duration::from_secs(3),
        }
    }

    #[test]
    fn marks_follow_their_lines() {
        let mut held = HeldLines::default();
        let mut shown = Vec::new();
        for (mark, line) in ["  early", "a", " b", "c", " d", " e", " f"].into_iter().enumerate() {
            for record in held.push(&rule(), line, mark, 0) {
                shown.push(format!("{:?} {:?}", record.text, record.marks));
            }
        }
        assert_eq!(shown, [r#""  early" [0]"#, r#""a\n b" [1, 2]"#, r#""c\n d\n e" [3, 4, 5]"#]);
        assert_eq!(held.oldest(), Some(&6));
        assert_eq!(held.flush_idle(&rule(), 2_999_999_999), None);
        assert_eq!(held.flush_idle(&rule(), 3_000_000_000).unwrap().marks, [6]);
        assert!(held.is_empty());
    }
}

//! Where history ends and live lines begin: a line that was stored while history was being read
//! is in both and must be sent once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::limits;
use crate::model::Timestamp;
use crate::query::LogRow;

/// Lines of history that may come again as live ones.
#[derive(Debug, Default)]
pub struct Seam {
    seen: HashMap<Timestamp, Vec<LogRow>>,
    ends: Option<Instant>,
}

impl Seam {
    pub fn new(history: &[LogRow], now: Instant) -> Seam {
        let mut seen: HashMap<Timestamp, Vec<LogRow>> = HashMap::new();
        for row in history {
            seen.entry(row.ts).or_default().push(row.clone());
        }
        Seam { seen, ends: Some(now + Duration::from_secs(limits::TAIL_SEAM_SECS)) }
    }

    /// Whether a live line is new. Each line of history stands for one live line.
    pub fn is_new(&mut self, row: &LogRow) -> bool {
        if self.seen.is_empty() {
            return true;
        }
        let Some(alike) = self.seen.get_mut(&row.ts) else { return true };
        let Some(at) = alike.iter().position(|seen| seen == row) else { return true };
        alike.swap_remove(at);
        if alike.is_empty() {
            self.seen.remove(&row.ts);
        }
        false
    }

    /// Forgets history once nothing of it can be on its way any more: what was sent twice then
    /// was stored twice.
    pub fn tick(&mut self, now: Instant) {
        if self.ends.is_some_and(|ends| ends <= now) {
            *self = Seam::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[test]
    fn each_line_of_history_stands_for_one() {
        let row = |ts: i64, line: &str, id: &str| LogRow {
            ts: Timestamp(ts),
            line: line.to_owned(),
            stream: Labels::from_pairs([("app", "a")]),
            metadata: vec![("id".to_owned(), id.to_owned())],
            parsed: Vec::new(),
        };
        let now = Instant::now();
        let history = [row(1, "a", "1"), row(1, "a", "1"), row(2, "b", "1")];
        let mut seam = Seam::new(&history, now);
        let is_new: Vec<bool> = [
            row(1, "a", "1"),
            row(1, "a", "2"),
            row(1, "a", "1"),
            row(1, "a", "1"),
            row(3, "b", "1"),
        ]
        .iter()
        .map(|row| seam.is_new(row))
        .collect();
        assert_eq!(is_new, [false, true, false, true, true]);
        seam.tick(now);
        assert!(!seam.seen.is_empty());
        seam.tick(now + Duration::from_secs(limits::TAIL_SEAM_SECS));
        assert!(seam.is_new(&row(2, "b", "1")));
    }
}

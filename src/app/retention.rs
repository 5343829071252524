//! What is kept and for how long, and how delete requests are read: from configuration and LogQL
//! to what the store understands.

use std::sync::Arc;

use super::rules::Loaded;
use crate::config::Diagnostic;
use crate::model::{Labels, Timestamp};
use crate::query::stage::{ERROR, Pipeline, Worker};
use crate::query::syntax::ast::StageKind;
use crate::query::{hints, syntax};
use crate::store::{Language, Retention, RowFilter, RowWorker, Selection, StreamRetention};

/// Loki has the same least time for streams.
const STREAM_PERIOD_MIN_SECS: u64 = 24 * 3600;

/// The section `retention:`, selectors parsed.
pub fn retention(loaded: &Loaded) -> Result<Retention, Vec<Diagnostic>> {
    let wanted = &loaded.config.retention;
    let mut faults = Vec::new();
    let mut streams = Vec::new();
    for rule in &wanted.retention_stream {
        if rule.period.value.duration().as_secs() < STREAM_PERIOD_MIN_SECS {
            let message = "retention_stream: period must be 24h or longer";
            faults.push(Diagnostic::at(&loaded.file, &rule.period, message));
        }
        match syntax::parse_selector(&rule.selector.value) {
            Ok(matchers) => streams.push(StreamRetention {
                matchers,
                priority: rule.priority,
                age: rule.period.value.duration(),
            }),
            Err(error) => {
                let message = format!("retention_stream: selector: {error}");
                faults.push(Diagnostic::at(&loaded.file, &rule.selector, message));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Retention {
        age: wanted.period.duration(),
        streams,
        bytes_max: Some(wanted.max_size.bytes()).filter(|bytes| *bytes > 0),
        disk_free_min_bytes: wanted.min_free_disk.bytes(),
        disk_free_stop_bytes: wanted.stop_free_disk.bytes(),
    })
}

/// Log queries as queries of delete requests: every line that the query gives is meant.
pub struct LogqlDeletes;

impl Language for LogqlDeletes {
    fn compile(&self, query: &str) -> Result<Selection, String> {
        let mut log = syntax::parse_log(query)
            .map_err(|error| format!("invalid query expression: {error}"))?;
        // A line that a stage cannot read passes filters with an error on it. Deleting it on that
        // ground would delete what nobody meant.
        let reads_values =
            log.stages.iter().any(|stage| !matches!(stage.kind, StageKind::LineFilter(_)));
        if reads_values && !query.contains(ERROR) {
            log = syntax::parse_log(&format!("{query}\n| {ERROR}=``"))
                .map_err(|error| error.to_string())?;
        }
        let pipeline = Pipeline::compile(&log.stages).map_err(|error| error.to_string())?;
        let hints = hints(&log);
        let is_whole = pipeline.is_empty();
        log.stages.clear();
        let selector = log.to_string();
        Ok(Selection {
            matchers: log.matchers,
            hints,
            rows: (!is_whole).then(|| Arc::new(Lines(pipeline)) as Arc<dyn RowFilter>),
            afterwards: if is_whole { selector } else { format!("{selector} |= `***`") },
        })
    }
}

struct Lines(Pipeline);

impl RowFilter for Lines {
    fn worker(&self) -> Box<dyn RowWorker> {
        Box::new(LineWorker(self.0.worker()))
    }
}

struct LineWorker(Worker);

impl RowWorker for LineWorker {
    fn set_stream(&mut self, labels: &Labels) {
        self.0.set_stream(labels);
    }

    fn matches<'a>(
        &mut self,
        ts: Timestamp,
        line: &'a str,
        metadata: &mut dyn Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        self.0.run(ts, line, metadata).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_query_says_which_lines_are_meant() {
        let meant = |query: &str, line: &str| {
            let selection = LogqlDeletes.compile(query).unwrap();
            selection.rows.is_none_or(|rows| {
                let mut worker = rows.worker();
                worker.set_stream(&Labels::from_pairs([("app", "a")]));
                worker.matches(Timestamp(1), line, &mut [("user", "bob")].into_iter())
            })
        };
        assert!(meant(r#"{app="a"}"#, "anything"));
        assert!(meant(r#"{app="a"} |= "secret""#, "a secret"));
        assert!(!meant(r#"{app="a"} |= "secret""#, "nothing"));
        assert!(meant(r#"{app="a"} | user="bob""#, "x"));
        assert!(meant(r#"{app="a"} | logfmt | status>400"#, "status=500"));
        for kept in ["status=200", "status=unknown"] {
            assert!(!meant(r#"{app="a"} | logfmt | status>400 # mine"#, kept), "{kept}");
        }
        let after = |query: &str| LogqlDeletes.compile(query).unwrap().afterwards;
        assert_eq!(after(r#"{app="a"} |= "secret""#), r#"{app="a"} |= `***`"#);
        assert_eq!(after(r#"{app="a"}"#), r#"{app="a"}"#);
        for wrong in ["", "{}", r#"rate({app="a"}[1m])"#, r#"{app=~".*"}"#, "{app=\"a\"} |="] {
            assert!(LogqlDeletes.compile(wrong).is_err(), "{wrong}");
        }
    }
}

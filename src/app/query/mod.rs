//! `stockade query`: a LogQL client for the terminal, in the manner of logcli.

mod client;
mod follow;
mod print;

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use anyhow::{Context as _, anyhow};

use self::client::{Answer, Client, Page};
use self::print::Printer;
use super::cli::{Output, QueryArgs};
use super::{Exit, runtime};
use crate::api::params::parse_time;
use crate::clock::{Clock as _, SystemClock};
use crate::model::{TimeRange, Timestamp};
use crate::query::plain;
use crate::query::syntax::{self, Expr};
use crate::text::units;

/// Entries asked for at a time; Loki's own limit for one request.
const PAGE_ENTRIES: usize = 5000;

pub fn query(args: &QueryArgs) -> Result<(), Exit> {
    let text = to_logql(&args.query);
    let expr = syntax::parse(&text)
        .map_err(|error| Exit::Usage(format!("{error}\n{}", error.caret(&text))))?;
    let range = range(args)?;
    if args.follow && matches!(expr, Expr::Metric(_)) {
        return Err(Exit::Usage("--follow needs a log query; this one yields numbers".into()));
    }
    let client = Client::new(&args.server.addr, args.tenant.as_deref());
    let mut printer = Printer::new(args.output, args.color);
    runtime()?.block_on(async {
        match expr {
            Expr::Metric(_) => metric(args, &client, &text, range, &mut printer).await,
            Expr::Log(_) => {
                if !args.follow {
                    return logs(args, &client, &text, range, &mut printer).await;
                }
                follow::follow(&client, &text, range.start, args.limit, &mut printer).await
            }
        }
    })?;
    Ok(())
}

/// Plain words search every stream, as on the page.
fn to_logql(text: &str) -> String {
    if plain::is_logql(text) { text.to_owned() } else { plain::to_logql(text) }
}

fn range(args: &QueryArgs) -> Result<TimeRange, Exit> {
    let usage =
        |name: &str, text: &str, wants: &str| Exit::Usage(format!("--{name} {text:?}: {wants}"));
    let now = Timestamp(SystemClock.now_ns());
    let time = |name: &str, text: &str| {
        parse_time(text).ok_or_else(|| {
            usage(name, text, "use RFC 3339, for instance 2026-11-20T09:00:00Z, or Unix time")
        })
    };
    let end = args.to.as_deref().map_or(Ok(now), |text| time("to", text))?;
    let start = match args.from.as_deref() {
        Some(text) => time("from", text)?,
        None => {
            let ns = units::parse_prometheus_duration(&args.since)
                .ok_or_else(|| usage("since", &args.since, "use a duration such as 15m, 1h, 7d"))?;
            end.saturating_add_ns(-ns)
        }
    };
    if start >= end {
        return Err(Exit::Usage("the range ends before it starts; swap --from and --to".into()));
    }
    Ok(TimeRange::new(start, end))
}

async fn metric(
    args: &QueryArgs,
    client: &Client,
    text: &str,
    range: TimeRange,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    match client.range(text, range, None, args.step.as_deref(), !args.forward).await? {
        Answer::Matrix(series) => printer.series(&series),
        Answer::Streams(_) => Err(anyhow!("the server answered a metric query with log lines")),
    }
}

/// Walks the range page by page, so that no cap on one request cuts the answer short.
async fn logs(
    args: &QueryArgs,
    client: &Client,
    text: &str,
    mut range: TimeRange,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let wanted = if args.limit == 0 { usize::MAX } else { args.limit };
    let mut printed = 0;
    let mut edge = Page::default();
    let began = Instant::now();
    let show_progress = std::io::stderr().is_terminal() && wanted > PAGE_ENTRIES;
    while printed < wanted {
        // Entries at the border come again with the next page and are left out by `edge`.
        let ask = (wanted - printed).saturating_add(edge.len()).min(PAGE_ENTRIES);
        let answer = client.range(text, range, Some(ask), None, !args.forward).await?;
        let Answer::Streams(page) = answer else {
            return Err(anyhow!("the server answered a log query with numbers"));
        };
        let full = page.len() >= ask;
        let fresh = page.without(&edge);
        if full && fresh.is_empty() {
            return Err(anyhow!(
                "more than {ask} entries have the same time; use a narrower selector"
            ));
        }
        for entry in fresh.iter().take(wanted - printed) {
            printer.entry(entry)?;
        }
        printed += fresh.len().min(wanted - printed);
        let Some(last) = page.last_ts() else { break };
        edge = page.at(last);
        if args.forward {
            range.start = last;
        } else {
            range.end = last.saturating_add_ns(1);
        }
        if show_progress {
            let secs = began.elapsed().as_secs();
            eprint!("\r{printed} entries in {secs} s, at {last} ");
        }
        if !full {
            break;
        }
    }
    if show_progress {
        eprintln!();
    }
    if printed == 0 && args.output == Output::Default {
        eprintln!("no entry between {} and {}", range.start, range.end);
    }
    std::io::stdout().flush().context("writing the output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_become_a_query() {
        for (words, logql) in [
            ("{a=\"b\"}", "{a=\"b\"}"),
            ("timeout db", "{service_name=~\".+\"} |~ \"(?i)timeout\" |~ \"(?i)db\""),
            ("a -b -", "{service_name=~\".+\"} |~ \"(?i)a\" !~ \"(?i)b\" |~ \"(?i)\\\\-\""),
            ("\"x y\" -\"p q\"", "{service_name=~\".+\"} |~ \"(?i)x y\" !~ \"(?i)p q\""),
            ("\"open", "{service_name=~\".+\"} |~ \"(?i)\\\"open\""),
            ("404", "{service_name=~\".+\"} |~ \"(?i)404\""),
            ("main() failed", "{service_name=~\".+\"} |~ \"(?i)main\\\\(\\\\)\" |~ \"(?i)failed\""),
            ("vector(1)", "vector(1)"),
            ("a.b", "{service_name=~\".+\"} |~ \"(?i)a\\\\.b\""),
            ("sum(rate({a=\"b\"}[1m]))", "sum(rate({a=\"b\"}[1m]))"),
        ] {
            assert_eq!(to_logql(words), logql);
        }
    }
}

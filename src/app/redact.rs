//! `stockade redact`: standard input to standard output.

use std::io::{self, BufReader, BufWriter, Write as _};

use anyhow::Context as _;

use super::Exit;
use super::cli::ConfigArg;
use super::control::join;
use super::rules::{Ground, build_rules, load_config};
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::pipeline::PipelineMetrics;
use crate::redact::RedactMetrics;

pub fn redact(args: &ConfigArg) -> Result<(), Exit> {
    let loaded = load_config(args.config.as_deref()).map_err(|f| Exit::Usage(join(&f)))?;
    let metrics = Metrics::default();
    let ground = Ground {
        redact_metrics: RedactMetrics::register(&metrics),
        pipeline_metrics: PipelineMetrics::new(&metrics),
        clock: SystemClock::shared(),
        data_dir: None,
    };
    let rules = build_rules(&loaded, &ground, None).map_err(|f| Exit::Usage(join(&f)))?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let counts = rules
        .redactor
        .redact_stream(BufReader::with_capacity(1 << 16, io::stdin().lock()), &mut output)
        .context("redacting standard input")?;
    output.flush().context("writing standard output")?;
    eprintln!("{} lines, {} changed", counts.lines, counts.lines_touched);
    for (rule, count) in &counts.rules {
        eprintln!("{count:>8}  {rule}");
    }
    if counts.errors > 0 {
        eprintln!(
            "{:>8}  lines replaced whole, since they could not be looked through",
            counts.errors
        );
    }
    Ok(())
}

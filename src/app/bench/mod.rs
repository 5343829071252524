//! `stockade bench`: pushes a deterministic mix of lines to any Loki-compatible server and
//! measures what it costs: CPU, memory and disk of the server, and query medians.

mod encode;
mod generate;
mod measure;
mod queries;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use self::generate::Generator;
use self::measure::Process;
use super::cli::BenchArgs;
use super::{Exit, runtime, write_out};

/// Raw bytes of line in one push; what collectors send.
const PUSH_BYTES: usize = 1 << 20;

pub fn bench(args: &BenchArgs) -> Result<(), Exit> {
    let process = args.pid.map(Process::new);
    let total_bytes = args.megabytes.saturating_mul(1_000_000);
    let span_ns = i64::try_from(args.hours.saturating_mul(3_600_000_000_000)).unwrap_or(i64::MAX);
    let generator = Arc::new(Mutex::new(Generator::new(args.seed, span_ns, total_bytes)));
    let report = runtime()?.block_on(async {
        if !args.queries_only {
            push_all(args, &generator, process.as_ref()).await?;
        }
        let end_ns = generator.lock().map(|g| g.end_ns()).unwrap_or_default();
        let pushed = queries::Pushed {
            start_ns: end_ns - span_ns,
            end_ns,
            trace_id: Generator::a_trace_id(args.seed, span_ns, total_bytes)
                .context("the mix is too short to hold a trace id")?,
        };
        let queries = match &args.queries {
            Some(path) => queries::read(path)?,
            None => queries::built_in(),
        };
        let prefix = args.path_prefix.as_deref();
        queries::run(&args.server.addr, prefix, &queries, &pushed, args.query_runs).await
    })?;
    print_line(&report)?;
    if let Some(folder) = &args.data_dir {
        let bytes = measure::folder_bytes(folder).context("measuring the data directory")?;
        print_line(&format!("stored: {:.1} MB", bytes as f64 / 1e6))?;
    }
    Ok(())
}

fn print_line(text: &str) -> anyhow::Result<()> {
    write_out(format!("{text}\n").as_bytes())
}

async fn push_all(
    args: &BenchArgs,
    generator: &Arc<Mutex<Generator>>,
    process: Option<&Process>,
) -> anyhow::Result<()> {
    let base = args.server.addr.trim_end_matches('/');
    let url = format!("{base}{}/loki/api/v1/push", args.path_prefix.as_deref().unwrap_or_default());
    let before = process.map(Process::cpu_secs).transpose()?;
    let began = Instant::now();
    let sent = Arc::new(AtomicU64::new(0));
    let lines = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..args.connections.max(1) {
        let (generator, url) = (generator.clone(), url.clone());
        let (sent, lines) = (sent.clone(), lines.clone());
        tasks.push(tokio::spawn(async move {
            let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
            loop {
                let made = tokio::task::spawn_blocking({
                    let generator = generator.clone();
                    move || {
                        let mut generator = generator.lock().ok()?;
                        let batch = generator.batch(PUSH_BYTES)?;
                        drop(generator);
                        Some((encode::snappy(&batch.message), batch.line_bytes, batch.lines))
                    }
                });
                let Some((body, line_bytes, count)) = made.await? else {
                    return Ok::<_, anyhow::Error>(());
                };
                push_one(&client, &url, body).await?;
                sent.fetch_add(line_bytes as u64, Ordering::Relaxed);
                lines.fetch_add(count as u64, Ordering::Relaxed);
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    let (secs, sent) = (began.elapsed().as_secs_f64(), sent.load(Ordering::Relaxed) as f64 / 1e6);
    let lines = lines.load(Ordering::Relaxed);
    print_line(&format!("pushed: {sent:.1} MB of line, {lines} lines, {secs:.1} s"))?;
    if let (Some(process), Some(before)) = (process, before) {
        let rate = |cpu: f64| sent / cpu.max(0.01);
        let cpu = process.cpu_secs()? - before;
        print_line(&format!("server: {cpu:.2} CPU s while pushed, {:.1} MB per CPU s", rate(cpu)))?;
        let cpu = process.settled_cpu_secs().await? - before;
        print_line(&format!(
            "server: {cpu:.2} CPU s until settled, {:.1} MB per CPU s",
            rate(cpu)
        ))?;
        print_line(&format!("server: peak RSS {:.0} MB", process.peak_rss_bytes()? as f64 / 1e6))?;
    }
    Ok(())
}

/// Sends one body; comes again when the server says it is too much at once.
async fn push_one(client: &reqwest::Client, url: &str, body: Vec<u8>) -> anyhow::Result<()> {
    for _ in 0..600 {
        let response = client
            .post(url)
            .header("Content-Type", "application/x-protobuf")
            .body(body.clone())
            .send()
            .await
            .with_context(|| format!("pushing to {url}"))?;
        let status = response.status().as_u16();
        match status {
            200..=299 => return Ok(()),
            429 | 503 => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => bail!("push refused ({status}): {}", response.text().await.unwrap_or_default()),
        }
    }
    bail!("the server refused pushes with 429 or 503 for a minute")
}

//! What a process has used, from /proc, and what a folder holds.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

pub struct Process(u32);

const SETTLE_SECONDS_MAX: u32 = 60;
/// A process that takes no more than this a second, for so many seconds, is at rest.
const QUIET_CPU_SECS: f64 = 0.03;
const QUIET_SECONDS: u32 = 5;

/// The kernel counts CPU time in these; it is 100 on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    pub fn new(pid: u32) -> Self {
        Process(pid)
    }

    /// User and system time so far.
    pub fn cpu_secs(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/stat", self.0);
        let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        // The name in parentheses may hold spaces; fields are counted after it.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
    }

    /// User and system time once the process has nothing to do any more: what it merges and seals
    /// after the last push is work of the pushes, too.
    pub async fn settled_cpu_secs(&self) -> anyhow::Result<f64> {
        let mut used = self.cpu_secs()?;
        let mut quiet = 0;
        for _ in 0..SETTLE_SECONDS_MAX {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.cpu_secs()?;
            quiet = if now - used <= QUIET_CPU_SECS { quiet + 1 } else { 0 };
            used = now;
            if quiet == QUIET_SECONDS {
                break;
            }
        }
        Ok(used)
    }

    pub fn peak_rss_bytes(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.0);
        let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let kib = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok()
        });
        Ok(kib.context("the kernel does not tell VmHWM")? * 1024)
    }
}

/// Bytes that the files of a folder take on disk.
pub fn folder_bytes(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes +=
            if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

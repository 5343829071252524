//! How much memory there is and how much of it is used: the limit of the container if there is
//! one, else the machine's, and thresholds that follow from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits::{QUERIES_AT_ONCE_MAX, QUERY_CACHE_BYTES_MAX};
use crate::query::Engine;
use crate::store::Thresholds;
use crate::store::read::LogRead;

const MIB: u64 = 1 << 20;
/// What is used where there is plenty: more makes larger parts, which few need.
const BUDGET_DEFAULT_MAX: u64 = 256 * MIB;
const BUDGET_MIN: u64 = 32 * MIB;
/// What one query is reckoned to need.
const QUERY_BYTES: u64 = 32 * MIB;
/// With less hardly any query would be answered.
const QUERIES_BYTES_MIN: u64 = 64 * MIB;
/// Control groups above this have no limit: version 1 writes the largest page-aligned number.
const NO_LIMIT: u64 = 1 << 60;

/// Memory that this process may use, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    pub bytes: u64,
    pub from: &'static str,
}

/// What the server goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub bytes: u64,
    pub queries_at_once: usize,
    /// Bodies of pushes under way, as they came.
    pub push_bytes_max: usize,
    /// Lines that wait for slow readers of tails.
    pub tail_bytes_max: usize,
}

/// Reads the limits of control groups (version 2 and 1) and the machine's memory. `root` is `/`
/// but in tests.
pub fn available(root: &Path) -> Option<Available> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut least: Option<Available> = None;
    let mut note = |bytes: Option<u64>, from: &'static str| {
        let Some(bytes) = bytes.filter(|bytes| *bytes > 0 && *bytes < NO_LIMIT) else { return };
        if least.as_ref().is_none_or(|least| bytes < least.bytes) {
            least = Some(Available { bytes, from });
        }
    };
    note(machine_bytes(root), "the machine");
    for line in own.lines() {
        // hierarchy:controllers:path
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if controllers.is_empty() {
            for folder in folders(&root.join("sys/fs/cgroup"), path) {
                note(number(&folder.join("memory.max")), "the control group (memory.max)");
            }
        } else if controllers.split(',').any(|name| name == "memory") {
            for folder in folders(&root.join("sys/fs/cgroup/memory"), path) {
                let bytes = number(&folder.join("memory.limit_in_bytes"));
                note(bytes, "the control group (memory.limit_in_bytes)");
            }
        }
    }
    least
}

/// The folder of a group and those above it: a limit of any of them counts. Inside of a container
/// the path may be the host's, which is not there; then the top one is the container's own.
fn folders(top: &Path, path: &str) -> Vec<PathBuf> {
    let inner = Path::new(path.trim_start_matches('/'));
    let safe = inner.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let inner = if safe { inner } else { Path::new("") };
    inner.ancestors().map(|part| top.join(part)).collect()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = kib.trim().trim_end_matches("kB").trim().parse().ok()?;
    kib.checked_mul(1024)
}

impl Budget {
    /// `wanted` is what the configuration says; 0 takes half of what there is, at most 256 MiB.
    pub fn new(wanted: u64, available: Option<&Available>) -> Budget {
        let bytes = match (wanted, available) {
            (0, Some(available)) => (available.bytes / 2).min(BUDGET_DEFAULT_MAX),
            (0, None) => BUDGET_DEFAULT_MAX,
            (wanted, _) => wanted,
        };
        let bytes = bytes.max(BUDGET_MIN);
        let queries = usize::try_from(bytes / QUERY_BYTES).unwrap_or(usize::MAX);
        Budget {
            bytes,
            queries_at_once: queries.clamp(2, QUERIES_AT_ONCE_MAX),
            push_bytes_max: usize::try_from(bytes / 4).unwrap_or(usize::MAX),
            tail_bytes_max: usize::try_from(bytes / 8).unwrap_or(usize::MAX),
        }
    }

    /// Queries may hold about as much as everything else, each of their caches an eighth of that.
    pub fn engine(&self, reader: Arc<dyn LogRead>) -> Engine {
        let cache_bytes = usize::try_from(self.bytes / 8).unwrap_or(usize::MAX);
        Engine::new(reader)
            .with_memory_bytes(self.bytes.max(QUERIES_BYTES_MIN))
            .with_cache_bytes(cache_bytes.min(QUERY_CACHE_BYTES_MAX))
    }

    pub fn thresholds(&self) -> Thresholds {
        Thresholds::for_budget(self.bytes)
    }

    /// Tells what was chosen, and whether it can go well.
    pub fn log(&self, available: Option<&Available>) {
        let mib = |bytes: u64| format!("{} MiB", bytes / MIB);
        let thresholds = self.thresholds();
        tracing::info!(
            budget = mib(self.bytes),
            available = available.map_or_else(|| "unknown".to_owned(), |a| mib(a.bytes)),
            limited_by = available.map_or("nothing", |a| a.from),
            head = mib(thresholds.head_bytes_max),
            queue = mib(thresholds.queue_bytes_max),
            cache = mib(thresholds.cache_bytes_max),
            queries_at_once = self.queries_at_once,
            "memory"
        );
        if let Some(available) = available
            && self.bytes > available.bytes / 4 * 3
        {
            tracing::warn!(
                budget = mib(self.bytes),
                available = mib(available.bytes),
                limited_by = available.from,
                "limits.memory_budget leaves too little for everything else; lower it"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       24684000 kB\nMemFree: 1 kB\n";
    const MACHINE: u64 = 24_684_000 * 1024;

    #[track_caller]
    fn check(files: &[(&str, &str)], expect: Option<(u64, &str)>) {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let found = available(root.path());
        assert_eq!(found.as_ref().map(|a| (a.bytes, a.from)), expect);
    }

    #[test]
    fn finds_the_least_limit() {
        let v2 = "the control group (memory.max)";
        let v1 = "the control group (memory.limit_in_bytes)";
        let meminfo = ("proc/meminfo", MEMINFO);
        check(&[], None);
        check(&[("proc/meminfo", "MemTotal: x kB")], None);
        check(&[meminfo], Some((MACHINE, "the machine")));
        let own = ("proc/self/cgroup", "0::/system.slice/stockade.service\n");
        check(&[meminfo, own], Some((MACHINE, "the machine")));
        let limit = ("sys/fs/cgroup/system.slice/stockade.service/memory.max", "268435456\n");
        check(&[meminfo, own, limit], Some((256 * MIB, v2)));
        let none = ("sys/fs/cgroup/system.slice/stockade.service/memory.max", "max\n");
        let above = ("sys/fs/cgroup/system.slice/memory.max", "536870912\n");
        check(&[meminfo, own, none, above], Some((512 * MIB, v2)));
        // In a container with a name space of its own.
        let top = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "134217728\n")];
        check(&[meminfo, top[0], top[1]], Some((128 * MIB, v2)));
        check(&[meminfo, ("proc/self/cgroup", "0::/../..\n"), top[1]], Some((128 * MIB, v2)));
        let old =
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n1:name=systemd:/\n");
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000000\n");
        check(&[meminfo, old, limit], Some((100_000_000, v1)));
        let endless = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        check(&[meminfo, old, endless], Some((MACHINE, "the machine")));
        let larger = ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "99999999999999\n");
        check(&[meminfo, old, larger], Some((MACHINE, "the machine")));
    }

    #[test]
    fn thresholds_follow() {
        let of = |bytes: u64| Some(Available { bytes, from: "a test" });
        let chosen = |wanted, available: Option<Available>| {
            let budget = Budget::new(wanted, available.as_ref());
            let head = budget.thresholds().head_bytes_max;
            (budget.bytes / MIB, head / MIB, budget.queries_at_once)
        };
        assert_eq!(chosen(0, None), (256, 32, 8));
        assert_eq!(chosen(0, of(24 << 30)), (256, 32, 8));
        assert_eq!(chosen(0, of(256 * MIB)), (128, 16, 4));
        assert_eq!(chosen(0, of(10 * MIB)), (32, 4, 2));
        assert_eq!(chosen(1 << 30, of(24 << 30)), (1024, 128, 8));
        assert_eq!(chosen(1, of(24 << 30)), (32, 4, 2));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available(Path::new("/")).unwrap().bytes > MIB);
    }
}

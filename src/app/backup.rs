//! `stockade backup` and `stockade restore`. A backup is made by the process that has the data
//! directory open: a running server, asked over HTTP, or this command itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use super::backup_files::{Filler, List, below};
use super::cli::{BackupArgs, BackupCommand, RestoreArgs};
use super::retention::LogqlDeletes;
use super::{Exit, runtime, write_out};
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::store::backup::{RESTORING, STORE_NAMES};
use crate::store::{Store, StoreOptions};

/// Shows that whoever asks a server for a backup can write to the folder.
const PROOF: &str = ".stockade-backup";
/// A backup of much data on another disk takes its time.
const BACKUP_MAX: Duration = Duration::from_secs(6 * 3600);

pub fn backup(args: &BackupArgs) -> Result<(), Exit> {
    if let Some(BackupCommand::Verify { dir }) = &args.command {
        let list = List::load(dir)?;
        list.verify(dir)?;
        return Ok(tell(dir, "is whole", &summary(&list))?);
    }
    let Some(dir) = &args.dir else {
        return Err(Exit::Usage("say where to: stockade backup DIR".to_owned()));
    };
    let made = match &args.data_dir {
        Some(data_dir) => offline(data_dir, dir)?,
        None => ask_server(&args.server.addr, dir)?,
    };
    Ok(tell(dir, "made", &made)?)
}

fn tell(dir: &Path, what: &str, summary: &Value) -> anyhow::Result<()> {
    let (files, entries, bytes) = (&summary["files"], &summary["entries"], &summary["bytes"]);
    let text = format!(
        "backup {} {what}: {files} files, {entries} entries, {bytes} bytes\n",
        dir.display()
    );
    write_out(text.as_bytes())
}

fn summary(list: &List) -> Value {
    json!({"files": list.files.len(), "entries": list.entries, "bytes": list.bytes()})
}

/// An empty folder to write to, made when it is missing.
fn empty_folder(dir: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let is_empty = fs::read_dir(dir).map(|mut entries| entries.next().is_none());
    if !is_empty.with_context(|| format!("reading {}", dir.display()))? {
        bail!("{} is not empty; name a new folder", dir.display());
    }
    fs::canonicalize(dir).with_context(|| format!("reading {}", dir.display()))
}

/// Nobody has the data directory open, or this fails.
fn offline(data_dir: &Path, dir: &Path) -> anyhow::Result<Value> {
    if !data_dir.is_dir() {
        bail!("{} is no folder; name the data directory", data_dir.display());
    }
    let folder = empty_folder(dir)?;
    let mut options = StoreOptions::new(data_dir, SystemClock::shared(), &Metrics::default());
    options.language = Arc::new(LogqlDeletes);
    let store = Store::open(options).context(
        "opening the store; while a server runs on it, leave --data-dir out and the server makes the backup",
    )?;
    let made = make(&store, data_dir, &folder);
    store.close();
    made.map(|list| summary(&list))
}

fn ask_server(addr: &str, dir: &Path) -> anyhow::Result<Value> {
    let folder = empty_folder(dir)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow!("random bytes: {error}"))?;
    let proof: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(PROOF);
    fs::write(&path, &proof).with_context(|| format!("writing {}", path.display()))?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("dir", &folder.to_string_lossy())
        .append_pair("proof", &proof)
        .finish();
    let url = format!("{addr}/stockade/api/v1/backup");
    let ask = async {
        let client = reqwest::Client::builder().timeout(BACKUP_MAX).build()?;
        let kind = "application/x-www-form-urlencoded";
        let request = client.post(&url).header(reqwest::header::CONTENT_TYPE, kind).body(form);
        let response = request.send().await?;
        let status = response.status();
        Ok::<_, reqwest::Error>((status, response.text().await?))
    };
    let outcome = runtime()?.block_on(ask).with_context(|| format!("asking {url}"));
    let outcome = outcome.and_then(|(status, text)| {
        if !status.is_success() {
            bail!("{}", text.trim());
        }
        serde_json::from_str(&text).with_context(|| format!("the answer of {url}"))
    });
    if outcome.is_err() {
        // Only while nothing else is in it, so that the command can be given again.
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir(&folder);
    }
    outcome
}

/// A backup into a folder that somebody over HTTP named.
pub fn serve_backup(
    store: &Store,
    data_dir: &Path,
    folder: &Path,
    proof: &str,
) -> anyhow::Result<Value> {
    if !folder.is_absolute() {
        bail!("dir must be an absolute path on the machine of the server");
    }
    let path = folder.join(PROOF);
    let why = || {
        format!(
            "{} must hold the file {PROOF} with the proof, and nothing else; `stockade backup DIR` puts it there, on the machine (or in the container) of the server",
            folder.display()
        )
    };
    let found = fs::read_to_string(&path).with_context(why)?;
    let alone = fs::read_dir(folder).with_context(why)?.count() == 1;
    if proof.is_empty() || found.trim() != proof || !alone {
        bail!(why());
    }
    let list = make(store, data_dir, folder)?;
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    tracing::info!(folder = %folder.display(), files = list.files.len(), entries = list.entries, "made a backup");
    Ok(summary(&list))
}

/// Writes everything that was acknowledged before this was called.
fn make(store: &Store, data_dir: &Path, folder: &Path) -> anyhow::Result<List> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut filler = Filler::new(folder);
    // State of alerts and notifications first: what it says was known is then in the store.
    for name in state_files(data_dir, folder)? {
        filler.copy(&data_dir.join(&name), &name)?;
    }
    let snapshot = store.snapshot().context("sealing what is in memory")?;
    for (from, name) in &snapshot.parts {
        filler.link(from, name)?;
    }
    for (name, bytes) in &snapshot.lists {
        filler.write(name, bytes)?;
    }
    filler.sync()?;
    let mut list =
        List::new(i64::try_from(created.as_nanos()).unwrap_or(i64::MAX), snapshot.entries);
    list.files = filler.files;
    list.save(folder)?;
    Ok(list)
}

/// What else lies in the data directory: rules, alerts, notifications, the key. Each of these
/// files is replaced whole, so it can be copied at any time.
fn state_files(data_dir: &Path, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let here = data_dir.join(&below);
        let entries = fs::read_dir(&here).with_context(|| format!("reading {}", here.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", here.display()))?;
            let name = below.join(entry.file_name());
            let is_store = name.to_str().is_some_and(|name| STORE_NAMES.contains(&name));
            let is_leftover = name.extension().is_some_and(|kind| kind == "tmp");
            // A backup inside the data directory does not go into itself, nor into the next.
            let is_backup = folder.starts_with(entry.path())
                || fs::canonicalize(entry.path()).is_ok_and(|path| folder.starts_with(path))
                || entry.path().join(super::backup_files::LIST).is_file();
            if is_store || is_leftover || is_backup {
                continue;
            }
            match entry.file_type().with_context(|| format!("reading {}", here.display()))? {
                kind if kind.is_dir() => open.push(name),
                kind if kind.is_file() => found.push(name),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

pub fn restore(args: &RestoreArgs) -> Result<(), Exit> {
    let list = List::load(&args.dir)?;
    list.verify(&args.dir)?;
    let target = empty_folder(&args.data_dir).with_context(|| {
        format!(
            "a backup is restored into an empty data directory, and {} is not",
            args.data_dir.display()
        )
    })?;
    // Until the end of it a server refuses the directory.
    let mark = target.join(RESTORING);
    crate::durable::replace_file(&mark, b"")
        .with_context(|| format!("writing {}", mark.display()))?;
    let mut filler = Filler::new(&target);
    for file in &list.files {
        let from = below(&args.dir, &file.path).with_context(|| format!("path {}", file.path))?;
        filler.copy(&from, Path::new(&file.path))?;
    }
    if filler.files != list.files {
        return Err(Exit::Failed(anyhow!(
            "{} changed while it was restored; restore again into an empty folder",
            args.dir.display()
        )));
    }
    filler.sync()?;
    fs::remove_file(&mark).with_context(|| format!("removing {}", mark.display()))?;
    filler.sync()?;
    let text = format!(
        "restored {} files, {} entries into {}\n",
        list.files.len(),
        list.entries,
        target.display()
    );
    Ok(write_out(text.as_bytes())?)
}

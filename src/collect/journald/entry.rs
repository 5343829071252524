//! A journal entry to a line, its labels and its metadata.

use bytes::Bytes;
use regex::Regex;

use super::export::ExportEntry;
use crate::collect::context::SourceContext;
use crate::collect::line::{self, Extent};
use crate::model::{Entry, Labels, Text, Timestamp};

/// Fields that journalctl is asked for; cursor and times come with all of them. `_CMDLINE` and
/// the environment are not among them, for they carry passwords.
pub(super) const FIELDS: [&str; 30] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_FACILITY",
    "_TRANSPORT",
    "_HOSTNAME",
    "_SYSTEMD_UNIT",
    "_SYSTEMD_USER_UNIT",
    "_SYSTEMD_SLICE",
    "UNIT",
    "USER_UNIT",
    "OBJECT_SYSTEMD_UNIT",
    "COREDUMP_UNIT",
    "_PID",
    "_UID",
    "_COMM",
    "_EXE",
    "_BOOT_ID",
    "_MACHINE_ID",
    "_SOURCE_REALTIME_TIMESTAMP",
    "MESSAGE_ID",
    "ERRNO",
    "INVOCATION_ID",
    "CODE_FILE",
    "CODE_LINE",
    "CODE_FUNC",
    "CONTAINER_NAME",
    "CONTAINER_ID",
    "CONTAINER_ID_FULL",
    "CONTAINER_TAG",
];

/// Fields that become metadata, under these names.
const METADATA: [(&str, Text); 15] = [
    ("_PID", Text::from_static("pid")),
    ("_UID", Text::from_static("uid")),
    ("_COMM", Text::from_static("comm")),
    ("_EXE", Text::from_static("exe")),
    ("_BOOT_ID", Text::from_static("boot_id")),
    ("_SOURCE_REALTIME_TIMESTAMP", Text::from_static("source_realtime_us")),
    ("MESSAGE_ID", Text::from_static("message_id")),
    ("ERRNO", Text::from_static("errno")),
    ("CODE_FILE", Text::from_static("code_file")),
    ("CODE_LINE", Text::from_static("code_line")),
    ("CODE_FUNC", Text::from_static("code_func")),
    ("CONTAINER_NAME", Text::from_static("container_name")),
    ("CONTAINER_ID", Text::from_static("container_id")),
    ("CONTAINER_TAG", Text::from_static("container_tag")),
    ("_HOSTNAME", Text::from_static("hostname")),
];

/// Our level and promtail's keyword for each priority.
const LEVELS: [(&str, &str); 8] = [
    ("critical", "emerg"),
    ("critical", "alert"),
    ("critical", "crit"),
    ("error", "error"),
    ("warn", "warning"),
    ("info", "notice"),
    ("info", "info"),
    ("debug", "debug"),
];

/// Post-filters: those that journalctl cannot apply for us.
#[derive(Debug, Clone, Default)]
pub(in crate::collect) struct UnitFilter {
    pub include: Vec<Regex>,
    pub exclude: Vec<Regex>,
    pub skip_containers: bool,
}

impl UnitFilter {
    pub fn takes(&self, entry: &ExportEntry) -> bool {
        if self.skip_containers && entry.get("CONTAINER_ID_FULL").is_some() {
            return false;
        }
        let any = |patterns: &[Regex]| {
            ["_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT"]
                .iter()
                .filter_map(|name| entry.text(name))
                .any(|unit| patterns.iter().any(|pattern| pattern.is_match(unit)))
        };
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

/// Where a unit's entries belong: messages of systemd about a unit count as the unit's.
fn unit_of(entry: &ExportEntry) -> Option<&str> {
    let about = entry.text("UNIT").or(entry.text("USER_UNIT")).or(entry.text("COREDUMP_UNIT"));
    about.or(entry.text("OBJECT_SYSTEMD_UNIT")).or(entry.text("_SYSTEMD_USER_UNIT").or(entry.text("_SYSTEMD_UNIT")))
}

/// `getty@tty1.service` to `getty@.service` and `tty1`: instances are without number.
fn split_instance(unit: &str) -> (String, Option<&str>) {
    let parts = unit.split_once('@').and_then(|(name, rest)| {
        let (instance, kind) = rest.rsplit_once('.')?;
        (!instance.is_empty()).then(|| (format!("{name}@.{kind}"), Some(instance)))
    });
    parts.unwrap_or_else(|| (unit.to_owned(), None))
}

/// The labels and the line of an entry; `None` when relabelling drops it or it has no time.
pub(super) fn convert(
    ctx: &SourceContext,
    entry: &ExportEntry,
    whole_as_json: bool,
) -> Option<(Labels, Entry)> {
    let time_us: i64 = entry.text("__REALTIME_TIMESTAMP")?.parse().ok()?;
    let ts = Timestamp(time_us.checked_mul(1_000)?);
    let (raw, extent) = match entry.get("MESSAGE") {
        Some(message) if !whole_as_json => {
            let extent = if entry.message_cut { Extent::Cut } else { Extent::Whole };
            (Bytes::copy_from_slice(line::trim_end(message)), extent)
        }
        _ => (Bytes::from(as_json(entry)), Extent::Whole),
    };
    let mut made = line::entry(ts, raw, extent);
    let unit = unit_of(entry).unwrap_or_default();
    let (unit, instance) = split_instance(unit);
    if let Some(instance) = instance {
        made.metadata.push((Text::from_static("unit_instance"), Text::from(instance)));
    }
    for (field, name) in &METADATA {
        if let Some(value) = entry.get(field) {
            let value = Text::from_bytes_lossy(Bytes::copy_from_slice(value));
            made.metadata.push((name.clone(), value));
        }
    }
    let priority = entry.text("PRIORITY").and_then(|text| text.parse::<usize>().ok());
    let (level, keyword) =
        priority.and_then(|priority| LEVELS.get(priority)).copied().unwrap_or_default();
    let identifier = entry.text("SYSLOG_IDENTIFIER").or(entry.text("_COMM")).unwrap_or_default();
    let transport = entry.text("_TRANSPORT").unwrap_or_default();
    let service = unit.strip_suffix(".service").unwrap_or(&unit);
    // Scopes and slices are no services: a login session is not what one looks for.
    let is_service = unit.ends_with(".service");
    let service = if is_service || identifier.is_empty() { service } else { identifier };
    let service = if service.is_empty() { transport } else { service };
    let native = [
        ("unit", unit.as_str()),
        ("host", &*ctx.host),
        ("level", level),
        ("syslog_identifier", identifier),
        ("transport", transport),
        ("service_name", service),
    ];
    let meta = if ctx.labeling.uses_meta() { meta(entry, keyword) } else { Vec::new() };
    Some((ctx.labeling.labels(&native, &meta)?, made))
}

/// Promtail's hidden labels.
fn meta(entry: &ExportEntry, keyword: &str) -> Vec<(String, String)> {
    let mut meta: Vec<(String, String)> = entry
        .fields
        .iter()
        .filter(|(name, _)| name != "MESSAGE" && name != "_CMDLINE" && !name.starts_with("__"))
        .filter_map(|(name, value)| {
            let value = std::str::from_utf8(value).ok()?;
            Some((format!("__journal_{}", name.to_lowercase()), value.to_owned()))
        })
        .collect();
    if !keyword.is_empty() {
        meta.push(("__journal_priority_keyword".to_owned(), keyword.to_owned()));
    }
    meta
}

/// All fields, for entries without a message and for those who want them.
fn as_json(entry: &ExportEntry) -> String {
    let fields: serde_json::Map<String, serde_json::Value> = entry
        .fields
        .iter()
        .filter(|(name, _)| name != "_CMDLINE" && !name.starts_with("__"))
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned().into()))
        .collect();
    serde_json::Value::from(fields).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SimClock;
    use crate::collect::batch::MemoryPositions;

    #[track_caller]
    fn check(fields: &[(&str, &str)], labels: &str, line: &str) {
        let ctx = SourceContext::for_tests(
            Arc::new(MemoryPositions::default()),
            SimClock::new(0).shared(),
        );
        let mut entry = ExportEntry::default();
        entry.fields.push(("__REALTIME_TIMESTAMP".to_owned(), b"1000".to_vec()));
        for (name, value) in fields {
            entry.fields.push(((*name).to_owned(), value.as_bytes().to_vec()));
        }
        let (made, entry) = convert(&ctx, &entry, false).unwrap();
        assert_eq!((made.to_string().as_str(), &*entry.line), (labels, line));
        assert_eq!(entry.ts, Timestamp(1_000_000));
    }

    #[test]
    fn labels() {
        check(
            &[("MESSAGE", "hi\n"), ("_SYSTEMD_UNIT", "ssh.service"), ("PRIORITY", "3"), ("_TRANSPORT", "syslog"), ("SYSLOG_IDENTIFIER", "sshd")],
            r#"{host="box", level="error", service_name="ssh", syslog_identifier="sshd", transport="syslog", unit="ssh.service"}"#,
            "hi",
        );
        // systemd's own word about a unit.
        check(
            &[("MESSAGE", "Started"), ("_SYSTEMD_UNIT", "init.scope"), ("UNIT", "getty@tty1.service")],
            r#"{host="box", service_name="getty@", unit="getty@.service"}"#,
            "Started",
        );
        check(
            &[("MESSAGE", "x"), ("_TRANSPORT", "kernel"), ("SYSLOG_IDENTIFIER", "kernel"), ("PRIORITY", "9")],
            r#"{host="box", service_name="kernel", syslog_identifier="kernel", transport="kernel"}"#,
            "x",
        );
        check(
            &[("_SYSTEMD_UNIT", "session-1.scope"), ("_COMM", "su"), ("_CMDLINE", "su -p secret")],
            r#"{host="box", service_name="su", syslog_identifier="su", unit="session-1.scope"}"#,
            r#"{"_SYSTEMD_UNIT":"session-1.scope","_COMM":"su"}"#,
        );
    }
}

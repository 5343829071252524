//! How an alert reads in Slack when the user wrote no template: what, where, how many, since
//! when, the lines that show it, and where to look next.

use super::escape::{cut, line, link, plain};
use super::outbox::Job;
use crate::model::{Alert, Timestamp};
use crate::text::gotime::{self, Zone};
use crate::text::units;

/// How much is shown; tried from the first on until the message is small enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub alerts: usize,
    pub samples: usize,
    pub sample_chars: usize,
    pub text_chars: usize,
}

pub(super) const ROOMS: [Room; 5] = [
    Room { alerts: 10, samples: 5, sample_chars: 300, text_chars: 1000 },
    Room { alerts: 10, samples: 2, sample_chars: 200, text_chars: 500 },
    Room { alerts: 10, samples: 0, sample_chars: 0, text_chars: 200 },
    Room { alerts: 5, samples: 0, sample_chars: 0, text_chars: 100 },
    Room { alerts: 1, samples: 0, sample_chars: 0, text_chars: 100 },
];

const SECOND_NS: i64 = 1_000_000_000;

pub(super) fn severity(alert: &Alert) -> &str {
    alert.labels.get("severity").or(alert.labels.get("priority")).unwrap_or_default()
}

/// 0 is the worst.
fn rank(alert: &Alert) -> u8 {
    match severity(alert).to_lowercase().as_str() {
        "critical" | "page" | "emergency" | "fatal" | "p0" | "p1" => 0,
        "error" | "high" | "warning" | "warn" | "p2" => 1,
        _ => 2,
    }
}

fn emoji(alert: &Alert) -> &'static str {
    match (alert.is_resolved(), rank(alert)) {
        (true, _) => ":white_check_mark:",
        (false, 0) => ":rotating_light:",
        (false, 1) => ":warning:",
        (false, _) => ":information_source:",
    }
}

pub(super) fn color(job: &Job) -> &'static str {
    let worst =
        job.alerts.iter().filter(|alert| !alert.is_resolved()).map(|alert| rank(alert)).min();
    match worst {
        Some(0) => "#d92d20",
        Some(1) => "#f79009",
        Some(_) => "#2e90fa",
        None => "#12b76a",
    }
}

/// Worst first, firing before resolved, newest before older.
fn in_order(job: &Job) -> Vec<&Alert> {
    let mut alerts: Vec<&Alert> = job.alerts.iter().map(AsRef::as_ref).collect();
    alerts.sort_by_key(|alert| (alert.is_resolved(), rank(alert), -alert.starts_at_ns));
    alerts
}

/// `:rotating_light: [FIRING:2] HighErrorRate api`
pub(super) fn headline(job: &Job) -> String {
    let alerts = in_order(job);
    let firing = job.alerts.iter().filter(|alert| !alert.is_resolved()).count();
    let state = match (firing, job.alerts.len() + job.more) {
        (0, 1) => "RESOLVED".to_owned(),
        (0, all) => format!("RESOLVED:{all}"),
        (1, 1) => "FIRING".to_owned(),
        (firing, _) => format!("FIRING:{}", firing + job.more),
    };
    let Some(first) = alerts.first() else { return state };
    let is_one_name = alerts.iter().all(|alert| alert.name() == first.name());
    let name =
        if is_one_name { first.name().to_owned() } else { format!("{} and others", first.name()) };
    let mut text = format!("{} *[{state}] {}*", emoji(first), line(&name, 150));
    if let Some(place) = place(first)
        && alerts.iter().all(|alert| self::place(alert).as_ref() == Some(&place))
    {
        text.push_str(&format!(" on {}", line(&place, 100)));
    }
    text
}

fn place(alert: &Alert) -> Option<String> {
    let find = |names: &[&str]| names.iter().find_map(|name| alert.labels.get(name));
    let service = find(&["service", "service_name", "app", "job", "container", "unit"]);
    let host = find(&["host", "instance", "node", "hostname"]);
    match (service, host) {
        (Some(service), Some(host)) => Some(format!("{service} @ {host}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => None,
    }
}

/// The details, alert by alert.
pub(super) fn details(job: &Job, external_url: &str, now_ns: i64, room: Room) -> String {
    let alerts = in_order(job);
    let mut text = String::new();
    for alert in alerts.iter().take(room.alerts) {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        one(&mut text, alert, external_url, now_ns, room);
    }
    let hidden = alerts.len().saturating_sub(room.alerts) + job.more;
    if hidden > 0 {
        text.push_str(&format!("\n\nand {hidden} more"));
        if let Some(link) = link(external_url, "see all") {
            text.push_str(&format!(", {link}"));
        }
    }
    text
}

fn one(text: &mut String, alert: &Alert, external_url: &str, now_ns: i64, room: Room) {
    let mut parts = vec![format!("{} *{}*", emoji(alert), line(alert.name(), 150))];
    if !severity(alert).is_empty() {
        parts.push(line(severity(alert), 30));
    }
    parts.extend(place(alert).map(|place| line(&place, 100)));
    text.push_str(&parts.join(" | "));
    for name in ["summary", "description", "message"] {
        if let Some(words) = alert.annotations.get(name) {
            text.push('\n');
            text.push_str(&plain(&cut(words.trim(), room.text_chars)));
        }
    }
    text.push('\n');
    text.push_str(&facts(alert, now_ns));
    if room.samples > 0 && !alert.samples.is_empty() {
        text.push_str("\n```\n");
        for sample in alert.samples.iter().take(room.samples) {
            text.push_str(&line(&sample.line, room.sample_chars));
            text.push('\n');
        }
        text.push_str("```");
    }
    let links: Vec<String> = links(alert, external_url);
    if !links.is_empty() {
        text.push('\n');
        text.push_str(&links.join(" | "));
    }
}

/// `37 lines in 5m, value 42, since 12:00:10 UTC (4m)`
fn facts(alert: &Alert, now_ns: i64) -> String {
    let mut facts = Vec::new();
    let window_ns = alert.window_end_ns.saturating_sub(alert.window_start_ns);
    if alert.count > 0 && window_ns > 0 {
        let lines = if alert.count == 1 { "line" } else { "lines" };
        facts.push(format!("{} {lines} in {}", alert.count, span(window_ns)));
    }
    let value = (alert.value * 100.0).round() / 100.0;
    if value != 0.0 && value != alert.count as f64 {
        facts.push(format!("value {value}"));
    }
    let clock = |ns: i64| gotime::format(Timestamp(ns), "2006-01-02 15:04:05 MST", &Zone::Utc);
    let since = clock(alert.starts_at_ns);
    match alert.ends_at_ns {
        Some(end) => {
            let lasted = end.saturating_sub(alert.starts_at_ns);
            facts.push(format!("fired {since}, resolved after {}", span(lasted)));
        }
        None => {
            let lasted = now_ns.saturating_sub(alert.starts_at_ns);
            facts.push(format!("since {since} ({})", span(lasted)));
        }
    }
    facts.join(", ")
}

/// Whole seconds, and whole minutes above an hour.
fn span(ns: i64) -> String {
    let unit = if ns >= 3600 * SECOND_NS { 60 * SECOND_NS } else { SECOND_NS };
    match ns.max(0) / unit * unit {
        0 => "0s".to_owned(),
        whole => units::format_prometheus_duration(whole),
    }
}

fn links(alert: &Alert, external_url: &str) -> Vec<String> {
    let absolute = |url: &str| match url.strip_prefix('/') {
        Some(path) if !external_url.is_empty() => {
            format!("{}/{path}", external_url.trim_end_matches('/'))
        }
        _ => url.to_owned(),
    };
    let find = |names: &[&str]| names.iter().find_map(|name| alert.annotations.get(name));
    [
        (Some(alert.generator_url.as_str()), "Query"),
        (find(&["runbook_url", "runbook"]), "Runbook"),
        (find(&["dashboard_url", "dashboard"]), "Dashboard"),
    ]
    .into_iter()
    .filter_map(|(url, name)| link(&absolute(url?), name))
    .collect()
}

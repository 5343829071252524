//! The configuration in force, as `/config` and `/config/tenant/v1/limits` tell it: limits with
//! their defaults, then what the user wrote, without secrets.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Api;
use crate::config::{Limits, Size, Span};

/// What stands for a secret, as Prometheus has it.
const HIDDEN: &str = "<secret>";

/// Keys whose values are secrets, or hold one (addresses with a token in their path).
const SECRET_KEYS: [&str; 9] = [
    "password",
    "secret",
    "token",
    "credentials",
    "authorization",
    "api_url",
    "webhook_url",
    "routing_key",
    "api_key",
];

/// Keys that end so name a file, which is no secret.
const FILE_KEY_END: &str = "_file";

/// All limits with Loki's names.
pub fn limits(limits: &Limits) -> Value {
    let span = |span: Span| json!(format!("{span:?}"));
    let size = |size: Size| json!(format!("{size:?}"));
    json!({
        "allow_structured_metadata": limits.allow_structured_metadata,
        "creation_grace_period": span(limits.creation_grace_period),
        "discover_log_levels": limits.discover_log_levels,
        "discover_service_name": limits.discover_service_name,
        "ingestion_burst_size_mb": limits.ingestion_burst_size_mb,
        "ingestion_rate_mb": limits.ingestion_rate_mb,
        "log_level_fields": limits.log_level_fields,
        "max_concurrent_tail_requests": limits.max_concurrent_tail_requests,
        "max_entries_limit_per_query": limits.max_entries_limit_per_query,
        "max_global_streams_per_user": limits.max_global_streams_per_user,
        "max_label_name_length": limits.max_label_name_length,
        "max_label_names_per_series": limits.max_label_names_per_series,
        "max_label_value_length": limits.max_label_value_length,
        "max_line_size": size(limits.max_line_size),
        "max_line_size_truncate": limits.max_line_size_truncate,
        "max_query_bytes_read": size(limits.max_query_bytes_read),
        "max_query_length": span(limits.max_query_length),
        "max_query_lookback": span(limits.max_query_lookback),
        "max_query_range": span(limits.max_query_range),
        "max_query_series": limits.max_query_series,
        "max_structured_metadata_entries_count": limits.max_structured_metadata_entries_count,
        "max_structured_metadata_size": size(limits.max_structured_metadata_size),
        "memory_budget": size(limits.memory_budget),
        "per_stream_rate_limit": size(limits.per_stream_rate_limit),
        "per_stream_rate_limit_burst": size(limits.per_stream_rate_limit_burst),
        "query_timeout": span(limits.query_timeout),
        "reject_old_samples": limits.reject_old_samples,
        "reject_old_samples_max_age": span(limits.reject_old_samples_max_age),
        "volume_enabled": limits.volume_enabled,
        "volume_max_series": limits.volume_max_series,
    })
}

/// A JSON value is YAML, so only the first level is written out.
pub fn yaml(values: &Value, indent: &str) -> String {
    let mut text = String::new();
    for (name, value) in values.as_object().into_iter().flatten() {
        let _ = match value {
            Value::String(plain) => writeln!(text, "{indent}{name}: {plain}"),
            value => writeln!(text, "{indent}{name}: {value}"),
        };
    }
    text
}

/// Two documents: what holds with all defaults, and the file.
pub fn whole(api: &Api) -> String {
    let limits = yaml(&limits(&api.limits.load()), "    ");
    let (tenants, queries) = (api.multi_tenant, api.multi_tenant_queries);
    let period = api.retention_period;
    let file = hide(&api.control.config());
    format!(
        "# What is in force, defaults included.\nserver:\n    multi_tenant: {tenants}\nquerier:\n    multi_tenant_queries_enabled: {queries}\nretention:\n    period: {period:?}\nlimits:\n{limits}---\n# The file as it was written.\n{file}"
    )
}

fn is_secret(key: &str) -> bool {
    let key = key.trim_matches(['"', '\'']).to_ascii_lowercase();
    !key.ends_with(FILE_KEY_END) && SECRET_KEYS.iter().any(|secret| key.ends_with(secret))
}

/// A YAML text with the values of secret keys left out. What cannot be told for sure is left out
/// too: better a value too few than a secret.
pub fn hide(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Lines that stand deeper than this belong to a value that is left out.
    let mut hidden_below: Option<usize> = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        if let Some(above) = hidden_below {
            if line.trim().is_empty() || depth > above {
                continue;
            }
            hidden_below = None;
        }
        match secret_at(line) {
            // Of the line all is left out from there: flow maps go on with other keys, which may
            // be secret as well.
            Some((key_at, value_at)) => {
                let _ = writeln!(out, "{} {HIDDEN}", &line[..value_at]);
                hidden_below = Some(key_at);
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// Where the first secret key of a line begins, and its value: behind its colon.
fn secret_at(line: &str) -> Option<(usize, usize)> {
    line.match_indices(':').find_map(|(at, _)| {
        let key = line[..at].trim_end();
        let from = key
            .rfind(|c: char| c.is_whitespace() || "{,-[".contains(c))
            .map_or(0, |at| at + key[at..].chars().next().map_or(1, char::len_utf8));
        is_secret(&key[from..]).then_some((from, at + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        for (text, expect) in [
            ("a: b\n", "a: b\n"),
            ("password: x\nb: c\n", "password: <secret>\nb: c\n"),
            (
                "  - api_url: https://h/x\n    channel: c\n",
                "  - api_url: <secret>\n    channel: c\n",
            ),
            ("- slack_api_url: 'https://h'\nb: 1\n", "- slack_api_url: <secret>\nb: 1\n"),
            ("x: {token: abc, url: d}\nb: 1\n", "x: {token: <secret>\nb: 1\n"),
            ("secret: |\n  one\n\n  two\nb: 1\n", "secret: <secret>\nb: 1\n"),
            ("\"bot_token\" : q\n", "\"bot_token\" : <secret>\n"),
            ("hash_key_file: f\npassword_file: g\n", "hash_key_file: f\npassword_file: g\n"),
            ("text: 'the password: is here'\n", "text: 'the password: <secret>\n"),
        ] {
            assert_eq!(hide(text), expect, "{text:?}");
        }
    }

    #[test]
    fn limits_are_yaml() {
        let text = yaml(&limits(&Limits::default()), "");
        assert!(text.contains("max_line_size: 262144B\n") && text.contains("query_timeout: 1m\n"));
        // What is told can be written again.
        let again: Limits = crate::config::parse_yaml("limits", &text).unwrap();
        assert_eq!(again, Limits::default());
    }
}

//! What annotations of rules and notification templates may call: the functions of Prometheus
//! and of Alertmanager.

use base64::Engine as _;
use base64::engine::general_purpose;

use super::super::float;
use super::basic::url_encode;
use super::text::{base64_decode, dict, from_data, join, title, to_json, url_decode};
use super::time::now;
use super::{
    ANY, Env, Function, Outcome, Value, any_text, function, int_arg, list_arg, print,
    regex_function, replace_all, text_arg, with_regex,
};
use crate::clock::{Clock as _, SystemClock};
use crate::limits::TEMPLATE_ITEMS_MAX;
use crate::model::Timestamp;
use crate::text::gotime::{self, Zone};
use crate::text::units;

/// Both have these.
pub(super) static COMMON: &[Function] = &[
    function("toUpper", 1, 1, |_, args| Ok(text_arg(args, 0)?.to_uppercase().into())),
    function("toLower", 1, 1, |_, args| Ok(text_arg(args, 0)?.to_lowercase().into())),
    function("title", 1, 1, |_, args| Ok(title(&text_arg(args, 0)?).into())),
    function("safeHtml", 1, 1, |_, args| Ok(text_arg(args, 0)?.as_str().into())),
    regex_function("match", 2, |env, args| {
        let text = text_arg(args, 1)?;
        with_regex(env, args, |regex| Ok(Value::Bool(regex.is_match(&text))))
    }),
    regex_function("reReplaceAll", 3, |env, args| {
        let (by, text) = (text_arg(args, 1)?, text_arg(args, 2)?);
        with_regex(env, args, |regex| replace_all(regex, &text, &by))
    }),
    function("humanizeDuration", 1, 1, |_, args| Ok(humanize_duration(number(args)?).into())),
    function("now", 0, 0, |_, _| Ok(now())),
];

pub(super) static RULE: &[Function] = &[
    function("humanize", 1, 1, |_, args| Ok(humanize(number(args)?).into())),
    function("humanize1024", 1, 1, |_, args| Ok(humanize1024(number(args)?).into())),
    function("humanizePercentage", 1, 1, |_, args| {
        Ok(format!("{}%", four(number(args)? * 100.0)).into())
    }),
    function("humanizeTimestamp", 1, 1, |_, args| {
        let seconds = number(args)?;
        Ok(match to_time(seconds) {
            Some(time) => print::display(&time).into(),
            None => four(seconds).into(),
        })
    }),
    function("toTime", 1, 1, |_, args| {
        to_time(number(args)?).ok_or_else(|| "not a point in time".to_owned())
    }),
    function("toDuration", 1, 1, |_, args| Ok(Value::Duration((number(args)? * 1e9) as i64))),
    // Prometheus counts the time of evaluation in seconds here.
    function("now", 0, 0, |_, _| Ok(Value::Float(SystemClock.now_ns() as f64 / 1e9))),
    function("parseDuration", 1, 1, |_, args| {
        let text = text_arg(args, 0)?;
        let ns = units::parse_prometheus_duration(&text)
            .or_else(|| units::parse_go_duration(&text))
            .ok_or_else(|| format!("not a duration: {text:?}"))?;
        Ok(Value::Float(ns as f64 / 1e9))
    }),
    function("urlQueryEscape", 1, 1, |_, args| Ok(url_encode(&text_arg(args, 0)?).into())),
    function("stripPort", 1, 1, |_, args| Ok(strip_port(&text_arg(args, 0)?).into())),
    function("stripDomain", 1, 1, |_, args| Ok(strip_domain(&text_arg(args, 0)?).into())),
    function("graphLink", 1, 1, |_, args| Ok(link(&text_arg(args, 0)?, "0").into())),
    function("tableLink", 1, 1, |_, args| Ok(link(&text_arg(args, 0)?, "1").into())),
    function("externalURL", 0, 0, |env, _| Ok(from_data(env, "ExternalURL"))),
    function("pathPrefix", 0, 0, |env, _| {
        let url = print::display(&from_data(env, "ExternalURL"));
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        Ok(path.unwrap_or_default().into())
    }),
    function("args", 0, ANY, |_, args| {
        let named = args.iter().enumerate();
        Ok(Value::map(named.map(|(at, value)| (format!("arg{at}"), value.clone()))))
    }),
    function("first", 1, 1, |_, args| {
        let first = list_arg(args, 0)?.first().cloned();
        first.ok_or_else(|| "first() called on vector with no elements".to_owned())
    }),
    function("label", 2, 2, |_, args| {
        let name = text_arg(args, 0)?;
        Ok(label(args.get(1).unwrap_or(&Value::Nil), &name).into())
    }),
    function("value", 1, 1, |_, args| Ok(part(args.first().unwrap_or(&Value::Nil), "Value"))),
    function("strvalue", 1, 1, |_, args| {
        Ok(label(args.first().unwrap_or(&Value::Nil), "__value__").into())
    }),
    function("sortByLabel", 2, 2, |_, args| {
        let name = text_arg(args, 0)?;
        let mut items = list_arg(args, 1)?.as_ref().clone();
        items.sort_by_cached_key(|item| label(item, &name));
        Ok(Value::list(items))
    }),
    function("query", 1, 1, |env, args| ask_data(env, "query", args)),
    function("sampleLines", 0, 1, |env, args| ask_data(env, "sampleLines", args)),
    function("exploreLink", 0, 1, |env, args| ask_data(env, "exploreLink", args)),
    function("topk", 1, 2, topk),
];

pub(super) static NOTIFICATION: &[Function] = &[
    function("trimSpace", 1, 1, |_, args| Ok(text_arg(args, 0)?.trim().into())),
    function("join", 2, 2, |_, args| join(&text_arg(args, 0)?, &list_arg(args, 1)?)),
    function("safeUrl", 1, 1, |_, args| Ok(text_arg(args, 0)?.as_str().into())),
    function("urlUnescape", 1, 1, |_, args| Ok(url_decode(&text_arg(args, 0)?)?.into())),
    function("stringSlice", 0, ANY, |_, args| {
        Ok(Value::list((0..args.len()).map(|at| any_text(args, at).into()).collect()))
    }),
    function("date", 2, 2, |_, args| match args {
        [Value::Str(layout), Value::Time(ts, zone)] => Ok(gotime::format(*ts, layout, zone).into()),
        _ => Err("needs a layout and a time".to_owned()),
    }),
    function("tz", 2, 2, |_, args| match args {
        [Value::Str(name), Value::Time(ts, _)] => Ok(Value::Time(*ts, gotime::load_zone(name)?)),
        _ => Err("needs a zone and a time".to_owned()),
    }),
    function("since", 1, 1, |_, args| match args {
        [Value::Time(ts, _)] => Ok(Value::Duration(SystemClock.now_ns().saturating_sub(ts.0))),
        _ => Err("needs a time".to_owned()),
    }),
    function("toJson", 1, 1, |_, args| {
        Ok(to_json(args.first().unwrap_or(&Value::Nil), 0).to_string().into())
    }),
    function("list", 0, ANY, |_, args| Ok(Value::list(args.to_vec()))),
    function("append", 1, ANY, |_, args| {
        let mut items = list_arg(args, 0)?.as_ref().clone();
        items.extend(args.iter().skip(1).cloned());
        Ok(Value::list(items))
    }),
    function("dict", 0, ANY, |_, args| {
        if args.len().is_multiple_of(2) {
            Ok(dict(args))
        } else {
            Err("a key has no value".to_owned())
        }
    }),
    function("base64encode", 1, 1, |_, args| {
        Ok(general_purpose::STANDARD.encode(text_arg(args, 0)?.as_bytes()).into())
    }),
    function("base64decode", 1, 1, |_, args| Ok(base64_decode(&text_arg(args, 0)?).into())),
    function("routeLabels", 0, 0, |env, _| Ok(from_data(env, "RouteLabels"))),
];

/// A number, or a text that holds one: Prometheus' humanize functions take both.
fn number(args: &[Value]) -> Result<f64, String> {
    match args.first() {
        Some(Value::Float(number)) => Ok(*number),
        Some(Value::Int(number)) => Ok(*number as f64),
        Some(Value::Duration(ns)) => Ok(*ns as f64 / 1e9),
        Some(Value::Str(text)) => {
            text.trim().parse().map_err(|_| format!("not a number: {:?}", text.as_str()))
        }
        other => Err(super::wrong_type(0, "number", other.unwrap_or(&Value::Nil))),
    }
}

/// Go's `%.4g`.
fn four(value: f64) -> String {
    float::general(value, Some(4))
}

fn scaled(mut value: f64, by: f64, units: &[&str], is_done: fn(f64, f64) -> bool) -> String {
    let mut prefix = "";
    for unit in units {
        if is_done(value.abs(), by) {
            break;
        }
        prefix = unit;
        value = if by >= 1000.0 { value / by } else { value * 1000.0 };
    }
    format!("{}{prefix}", four(value))
}

fn small(value: f64) -> String {
    let units = ["m", "u", "n", "p", "f", "a", "z", "y"];
    scaled(value, 1.0, &units, |size, _| size >= 1.0)
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four(value);
    }
    if value.abs() >= 1.0 {
        let units = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
        return scaled(value, 1000.0, &units, |size, by| size < by);
    }
    small(value)
}

fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four(value);
    }
    let units = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
    scaled(value, 1024.0, &units, |size, by| size < by)
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four(value);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        return format!("{}s", small(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four(value.abs()))
    }
}

fn to_time(seconds: f64) -> Option<Value> {
    let ns = seconds * 1e9;
    // A float this large has no exact neighbor in nanoseconds any more.
    (ns.abs() < 9.2e18).then(|| Value::Time(Timestamp(ns as i64), Zone::Utc))
}

fn strip_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            // An IPv6 address without brackets has no port to strip.
            if bare.contains(':') && !name.starts_with('[') { host } else { bare }
        }
        _ => host,
    }
}

fn strip_domain(host: &str) -> String {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, Some(port)),
        _ => (host, None),
    };
    if name.parse::<std::net::IpAddr>().is_ok() {
        return host.to_owned();
    }
    let first = name.split('.').next().unwrap_or(name);
    match port {
        Some(port) => format!("{first}:{port}"),
        None => first.to_owned(),
    }
}

fn link(expression: &str, tab: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", url_encode(expression))
}

fn part(sample: &Value, name: &str) -> Value {
    match sample {
        Value::Object(object) => object.field(name).unwrap_or_default(),
        Value::Map(map) => map.get(name).cloned().unwrap_or_default(),
        _ => Value::Nil,
    }
}

fn label(sample: &Value, name: &str) -> String {
    print::display(&part(&part(sample, "Labels"), name))
}

/// Functions that only the data itself can answer.
fn ask_data(env: &Env, name: &str, args: &[Value]) -> Outcome {
    let answer = match env.root {
        Value::Object(object) => object.call(name, args),
        _ => None,
    };
    answer.unwrap_or_else(|| Err(format!("{name} is not available here")))
}

/// `topk N query`: the highest samples first; without a list, the data is asked.
fn topk(env: &Env, args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return ask_data(env, "topk", args);
    }
    let count = usize::try_from(int_arg(args, 0)?).unwrap_or(0).min(TEMPLATE_ITEMS_MAX);
    let mut items = list_arg(args, 1)?.as_ref().clone();
    let value = |item: &Value| match part(item, "Value") {
        Value::Float(number) => number,
        Value::Int(number) => number as f64,
        _ => f64::NEG_INFINITY,
    };
    items.sort_by(|a, b| value(b).total_cmp(&value(a)));
    items.truncate(count);
    Ok(Value::list(items))
}

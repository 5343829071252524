//! Parameters of requests: from the URL, or from a form body, with Loki's rules for times and steps.

use std::str::FromStr;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};

use super::error::ApiError;
use crate::limits;
use crate::model::{TimeRange, Timestamp};
use crate::query::Direction;
use crate::text::units;

/// All parameters of a request, in order; a name may come more than once.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let mut params = Vec::new();
        let url = request.uri().query().unwrap_or_default().to_owned();
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        if request.method() == Method::POST && is_form {
            let body: Body = request.into_body();
            let body = to_bytes(body, limits::QUERY_BYTES_MAX * 4)
                .await
                .map_err(|error| ApiError::bad_request(format!("the form body: {error}")))?;
            // What the body says goes before what the URL says.
            read_form(&body, &mut params);
        }
        read_form(url.as_bytes(), &mut params);
        Ok(Params(params))
    }
}

fn read_form(bytes: &[u8], params: &mut Vec<(String, String)>) {
    params.extend(
        form_urlencoded::parse(bytes).map(|(name, value)| (name.into_owned(), value.into_owned())),
    );
}

impl Params {
    #[cfg(test)]
    pub fn from_query(query: &str) -> Self {
        let mut params = Vec::new();
        read_form(query.as_bytes(), &mut params);
        Params(params)
    }

    /// The first value of that name that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|(n, _)| names.contains(&n.as_str())).map(|(_, v)| v.as_str())
    }

    pub fn query(&self) -> Result<&str, ApiError> {
        let query = self.get("query").unwrap_or_default();
        if query.is_empty() {
            return Err(ApiError::bad_request("parse error : syntax error: unexpected $end"));
        }
        Ok(query)
    }

    /// A whole number; its faults in the words of Go's `Atoi`.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| ApiError::bad_request(go_number_fault("Atoi", text)))
    }

    /// `limit` and its like: a number above zero.
    pub fn positive(&self, name: &str, default: u32) -> Result<usize, ApiError> {
        let number: i64 = self.number(name, i64::from(default))?;
        if number <= 0 {
            return Err(ApiError::bad_request("limit must be a positive value"));
        }
        let number = u32::try_from(number).map_err(|_| {
            ApiError::bad_request(format!(
                "{name} value {number} is out of range [0, {}]",
                u32::MAX
            ))
        })?;
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub fn direction(&self) -> Result<Direction, ApiError> {
        match self.get("direction").map(str::to_ascii_lowercase).as_deref() {
            None | Some("backward") => Ok(Direction::Backward),
            Some("forward") => Ok(Direction::Forward),
            Some(other) => Err(ApiError::bad_request(format!("invalid direction '{other}'"))),
        }
    }

    /// The step, if it does not cut the range into too many points.
    pub fn check_points(&self, range: TimeRange) -> Result<i64, ApiError> {
        let step_ns = self.step_ns(range)?;
        if range.end.0.saturating_sub(range.start.0) / step_ns > limits::QUERY_POINTS_MAX {
            return Err(ApiError::bad_request(
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
            ));
        }
        Ok(step_ns)
    }

    pub fn time(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => parse_time(text)
                .ok_or_else(|| ApiError::bad_request(go_number_fault("ParseInt", text))),
        }
    }

    /// The same, with the name of the parameter in what is said of a fault.
    pub fn bound(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        self.time(name, default).map_err(|error| {
            ApiError::bad_request(format!("could not parse '{name}' parameter: {}", error.message))
        })
    }

    /// `start`, `end`, `since` with Loki's defaults: the last hour.
    pub fn range(&self, now: Timestamp) -> Result<TimeRange, ApiError> {
        let end = self.bound("end", now)?;
        let since = match self.get("since") {
            None => 3_600_000_000_000,
            Some(text) => units::parse_prometheus_duration(text).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "could not parse 'since' parameter: {}",
                    units::prometheus_duration_fault(text)
                ))
            })?,
        };
        let start = self.bound("start", end.min(now).saturating_add_ns(-since))?;
        if end < start {
            return Err(ApiError::bad_request(
                "end timestamp must not be before or equal to start time",
            ));
        }
        Ok(TimeRange::new(start, end))
    }

    /// `step`: float seconds or a duration; by default a 250th of the range, at least a second.
    pub fn step_ns(&self, range: TimeRange) -> Result<i64, ApiError> {
        let step = match self.get("step") {
            None => default_step_ns(range),
            Some(text) => parse_step_ns(text)?,
        };
        if step <= 0 {
            return Err(ApiError::bad_request(
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        Ok(step)
    }

    pub fn interval_ns(&self) -> Result<i64, ApiError> {
        let interval = self.get("interval").map_or(Ok(0), parse_step_ns)?;
        if interval < 0 {
            return Err(ApiError::bad_request("interval must be >= 0"));
        }
        Ok(interval)
    }
}

/// Loki's rule: whole seconds of (end - start) / 250, at least one.
fn default_step_ns(range: TimeRange) -> i64 {
    let secs = range.end.0.saturating_sub(range.start.0) / 1_000_000_000;
    (secs / 250).max(1) * 1_000_000_000
}

fn parse_step_ns(text: &str) -> Result<i64, ApiError> {
    let fault = |more: &str| {
        ApiError::bad_request(format!("cannot parse {text:?} to a valid duration{more}"))
    };
    if let Ok(secs) = text.parse::<f64>() {
        let ns = secs * 1e9;
        return if ns.is_nan() {
            // Go turns it into the smallest number, which is refused like others below zero.
            Ok(i64::MIN)
        } else if ns.abs() < i64::MAX as f64 {
            Ok(ns as i64)
        } else {
            Err(fault(". It overflows int64"))
        };
    }
    units::parse_prometheus_duration(text).ok_or_else(|| fault(""))
}

/// What Go's `strconv` says of a text that is no whole number.
fn go_number_fault(function: &str, text: &str) -> String {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let fault = if is_number { "value out of range" } else { "invalid syntax" };
    format!("strconv.{function}: parsing {}: {fault}", crate::model::quote(text))
}

/// Loki's rule for `start`, `end` and `time`.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if text.contains('.')
        && let Ok(secs) = text.parse::<f64>()
    {
        // Rounded to milliseconds, as Loki does.
        return Some(Timestamp::from_millis((secs * 1000.0).round() as i64));
    }
    if let Ok(number) = text.parse::<i64>() {
        let is_seconds = text.len() <= 10;
        return Some(if is_seconds { Timestamp::from_secs(number) } else { Timestamp(number) });
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    time.timestamp_nanos_opt().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ns) in [
            ("1795165200", Some(1_795_165_200_000_000_000)),
            ("1795165200000000001", Some(1_795_165_200_000_000_001)),
            ("1.5", Some(1_500_000_000)),
            ("1.0004", Some(1_000_000_000)),
            ("1970-01-01T00:00:01.000000002Z", Some(1_000_000_002)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("now", None),
        ] {
            assert_eq!(parse_time(text).map(|t| t.0), ns, "{text}");
        }
    }

    #[test]
    fn ranges_and_steps() {
        let now = Timestamp::from_secs(10_000);
        let range = Params::default().range(now).unwrap();
        assert_eq!(range, TimeRange::new(Timestamp::from_secs(6_400), now));
        assert_eq!(Params::default().step_ns(range).unwrap(), 14_000_000_000);
        assert_eq!(Params::from_query("step=0.5").step_ns(range).unwrap(), 500_000_000);
        assert!(Params::from_query("step=0").step_ns(range).is_err());
        assert!(Params::from_query("step=x").step_ns(range).is_err());
        assert!(Params::from_query("start=10&end=5").range(now).is_err());
        let params = Params::from_query("match[]=a&match[]=b&match=c");
        assert_eq!(params.all(&["match", "match[]"]).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}

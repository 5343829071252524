//! Posting to the outside, and what the answers mean.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::NotifyError;
use super::outbox::Verdict;
use crate::config::notify::Secret;
use crate::limits::NOTIFY_ANSWER_BYTES_MAX;

/// One POST of JSON.
#[derive(Debug, Clone)]
pub struct Request {
    pub url: Secret,
    pub headers: Vec<(String, Secret)>,
    pub body: String,
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Status {
        code: u16,
        retry_after_secs: Option<u64>,
        /// The start of the body.
        body: String,
    },
    Failed(FailKind),
}

/// Why no answer came. Details would name the URL, which is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailKind {
    Timeout,
    /// Name resolution, connection, TLS.
    Connect,
    Request,
    /// The request could not even be built: bad URL or header.
    Invalid,
}

impl fmt::Display for FailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailKind::Timeout => "timed out",
            FailKind::Connect => "could not connect; check the name, the network and TLS",
            FailKind::Request => "the connection broke",
            FailKind::Invalid => "the URL or a header is not valid",
        })
    }
}

pub type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Posts for real, or not, in tests.
pub trait Deliver: Send + Sync + 'static {
    fn post(&self, request: Request) -> AnswerFuture;
}

/// The real thing. Redirects are not followed: they would carry alerts to places nobody chose.
#[derive(Debug, Clone)]
pub struct HttpDeliver {
    client: reqwest::Client,
}

impl HttpDeliver {
    /// Needs the process's TLS provider installed.
    pub fn new() -> Result<Self, NotifyError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .user_agent(concat!("stockade/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NotifyError::Client(error.without_url().to_string()))?;
        Ok(HttpDeliver { client })
    }
}

impl Deliver for HttpDeliver {
    fn post(&self, request: Request) -> AnswerFuture {
        let client = self.client.clone();
        Box::pin(async move {
            let mut post = client
                .post(&request.url.0)
                .timeout(request.timeout)
                .header("Content-Type", "application/json; charset=utf-8")
                .body(request.body);
            for (name, value) in &request.headers {
                post = post.header(name, &value.0);
            }
            match post.send().await {
                Ok(response) => read(response).await,
                Err(error) => Answer::Failed(kind(&error)),
            }
        })
    }
}

fn kind(error: &reqwest::Error) -> FailKind {
    if error.is_timeout() {
        FailKind::Timeout
    } else if error.is_connect() {
        FailKind::Connect
    } else if error.is_builder() {
        FailKind::Invalid
    } else {
        FailKind::Request
    }
}

async fn read(mut response: reqwest::Response) -> Answer {
    let code = response.status().as_u16();
    let retry_after_secs = response
        .headers()
        .get("Retry-After")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse::<f64>().ok())
        .filter(|secs| secs.is_finite() && *secs >= 0.0)
        .map(|secs| secs.ceil() as u64);
    let mut body = Vec::new();
    while body.len() < NOTIFY_ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // The status line came: the message has arrived, whatever became of the body.
            Err(_) => break,
        }
    }
    body.truncate(NOTIFY_ANSWER_BYTES_MAX);
    Answer::Status { code, retry_after_secs, body: String::from_utf8_lossy(&body).into_owned() }
}

/// What to do after an answer. The text names status and the receiver's own word for the
/// fault, never the URL.
pub(super) fn judge(answer: &Answer) -> Verdict {
    let (code, retry_after_secs, body) = match answer {
        Answer::Failed(FailKind::Invalid) => {
            return Verdict::Refused { error: FailKind::Invalid.to_string() };
        }
        Answer::Failed(kind) => return Verdict::Retry { after_ns: None, error: kind.to_string() },
        Answer::Status { code, retry_after_secs, body } => {
            (*code, *retry_after_secs, body.as_str())
        }
    };
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let word = fault_word(json.as_ref(), body);
    let error = match &word {
        Some(word) => format!("answered {code} {word}"),
        None => format!("answered {code}"),
    };
    let in_body = json
        .as_ref()
        .and_then(|json| json.get("retry_after"))
        .and_then(serde_json::Value::as_f64)
        .filter(|secs| *secs >= 0.0)
        .map(|secs| secs.ceil() as u64);
    let after_ns = retry_after_secs
        .or(in_body)
        .map(|secs| i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1_000_000_000));
    let says_not_ok = json
        .as_ref()
        .and_then(|json| json.get("ok"))
        .and_then(serde_json::Value::as_bool)
        .is_some_and(|ok| !ok);
    match code {
        200..=299 if !says_not_ok => Verdict::Delivered,
        200..=299 => match word.as_deref() {
            Some(
                "ratelimited"
                | "rate_limited"
                | "internal_error"
                | "fatal_error"
                | "service_unavailable"
                | "request_timeout",
            ) => Verdict::Retry { after_ns, error },
            Some(word) if is_content_fault(word) => Verdict::TooRich { error },
            _ => Verdict::Refused { error },
        },
        408 | 425 | 429 | 500..=599 => Verdict::Retry { after_ns, error },
        400 | 413 | 422 => Verdict::TooRich { error },
        _ => Verdict::Refused { error },
    }
}

fn is_content_fault(word: &str) -> bool {
    [
        "invalid_blocks",
        "invalid_attachments",
        "msg_too_long",
        "msg_blocks_too_long",
        "too_many_attachments",
        "no_text",
        "invalid_payload",
    ]
    .contains(&word)
}

/// Slack's `invalid_blocks` and the like; longer or odd texts are not repeated, as they may
/// hold anything.
fn fault_word(json: Option<&serde_json::Value>, body: &str) -> Option<String> {
    let from_json = json.and_then(|json| json.get("error").or(json.get("code")));
    let text = match from_json {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Number(number)) => number.to_string(),
        _ => body.trim().to_owned(),
    };
    let is_word = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    is_word.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u16, retry_after_secs: Option<u64>, body: &str, expect: &str) {
        let verdict = judge(&Answer::Status { code, retry_after_secs, body: body.to_owned() });
        let shown = match verdict {
            Verdict::Delivered => "delivered".to_owned(),
            Verdict::Retry { after_ns: Some(ns), error } => {
                format!("retry in {}s: {error}", ns / 1_000_000_000)
            }
            Verdict::Retry { after_ns: None, error } => format!("retry: {error}"),
            Verdict::TooRich { error } => format!("too rich: {error}"),
            Verdict::Refused { error } => format!("refused: {error}"),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn judges_answers() {
        check(200, None, "ok", "delivered");
        check(204, None, "", "delivered");
        check(200, None, r#"{"ok":true}"#, "delivered");
        check(
            200,
            None,
            r#"{"ok":false,"error":"channel_not_found"}"#,
            "refused: answered 200 channel_not_found",
        );
        check(
            200,
            None,
            r#"{"ok":false,"error":"ratelimited"}"#,
            "retry: answered 200 ratelimited",
        );
        check(
            200,
            None,
            r#"{"ok":false,"error":"invalid_blocks"}"#,
            "too rich: answered 200 invalid_blocks",
        );
        check(429, Some(30), "", "retry in 30s: answered 429");
        check(429, None, r#"{"retry_after":1.5}"#, "retry in 2s: answered 429");
        check(503, Some(7), "", "retry in 7s: answered 503");
        check(500, None, "", "retry: answered 500");
        check(400, None, "invalid_blocks", "too rich: answered 400 invalid_blocks");
        check(403, None, "invalid_token", "refused: answered 403 invalid_token");
        check(404, None, "no_service", "refused: answered 404 no_service");
        check(301, None, "", "refused: answered 301");
        // Bodies that may quote the request are not repeated.
        check(404, None, "no hook at https://h/secret", "refused: answered 404");
    }
}

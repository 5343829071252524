//! The engine's event stream: one JSON object a line.

use serde::Deserialize;

use super::client::{ApiError, Client, next_chunk, percent_encode};

const LINE_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    #[serde(rename = "Action")]
    action: Option<String>,
    status: Option<String>,
    id: Option<String>,
    #[serde(rename = "Actor")]
    actor: Option<Actor>,
    #[serde(rename = "timeNano")]
    pub time_ns: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID")]
    id: Option<String>,
}

impl Event {
    pub fn container_id(&self) -> Option<&str> {
        self.actor.as_ref().and_then(|actor| actor.id.as_deref()).or(self.id.as_deref())
    }

    pub fn action(&self) -> &str {
        self.action.as_deref().or(self.status.as_deref()).unwrap_or_default()
    }
}

pub(super) struct Events {
    body: hyper::body::Incoming,
    buffer: Vec<u8>,
}

impl Events {
    /// Events of containers since a time.
    pub async fn open(client: &Client, since_ns: i64) -> Result<Events, ApiError> {
        let filters = r#"{"type":["container"],"event":["create","start","die","destroy","rename","update"]}"#;
        let (secs, nanos) = (since_ns.div_euclid(1_000_000_000), since_ns.rem_euclid(1_000_000_000));
        let path =
            format!("/events?since={secs}.{nanos:09}&filters={}", percent_encode(filters));
        Ok(Events { body: client.open(&path).await?.into_body(), buffer: Vec::new() })
    }

    /// The next event; `None` when the stream has ended. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<Event>, ApiError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                // An event of a shape that is not known is none of ours.
                if let Ok(event) = serde_json::from_slice(&line) {
                    return Ok(Some(event));
                }
                continue;
            }
            let Some(chunk) = next_chunk(&mut self.body).await? else { return Ok(None) };
            if self.buffer.len() + chunk.len() > LINE_BYTES_MAX {
                return Err(ApiError::Broken("an event is too long".to_owned()));
            }
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

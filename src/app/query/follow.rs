//! `--follow`: the live tail, joined again when the connection breaks.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::client::{Client, Page, RawStream};
use super::print::Printer;
use crate::model::Timestamp;

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    streams: Vec<RawStream>,
    #[serde(default)]
    dropped_entries: Vec<serde::de::IgnoredAny>,
}

pub async fn follow(
    client: &Client,
    query: &str,
    start: Timestamp,
    limit: usize,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let mut start = start;
    let mut wait = Duration::from_millis(500);
    loop {
        match once(client, query, &mut start, limit, printer).await {
            Ok(()) => wait = Duration::from_millis(500),
            // Refusals are final; only a broken connection is joined again.
            Err(error) if error.downcast_ref::<Refused>().is_some() => return Err(error),
            Err(error) => eprintln!("stockade: {error:#}; joining again in {wait:?}"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(30));
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the server refused the tail: {0}")]
struct Refused(String);

async fn once(
    client: &Client,
    query: &str,
    start: &mut Timestamp,
    limit: usize,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let params: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .append_pair("start", &start.0.to_string())
        .append_pair("limit", &limit.to_string())
        .finish();
    let base = client.base().replacen("http", "ws", 1);
    let mut request = format!("{base}/loki/api/v1/tail?{params}")
        .into_client_request()
        .context("the server's address is not a URL (--addr)")?;
    if let Some(tenant) = client.tenant() {
        request.headers_mut().insert("X-Scope-OrgID", tenant.parse().context("the tenant")?);
    }
    let (mut socket, _) = match tokio_tungstenite::connect_async(request).await {
        Ok(connected) => connected,
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            let body = response.into_body().unwrap_or_default();
            bail!(Refused(String::from_utf8_lossy(&body).trim().to_owned()));
        }
        Err(error) => bail!("no connection to {}: {error}", client.base()),
    };
    while let Some(message) = socket.next().await {
        match message.context("the connection broke")? {
            Message::Text(text) => {
                let frame: Frame =
                    serde_json::from_str(&text).context("the server sent an unknown frame")?;
                if !frame.dropped_entries.is_empty() {
                    eprintln!("stockade: too many lines to follow, some were left out");
                }
                let page = Page::from_streams(frame.streams, false)?;
                for entry in page.iter() {
                    printer.entry(entry)?;
                    *start = entry.ts.saturating_add_ns(1);
                }
                printer.flush()?;
            }
            Message::Close(Some(frame)) if u16::from(frame.code) == 1011 => {
                bail!(Refused(frame.reason.to_string()));
            }
            _ => {}
        }
    }
    Ok(())
}

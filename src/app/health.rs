//! `stockade healthcheck`: for images that hold no curl.

use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::cli::ServerArg;
use super::{Exit, runtime};

pub fn healthcheck(args: &ServerArg) -> Result<(), Exit> {
    let url = format!("{}/ready", args.addr.trim_end_matches('/'));
    let ask = async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build()?;
        let response = client.get(&url).send().await?;
        let ready = response.status().is_success();
        Ok::<_, reqwest::Error>((ready, response.text().await?))
    };
    let (ready, text) = runtime()?.block_on(ask).with_context(|| format!("asking {url}"))?;
    if ready { Ok(()) } else { Err(Exit::Failed(anyhow!("not ready: {}", text.trim()))) }
}

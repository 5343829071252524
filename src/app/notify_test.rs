//! `stockade notify-test`: one message marked TEST through the real receiver.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use super::cli::NotifyTestArgs;
use super::control::join;
use super::rules::load_config;
use super::{Exit, runtime};
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::notify::{HttpDeliver, Notifier, NotifyError, Parts};

pub fn notify_test(args: &NotifyTestArgs) -> Result<(), Exit> {
    let loaded =
        load_config(args.config.config.as_deref()).map_err(|faults| Exit::Usage(join(&faults)))?;
    let slack = super::notify::slack_webhook_url();
    if slack.is_none() && loaded.config.notify.is_none() && loaded.config.notify_file.is_none() {
        let message = "there are no receivers; set SLACK_WEBHOOK_URL, or give a --config with notify or notify_file";
        return Err(Exit::Usage(message.to_owned()));
    }
    let settings = super::notify::plan(&loaded, slack.as_deref())
        .map_err(|faults| Exit::Usage(join(&faults)))?;
    // State of its own: the outbox of a running server is not touched.
    let folder = tempfile::tempdir().context("a folder for the test")?;
    let (_notifier, handle) = Notifier::open(Parts {
        settings,
        clock: SystemClock::shared(),
        deliver: Arc::new(HttpDeliver::new().context("the HTTP client")?),
        guard: Arc::new(|text: &str| text.to_owned()),
        metrics: Metrics::default(),
        folder: folder.path().to_owned(),
        external_url: loaded
            .config
            .server
            .external_url
            .clone()
            .unwrap_or_else(|| "http://localhost:3100".to_owned()),
    })
    .context("opening the notifier")?;
    let outcomes = match runtime()?.block_on(handle.test(&args.receiver)) {
        Ok(outcomes) => outcomes,
        Err(error @ NotifyError::NoReceiver { .. }) => return Err(Exit::Usage(error.to_string())),
        Err(error) => return Err(Exit::Failed(error.into())),
    };
    if outcomes.is_empty() {
        return Err(Exit::Failed(anyhow!(
            "receiver {:?} reaches nobody: it has no integration that can be delivered to",
            args.receiver
        )));
    }
    let mut failed = false;
    for outcome in &outcomes {
        match &outcome.result {
            Ok(()) => eprintln!("{}: delivered", outcome.integration),
            Err(error) => {
                failed = true;
                eprintln!("{}: {error}", outcome.integration);
            }
        }
    }
    if failed { Err(Exit::Failed(anyhow!("the test message did not arrive"))) } else { Ok(()) }
}

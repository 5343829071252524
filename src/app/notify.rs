//! Which receivers and routes are in force: an alertmanager.yml, the `notify:` part of the
//! configuration, SLACK_WEBHOOK_URL alone, or nobody.

use super::rules::Loaded;
use crate::config::Diagnostic;
use crate::config::notify::parse_notify_file;
use crate::notify::Settings;

pub fn plan(loaded: &Loaded, slack_webhook_url: Option<&str>) -> Result<Settings, Vec<Diagnostic>> {
    let settings = match (&loaded.config.notify, &loaded.config.notify_file) {
        (Some(_), Some(file)) => Err(Diagnostic::at(
            &loaded.file,
            file,
            "notify and notify_file are both given; keep one of them",
        )),
        (Some(raw), None) => Settings::build(&loaded.file, raw, &loaded.base),
        (None, Some(file)) => {
            let path = loaded.base.join(&file.value);
            let name = path.display().to_string();
            let folder = path.parent().unwrap_or(&loaded.base);
            std::fs::read_to_string(&path)
                .map_err(|error| Diagnostic::at(&loaded.file, file, format!("{name}: {error}")))
                .and_then(|text| parse_notify_file(&name, &text))
                .and_then(|raw| Settings::build(&name, &raw, folder))
        }
        (None, None) => match slack_webhook_url {
            Some(url) => Settings::for_slack_webhook(url),
            None => Ok(Settings::silent()),
        },
    };
    settings.map_err(|fault| vec![fault])
}

/// What was taken but is likely not meant, into our log.
pub fn log_warnings(settings: &Settings) {
    for warning in &settings.warnings {
        tracing::warn!(%warning, "notification settings");
    }
}

/// The webhook of the environment, unless it is empty, as compose files leave it.
pub fn slack_webhook_url() -> Option<String> {
    std::env::var("SLACK_WEBHOOK_URL").ok().filter(|url| !url.is_empty())
}

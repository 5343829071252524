//! One way to reach a receiver: where to, how, and the secrets for it.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;

use super::slack::Slack;
use super::webhook::Webhook;
use crate::config::notify::{RawHttp, Secret};
use crate::config::{Span, Spanned};

/// Slack and generic webhooks; each has its own jobs in the outbox.
#[derive(Debug)]
pub(super) enum Integration {
    Slack(Box<Slack>),
    Webhook(Box<Webhook>),
}

impl Integration {
    pub fn name(&self) -> &'static str {
        match self {
            Integration::Slack(_) => "slack",
            Integration::Webhook(_) => "webhook",
        }
    }

    pub fn send_resolved(&self) -> bool {
        match self {
            Integration::Slack(slack) => slack.send_resolved,
            Integration::Webhook(webhook) => webhook.send_resolved,
        }
    }

    /// The pause that the service asks for between two messages.
    pub fn pause_ns(&self) -> i64 {
        match self {
            Integration::Slack(_) => 1_000_000_000,
            Integration::Webhook(_) => 0,
        }
    }
}

/// A secret that stands in the configuration or in a file that is read anew for each use, so
/// that it can be changed without a reload.
#[derive(Debug, Clone)]
pub(super) enum SecretSource {
    Given(Secret),
    File(PathBuf),
}

impl SecretSource {
    pub fn read(&self) -> Result<Secret, String> {
        match self {
            SecretSource::Given(secret) => Ok(secret.clone()),
            SecretSource::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Secret(text.trim().to_owned())),
                Err(error) => Err(format!("{}: {error}", path.display())),
            },
        }
    }

    pub fn of(given: Option<&Secret>, file: Option<&str>) -> Option<SecretSource> {
        match (given, file) {
            (Some(secret), _) => Some(SecretSource::Given(secret.clone())),
            (None, Some(path)) => Some(SecretSource::File(PathBuf::from(path))),
            (None, None) => None,
        }
    }
}

/// How long a request may take; nothing and zero mean the default.
pub(super) fn timeout(given: Option<&Spanned<Span>>, default: Duration) -> Duration {
    given.map(|span| span.value.duration()).filter(|time| !time.is_zero()).unwrap_or(default)
}

#[derive(Debug, Clone)]
enum Scheme {
    Basic {
        user: String,
    },
    /// `Bearer` and the like: the word before the secret.
    Word(String),
}

/// Headers that go with each request.
#[derive(Debug, Clone, Default)]
pub(super) struct HttpSettings {
    authorization: Option<(Scheme, SecretSource)>,
    headers: Vec<(String, SecretSource)>,
}

impl HttpSettings {
    pub fn build(raw: &RawHttp) -> HttpSettings {
        let mut settings = HttpSettings::default();
        if let Some(basic) = &raw.basic_auth {
            let source = SecretSource::of(basic.password.as_ref(), basic.password_file.as_deref())
                .unwrap_or(SecretSource::Given(Secret(String::new())));
            settings.authorization = Some((Scheme::Basic { user: basic.username.clone() }, source));
        }
        if let Some(auth) = &raw.authorization
            && let Some(source) =
                SecretSource::of(auth.credentials.as_ref(), auth.credentials_file.as_deref())
        {
            let kind = auth.kind.clone().unwrap_or_else(|| "Bearer".to_owned());
            settings.authorization = Some((Scheme::Word(kind), source));
        }
        if let Some(source) =
            SecretSource::of(raw.bearer_token.as_ref(), raw.bearer_token_file.as_deref())
        {
            settings.authorization = Some((Scheme::Word("Bearer".to_owned()), source));
        }
        for (name, header) in &raw.http_headers {
            let plain =
                header.values.iter().map(|value| SecretSource::Given(Secret(value.clone())));
            let secret = header.secrets.iter().cloned().map(SecretSource::Given);
            let files = header.files.iter().map(|path| SecretSource::File(PathBuf::from(path)));
            settings
                .headers
                .extend(plain.chain(secret).chain(files).map(|source| (name.clone(), source)));
        }
        settings
    }

    pub fn headers(&self) -> Result<Vec<(String, Secret)>, String> {
        let mut found = Vec::new();
        if let Some((scheme, source)) = &self.authorization {
            let secret = source.read()?.0;
            let value = match scheme {
                Scheme::Basic { user } => {
                    let pair = format!("{user}:{secret}");
                    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
                }
                Scheme::Word(word) => format!("{word} {secret}"),
            };
            found.push(("Authorization".to_owned(), Secret(value)));
        }
        for (name, source) in &self.headers {
            found.push((name.clone(), source.read()?));
        }
        Ok(found)
    }
}

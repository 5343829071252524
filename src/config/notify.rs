//! alertmanager.yml as people have it. Keys that are known but not served yet are taken and
//! named in a warning by the notify room; unknown ones are errors.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};

use super::{Diagnostic, Span, Spanned, parse_yaml};

/// A value that must not be shown: hook URLs, tokens.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Text that YAML may write as a number or a flag too.
pub type RawText = Spanned<String>;
type RawLabels = BTreeMap<String, RawText>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNotify {
    #[serde(default)]
    pub global: RawGlobal,
    #[serde(default)]
    pub templates: Vec<RawText>,
    pub route: Option<RawRoute>,
    #[serde(default)]
    pub inhibit_rules: Vec<RawInhibitRule>,
    #[serde(default)]
    pub receivers: Vec<RawReceiver>,
    #[serde(default)]
    pub time_intervals: Vec<RawNamedInterval>,
    #[serde(default)]
    pub mute_time_intervals: Vec<RawNamedInterval>,
    pub tracing: Option<IgnoredAny>,
}

/// Declares a struct that takes further keys of Alertmanager without looking at them.
macro_rules! with_kept_keys {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* } kept { $($kept:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            $(pub $kept: Option<IgnoredAny>,)*
        }

        impl $name {
            /// Keys that were given, are known, and have no effect yet.
            pub fn kept_keys(&self) -> Vec<&'static str> {
                let mut found = Vec::new();
                $(if self.$kept.is_some() { found.push(stringify!($kept)); })*
                found
            }
        }
    };
}

with_kept_keys! {
    pub struct RawGlobal {
        pub resolve_timeout: Option<Spanned<Span>>,
        pub http_config: Option<RawHttp>,
        pub slack_api_url: Option<Spanned<Secret>>,
        pub slack_api_url_file: Option<RawText>,
    } kept {
        slack_app_token, slack_app_token_file, slack_app_url, smtp_from, smtp_smarthost,
        smtp_hello, smtp_auth_username, smtp_auth_password, smtp_auth_password_file,
        smtp_auth_identity, smtp_auth_secret, smtp_auth_secret_file, smtp_require_tls,
        smtp_tls_config, smtp_force_implicit_tls, pagerduty_url, opsgenie_api_key,
        opsgenie_api_key_file, opsgenie_api_url, telegram_api_url, telegram_bot_token,
        telegram_bot_token_file, victorops_api_key, victorops_api_key_file, victorops_api_url,
        webex_api_url, wechat_api_url, wechat_api_secret, wechat_api_secret_file,
        wechat_api_corp_id, rocketchat_api_url, rocketchat_token, rocketchat_token_file,
        rocketchat_token_id, rocketchat_token_id_file, mattermost_webhook_url,
        mattermost_webhook_url_file, jira_api_url, hipchat_api_url, hipchat_auth_token,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    pub receiver: Option<RawText>,
    pub group_by: Option<Vec<RawText>>,
    #[serde(default, rename = "continue")]
    pub goes_on: bool,
    #[serde(default, rename = "match")]
    pub match_text: RawLabels,
    #[serde(default)]
    pub match_re: RawLabels,
    pub matchers: Option<RawMatchers>,
    pub group_wait: Option<Spanned<Span>>,
    pub group_interval: Option<Spanned<Span>>,
    pub repeat_interval: Option<Spanned<Span>>,
    #[serde(default)]
    pub mute_time_intervals: Vec<RawText>,
    #[serde(default)]
    pub active_time_intervals: Vec<RawText>,
    #[serde(default)]
    pub routes: Vec<RawRoute>,
    /// Labels of the route itself, shown to templates.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// One matcher, or a list of them.
#[derive(Debug, Clone)]
pub struct RawMatchers(pub Vec<RawText>);

impl<'de> Deserialize<'de> for RawMatchers {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ReadMatchers)
    }
}

struct ReadMatchers;

impl<'de> Visitor<'de> for ReadMatchers {
    type Value = RawMatchers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a matcher such as severity=\"critical\", or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawMatchers, E> {
        let place = serde_saphyr::Location::UNKNOWN;
        Ok(RawMatchers(vec![Spanned::new(text.to_owned(), place, place)]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawMatchers, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(RawMatchers(found))
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawInhibitRule {
    pub name: Option<String>,
    #[serde(default)]
    pub source_match: RawLabels,
    #[serde(default)]
    pub source_match_re: RawLabels,
    pub source_matchers: Option<RawMatchers>,
    #[serde(default)]
    pub target_match: RawLabels,
    #[serde(default)]
    pub target_match_re: RawLabels,
    pub target_matchers: Option<RawMatchers>,
    #[serde(default)]
    pub equal: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNamedInterval {
    pub name: RawText,
    #[serde(default)]
    pub time_intervals: Vec<RawInterval>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawInterval {
    #[serde(default)]
    pub times: Vec<RawTimes>,
    #[serde(default)]
    pub weekdays: Vec<RawText>,
    #[serde(default)]
    pub days_of_month: Vec<RawText>,
    #[serde(default)]
    pub months: Vec<RawText>,
    #[serde(default)]
    pub years: Vec<RawText>,
    pub location: Option<RawText>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTimes {
    pub start_time: RawText,
    pub end_time: RawText,
}

with_kept_keys! {
    pub struct RawReceiver {
        pub name: Option<RawText>,
        #[serde(default)]
        pub labels: BTreeMap<String, String>,
        #[serde(default)]
        pub slack_configs: Vec<RawSlack>,
        #[serde(default)]
        pub webhook_configs: Vec<RawWebhook>,
    } kept {
        pagerduty_configs, email_configs, discord_configs, msteamsv2_configs, msteams_configs,
        telegram_configs, opsgenie_configs, pushover_configs, mattermost_configs,
        rocketchat_configs, sns_configs, victorops_configs, webex_configs, jira_configs,
        incidentio_configs, wechat_configs, hipchat_configs,
    }
}

with_kept_keys! {
    pub struct RawHttp {
        pub basic_auth: Option<RawBasicAuth>,
        pub authorization: Option<RawAuthorization>,
        pub bearer_token: Option<Secret>,
        pub bearer_token_file: Option<String>,
        #[serde(default)]
        pub http_headers: BTreeMap<String, RawHeader>,
    } kept {
        oauth2, tls_config, proxy_url, no_proxy, proxy_from_environment, proxy_connect_header,
        follow_redirects, enable_http2,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBasicAuth {
    #[serde(default)]
    pub username: String,
    pub password: Option<Secret>,
    pub password_file: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAuthorization {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub credentials: Option<Secret>,
    pub credentials_file: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHeader {
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(default)]
    pub secrets: Vec<Secret>,
    #[serde(default)]
    pub files: Vec<String>,
}

with_kept_keys! {
    pub struct RawSlack {
        pub send_resolved: Option<bool>,
        pub http_config: Option<RawHttp>,
        pub api_url: Option<Spanned<Secret>>,
        pub api_url_file: Option<RawText>,
        pub channel: Option<RawText>,
        pub username: Option<RawText>,
        pub icon_emoji: Option<RawText>,
        pub icon_url: Option<RawText>,
        #[serde(default)]
        pub link_names: bool,
        pub message_text: Option<RawText>,
        pub pretext: Option<RawText>,
        pub title: Option<RawText>,
        pub title_link: Option<RawText>,
        pub text: Option<RawText>,
        pub fallback: Option<RawText>,
        pub callback_id: Option<RawText>,
        pub color: Option<RawText>,
        pub footer: Option<RawText>,
        pub image_url: Option<RawText>,
        pub thumb_url: Option<RawText>,
        #[serde(default)]
        pub short_fields: bool,
        #[serde(default)]
        pub fields: Vec<RawSlackField>,
        #[serde(default)]
        pub actions: Vec<RawSlackAction>,
        pub mrkdwn_in: Option<Vec<String>>,
        pub timeout: Option<Spanned<Span>>,
    } kept {
        app_token, app_token_file, app_url, update_message,
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSlackField {
    pub title: RawText,
    pub value: RawText,
    pub short: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSlackAction {
    #[serde(rename = "type")]
    pub kind: RawText,
    pub text: RawText,
    pub url: Option<RawText>,
    pub style: Option<RawText>,
    pub name: Option<RawText>,
    pub value: Option<RawText>,
    pub confirm: Option<IgnoredAny>,
}

with_kept_keys! {
    pub struct RawWebhook {
        pub send_resolved: Option<bool>,
        pub http_config: Option<RawHttp>,
        pub url: Option<Spanned<Secret>>,
        pub url_file: Option<RawText>,
        #[serde(default)]
        pub max_alerts: usize,
        pub timeout: Option<Spanned<Span>>,
        /// Ours: the key that signs each body (`X-Stockade-Signature: sha256=<hex>`).
        pub hmac_secret: Option<Secret>,
        pub hmac_secret_file: Option<String>,
    } kept {
        payload,
    }
}

/// Reads alertmanager.yml. `${NAME}` is expanded from the environment.
pub fn parse_notify_file(file: &str, text: &str) -> Result<RawNotify, Diagnostic> {
    if text.trim().is_empty() {
        return Ok(RawNotify::default());
    }
    parse_yaml(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fault(text: &str, expect: &str) {
        assert_eq!(parse_notify_file("am.yml", text).unwrap_err().to_string(), expect);
    }

    #[test]
    fn points_at_unknown_keys() {
        check_fault(
            "route:\n  reciever: a\n",
            "am.yml:2:3: unknown key \"reciever\"; did you mean \"receiver\"?",
        );
        check_fault(
            "receivers:\n- name: a\n  slack_configs:\n  - chanel: x\n",
            "am.yml:4:5: unknown key \"chanel\"; did you mean \"channel\"?",
        );
    }

    #[test]
    fn takes_what_is_kept_for_later() {
        let raw = parse_notify_file(
            "am.yml",
            "global: {smtp_from: a@b, resolve_timeout: 5m}\nreceivers:\n- name: p\n  pagerduty_configs: [{service_key: k, anything: [1]}]\n",
        )
        .unwrap();
        assert_eq!(raw.global.kept_keys(), ["smtp_from"]);
        assert_eq!(raw.receivers[0].kept_keys(), ["pagerduty_configs"]);
    }

    #[test]
    fn hides_secrets() {
        let raw = parse_notify_file("am.yml", "global: {slack_api_url: 'https://h/x'}").unwrap();
        assert!(!format!("{raw:?}").contains("https://h/x"));
    }

    #[test]
    fn takes_one_matcher_or_a_list() {
        for text in ["route: {matchers: ['a=b', 'c=d']}", "route: {matchers: 'a=b,c=d'}"] {
            let raw = parse_notify_file("am.yml", text).unwrap();
            assert!(raw.route.unwrap().matchers.is_some(), "{text}");
        }
    }
}

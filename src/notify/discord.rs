//! Discord's webhooks, which refuse Alertmanager's body.

use serde_json::{Value as Json, json};

use super::escape::cut;
use super::outbox::Job;
use super::slack::Surroundings;
use super::slack_text::{ROOMS, color, details, headline};

/// Limits of one message: content 2000, description of an embed 4096, 6000 in all.
const CONTENT_CHARS_MAX: usize = 1500;
const DESCRIPTION_CHARS_MAX: usize = 4000;

pub(super) fn is_discord(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let is_host = matches!(
        url.host_str(),
        Some("discord.com" | "discordapp.com" | "canary.discord.com" | "ptb.discord.com")
    );
    // These take other services' bodies as they are.
    let is_other = url.path().ends_with("/slack") || url.path().ends_with("/github");
    is_host && url.path().starts_with("/api/webhooks/") && !is_other
}

pub(super) fn body(job: &Job, around: &Surroundings) -> Json {
    let mut description = String::new();
    for room in ROOMS {
        description = markdown(&details(job, around.external_url, around.now_ns, room));
        if description.chars().count() <= DESCRIPTION_CHARS_MAX {
            break;
        }
    }
    let color = u32::from_str_radix(color(job).trim_start_matches('#'), 16).unwrap_or_default();
    json!({
        "content": cut(&markdown(&headline(job)), CONTENT_CHARS_MAX),
        "embeds": [{ "description": cut(&description, DESCRIPTION_CHARS_MAX), "color": color }],
        "allowed_mentions": { "parse": [] },
    })
}

/// Slack's markup to Markdown: links, bold, entities.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let link = rest[at + 1..].split_once('>').and_then(|(inside, after)| {
            let (url, name) = inside.split_once('|')?;
            Some((format!("[{name}]({url})"), after))
        });
        match link {
            Some((link, after)) => {
                out.push_str(&link);
                rest = after;
            }
            None => {
                out.push('<');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out.replace('*', "**").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_markup() {
        assert!(is_discord("https://discord.com/api/webhooks/1/abc"));
        assert!(!is_discord("https://discord.com/api/webhooks/1/abc/slack"));
        assert!(!is_discord("https://evil.example/discord.com/api/webhooks/"));
        assert_eq!(
            markdown("*a* <https://x/?a=1&amp;b|Query> &lt;b&gt;"),
            "**a** [Query](https://x/?a=1&b) <b>"
        );
    }
}

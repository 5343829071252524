//! Slack's incoming webhooks.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::data::Data;
use super::deliver::Request;
use super::escape::{cut, guard_json, no_mentions};
use super::integration::{HttpSettings, SecretSource, timeout};
use super::notifier::Guard;
use super::outbox::Job;
use super::settings::Builder;
use super::slack_text::{ROOMS, Room, color, details, headline};
use crate::config::Diagnostic;
use crate::config::notify::{RawSlack, RawText};
use crate::text::template::{Template, Value};

/// Slack refuses messages above about 13 200 characters without saying so.
const CHARS_MAX: usize = 12_000;
/// One text that a user's template made.
const TEXT_CHARS_MAX: usize = 6_000;
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Slack {
    pub send_resolved: bool,
    url: SecretSource,
    http: HttpSettings,
    timeout: Duration,
    link_names: bool,
    /// Keys of the message and of its attachment, with their templates.
    message: Vec<(&'static str, Template)>,
    attachment: Vec<(&'static str, Template)>,
    fields: Vec<(Template, Template, bool)>,
    actions: Vec<Vec<(&'static str, Template)>>,
    mrkdwn_in: Vec<String>,
    /// The user said how the message reads; else it is ours.
    is_custom: bool,
}

/// What a message needs beside its job.
pub(super) struct Surroundings<'a> {
    pub external_url: &'a str,
    pub guard: &'a Guard,
    pub now_ns: i64,
}

type Texts = Vec<(&'static str, Template)>;

impl Slack {
    pub fn build(
        builder: &Builder,
        raw: &RawSlack,
        url: SecretSource,
        http: HttpSettings,
    ) -> Result<Slack, Diagnostic> {
        let texts = |pairs: &[(&'static str, &Option<RawText>)]| -> Result<Texts, Diagnostic> {
            let given =
                pairs.iter().filter_map(|(key, text)| text.as_ref().map(|text| (*key, text)));
            given.map(|(key, text)| Ok((key, builder.template(text)?))).collect()
        };
        let mut fields = Vec::new();
        for field in &raw.fields {
            let short = field.short.unwrap_or(raw.short_fields);
            fields.push((builder.template(&field.title)?, builder.template(&field.value)?, short));
        }
        let mut actions = Vec::new();
        for action in &raw.actions {
            let mut built = vec![
                ("type", builder.template(&action.kind)?),
                ("text", builder.template(&action.text)?),
            ];
            built.extend(texts(&[
                ("url", &action.url),
                ("style", &action.style),
                ("name", &action.name),
                ("value", &action.value),
            ])?);
            actions.push(built);
        }
        let is_custom = [&raw.message_text, &raw.pretext, &raw.title, &raw.text]
            .iter()
            .any(|text| text.is_some());
        Ok(Slack {
            send_resolved: raw.send_resolved.unwrap_or(false),
            url,
            http,
            timeout: timeout(raw.timeout.as_ref(), TIMEOUT),
            link_names: raw.link_names,
            message: texts(&[
                ("channel", &raw.channel),
                ("username", &raw.username),
                ("icon_emoji", &raw.icon_emoji),
                ("icon_url", &raw.icon_url),
                ("text", &raw.message_text),
            ])?,
            attachment: texts(&[
                ("pretext", &raw.pretext),
                ("title", &raw.title),
                ("title_link", &raw.title_link),
                ("text", &raw.text),
                ("fallback", &raw.fallback),
                ("callback_id", &raw.callback_id),
                ("color", &raw.color),
                ("footer", &raw.footer),
                ("image_url", &raw.image_url),
                ("thumb_url", &raw.thumb_url),
            ])?,
            fields,
            actions,
            mrkdwn_in: raw
                .mrkdwn_in
                .clone()
                .unwrap_or_else(|| ["fallback", "pretext", "text"].map(str::to_owned).to_vec()),
            is_custom,
        })
    }

    pub fn request(&self, job: &Job, around: &Surroundings) -> Result<Request, String> {
        Ok(Request {
            url: self.url.read()?,
            headers: self.http.headers()?,
            body: self.body(job, around).to_string(),
            timeout: self.timeout,
        })
    }

    /// Takes the roomiest form that fits; the guard has its say before it is measured.
    pub fn body(&self, job: &Job, around: &Surroundings) -> Json {
        let mut last = Json::Null;
        for (at, room) in ROOMS.into_iter().enumerate() {
            // What was refused once is sent without any decoration.
            let is_plain = job.is_plain || at + 1 == ROOMS.len();
            if job.is_plain && at < 3 {
                continue;
            }
            let mut body =
                if is_plain { self.plain(job, around, room) } else { self.full(job, around, room) };
            guard_json(&mut body, around.guard);
            let fits = characters(&body) <= CHARS_MAX;
            last = body;
            if fits {
                break;
            }
        }
        last
    }

    fn plain(&self, job: &Job, around: &Surroundings, room: Room) -> Json {
        let text = format!(
            "{}\n{}",
            headline(job),
            details(job, around.external_url, around.now_ns, room)
        );
        let data = data(job, around);
        let mut body = self.message_keys(&data, &mut Vec::new());
        body.insert("text".to_owned(), cut(&text, 3000).into());
        Json::Object(body)
    }

    fn full(&self, job: &Job, around: &Surroundings, room: Room) -> Json {
        let data = data(job, around);
        let mut faults = Vec::new();
        let mut body = self.message_keys(&data, &mut faults);
        let mut attachment = Map::new();
        for (key, template) in &self.attachment {
            if let Some(text) = render(key, template, &data, &mut faults) {
                attachment.insert((*key).to_owned(), text.into());
            }
        }
        if !attachment.contains_key("color") {
            attachment.insert("color".to_owned(), color(job).into());
        }
        let mut ours = details(job, around.external_url, around.now_ns, room);
        if self.is_custom {
            if !attachment.contains_key("title")
                && let Ok(title) = default_title(&data)
            {
                attachment.insert("title".to_owned(), title.into());
            }
        } else {
            body.insert("text".to_owned(), headline(job).into());
        }
        let says_nothing =
            !attachment.contains_key("text") && (!body.contains_key("text") || !self.is_custom);
        if says_nothing || !faults.is_empty() {
            for fault in &faults {
                // A broken template must not swallow the alert.
                ours.push_str(&format!("\n_the template of {fault} could not be rendered_"));
            }
            attachment.insert("text".to_owned(), ours.into());
        }
        attachment.entry("fallback").or_insert_with(|| headline(job).into());
        self.parts(&data, &mut attachment);
        attachment.insert("mrkdwn_in".to_owned(), json!(self.mrkdwn_in));
        body.insert("attachments".to_owned(), json!([attachment]));
        Json::Object(body)
    }

    fn message_keys(&self, data: &Value, faults: &mut Vec<&'static str>) -> Map<String, Json> {
        let mut body = Map::new();
        for (key, template) in &self.message {
            if let Some(text) = render(key, template, data, faults) {
                body.insert((*key).to_owned(), text.into());
            }
        }
        if self.link_names {
            body.insert("link_names".to_owned(), true.into());
        }
        body.insert("unfurl_links".to_owned(), false.into());
        body.insert("unfurl_media".to_owned(), false.into());
        body
    }

    fn parts(&self, data: &Value, attachment: &mut Map<String, Json>) {
        let mut faults = Vec::new();
        let mut fields = Vec::new();
        for (title, value, short) in &self.fields {
            let title = render("fields", title, data, &mut faults).unwrap_or_default();
            let value = render("fields", value, data, &mut faults).unwrap_or_default();
            fields.push(json!({ "title": title, "value": value, "short": short }));
        }
        if !fields.is_empty() {
            attachment.insert("fields".to_owned(), fields.into());
        }
        let mut actions = Vec::new();
        for action in &self.actions {
            let mut built = Map::new();
            for (key, template) in action {
                if let Some(text) = render(key, template, data, &mut faults) {
                    built.insert((*key).to_owned(), text.into());
                }
            }
            actions.push(Json::Object(built));
        }
        if !actions.is_empty() {
            attachment.insert("actions".to_owned(), actions.into());
        }
    }
}

fn data(job: &Job, around: &Surroundings) -> Value {
    Value::Object(Arc::new(Data::new(job, around.external_url, no_mentions)))
}

fn default_title(data: &Value) -> Result<String, ()> {
    use crate::text::template::Functions;
    let library = [super::data::DEFAULT_TEMPLATES.to_owned()];
    let source = "{{ template \"slack.default.title\" . }}";
    let template =
        Template::parse_with(&library, source, Functions::Notification).map_err(|_| ())?;
    template.render(data).map_err(|_| ()).map(|title| cut(title.trim(), 300))
}

/// An empty text counts as not given.
fn render(
    key: &'static str,
    template: &Template,
    data: &Value,
    faults: &mut Vec<&'static str>,
) -> Option<String> {
    match template.render(data) {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(cut(&text, TEXT_CHARS_MAX)),
        Err(_) => {
            if !faults.contains(&key) {
                faults.push(key);
            }
            None
        }
    }
}

fn characters(body: &Json) -> usize {
    match body {
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.iter().map(characters).sum(),
        Json::Object(map) => map.values().map(characters).sum(),
        _ => 0,
    }
}

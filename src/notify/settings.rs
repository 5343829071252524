//! From alertmanager.yml to routes and receivers that are ready for use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::inhibit::InhibitRule;
use super::integration::{HttpSettings, Integration, SecretSource};
use super::intervals::Interval;
use super::matchers::{matcher, parse_matchers};
use super::route::{GroupBy, Route};
use super::slack::Slack;
use super::webhook::Webhook;
use crate::config::notify::{
    RawHttp, RawInhibitRule, RawMatchers, RawNotify, RawReceiver, RawRoute, RawText, Secret,
    parse_notify_file,
};
use crate::config::{Diagnostic, Span, Spanned};
use crate::model::{Labels, MatchOp, Matcher};
use crate::text::template::{Functions, Template};

const SECOND_NS: i64 = 1_000_000_000;
const GROUP_WAIT_NS: i64 = 30 * SECOND_NS;
const GROUP_INTERVAL_NS: i64 = 5 * 60 * SECOND_NS;
const REPEAT_INTERVAL_NS: i64 = 4 * 3600 * SECOND_NS;
/// Files that `templates:` may name, and the size of one.
const TEMPLATE_FILES_MAX: usize = 100;
const TEMPLATE_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The routing that holds without a configuration file, given one Slack webhook.
const BUILT_IN: &str = include_str!("built_in.yml");

/// Everything the notifier is told by its configuration.
#[derive(Debug)]
pub struct Settings {
    pub(super) root: Route,
    pub(super) receivers: BTreeMap<String, Receiver>,
    pub(super) inhibit_rules: Vec<InhibitRule>,
    /// What was taken but has no effect yet, for `check` and the start-up log.
    pub warnings: Vec<Diagnostic>,
}

#[derive(Debug)]
pub(super) struct Receiver {
    pub integrations: Vec<Integration>,
}

type Intervals = BTreeMap<String, Arc<Vec<Interval>>>;

impl Settings {
    /// Alerts are kept and shown, and nobody is told.
    pub fn silent() -> Settings {
        let raw = RawNotify {
            route: Some(RawRoute { receiver: Some(unplaced("none")), ..RawRoute::default() }),
            receivers: vec![RawReceiver { name: Some(unplaced("none")), ..RawReceiver::default() }],
            ..RawNotify::default()
        };
        // This configuration has nothing in it that could be wrong.
        Settings::build("built-in", &raw, Path::new(".")).unwrap_or_else(|_| Settings {
            root: empty_root(),
            receivers: BTreeMap::new(),
            inhibit_rules: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// The built-in routes to Slack: critical to #incidents, warning to #alerts, security to
    /// #security, the rest to #monitoring. A webhook of a current Slack app has one channel
    /// and ignores the names; messages then all go there.
    pub fn for_slack_webhook(url: &str) -> Result<Settings, Diagnostic> {
        let file = "SLACK_WEBHOOK_URL";
        let mut raw = parse_notify_file("built-in", BUILT_IN)?;
        raw.global.slack_api_url = Some(Spanned::new(
            Secret(url.to_owned()),
            serde_saphyr::Location::UNKNOWN,
            serde_saphyr::Location::UNKNOWN,
        ));
        Settings::build(file, &raw, Path::new("."))
    }

    /// `folder` is where relative names of template files start.
    pub fn build(file: &str, raw: &RawNotify, folder: &Path) -> Result<Settings, Diagnostic> {
        let mut builder = Builder { file, warnings: Vec::new(), library: Vec::new() };
        builder.warn_kept("global", &raw.global.kept_keys());
        builder.templates(&raw.templates, folder)?;
        let mut intervals = Intervals::new();
        for named in raw.time_intervals.iter().chain(&raw.mute_time_intervals) {
            let built = named
                .time_intervals
                .iter()
                .map(|interval| Interval::build(file, interval))
                .collect::<Result<Vec<_>, _>>()?;
            if intervals.insert(named.name.value.clone(), Arc::new(built)).is_some() {
                let message = format!("time interval {:?} is defined twice", named.name.value);
                return Err(Diagnostic::at(file, &named.name, message));
            }
        }
        let mut receivers = BTreeMap::new();
        for receiver in &raw.receivers {
            let Some(name) = &receiver.name else {
                return Err(Diagnostic::new(file, 0, 0, "a receiver has no name"));
            };
            let built = builder.receiver(raw, receiver)?;
            if receivers.insert(name.value.clone(), built).is_some() {
                let message = format!("receiver {:?} is defined twice", name.value);
                return Err(Diagnostic::at(file, name, message));
            }
        }
        let Some(route) = &raw.route else {
            return Err(Diagnostic::new(
                file,
                0,
                0,
                "route is missing; it says which receiver gets the alerts",
            ));
        };
        check_root(file, route)?;
        let root = builder.route(route, None, &receivers, &intervals)?;
        let inhibit_rules = raw
            .inhibit_rules
            .iter()
            .map(|rule| builder.inhibit_rule(rule))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Settings { root, receivers, inhibit_rules, warnings: builder.warnings })
    }

    pub fn receiver_names(&self) -> Vec<String> {
        self.receivers.keys().cloned().collect()
    }

    pub(super) fn integration(&self, receiver: &str, at: usize) -> Option<&Integration> {
        self.receivers.get(receiver)?.integrations.get(at)
    }

    pub(super) fn routes_for(&self, labels: &Labels) -> Vec<&Route> {
        let mut found = Vec::new();
        self.root.find(labels, &mut found);
        found
    }
}

fn unplaced(text: &str) -> RawText {
    let place = serde_saphyr::Location::UNKNOWN;
    Spanned::new(text.to_owned(), place, place)
}

fn empty_root() -> Route {
    Route {
        id: "{}".to_owned(),
        matchers: Vec::new(),
        goes_on: false,
        receiver: String::new(),
        group_by: GroupBy::Labels(Vec::new()),
        group_wait_ns: GROUP_WAIT_NS,
        group_interval_ns: GROUP_INTERVAL_NS,
        repeat_interval_ns: REPEAT_INTERVAL_NS,
        mute: Vec::new(),
        active: Vec::new(),
        labels: BTreeMap::new(),
        routes: Vec::new(),
    }
}

fn check_root(file: &str, route: &RawRoute) -> Result<(), Diagnostic> {
    let has_matchers = !route.match_text.is_empty()
        || !route.match_re.is_empty()
        || route.matchers.as_ref().is_some_and(|matchers| !matchers.0.is_empty());
    let is_muted = !route.mute_time_intervals.is_empty() || !route.active_time_intervals.is_empty();
    let fault = |message: &str| match &route.receiver {
        Some(receiver) => Diagnostic::at(file, receiver, message),
        None => Diagnostic::new(file, 0, 0, message),
    };
    if route.receiver.is_none() {
        return Err(fault("the root route has no receiver"));
    }
    if has_matchers {
        return Err(fault("the root route takes all alerts and must not have matchers"));
    }
    if is_muted || route.goes_on {
        return Err(fault("the root route must not have time intervals or continue"));
    }
    Ok(())
}

/// What is carried along while building.
pub(super) struct Builder<'a> {
    pub file: &'a str,
    pub warnings: Vec<Diagnostic>,
    /// Named templates: the defaults and those of the user's files.
    pub library: Vec<String>,
}

impl Builder<'_> {
    pub fn warn(&mut self, message: String) {
        self.warnings.push(Diagnostic::new(self.file, 0, 0, message));
    }

    fn warn_kept(&mut self, place: &str, keys: &[&str]) {
        for key in keys {
            self.warn(format!("{place}: {key} is kept, but has no effect yet"));
        }
    }

    pub fn template(&self, text: &RawText) -> Result<Template, Diagnostic> {
        Template::parse_with(&self.library, &text.value, Functions::Notification)
            .map_err(|error| Diagnostic::at(self.file, text, format!("template: {error}")))
    }

    fn templates(&mut self, globs: &[RawText], folder: &Path) -> Result<(), Diagnostic> {
        self.library.push(super::data::DEFAULT_TEMPLATES.to_owned());
        for glob in globs {
            let files = matching_files(&folder.join(&glob.value))
                .map_err(|error| Diagnostic::at(self.file, glob, error))?;
            if files.is_empty() {
                self.warnings.push(Diagnostic::at(
                    self.file,
                    glob,
                    format!("no file matches {:?}", glob.value),
                ));
            }
            for path in files {
                let shown = path.display();
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    Diagnostic::at(self.file, glob, format!("{shown}: {error}"))
                })?;
                Template::parse_with(&self.library, &text, Functions::Notification).map_err(
                    |error| {
                        let line = text
                            .get(..error.offset)
                            .map_or(1, |before| before.matches('\n').count() + 1);
                        Diagnostic::new(&shown.to_string(), line, 1, error.message)
                    },
                )?;
                self.library.push(text);
            }
        }
        Ok(())
    }

    fn receiver(
        &mut self,
        raw: &RawNotify,
        receiver: &RawReceiver,
    ) -> Result<Receiver, Diagnostic> {
        let name = receiver.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
        for key in receiver.kept_keys() {
            self.warn(format!("receiver {name:?}: {key} is kept, not delivered yet"));
        }
        let mut integrations = Vec::new();
        for slack in &receiver.slack_configs {
            self.warn_kept(&format!("receiver {name:?}: slack_configs"), &slack.kept_keys());
            let http = self.http(&name, slack.http_config.as_ref(), raw);
            let url = match (&slack.api_url, &slack.api_url_file) {
                (Some(url), _) => self.url(url, "api_url", "SLACK_WEBHOOK_URL")?,
                (None, Some(path)) => SecretSource::File(path.value.clone().into()),
                (None, None) => match (&raw.global.slack_api_url, &raw.global.slack_api_url_file) {
                    (Some(url), _) => self.url(url, "slack_api_url", "SLACK_WEBHOOK_URL")?,
                    (None, Some(path)) => SecretSource::File(path.value.clone().into()),
                    (None, None) => {
                        let message = format!(
                            "receiver {name:?} has no Slack webhook; set api_url there or slack_api_url in global"
                        );
                        return Err(self.at_name(receiver, message));
                    }
                },
            };
            integrations.push(Integration::Slack(Box::new(Slack::build(self, slack, url, http)?)));
        }
        for webhook in &receiver.webhook_configs {
            self.warn_kept(&format!("receiver {name:?}: webhook_configs"), &webhook.kept_keys());
            let http = self.http(&name, webhook.http_config.as_ref(), raw);
            let url = match (&webhook.url, &webhook.url_file) {
                (Some(url), _) => self.url(url, "url", "WEBHOOK_URL")?,
                (None, Some(path)) => SecretSource::File(path.value.clone().into()),
                (None, None) => {
                    let message = format!("receiver {name:?} has a webhook without url");
                    return Err(self.at_name(receiver, message));
                }
            };
            integrations.push(Integration::Webhook(Box::new(Webhook::build(webhook, url, http))));
        }
        Ok(Receiver { integrations })
    }

    fn at_name(&self, receiver: &RawReceiver, message: String) -> Diagnostic {
        match &receiver.name {
            Some(name) => Diagnostic::at(self.file, name, message),
            None => Diagnostic::new(self.file, 0, 0, message),
        }
    }

    fn http(&mut self, name: &str, own: Option<&RawHttp>, raw: &RawNotify) -> HttpSettings {
        let Some(http) = own.or(raw.global.http_config.as_ref()) else {
            return HttpSettings::default();
        };
        self.warn_kept(&format!("receiver {name:?}: http_config"), &http.kept_keys());
        HttpSettings::build(http)
    }

    /// A URL that can be posted to. Its text is never part of the message.
    fn url(
        &self,
        url: &Spanned<Secret>,
        key: &str,
        variable: &str,
    ) -> Result<SecretSource, Diagnostic> {
        let text = url.value.0.trim();
        let fault = |message: String| Err(Diagnostic::at(self.file, url, message));
        let upper = text.to_uppercase();
        let is_placeholder = text.is_empty()
            || ["YOUR_", "YOUR/", "/YOUR", "YOUR-", "XXX", "<", "CHANGEME", "CHANGE_ME", "REPLACE"]
                .iter()
                .any(|mark| upper.contains(mark));
        if is_placeholder {
            return fault(format!(
                "{key} is a placeholder; put the real webhook URL here, or write ${{{variable}}} and set that variable"
            ));
        }
        let is_http = reqwest::Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_http {
            return fault(format!(
                "{key} is not an http or https URL; it should begin with https://"
            ));
        }
        Ok(SecretSource::Given(Secret(text.to_owned())))
    }

    fn matchers(
        &self,
        text: &BTreeMap<String, RawText>,
        regex: &BTreeMap<String, RawText>,
        list: Option<&RawMatchers>,
    ) -> Result<Vec<Matcher>, Diagnostic> {
        let mut found = Vec::new();
        for (raw, op) in text
            .iter()
            .map(|pair| (pair, MatchOp::Eq))
            .chain(regex.iter().map(|pair| (pair, MatchOp::Re)))
        {
            let (name, value) = raw;
            let built = matcher(name, op, &value.value)
                .map_err(|error| Diagnostic::at(self.file, value, error))?;
            found.push(built);
        }
        for item in list.iter().flat_map(|list| &list.0) {
            let built = parse_matchers(&item.value)
                .map_err(|error| Diagnostic::at(self.file, item, error))?;
            found.extend(built);
        }
        found.sort_by(|a, b| {
            (&a.name, a.op.as_str(), &a.value).cmp(&(&b.name, b.op.as_str(), &b.value))
        });
        Ok(found)
    }

    fn route(
        &mut self,
        raw: &RawRoute,
        parent: Option<&Route>,
        receivers: &BTreeMap<String, Receiver>,
        intervals: &Intervals,
    ) -> Result<Route, Diagnostic> {
        let matchers = self.matchers(&raw.match_text, &raw.match_re, raw.matchers.as_ref())?;
        let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let own_id = format!("{{{}}}", shown.join(","));
        let default = empty_root();
        let base = parent.unwrap_or(&default);
        if let Some(receiver) = &raw.receiver
            && !receivers.contains_key(&receiver.value)
        {
            let known: Vec<&str> = receivers.keys().map(String::as_str).collect();
            let message = crate::config::unknown("receiver", &receiver.value, &known);
            return Err(Diagnostic::at(self.file, receiver, message));
        }
        let group_by = match &raw.group_by {
            None => base.group_by.clone(),
            Some(names) if names.iter().any(|name| name.value == "...") => GroupBy::All,
            Some(names) => GroupBy::Labels(names.iter().map(|name| name.value.clone()).collect()),
        };
        let span = |given: &Option<Spanned<Span>>, base_ns: i64| {
            given.as_ref().map_or(base_ns, |span| span.value.ns())
        };
        for (key, given) in
            [("group_interval", &raw.group_interval), ("repeat_interval", &raw.repeat_interval)]
        {
            if let Some(span) = given
                && span.value.ns() == 0
            {
                return Err(Diagnostic::at(self.file, span, format!("{key} cannot be zero")));
            }
        }
        let named = |names: &[RawText]| -> Result<Vec<Arc<Vec<Interval>>>, Diagnostic> {
            names
                .iter()
                .map(|name| {
                    intervals.get(&name.value).cloned().ok_or_else(|| {
                        let known: Vec<&str> = intervals.keys().map(String::as_str).collect();
                        let message = crate::config::unknown("time interval", &name.value, &known);
                        Diagnostic::at(self.file, name, message)
                    })
                })
                .collect()
        };
        let mut labels = base.labels.clone();
        labels.extend(raw.labels.clone());
        let mut route = Route {
            id: match parent {
                Some(parent) => format!("{}/{own_id}", parent.id),
                None => own_id,
            },
            matchers,
            goes_on: raw.goes_on,
            receiver: raw
                .receiver
                .as_ref()
                .map_or_else(|| base.receiver.clone(), |name| name.value.clone()),
            group_by,
            group_wait_ns: span(&raw.group_wait, base.group_wait_ns),
            group_interval_ns: span(&raw.group_interval, base.group_interval_ns),
            repeat_interval_ns: span(&raw.repeat_interval, base.repeat_interval_ns),
            mute: named(&raw.mute_time_intervals)?,
            active: named(&raw.active_time_intervals)?,
            labels,
            routes: Vec::new(),
        };
        let mut children: Vec<Route> = Vec::with_capacity(raw.routes.len());
        for child in &raw.routes {
            let mut built = self.route(child, Some(&route), receivers, intervals)?;
            // Two siblings with equal matchers must not share their groups.
            let twins = children.iter().filter(|other| other.matchers == built.matchers).count();
            if twins > 0 {
                built.id = format!("{}#{twins}", built.id);
            }
            children.push(built);
        }
        route.routes = children;
        Ok(route)
    }

    fn inhibit_rule(&self, raw: &RawInhibitRule) -> Result<InhibitRule, Diagnostic> {
        Ok(InhibitRule {
            source: self.matchers(
                &raw.source_match,
                &raw.source_match_re,
                raw.source_matchers.as_ref(),
            )?,
            target: self.matchers(
                &raw.target_match,
                &raw.target_match_re,
                raw.target_matchers.as_ref(),
            )?,
            equal: raw.equal.clone(),
        })
    }
}

/// Files of one folder whose name fits a pattern with `*` in it.
fn matching_files(path: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut found = Vec::new();
    if !name.contains('*') {
        return Ok(if path.is_file() { vec![path.to_owned()] } else { found });
    }
    if folder.to_string_lossy().contains('*') {
        return Err("templates: only the file name may hold *".to_owned());
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(found) };
    let parts: Vec<&str> = name.split('*').collect();
    for entry in entries.flatten() {
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let small = entry
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() <= TEMPLATE_FILE_BYTES_MAX);
        if small && fits_parts(&file_name, &parts) {
            found.push(entry.path());
        }
    }
    found.sort();
    if found.len() > TEMPLATE_FILES_MAX {
        return Err(format!("templates: more than {TEMPLATE_FILES_MAX} files match"));
    }
    Ok(found)
}

fn fits_parts(name: &str, parts: &[&str]) -> bool {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    for part in parts.get(1..parts.len() - 1).unwrap_or_default() {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

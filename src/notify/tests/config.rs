//! Configuration as users have it, and what is said about faults.

use std::path::Path;

use crate::config::notify::parse_notify_file;
use crate::model::Labels;
use crate::notify::Settings;

#[track_caller]
fn check_fault(yaml: &str, expect: &str) {
    let raw = parse_notify_file("am.yml", yaml).unwrap();
    let error = Settings::build("am.yml", &raw, Path::new(".")).unwrap_err().to_string();
    assert_eq!(error, expect);
}

const REST: &str = "receivers: [{name: a}]\n";

#[test]
fn faults_say_where_and_what() {
    check_fault(
        "receivers: []",
        "am.yml: route is missing; it says which receiver gets the alerts",
    );
    check_fault("route: {group_wait: 1s}", "am.yml: the root route has no receiver");
    check_fault(
        &format!("{REST}route:\n  receiver: b\n"),
        "am.yml:3:13: unknown receiver \"b\"; did you mean \"a\"?",
    );
    check_fault(
        &format!("{REST}route:\n  receiver: a\n  match: {{x: y}}\n"),
        "am.yml:3:13: the root route takes all alerts and must not have matchers",
    );
    check_fault(
        &format!("{REST}route:\n  receiver: a\n  group_interval: 0s\n"),
        "am.yml:4:19: group_interval cannot be zero",
    );
    check_fault(
        &format!("{REST}route:\n  receiver: a\n  routes:\n  - matchers:\n    - 'x'\n"),
        "am.yml:6:7: matcher \"x\": expected =, !=, =~ or !~ behind the name",
    );
    check_fault(
        &format!(
            "{REST}route:\n  receiver: a\n  routes: [{{mute_time_intervals: [nigt]}}]\ntime_intervals: [{{name: night}}]\n"
        ),
        "am.yml:4:35: unknown time interval \"nigt\"; did you mean \"night\"?",
    );
    check_fault(
        "receivers:\n- name: a\n  slack_configs:\n  - api_url: 'https://hooks.slack.com/services/T/B/x'\n    text: '{{ nofunc }}'\nroute: {receiver: a}\n",
        "am.yml:5:11: template: function \"nofunc\" not defined",
    );
    check_fault(
        "receivers:\n- name: a\n  slack_configs: [{channel: '#x'}]\nroute: {receiver: a}\n",
        "am.yml:2:9: receiver \"a\" has no Slack webhook; set api_url there or slack_api_url in global",
    );
}

#[test]
fn placeholders_are_named_and_never_shown() {
    for url in [
        "YOUR_SLACK_WEBHOOK",
        "https://hooks.slack.com/services/YOUR/WEBHOOK/URL",
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "<secret>",
    ] {
        check_fault(
            &format!(
                "global:\n  slack_api_url: '{url}'\nroute: {{receiver: a}}\nreceivers: [{{name: a, slack_configs: [{{channel: '#x'}}]}}]\n"
            ),
            "am.yml:2:18: slack_api_url is a placeholder; put the real webhook URL here, or write ${SLACK_WEBHOOK_URL} and set that variable",
        );
    }
    check_fault(
        "route: {receiver: a}\nreceivers:\n- name: a\n  webhook_configs:\n  - url: 'ftp://h/x'\n",
        "am.yml:5:10: url is not an http or https URL; it should begin with https://",
    );
}

#[test]
fn other_kinds_of_receivers_are_kept_with_a_warning() {
    let raw = parse_notify_file(
        "am.yml",
        "route: {receiver: a}\nreceivers:\n- name: a\n  email_configs: [{to: x@y}]\n  pagerduty_configs: [{service_key: k}]\n",
    )
    .unwrap();
    let settings = Settings::build("am.yml", &raw, Path::new(".")).unwrap();
    let warnings: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "am.yml: receiver \"a\": pagerduty_configs is kept, not delivered yet",
            "am.yml: receiver \"a\": email_configs is kept, not delivered yet",
        ]
    );
}

#[track_caller]
fn check_route(settings: &Settings, labels: &[(&str, &str)], expect: &str) {
    let routes = settings.routes_for(&Labels::from_pairs(labels.iter().copied()));
    let names: Vec<&str> = routes.iter().map(|route| route.receiver.as_str()).collect();
    assert_eq!(names.join(" "), expect, "{labels:?}");
}

#[test]
fn one_webhook_is_enough() {
    let settings = Settings::for_slack_webhook("https://hooks.slack.com/services/T/B/z").unwrap();
    check_route(&settings, &[("severity", "critical")], "incidents");
    check_route(&settings, &[("severity", "warning")], "alerts");
    check_route(&settings, &[("severity", "info")], "monitoring");
    check_route(&settings, &[], "monitoring");
    check_route(&settings, &[("severity", "critical"), ("category", "security")], "security");
    check_route(&settings, &[("priority", "P1"), ("severity", "P1")], "incidents");
    let error = Settings::for_slack_webhook("YOUR_SLACK_WEBHOOK").unwrap_err().to_string();
    assert!(error.contains("placeholder") && !error.contains("YOUR_SLACK"), "{error}");
    assert_eq!(Settings::silent().receiver_names(), ["none"]);
}

#[test]
fn template_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("t")).unwrap();
    std::fs::write(folder.path().join("t/a.tmpl"), "{{ define \"mine\" }}M{{ end }} stray text")
        .unwrap();
    std::fs::write(folder.path().join("t/b.txt"), "{{ broken").unwrap();
    let yaml = "templates: ['t/*.tmpl']\nroute: {receiver: a}\nreceivers: [{name: a, slack_configs: [{api_url: 'https://h/x', text: '{{ template \"mine\" . }}'}]}]\n";
    let raw = parse_notify_file("am.yml", yaml).unwrap();
    Settings::build("am.yml", &raw, folder.path()).unwrap();
    let broken = yaml.replace(".tmpl", "").replace("t/*", "t/*.txt");
    let raw = parse_notify_file("am.yml", &broken).unwrap();
    let error = Settings::build("am.yml", &raw, folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("b.txt:1:1: unclosed action"), "{error}");
}

#[test]
fn common_files_load_as_they_are() {
    // Once the placeholder is a real URL, nothing else has to change.
    let simple = "global:
  slack_api_url: 'https://hooks.slack.com/services/T1/B1/abc'

route:
  receiver: 'slack-notifications'
  group_by: ['alertname', 'severity']
  group_wait: 10s
  group_interval: 10s
  repeat_interval: 1h

receivers:
  - name: 'slack-notifications'
    slack_configs:
      - channel: '#alerts'
        text: '{{ range .Alerts }}{{ .Annotations.description }}{{ end }}'
";
    let full = "global:
  resolve_timeout: 5m
  smtp_smarthost: 'mail:587'
route:
  group_by: ['...']
  receiver: email
  routes:
  - match: {severity: critical}
    receiver: pagerduty
    continue: true
  - matchers: [severity=~\"warning|info\", team!=ops]
    receiver: discord
    active_time_intervals: [work]
time_intervals:
- name: work
  time_intervals:
  - weekdays: ['monday:friday']
    times: [{start_time: '08:00', end_time: '18:00'}]
    location: 'America/New_York'
inhibit_rules:
- source_match: {severity: critical}
  target_match_re: {severity: 'warning|info'}
  equal: ['alertname', 'instance']
receivers:
- name: email
  email_configs: [{to: team@example.com}]
- name: discord
  webhook_configs: [{url: 'https://discord.com/api/webhooks/1/abc'}]
- name: pagerduty
  pagerduty_configs: [{service_key: k}]
";
    for text in [simple, full] {
        let raw = parse_notify_file("am.yml", text).unwrap();
        Settings::build("am.yml", &raw, Path::new(".")).unwrap();
    }
}

//! How messages read.

use serde_json::Value as Json;

use super::rig::{Rig, SECOND_NS, START_NS, alert, status};
use crate::model::{Labels, SampleLine};

fn yaml(keys: &str) -> String {
    format!(
        "route: {{receiver: s, group_by: [alertname], group_wait: 1s, group_interval: 60s}}
receivers: [{{name: s, slack_configs: [{{api_url: 'http://h/x', channel: '#ops'{keys}}}]}}]"
    )
}

fn bodies(rig: &Rig) -> Vec<Json> {
    let sent = rig.script.sent.lock();
    sent.iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect()
}

fn characters(body: &Json) -> usize {
    body.to_string().chars().count()
}

#[tokio::test]
async fn the_built_in_message() {
    let mut rig = Rig::new(&yaml(", send_resolved: true"));
    let mut one = alert(
        "HighErrors",
        &[("severity", "critical"), ("service", "api"), ("host", "n1")],
        START_NS,
    );
    one.annotations = Labels::from_pairs([
        ("summary", "5 % of <requests> fail"),
        ("runbook_url", "https://wiki/run?a=1&b=2"),
    ]);
    one.samples = vec![
        SampleLine {
            ts_ns: START_NS,
            line: "a ``` <!here> @channel https://evil/x password=hunter2".to_owned(),
        },
        SampleLine { ts_ns: START_NS, line: format!("two\nlines {}", "x".repeat(900)) },
    ];
    rig.give(one.clone());
    rig.until(2).await;
    one.ends_at_ns = Some(START_NS + 50 * SECOND_NS);
    rig.give(one);
    rig.until(100).await;
    let bodies = bodies(&rig);
    let firing = &bodies[0];
    assert_eq!(firing["channel"], "#ops");
    assert_eq!(firing["text"], ":rotating_light: *[FIRING] HighErrors* on api @ n1");
    assert_eq!(firing["attachments"][0]["color"], "#d92d20");
    let text = firing["attachments"][0]["text"].as_str().unwrap();
    let expect = format!(
        ":rotating_light: *HighErrors* | critical | api @ n1
5 % of &lt;requests&gt; fail
37 lines in 5m, value 42, since 2023-11-14 22:13:20 UTC (1s)
```
a ''' &lt;!here&gt; @\u{200b}channel https:\u{200b}//evil/x password=[redacted]
two lines {}...
```
<http://logs.example/explore?q=1|Query> | <https://wiki/run?a=1&amp;b=2|Runbook>",
        "x".repeat(287)
    );
    assert_eq!(text, expect);
    let over = &bodies[1];
    assert_eq!(over["text"], ":white_check_mark: *[RESOLVED] HighErrors* on api @ n1");
    assert_eq!(over["attachments"][0]["color"], "#12b76a");
    assert!(over["attachments"][0]["text"].as_str().unwrap().contains("resolved after 50s"));
}

#[tokio::test]
async fn a_users_own_templates() {
    let keys = ", title: '{{ template \"slack.default.title\" . }}', color: '{{ if eq .Status \"firing\" }}danger{{ else }}good{{ end }}', title_link: '{{ .ExternalURL }}/x', text: '{{ range .Alerts }}{{ .Annotations.description }}|{{ .Labels.SortedPairs.Names | join \",\" }}{{ end }}', fields: [{title: T, value: '{{ .CommonLabels.severity }}', short: true}], actions: [{type: button, text: Go, url: 'https://u/{{ .GroupLabels.alertname }}'}], username: bot";
    let mut rig = Rig::new(&yaml(keys));
    let mut one = alert("A", &[("severity", "warning")], START_NS);
    one.annotations = Labels::from_pairs([("description", "<!channel> disk at 91 %")]);
    rig.give(one);
    rig.until(2).await;
    let body = &bodies(&rig)[0];
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["title"], "[FIRING:1] A (warning)");
    assert_eq!(attachment["color"], "danger");
    assert_eq!(attachment["title_link"], "http://logs.example/x");
    assert_eq!(attachment["text"], "&lt;!channel> disk at 91 %|alertname,severity");
    assert_eq!(attachment["fields"][0]["value"], "warning");
    assert_eq!(attachment["actions"][0]["url"], "https://u/A");
    assert_eq!(body["username"], "bot");
    assert_eq!(body["text"], Json::Null);
}

#[tokio::test]
async fn a_template_that_says_nothing_or_breaks_still_tells() {
    // As in many configurations, the annotation that it shows is not there.
    for text in
        ["{{ range .Alerts }}{{ .Annotations.description }}{{ end }}", "{{ index .Alerts 99 }}"]
    {
        let mut rig = Rig::new(&yaml(&format!(", text: '{text}'")));
        rig.fire("A", &[]);
        rig.until(2).await;
        let body = &bodies(&rig)[0];
        let shown = body["attachments"][0]["text"].as_str().unwrap();
        assert!(shown.contains("A happened") && shown.contains("it broke"), "{shown}");
        assert_eq!(shown.contains("could not be rendered"), text.contains("99"));
    }
}

#[tokio::test]
async fn storms_are_shrunk_to_fit() {
    let mut rig = Rig::new(&yaml("").replace("[alertname]", "[]"));
    let mut storm = Vec::new();
    for number in 0..400 {
        let mut one = alert(&format!("Alert{number}"), &[("severity", "critical")], START_NS);
        one.annotations = Labels::from_pairs([("summary", "s".repeat(3000))]);
        one.samples =
            (0..5).map(|_| SampleLine { ts_ns: START_NS, line: "&".repeat(1000) }).collect();
        storm.push(one);
    }
    rig.handle.alerts_in().send(storm).await.unwrap();
    rig.until(2).await;
    let bodies = bodies(&rig);
    assert_eq!(bodies.len(), 1);
    assert!(characters(&bodies[0]) < 13_200, "{}", characters(&bodies[0]));
    assert!(bodies[0]["text"].as_str().unwrap().contains("FIRING:400"));
    assert!(
        bodies[0]["attachments"][0]["text"]
            .as_str()
            .unwrap()
            .contains("more, <http://logs.example|see all>")
    );
}

#[tokio::test]
async fn a_refused_form_is_sent_plainly() {
    let mut rig = Rig::new(&yaml(""));
    rig.script.answers.lock().push_back(status(400, "invalid_attachments"));
    rig.fire("A", &[]);
    rig.until(10).await;
    let bodies = bodies(&rig);
    assert_eq!(bodies.len(), 2);
    assert!(bodies[1]["attachments"].is_null());
    assert!(bodies[1]["text"].as_str().unwrap().contains("A happened"));
    assert!(rig.handle.dead_letters().is_empty());
}

#[tokio::test]
async fn one_message_a_second() {
    let mut rig = Rig::new(&yaml(""));
    for name in ["A", "B", "C"] {
        rig.fire(name, &[]);
    }
    rig.until(10).await;
    let seconds: Vec<&str> = rig.log.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(seconds, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_test_message_says_so() {
    let rig = Rig::new(&yaml(""));
    let outcomes = rig.handle.test("s").await.unwrap();
    assert_eq!(outcomes[0].result, Ok(()));
    assert!(bodies(&rig)[0]["text"].as_str().unwrap().contains("TEST"));
    rig.script.answers.lock().push_back(status(403, "invalid_token"));
    let outcomes = rig.handle.test("s").await.unwrap();
    assert_eq!(outcomes[0].result, Err("answered 403 invalid_token".to_owned()));
    let error = rig.handle.test("t").await.unwrap_err().to_string();
    assert_eq!(error, "there is no receiver \"t\"; configured are: s");
}

#[tokio::test]
async fn idioms_of_alertmanager() {
    for (template, expect) in [
        ("{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}", "A happened"),
        ("{{ .Alerts.Firing | len }}/{{ len .Alerts.Resolved }}/{{ len .Alerts }}", "1/0/1"),
        (
            "{{ (index .Alerts 0).Labels.alertname }} {{ with index .Alerts 0 }}{{ .Status }}{{ end }}",
            "A firing",
        ),
        (
            "{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }};{{ end }}",
            "alertname=A;team=x;",
        ),
        (
            "{{ .CommonLabels.SortedPairs }} | {{ .GroupLabels }}",
            "alertname=A, team=x | alertname=A",
        ),
        ("{{ .CommonLabels.Remove (stringSlice \"team\") }}", "alertname=A"),
        (
            "{{ (index .Alerts 0).StartsAt.Format \"15:04\" }} {{ (index .Alerts 0).StartsAt | date \"2006\" }}",
            "22:13 2023",
        ),
        (
            "{{ range $i, $a := .Alerts }}{{ $i }}{{ $a.Labels.none }}{{ $.Receiver }}{{ end }}",
            "0s",
        ),
        (
            "{{ .GroupLabels.Values | join \" \" }}{{ define \"x\" }}[{{ .Status | toUpper }}]{{ end }}{{ template \"x\" . }}",
            "A[FIRING]",
        ),
        (
            "{{ if gt (len .Alerts.Firing) 0 }}{{ .CommonAnnotations.summary | reReplaceAll \"happ(.*)\" \"$1\" }}{{ end }}",
            "A ened",
        ),
        (
            "{{ range .Alerts }}{{ .Count }} {{ range .Samples }}{{ .Line }}{{ end }}{{ end }}",
            "37 it broke",
        ),
    ] {
        let mut rig = Rig::new(&yaml(&format!(", text: '{template}'")));
        rig.fire("A", &[("team", "x")]);
        rig.until(2).await;
        assert_eq!(bodies(&rig)[0]["attachments"][0]["text"], expect, "{template}");
    }
}

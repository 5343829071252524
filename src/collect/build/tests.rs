use serde::Deserialize;

use super::*;
use crate::clock::SystemClock;
use crate::collect::batch::MemoryPositions;
use crate::config::parse_yaml_plain;
use crate::config::pipeline::Node;
use crate::metrics::Metrics;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "no_sources")]
    sources: RawSources<Node>,
    #[serde(default = "Vec::new")]
    scrape_configs: Vec<RawScrapeConfig<Node>>,
}

fn no_sources() -> RawSources<Node> {
    None
}

fn deps() -> SourceDeps {
    SourceDeps {
        positions: Arc::new(MemoryPositions::default()),
        clock: SystemClock::shared(),
        counters: SourceCounters::new(&Metrics::default()),
        host: Arc::from("box"),
        tenant: Arc::from("fake"),
    }
}

/// Builds and shows names, kinds and pipelines, or the fault.
#[track_caller]
fn check(yaml: &str, expect: &str) {
    let shown = parse_yaml_plain::<File>("f", yaml)
        .and_then(|file| build("f", &file.sources, &file.scrape_configs, &deps()))
        .map(|built| {
            let sources: Vec<String> = built
                .sources
                .iter()
                .map(|source| {
                    let ctx = source.context();
                    let kind = ctx.status.snapshot().kind;
                    format!("{} {kind} {}", ctx.name, ctx.pipeline.as_deref().unwrap_or("-"))
                })
                .collect();
            let inline: Vec<String> = built
                .pipelines
                .iter()
                .map(|(name, stages)| format!("{name}={}", stages.len()))
                .collect();
            format!("{} | {}", sources.join(", "), inline.join(", "))
        })
        .unwrap_or_else(|error| error.to_string());
    assert_eq!(shown, expect);
}

#[test]
fn native_sources() {
    check("sources: []", " | ");
    check("sources: [docker, journal]", "docker docker -, journal journal - | ");
    check(
        "sources:\n- docker:\n  pipeline: web\n- docker: {exclude: {label: stockade.enable=false}}\n",
        "docker docker web, docker-2 docker - | ",
    );
    check(
        "sources:\n- files: {include: [/var/log/nginx/*.log], multiline: none}\n  pipeline: [{parse: nginx}, {labels: [status]}]\n  name: web\n",
        "web files source:web | source:web=2",
    );
    check(
        "sources:\n- docker: {start: tail 10, multiline: {firstline: '^x', max_wait_time: 1s}}",
        "docker docker - | ",
    );
    check(
        "sources:\n- journal: {max_age: 7h, units: [sshd, \"docker*\"], priority: info, matches: _TRANSPORT=kernel + _UID=0}\n  labels: {job: j}\n",
        "journal journal - | ",
    );
    check(
        "sources:\n- files: {include: /x/*, multiline: java, start: 36h, ignore_older: 7d}\n  relabel: [{source_labels: [__path__], target_label: p}]",
        "files files - | ",
    );
}

#[test]
fn faults_have_a_place() {
    for (yaml, expect) in [
        ("sources:\n- dockr: {}", "f:2:3: unknown key \"dockr\"; did you mean \"docker\"?"),
        ("sources: [dockre]", "f:1:11: unknown value \"dockre\"; did you mean \"docker\"?"),
        (
            "sources:\n- docker: {}\n  files: {include: x}",
            "f:2:3: a source is exactly one of docker, files and journal; write one list item for each",
        ),
        (
            "sources:\n- files: {inclde: x}",
            "f:2:11: unknown key \"inclde\"; did you mean \"include\"?",
        ),
        ("sources:\n- files: {include: []}", "f:2:20: files needs at least one pattern"),
        (
            "sources:\n- files: {include: '/a/{b'}",
            "f:2:20: pattern \"/a/{b\" has a \"{\" that is not closed",
        ),
        (
            "sources:\n- docker: {host: 'ssh://x'}",
            "f:2:18: docker host \"ssh://x\" is not known; use unix:///path or tcp://host:port",
        ),
        (
            "sources:\n- docker: {multiline: cobol}",
            "f:2:23: unknown multiline preset \"cobol\"; known: none, java, python, go-panic, ruby, node, dotnet, php, postgres",
        ),
        (
            "sources:\n- journal: {priority: loud}",
            "f:2:23: unknown priority \"loud\"; use emerg, alert, crit, err, warning, notice, info, debug or 0 to 7",
        ),
        (
            "sources:\n- {docker: {}, name: a}\n- {journal: {}, name: a}",
            "f:3:23: source name \"a\" is empty or given twice",
        ),
        (
            "sources:\n- docker: {start: soon}",
            "f:2:19: start \"soon\" is not known; use beginning, end, \"tail N\" or a duration like 24h",
        ),
        (
            "sources:\n- journal: {matches: --output=cat}",
            "f: journal match \"--output=cat\" is not FIELD=value or \"+\"",
        ),
    ] {
        check(yaml, expect);
    }
}

#[test]
fn promtail_configs() {
    check(
        r#"
scrape_configs:
- job_name: system
  static_configs:
  - targets: [localhost]
    labels: {job: varlogs, __path__: /var/log/*log, __path_exclude__: /var/log/x.log}
  pipeline_stages:
  - regex: {expression: '(?P<x>.)'}
- job_name: containers
  docker_sd_configs:
  - host: unix:///var/run/docker.sock
    refresh_interval: 5s
    filters: [{name: label, values: [logging=promtail]}]
  relabel_configs:
  - source_labels: [__meta_docker_container_name]
    regex: '/(.*)'
    target_label: container
- job_name: journal
  journal: {json: false, path: /var/log/journal, labels: {job: systemd-journal}}
  relabel_configs:
  - {source_labels: [__journal__systemd_unit], target_label: unit}
"#,
        "system files source:system, containers docker -, journal journal - | source:system=1",
    );
    check(
        "scrape_configs:\n- job_name: x\n  static_configs: [{labels: {a: b}}]",
        "f:3:20: a static config needs the label __path__: the files to read",
    );
    check(
        "scrape_configs:\n- job_name: x",
        "f:2:13: a scrape config needs static_configs, docker_sd_configs or journal",
    );
    check(
        "scrape_configs:\n- job_name: x\n  kafka: {}",
        "f:3:3: unknown key \"kafka\"; known here: job_name, pipeline_stages, relabel_configs, static_configs, docker_sd_configs, journal",
    );
}

#[test]
fn labels_of_both_styles() {
    let native = [("container", "web"), ("service_name", "shop")];
    let meta = [("__meta_docker_container_name".to_owned(), "/web".to_owned())];
    let rule = |yaml: &str| {
        let raw = parse_yaml_plain::<Spanned<RawRelabel>>("f", yaml).unwrap();
        RelabelRule::new("f", &raw).unwrap()
    };
    let name =
        rule("{source_labels: [__meta_docker_container_name], regex: '/(.*)', target_label: c}");
    let mut labeling =
        Labeling { fixed: vec![("env".to_owned(), "prod".to_owned())], ..Labeling::default() };
    let show = |labeling: &Labeling| {
        labeling.labels(&native, &meta).map_or("dropped".to_owned(), |labels| labels.to_string())
    };
    assert_eq!(show(&labeling), r#"{container="web", env="prod", service_name="shop"}"#);
    labeling.relabel = vec![name];
    assert_eq!(show(&labeling), r#"{c="web", container="web", env="prod", service_name="shop"}"#);
    labeling.style = LabelStyle::Promtail;
    assert_eq!(show(&labeling), r#"{c="web", env="prod", service_name="shop"}"#);
    labeling.relabel.push(rule("{source_labels: [c], regex: web, action: drop}"));
    assert_eq!(show(&labeling), "dropped");
}

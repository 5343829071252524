use crate::clock::SimClock;
use crate::config::parse_yaml_plain;
use crate::config::pipeline::Node;
use crate::metrics::Metrics;
use crate::model::{Entry, Labels, Timestamp};
use crate::pipeline::{Library, Pipeline, PipelineMetrics, Setup};

mod lists;
mod metric;
mod parsers;
mod shaping;
mod time;

/// 2026-11-20T11:00:00Z
pub(crate) const NOW_NS: i64 = 1_795_172_400_000_000_000;

pub(crate) struct Bench {
    pub metrics: Metrics,
    pub clock: SimClock,
    pub setup: Setup,
}

pub(crate) fn bench() -> Bench {
    let metrics = Metrics::default();
    let clock = SimClock::new(NOW_NS);
    let setup = Setup {
        metrics: PipelineMetrics::new(&metrics),
        clock: clock.shared(),
        library: Library::with_shipped().unwrap(),
    };
    Bench { metrics, clock, setup }
}

pub(crate) fn compile(bench: &Bench, yaml: &str) -> Result<Pipeline, String> {
    let node: Node = parse_yaml_plain("f", yaml).map_err(|fault| fault.to_string())?;
    Pipeline::compile("f", &node, &bench.setup)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The lines behind a pipeline, one each: `{labels} line |metadata| ts`, the time only where it
/// was changed, `-` for a dropped line.
pub(crate) fn shown(pipeline: &Pipeline, labels: &[(&str, &str)], lines: &[&str]) -> String {
    let labels = Labels::from_pairs(labels.iter().copied());
    let entries = lines.iter().map(|line| Entry::new(Timestamp(NOW_NS), *line)).collect();
    let states = pipeline.inspect(&labels, entries);
    let mut all = Vec::new();
    for state in &states.last().unwrap().entries {
        if state.dropped {
            all.push("-".to_owned());
            continue;
        }
        let mut text = format!("{} {}", state.labels, state.entry.line);
        for (name, value) in &state.entry.metadata {
            text.push_str(&format!(" |{name}={value}|"));
        }
        if state.entry.ts.0 != NOW_NS {
            text.push_str(&format!(" {}", state.entry.ts));
        }
        all.push(text);
    }
    all.join("\n")
}

/// What one line becomes in a stream with the label `a="1"`.
#[track_caller]
pub(crate) fn check(yaml: &str, line: &str, expect: &str) {
    let found = match compile(&bench(), yaml) {
        Ok(pipeline) => shown(&pipeline, &[("a", "1")], &[line]),
        Err(faults) => faults,
    };
    assert_eq!(found, expect, "{yaml}");
}

#[track_caller]
pub(crate) fn check_lines(yaml: &str, lines: &[&str], expect: &[&str]) {
    let found = match compile(&bench(), yaml) {
        Ok(pipeline) => shown(&pipeline, &[("a", "1")], lines),
        Err(faults) => faults,
    };
    assert_eq!(found, expect.join("\n"), "{yaml}");
}

#[track_caller]
pub(crate) fn check_fault(yaml: &str, expect: &str) {
    match compile(&bench(), yaml) {
        Ok(_) => panic!("compiles: {yaml}"),
        Err(faults) => assert_eq!(faults, expect, "{yaml}"),
    }
}

#[test]
fn faults_have_places() {
    check_fault("- jsn: {}", "f:1:3: unknown stage \"jsn\"; did you mean \"json\"?");
    check_fault(
        "- json:\n    expresions: {a: b}\n    source: x",
        "f:2:5: unknown key \"expresions\"; did you mean \"expressions\"?",
    );
    check_fault(
        "- regex:\n    expression: '(?P<a>'",
        &format!("f:2:17: {}", compile_error("(?P<a>")),
    );
    check_fault(
        "- geoip: {db: x}",
        "f:1:3: stage geoip is not run by stockade; remove it, or keep promtail for it",
    );
    check_fault("- {}", "f:1:3: a stage is a map of one key, such as `- json: {...}`, not a map");
    check_fault(
        "- labels: {a: b}\n  output: x",
        "f:2:3: a stage has one key; begin the next stage with `- `",
    );
    check_fault("labels: {a: b}", "f:1:1: stages must be a list, not a map");
    check_fault(
        "- labels: {1a: }",
        "f:1:12: label name \"1a\" is not valid: use letters, digits and '_', not starting with a digit",
    );
    check_fault("- parse: ngnix", "f:1:10: unknown pipeline \"ngnix\"; did you mean \"nginx\"?");
    check_fault(
        "- match: {selector: '{a=}', stages: []}\n- output: {}",
        &format!(
            "f:1:21: {}\nf:2:11: stage output needs the key \"source\"",
            selector_error("{a=}")
        ),
    );
}

fn compile_error(pattern: &str) -> String {
    let error = crate::text::re2::compile(pattern).unwrap_err();
    format!("regular expression does not compile: {error}")
}

fn selector_error(selector: &str) -> String {
    let error = crate::query::syntax::parse(selector).unwrap_err();
    format!("selector does not parse: {}", error.message)
}

#[test]
fn every_promtail_stage_has_a_meaning() {
    for name in super::NAMES {
        let found = compile(&bench(), &format!("- {name}: {{}}")).err().unwrap_or_default();
        assert!(!found.contains("unknown stage"), "{name}: {found}");
    }
}

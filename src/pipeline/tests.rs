use proptest::prelude::*;

use super::stages::tests::{NOW_NS, bench, compile};
use super::*;
use crate::config::Limits;
use crate::model::{Batch, Changes, Entry, Labels, Position, Timestamp};

type Stream<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

fn batch(streams: &[Stream<'_>]) -> Batch {
    let mut batch = Batch::new("fake");
    for (labels, lines) in streams {
        let labels = Labels::from_pairs(labels.iter().copied());
        for line in *lines {
            batch.push(&labels, Entry::new(Timestamp(NOW_NS), *line));
        }
    }
    batch.positions.push(Position { source: "s".into(), value: "p".into() });
    batch
}

fn shown(batch: &Batch) -> String {
    let streams: Vec<String> = batch
        .streams
        .iter()
        .map(|s| {
            let lines: Vec<&str> = s.entries.iter().map(|e| e.line.as_str()).collect();
            format!("{} {}", s.labels, lines.join(","))
        })
        .collect();
    streams.join("; ")
}

#[test]
fn shipped_pipelines_pass_their_tests() {
    let bench = bench();
    let mut tests = 0;
    for (file, text) in SHIPPED {
        let report = run_tests(file, text, &bench.setup).unwrap();
        let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        assert!(report.passed >= 2, "{file} has too few tests");
        tests += report.passed;
    }
    assert!(tests >= 20);
}

#[test]
fn a_failing_test_says_where_and_why() {
    let text = "name: x\nstages: [{labeldrop: [a]}]\ntests:\n  - name: t\n    input: {labels: {a: '1', b: '2'}, line: l}\n    expect: {labels: {a: '1'}}\n  - input: {line: l}\n    expect: {dropped: true}\n";
    let report = run_tests("f", text, &bench().setup).unwrap();
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        failures,
        [
            "f:4:5: test \"t\": labels are {b=\"2\"}, not {a=\"1\"}",
            "f:7:5: test 2: the line was not dropped"
        ]
    );
}

#[test]
fn nothing_to_do_passes_the_batch_through() {
    let input = batch(&[(&[("a", "1")], &["x", "y"])]);
    let (moved, expect) = (input.clone(), input.clone());
    let place = moved.streams[0].entries.as_ptr();
    let (output, changes) = Pipeline::none().run(moved);
    assert_eq!((&output, changes), (&expect, Changes::Nothing));
    assert_eq!(output.streams[0].entries.as_ptr(), place);
    let (output, changes) = Pipeline::auto().run(input.clone());
    assert_eq!((output, changes), (input, Changes::Nothing));
}

#[test]
fn entries_are_regrouped_in_order() {
    let pipeline = compile(&bench(), "- regex: '(?P<k>\\d)'\n- labels: [k]").unwrap();
    let (output, changes) = pipeline
        .run(batch(&[(&[("a", "1")], &["a1", "b2", "c", "d1", "e2"]), (&[("a", "2")], &["f1"])]));
    assert_eq!(
        shown(&output),
        r#"{a="1", k="1"} a1,d1; {a="1", k="2"} b2,e2; {a="1"} c; {a="2", k="1"} f1"#
    );
    // Labels are looked at once a stream.
    assert_eq!(
        changes,
        Changes::Entries(vec![vec![true, false], vec![true, false], vec![false], vec![true]])
    );
    let pipeline = compile(&bench(), "- labeldrop: [a]").unwrap();
    let (output, changes) =
        pipeline.run(batch(&[(&[("a", "1")], &["x"]), (&[("a", "2")], &["y"])]));
    assert_eq!((shown(&output).as_str(), changes), ("{} x,y", Changes::Nothing));
}

#[test]
fn only_harmless_values_count_as_unchanged() {
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let lines =
        [format!(r#"{{"level":"error","trace_id":"{id}"}}"#), r#"{"user":"bob"}"#.to_owned()];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let check = |yaml: &str, expect: Changes| {
        let (_, changes) = compile(&bench(), yaml).unwrap().run(batch(&[(&[], &lines)]));
        assert_eq!(changes, expect, "{yaml}");
    };
    check("- parse: auto\n- labels: [level]", Changes::Nothing);
    check("- parse: auto\n- metadata: [user]", Changes::Entries(vec![vec![false, true]]));
    check("- timestamp: {from: nothing}", Changes::Nothing);
    check("- json: {level: level}\n- output: level", Changes::Entries(vec![vec![true, false]]));
}

#[test]
fn all_dropped_keeps_the_positions() {
    let pipeline = compile(&bench(), "- drop: {reason: all}").unwrap();
    let (output, changes) = pipeline.run(batch(&[(&[], &["x"])]));
    assert_eq!((output.streams.len(), output.positions.len(), changes), (0, 1, Changes::Nothing));
}

#[test]
fn guard_moves_what_does_not_fit() {
    let bench = bench();
    let long = "v".repeat(3000);
    let many: Vec<(String, String)> =
        (0..20).map(|n| (format!("l{n:02}"), "x".to_owned())).collect();
    let mut labels: Vec<(&str, &str)> =
        many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    labels.push(("service_name", "s"));
    labels.push(("a_long", &long));
    labels.push(("bad-name", "b"));
    let pipeline =
        Pipeline::none().with_guard(Guard::new("src", &Limits::default(), &bench.setup.metrics));
    let (output, _) = pipeline.run(batch(&[(&labels, &["x"])]));
    let stream = &output.streams[0];
    assert_eq!(stream.labels.len(), 16);
    assert_eq!(stream.labels.get("service_name"), Some("s"));
    let metadata: Vec<&str> = stream.entries[0].metadata.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(metadata, ["a_long", "bad_name", "l15", "l16", "l17", "l18", "l19"]);
}

#[test]
fn guard_demotes_the_most_varied_label() {
    let bench = bench();
    let guard = Guard::new("src", &Limits::default(), &bench.setup.metrics).streams_max(10);
    let pipeline = compile(&bench, "- regex: 'id=(?P<id>\\d+) m=(?P<m>\\d)'\n- labels: [id, m]")
        .unwrap()
        .with_guard(guard);
    let lines: Vec<String> = (0..30).map(|n| format!("id={n} m={}", n % 2)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (output, changes) = pipeline.run(batch(&[(&[("job", "j")], &lines)]));
    assert_eq!(output.streams.len(), 12);
    let last = output.streams.last().unwrap();
    assert_eq!((last.labels.get("id"), last.labels.get("m")), (None, Some("1")));
    assert_eq!(last.entries.len(), 10);
    assert_eq!(last.entries[9].metadata[0].1, "29");
    let Changes::Entries(flags) = changes else { panic!("nothing changed") };
    assert!(flags[11].iter().all(|changed| *changed));
}

#[test]
fn inspect_shows_each_stage() {
    let pipeline =
        compile(&bench(), "- json: {level: lvl}\n- labels: [level]\n- drop: {source: level}")
            .unwrap();
    let states =
        pipeline.inspect(&Labels::default(), vec![Entry::new(Timestamp(1), r#"{"lvl":"warn"}"#)]);
    let names: Vec<&str> = states.iter().map(|s| s.stage.as_str()).collect();
    assert_eq!(names, ["input", "json", "labels", "drop"]);
    assert_eq!(states[1].entries[0].extracted, [("level".to_owned(), "warn".to_owned())]);
    assert_eq!(states[2].entries[0].labels.to_string(), r#"{level="warn"}"#);
    assert!(states[3].entries[0].dropped);
}

#[test]
fn sources_are_told_what_to_join() {
    let bench = bench();
    assert!(matches!(compile(&bench, "- cri: {}").unwrap().joining(), Some(Joining::Cri)));
    assert!(matches!(
        compile(&bench, "- multiline: java").unwrap().joining(),
        Some(Joining::Multiline(_))
    ));
    assert!(compile(&bench, "- decolorize").unwrap().joining().is_none());
}

#[test]
fn a_pipeline_that_includes_itself_is_a_fault() {
    let mut bench = bench();
    let stages: crate::config::pipeline::Node =
        crate::config::parse_yaml_plain("g", "- pipeline: loop").unwrap();
    bench.setup.library.add("g", "loop", stages);
    let fault = compile(&bench, "- pipeline: loop").unwrap_err();
    assert!(fault.contains("a pipeline includes itself"), "{fault}");
}

const EVERYTHING: &str = r#"
- decolorize
- docker: {}
- cri: {}
- parse: auto
- multiline: java
- json: {expressions: {level: , n: a.b, arr: 'a[0]'}}
- logfmt: {x: x}
- regex: '(?P<word>\w+) (?P<rest>.*)'
- pattern: '<first> <_>'
- timestamp: {from: time}
- timestamp: {source: ts, format: UnixMs}
- template: {source: word, template: '{{ .Value | ToUpper }}{{ .Entry }}'}
- replace: {expression: '(\d+)', replace: '<{{ .Value }}>'}
- match: {selector: '{a="1"} |= "e"', stages: [{labels: [level, first]}]}
- metadata: [n, word]
- luhn: {}
- truncate: {limit: 40, suffix: '...'}
- parse: nginx
- parse: sshd
- parse: postgresql
- limit: {rate: 1000000, burst: 1000000, drop: true}
- metrics: {c_total: {type: counter, config: {match_all: true, action: inc}}}
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_line_survives(lines in prop::collection::vec(
        "(\\PC{0,30}|[{}\\[\\]\":=,a-z0-9 é\\\\]{0,40}|2026-11-20T01:02:03Z stdout [PF] .{0,10}|\u{1b}\\[3.{0,5})",
        0..12,
    )) {
        let pipeline = compile(&bench(), EVERYTHING).unwrap();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let input = batch(&[(&[("a", "1")], &lines), (&[("a", "2")], &lines)]);
        let (output, changes) = pipeline.run(input);
        prop_assert_eq!(output.positions.len(), 1);
        if let Changes::Entries(flags) = changes {
            let shape: Vec<usize> = flags.iter().map(Vec::len).collect();
            let expect: Vec<usize> = output.streams.iter().map(|s| s.entries.len()).collect();
            prop_assert_eq!(shape, expect);
        }
    }

    #[test]
    fn order_is_kept(keys in prop::collection::vec(0..4u8, 0..40)) {
        let pipeline =
            compile(&bench(), "- regex: '(?P<k>\\d)-'\n- labels: [k]\n- drop: {expression: '^3'}").unwrap();
        let lines: Vec<String> = keys.iter().enumerate().map(|(n, k)| format!("{k}-{n:03}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (output, _) = pipeline.run(batch(&[(&[], &lines)]));
        prop_assert_eq!(output.entries(), keys.iter().filter(|k| **k != 3).count());
        for stream in &output.streams {
            let numbers: Vec<&str> = stream.entries.iter().map(|e| &e.line[2..]).collect();
            prop_assert!(numbers.is_sorted());
        }
    }
}

//! Hostile queries at every door that takes one: refused with a reason, or answered, in bounded
//! time and memory. The server goes on afterwards.

use serde_json::json;

use crate::support::{QUIET, Server, http, now_ns, wait_for};

/// How a door takes a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// In a form, under this name.
    Form(&'static str),
    /// In the URL, which has room for less.
    Url(&'static str),
    /// As the expression of a rule.
    Rule,
}

const DOORS: &[(&str, Way)] = &[
    ("/loki/api/v1/query", Way::Form("query")),
    ("/loki/api/v1/query_range", Way::Form("query")),
    ("/loki/api/v1/labels", Way::Form("query")),
    ("/loki/api/v1/label/app/values", Way::Form("query")),
    ("/loki/api/v1/series", Way::Form("match[]")),
    ("/loki/api/v1/index/stats", Way::Form("query")),
    ("/loki/api/v1/index/volume", Way::Form("query")),
    ("/loki/api/v1/index/volume_range", Way::Form("query")),
    ("/loki/api/v1/detected_fields", Way::Form("query")),
    ("/loki/api/v1/detected_field/a/values", Way::Form("query")),
    ("/loki/api/v1/detected_labels", Way::Form("query")),
    ("/loki/api/v1/patterns", Way::Form("query")),
    ("/loki/api/v1/format_query", Way::Form("query")),
    ("/loki/api/v1/tail", Way::Url("query")),
    ("/loki/api/v1/delete?start=1", Way::Form("query")),
    ("/loki/api/v1/rules/hostile", Way::Rule),
    ("/stockade/api/v1/query", Way::Form("query")),
    ("/stockade/api/v1/context?time=1", Way::Form("query")),
    ("/stockade/api/v1/nearest?time=1", Way::Form("query")),
    ("/stockade/api/v1/explain", Way::Form("query")),
    ("/api/prom/query", Way::Form("query")),
    ("/api/prom/label", Way::Form("query")),
    ("/api/prom/series", Way::Form("match[]")),
    ("/api/prom/tail", Way::Url("query")),
];

/// Into so many parts the lists are cut.
const PARTS: usize = 8;

/// URLs longer than this are refused before anybody reads them.
const URL_BYTES: usize = 30_000;

fn send(server: &Server, (path, way): (&str, Way), query: &str) -> (u16, String) {
    let pair = |name: &str| {
        form_urlencoded::Serializer::new(String::new()).append_pair(name, query).finish()
    };
    match way {
        Way::Form(name) => {
            let headers = [("Content-Type", "application/x-www-form-urlencoded")];
            server.post(path, &headers, pair(name).as_bytes())
        }
        Way::Url(name) => http("GET", &format!("{}{path}?{}", server.url, pair(name)), &[], b""),
        Way::Rule => {
            let rule = json!({"name": "g", "rules": [{"alert": "A", "expr": query}]}).to_string();
            server.post(path, &[("Content-Type", "application/yaml")], rule.as_bytes())
        }
    }
}

/// The most memory that the server ever had, in MiB.
fn peak_mib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
}

const S: &str = "{app=\"x\"}";

fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

/// What no door may let in.
fn refused() -> Vec<(&'static str, String)> {
    let re = |pattern: &str| format!("{S} |~ \"{pattern}\"");
    let rate = format!("rate({S}[1m])");
    vec![
        ("longer than queries may be", format!("{{a=\"{}\"}}", "x".repeat(128 << 10))),
        ("nothing but parentheses", "(".repeat(100_000)),
        ("nested numbers", nested("(", "1", ")", 10_000)),
        ("nested selectors", nested("(", S, ")", 10_000)),
        ("nested label filters", format!("{S} | {}", nested("(", "a=\"b\"", ")", 10_000))),
        (
            "nested templates",
            format!("{S} | line_format `{{{{{}}}}}`", nested("(", "1", ")", 9_000)),
        ),
        (
            "nested blocks",
            format!("{S} | line_format `{}`", nested("{{if .a}}", "", "{{end}}", 6_000)),
        ),
        (
            "nested label templates",
            format!("{S} | label_format a=`{{{{{}}}}}`", nested("(", "1", ")", 9_000)),
        ),
        ("nested aggregations", nested("sum(", &rate, ")", 10_000)),
        (
            "nested replacements",
            nested("label_replace(", &rate, ",\"a\",\"b\",\"c\",\"d\")", 3_000),
        ),
        ("a chain of filters", format!("{S} | {}", ["a=\"b\""; 10_000].join(" and "))),
        ("a chain of vectors", ["vector(1)"; 10_000].join("+")),
        ("a tower of powers", ["2"; 50_000].join("^")),
        ("signs", format!("{}1", "-".repeat(100_000))),
        ("signs and parentheses", nested("-(", "1", ")", 40_000)),
        ("a regex times a million", re("a{1000}{1000}")),
        ("repeats of nothing", re("(a*)*{100}{100}{100}")),
        ("repeats in repeats", re("((((a{100}){100}){100}){100})")),
        ("nested stars", re(&nested("(", "a", ")*", 5_000))),
        ("nested groups", re(&nested("(", "", ")", 60_000))),
        ("dots", re(&".*".repeat(50_000))),
        ("repeated dots", re(&".{1000}".repeat(100))),
        ("classes", re(&r"\\pL".repeat(2_000))),
        ("repeated classes", re(r"\\pL{500}\\pN{500}[^a]{500}")),
        ("alternatives", re(&(0..18_000).map(|n| format!("w{n}x")).collect::<Vec<_>>().join("|"))),
        ("many regexes", format!("{S}{}", " |~ \"a{500}b{500}\"".repeat(5_000))),
        ("a matcher times a million", "{a=~\"(a{1000}){1000}\"}".to_owned()),
        ("many matchers", {
            let one = |n: usize| format!("a{n}=~\"(x|y){{500}}\"");
            format!("{{{}}}", (0..3_000).map(one).collect::<Vec<_>>().join(","))
        }),
        ("a stage times a million", format!("{S} | regexp \"(?P<a>(.*){{1000}}){{1000}}\"")),
        (
            "a label times a million",
            format!("label_replace({rate},\"a\",\"$1\",\"b\",\"(x{{1000}}){{1000}}\")"),
        ),
        ("a long path", format!("{S} | json a=\"{}b\"", "b.".repeat(50_000))),
        ("a path of numbers", format!("{S} | json a=\"b{}\"", "[0]".repeat(30_000))),
        ("a number in a path", format!("{S} | json a=\"b[99999999999999999999999]\"")),
        ("a long range", format!("rate({S}[99999999999999999999y])")),
        ("a far offset", format!("rate({S}[1m] offset 99999999y)")),
        ("a number too large", "1e99999".to_owned()),
        ("digits", "9".repeat(100_000)),
        ("a count too large", format!("topk(99999999999999999999999, {rate})")),
        ("a duration too large", format!("{S} | a > 99999999999h")),
        ("a size too large", format!("{S} | a > 99999999999999999PB")),
        ("broken escapes", format!("{S} |= \"{}\"", r"\x".repeat(30_000))),
        ("nothing but a comment", format!("#{}", "a".repeat(130_000))),
        ("open comments", "/*".repeat(60_000)),
    ]
}

/// What may be answered, as long as it is soon.
fn large() -> Vec<(&'static str, String)> {
    let labels = |n: usize| (0..n).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
    vec![
        ("a chain of numbers", ["1"; 20_000].join("+")),
        ("many matchers", {
            let one = |n: usize| format!("a{n}=\"b\"");
            format!("{{{}}}", (0..9_000).map(one).collect::<Vec<_>>().join(","))
        }),
        ("the same matcher", format!("{{{}}}", ["app=\"x\""; 9_000].join(","))),
        ("many filters", format!("{S}{}", " |= \"a\"".repeat(10_000))),
        ("many alternatives", format!("{S} |= \"a\"{}", " or \"b\"".repeat(10_000))),
        ("many parsers", format!("{S}{}", " | json".repeat(5_000))),
        ("many formats", format!("{S}{}", " | line_format \"{{.a}}\"".repeat(3_000))),
        ("many addresses", format!("{S}{}", " |= ip(\"10.0.0.0/8\")".repeat(5_000))),
        ("many kept labels", format!("{S} | keep {}", labels(5_000))),
        ("many groups", format!("sum by ({}) (rate({S}[1m]))", labels(2_000))),
        ("a range of centuries", format!("rate({S}[290y] offset 290y)")),
        ("a range into the future", format!("rate({S}[290y] offset -290y)")),
        ("more than a float holds", "10^10^10^10".to_owned()),
        ("half of nothing", format!("quantile_over_time(1e308, {S} | unwrap a [1m])")),
        ("the largest count", format!("topk(9223372036854775807, rate({S}[1m]))")),
        ("control characters", format!("{S} |= \"\u{0}\u{1}\"")),
    ]
}

const TIMES: &[&str] = &[
    "start=-9223372036854775808&end=9223372036854775807",
    "start=9223372036854775807&end=9223372036854775807",
    "start=0&end=9223372036854775807&step=1",
    "start=0001-01-01T00:00:00Z&end=9999-12-31T23:59:59Z",
    "start=1e308&end=1e309",
    "time=1e308",
    "time=-9223372036854775808",
    "step=1e300",
    "step=1e-300",
    "step=NaN",
    "step=292y",
    "step=1ns",
    "since=292y",
    "limit=99999999999999999999",
    "limit=4294967295",
    "line_limit=4294967295&field_limit=4294967295",
    "interval=9e18",
    "before=18446744073709551615&after=18446744073709551615&time=1",
];

#[test]
fn hostile_queries_are_refused_or_answered_at_every_door() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(QUIET, &folder.path().join("data"));
    let line = json!({"a": 1, "msg": "abc"}).to_string();
    assert_eq!(server.push_lines(json!({"app": "x"}), &[(now_ns(), line)]).0, 204);
    let mut faults = Vec::new();
    for (at, door) in DOORS.iter().enumerate() {
        // All doors share a parser: each gets its part of the list, some the whole.
        let is_whole = door.0 == "/loki/api/v1/query_range";
        let is_due = |number: usize| is_whole || number % PARTS == at % PARTS;
        let fits = |query: &str| !matches!(door.1, Way::Url(_)) || query.len() < URL_BYTES;
        for (number, (name, query)) in refused().into_iter().enumerate() {
            if !is_due(number) || !fits(&query) {
                continue;
            }
            let (status, told) = send(&server, *door, &query);
            if status != 400 || told.trim().is_empty() || told.len() > 4 * query.len() + 1_000 {
                let told: String = told.chars().take(200).collect();
                faults.push(format!("{name} at {}: {status} {told}", door.0));
            }
        }
        for (number, (name, query)) in large().into_iter().enumerate() {
            if !is_due(number) || !fits(&query) {
                continue;
            }
            let (status, told) = send(&server, *door, &query);
            if !matches!(status, 200 | 202 | 204 | 400) {
                faults.push(format!("{name} at {}: {status} {told}", door.0));
            }
        }
        for (number, times) in TIMES.iter().enumerate() {
            if !is_due(number) || !matches!(door.1, Way::Form(_)) {
                continue;
            }
            let query = [S, "sum(rate({app=\"x\"}[106751d] offset 106751d))"][number % 2];
            let sign = if door.0.contains('?') { '&' } else { '?' };
            let path = format!("{}{sign}{times}", door.0);
            let (status, told) = send(&server, (&path, door.1), query);
            if !matches!(status, 200 | 204 | 400 | 404) {
                faults.push(format!("{query} at {path}: {status} {told}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let selectors: Vec<_> = (0..3_000).map(|n| ("match[]", format!("{{a=\"{n}\"}}"))).collect();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(selectors).finish();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let (status, told) = server.post("/loki/api/v1/series", &headers, body.as_bytes());
    assert_eq!((status, told.contains("ask in parts")), (400, true), "{told}");
    assert!(server.is_running());
    let peak = peak_mib(&server);
    assert!(peak < 512, "{peak} MiB");
    // The deletes above mean everything that was there.
    wait_for("the server to take lines as before", || {
        let line = [(now_ns(), "as before".to_owned())];
        (server.push_lines(json!({"app": "after"}), &line).0 == 204).then_some(())
    });
    assert_eq!(server.lines("{app=\"after\"}"), ["as before"]);
}

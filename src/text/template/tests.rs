use super::*;
use crate::model::Timestamp;
use crate::text::gotime::Zone;

/// Labels, the line and its time, as the query engine gives them.
#[derive(Debug)]
struct Line;

impl Object for Line {
    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "app" => "api".into(),
            "level" => "error".into(),
            "status" => "502".into(),
            "path" => "/api/v2/clips/9".into(),
            "msg" => "na\u{ef}ve caf\u{e9}".into(),
            "spaces" => "  x ".into(),
            "b64" => "aGVsbG8".into(),
            "json" => r#"{"b":[1,2.5,"x"],"a":{"k":null},"n":1795168555}"#.into(),
            "epoch" => "1700000000".into(),
            "__line__" => "the line".into(),
            "__timestamp__" => Value::Time(Timestamp(1_700_000_000_123_000_000), Zone::Utc),
            _ => return None,
        })
    }
}

fn render(functions: Functions, source: &str, data: &Value) -> String {
    match Template::parse(source, functions) {
        Err(error) => format!("parse error: {error}"),
        Ok(template) => template.render(data).unwrap_or_else(|error| format!("error: {error}")),
    }
}

#[track_caller]
fn check(source: &str, expect: &str) {
    assert_eq!(render(Functions::LogQl, source, &Value::object(Line)), expect, "{source}");
}

#[test]
fn actions_and_text() {
    check("plain", "plain");
    check("", "");
    check("{{.app}}/{{ .level }}: {{__line__}}", "api/error: the line");
    check("a {{- .app -}} b", "aapib");
    check("a\n{{- /* c */ -}}\nb{{/* c */}}c", "abc");
    check("{{ .missing }}|{{ .missing | ToUpper }}|{{ default \"-\" .missing }}", "||-");
    check(
        "{{ \"a\\n\\u00e9\" }}{{ `raw\\n` }}{{ 'a' }}{{ 1.5 }}{{ 0x1F }}{{ true }}",
        "a\n\u{e9}raw\\n971.531true",
    );
    check(
        "{{ 1_000 }} {{ -3 }} {{ 1e3 }} {{ 0b101 }} {{ 0o17 }} {{ '\\n' }}",
        "1000 -3 1000 5 15 10",
    );
    check("{{ (.app) | printf \"%s-%s\" .level }}", "error-api");
    check("{{ .app | printf \"%s\" | ToUpper | len }}", "3");
    check("{{\n.app\n}}", "api");
}

#[test]
fn variables_and_scopes() {
    check("{{ $x := .app }}{{ $x }}{{ $x = \"b\" }}{{ $x }}{{ $.level }}", "apiberror");
    check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ end }}{{ $x }}", "2");
    check("{{ if true }}{{ $y := 3 }}{{ end }}{{ $y }}", "parse error: undefined variable \"$y\"");
    check(
        "{{ if true }}{{ $y := 3 }}{{ else }}{{ $y }}{{ end }}",
        "parse error: undefined variable \"$y\"",
    );
    check("{{ with $y := .app }}{{ . }}{{ $y }}{{ $.level }}{{ end }}", "apiapierror");
    check("{{ $x = 1 }}", "parse error: undefined variable \"$x\"");
}

#[test]
fn branches() {
    check(
        "{{ if eq .level \"error\" }}E{{ else if eq .level \"warn\" }}W{{ else }}-{{ end }}",
        "E",
    );
    check("{{ if .missing }}a{{ else if false }}b{{ else }}c{{ end }}", "c");
    check("{{ with .missing }}a{{ else with .app }}{{ . }}{{ else }}c{{ end }}", "api");
    check("{{ if and .app (or .missing .level) (not .missing) }}y{{ end }}", "y");
    check("{{ and .missing (index .app 99) }}|{{ or .app (index .app 99) }}", "|api");
    check(
        "{{ if 0 }}a{{ else }}b{{ end }}{{ if 0.0 }}a{{ else }}b{{ end }}{{ if \"\" }}a{{ else }}b{{ end }}",
        "bbb",
    );
}

#[test]
fn ranges() {
    check("{{ range $i, $e := fromJson .json }}{{ $i }};{{ end }}", "a;b;n;");
    check("{{ range $i, $e := (fromJson .json).b }}{{ $i }}={{ $e }} {{ end }}", "0=1 1=2.5 2=x ");
    check("{{ range $e := (fromJson .json).b }}{{ $e }}{{ end }}", "12.5x");
    check("{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}{{ $i }}{{ end }}", "01201");
    check("{{ range .missing }}a{{ else }}none{{ end }}", "error: range can't iterate over ");
    check("{{ range fromJson .missing }}a{{ else }}none{{ end }}", "none");
    check(
        "{{ range 9 }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
        "013",
    );
    check("{{ break }}", "parse error: {{break}} outside {{range}}");
    check("{{ range .app }}{{ end }}", "error: range can't iterate over api");
    check("{{ $last := 0 }}{{ range $last = 4 }}{{ end }}{{ $last }}", "3");
}

#[test]
fn named_templates() {
    check(
        "{{ define \"a\" }}<{{ . }}>{{ end }}{{ template \"a\" .app }}{{ template \"a\" }}",
        "<api><<no value>>",
    );
    check("{{ block \"b\" .level }}[{{ . }}]{{ end }}", "[error]");
    check("{{ template \"none\" }}", "error: template \"none\" not defined");
    check(
        "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}",
        "error: template is nested too deeply",
    );
    check(
        "{{ if true }}{{ define \"x\" }}{{ end }}{{ end }}",
        "parse error: unexpected {{define}} inside another block",
    );
}

#[test]
fn comparisons_and_lists() {
    check(
        "{{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt \"b\" \"a\" }} {{ ge 1 2 }}",
        "true true true true true false",
    );
    check("{{ eq .missing \"\" }} {{ eq (fromJson .json).a.k \"x\" }}", "true false");
    check("{{ gt (float64 .status) 5.0 }} {{ gt (int .status) 5 }}", "true true");
    for (source, types) in [
        ("{{ eq .app 1 }}", "eq: incompatible types for comparison: string and int"),
        ("{{ eq 1 1.0 }}", "eq: incompatible types for comparison: int and float64"),
        ("{{ gt 1.5 1 }}", "gt: incompatible types for comparison: float64 and int"),
        ("{{ lt true false }}", "lt: invalid type for comparison"),
    ] {
        check(source, &format!("error: error calling {types}"));
    }
    let alert = Value::map([("n".to_owned(), Value::Int(2))]);
    let mixed = render(Functions::Notification, "{{ gt .n 1.5 }}{{ .none }}", &alert);
    assert_eq!(mixed, "true");
    check(
        "{{ len .app }} {{ index (fromJson .json) \"b\" 2 }} {{ slice .app 1 2 }} {{ index .app 0 }}",
        "3 x p 97",
    );
    check("{{ index (fromJson .json).b 7 }}", "error: error calling index: index out of range: 7");
    check(
        "{{ (fromJson .json).b }} {{ fromJson .json }}",
        "[1 2.5 x] map[a:map[k:<nil>] b:[1 2.5 x] n:1.795168555e+09]",
    );
    check("{{ fromJson \"nope\" }} {{ (fromJson .json).a.k }}", "<no value> <no value>");
    check("{{ (fromJson \"nope\").x.y }}", "<no value>");
    check("{{ (fromJson .json).a.k.x }}", "error: nil pointer evaluating interface {}.x");
    check("{{ len (fromJson .json).a.k }}", "error: error calling len: len of nil pointer");
    check("{{ index (fromJson \"nope\") 1 }}", "error: error calling index: index of untyped nil");
    check(
        "{{ index (fromJson .json) \"x\" 1 }}",
        "error: error calling index: index of nil pointer",
    );
    check("{{ upper (fromJson \"nope\") }}", "error: invalid value; expected string");
    check(
        "{{ upper (fromJson .json).x }}",
        "error: wrong type for value; expected string; got interface {}",
    );
    check(
        "{{ print (fromJson \"nope\") nil }} {{ printf \"%v %s\" nil nil }}",
        "<nil> <nil> <nil> %!s(<nil>)",
    );
    check("{{ eq (fromJson \"nope\") \"\" }}", "false");
    check(
        "{{ fromJson `{\"a\":1,\"b\":1e400,\"c\":\"2e999\",\"d\":-0.0}` }}",
        "map[a:1 b:<nil> c:2e999 d:-0]",
    );
    check("{{ with (fromJson .json).none }}a{{ else }}b{{ end }}", "b");
    check(
        "{{ int \"1.9\" }} {{ int \"010\" }} {{ int \"0x1F\" }} {{ int \"1e3\" }} {{ int \"-1.5\" }} {{ int \"08\" }} {{ int \"1_000\" }}",
        "1 8 31 0 -1 0 1000",
    );
    check(
        "{{ count \"(\" .app }}",
        "error: error calling count: error parsing regexp: missing closing ): `(`",
    );
    check(
        "{{ print 1 2 \"x\" 3 }} {{ println 1 \"a\" }}{{ html \"<a&'>\" }} {{ js \"a'b\" }} {{ urlquery \"a b&c\" }}",
        "1 2x3 1 a\n&lt;a&amp;&#39;&gt; a\\'b a+b%26c",
    );
}

#[test]
fn functions_of_logql() {
    check(
        "{{ .msg | ToUpper }} {{ upper .app }} {{ title \"ab cd\" }}",
        "NA\u{cf}VE CAF\u{c9} API Ab Cd",
    );
    check(
        "{{ Replace .path \"/\" \"_\" 1 }} {{ replace \"/\" \"_\" .path }} {{ .path | replace \"api\" \"x\" }}",
        "_api/v2/clips/9 _api_v2_clips_9 /x/v2/clips/9",
    );
    check(
        "{{ Trim .spaces \" \" }}|{{ trim .spaces }}|{{ trimAll \"e\" \"eae\" }}|{{ TrimPrefix .app \"a\" }}|{{ trimSuffix \"i\" .app }}",
        "x|x|a|pi|ap",
    );
    check(
        "{{ alignLeft 6 .level }}|{{ alignRight 7 .level }}|{{ alignRight 3 .level }}|{{ alignLeft 2 .level }}",
        "error |  error|ror|er",
    );
    check(
        "{{ indent 2 .level }}|{{ nindent 1 \"a\\nb\" }}|{{ repeat 3 `ab` }}",
        "  error|\n a\n b|ababab",
    );
    check(
        "{{ trunc 2 .level }} {{ trunc -2 .level }} {{ substr 1 3 .level }} {{ substr -1 2 .level }} {{ substr 3 -1 .level }}",
        "er or rr er or",
    );
    check(
        "{{ contains \"rr\" .level }} {{ hasPrefix \"er\" .level }} {{ hasSuffix \"x\" .level }}",
        "true true false",
    );
    check(
        "{{ b64enc .app }} {{ b64dec .b64 }} {{ b64dec \"*\" }}",
        "YXBp hello illegal base64 data at input byte 0",
    );
    check("{{ urlencode \"a b/\\u00e9\" }} {{ urldecode \"a+b%2F\" }}", "a+b%2F%C3%A9 a b/");
    check("{{ urldecode \"%zz\" }}", "error: error calling urldecode: invalid URL escape \"%zz\"");
    check(
        "{{ add 1 \"2\" 3.9 }} {{ sub 5 7 }} {{ mul 2 3 }} {{ div 7 2 }} {{ mod 7 4 }} {{ int \"12\" }} {{ float64 \"1.5\" }}",
        "6 -2 6 3 3 12 1.5",
    );
    check(
        "{{ addf 0.1 0.2 }} {{ subf 1 0.25 }} {{ mulf 1.5 2 }} {{ divf 1 4 }} {{ max 1 5 2 }} {{ min 3 1 }} {{ maxf 1 2.5 }} {{ minf 1 2.5 }}",
        "0.3 0.75 3 0.25 5 1 2.5 1",
    );
    check(
        "{{ ceil 1.2 }} {{ floor 1.8 }} {{ round 1.2345 2 }} {{ round 123.5 0 }}",
        "2 1 1.23 124",
    );
    check("{{ div 1 0 }}", "error: error calling div: runtime error: integer divide by zero");
    check("{{ ToUpper 5 }}", "error: expected string; found ");
    check("{{ ToUpper (len .app) }}", "error: wrong type for value; expected string; got int");
    check("{{ upper `ß ǆ σς` }} {{ lower `ΣΣ` }} {{ title `ßa` }}", "ß Ǆ ΣΣ σσ ßa");
    check("{{ ToUpper }}", "error: wrong number of args for ToUpper: want 1 got 0");
    check("{{ sha256sum .level }}", "parse error: function \"sha256sum\" not defined");
}

#[test]
fn regexes() {
    check(
        "{{ regexReplaceAll \"[0-9]+\" .path \"N\" }} {{ regexReplaceAll `(\\w+)/v(\\d)` .path \"$2-${1}\" }}",
        "/api/vN/clips/N /2-api/clips/9",
    );
    check(
        "{{ regexReplaceAllLiteral `\\d` .path \"$1\" }} {{ count `[a-z]+` .path }}",
        "/api/v$1/clips/$1 3",
    );
    check("{{ $re := `p.` }}{{ count $re .path }} {{ .path | count \"/\" }}", "2 4");
    assert!(
        render(Functions::LogQl, "{{ count `(` `x` }}", &Value::Nil)
            .starts_with("error: error calling count: error parsing regexp")
    );
    assert!(
        render(Functions::LogQl, "{{ $r := `(` }}{{ count $r `x` }}", &Value::Nil)
            .starts_with("error: ")
    );
}

#[test]
fn times() {
    check(
        "{{ __timestamp__ | date \"2006-01-02T15:04:05.000Z07:00\" }} {{ __line__ }}",
        "2023-11-14T22:13:20.123Z the line",
    );
    check("{{ __timestamp__ }}", "2023-11-14 22:13:20.123 +0000 UTC");
    check(
        "{{ __timestamp__.Unix }} {{ (__timestamp__).Year }} {{ __timestamp__.Format \"15\" }}",
        "1700000000 2023 22",
    );
    check(
        "{{ unixEpoch __timestamp__ }} {{ unixEpochMillis __timestamp__ }} {{ unixEpochNanos __timestamp__ }}",
        "1700000000 1700000000123 1700000000123000000",
    );
    check(
        "{{ .epoch | unixToTime | date \"15:04\" }} {{ unixToTime \"19700\" | date \"2006\" }}",
        "22:13 2023",
    );
    check(
        "{{ toDate \"2006-01-02\" \"2024-02-05\" | unixEpoch }} {{ toDateInZone \"2006-01-02 15\" \"Europe/Berlin\" \"2024-02-05 01\" | unixEpoch }}",
        "1707091200 1707091200",
    );
    check("{{ toDate \"2006-01-02\" \"nope\" }}", "0001-01-01 00:00:00 +0000 UTC");
    check(
        "{{ unixToTime \"123\" }}",
        "error: error calling unixToTime: unable to parse time '123': %!w(<nil>)",
    );
}

#[test]
fn faults_of_syntax() {
    check("{{ .x | nofunc }}", "parse error: function \"nofunc\" not defined");
    check("{{ .x ", "parse error: unclosed action");
    check("{{ }}", "parse error: missing value for command");
    check("{{ if .x }}", "parse error: unexpected EOF");
    check("{{ end }}", "parse error: unexpected {{end}}");
    check("{{ .app | }}", "api");
    check("{{ | .app }}", "parse error: empty command");
    check("{{ (.x }}", "parse error: unclosed left paren");
    check("{{ .x) }}", "parse error: unexpected right paren");
    check("{{ \"abc }}", "parse error: unterminated quoted string");
    check("{{ nil }}", "parse error: nil is not a command");
    check("{{ .x | 3 }}", "parse error: non executable command in pipeline stage 2");
    check("{{ 3 4 }}", "parse error: can't give argument to non-function");
    check("{{ .x! }}", "parse error: bad character U+0021 '!'");
    check("{{/* x }}", "parse error: unclosed comment");
    check("{{ else }}", "parse error: unexpected {{else}}");
    check("{{ range $a, $b, $c := .x }}{{ end }}", "parse error: too many declarations in range");
    check(&"{{ if true }}".repeat(200), "parse error: template is nested too deeply");
    check(&format!("{{{{ {} }}}}", "(".repeat(5000)), "parse error: unclosed left paren");
    check(
        &format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
        "parse error: template is nested too deeply",
    );
}

#[test]
fn work_is_bounded() {
    check("{{ range 99999999 }}{{ end }}", "error: template takes too many steps");
    check(
        "{{ repeat 9999999 \"abc\" }}",
        "error: error calling repeat: the repeated text is too long",
    );
    check(
        "{{ $x := repeat 9999 \"abc\" }}{{ range 99 }}{{ $x }}{{ end }}",
        "error: template output is too long",
    );
    check(
        "{{ $x := \"ab\" }}{{ range 99 }}{{ $x = print $x $x }}{{ end }}",
        "error: template makes a text that is too long",
    );
    let mut out = "kept".to_owned();
    let template = Template::parse("ab{{ div 1 0 }}", Functions::LogQl).unwrap();
    template.render_into(&Value::Nil, &mut out).unwrap_err();
    assert_eq!(out, "kept");
}

#[test]
fn functions_of_promtail() {
    let data =
        Value::map([("Value".to_owned(), "Ab".into()), ("ip".to_owned(), "10.0.0.1".into())]);
    let check = |source: &str, expect: &str| {
        assert_eq!(render(Functions::Promtail, source, &data), expect, "{source}");
    };
    check("{{ ToLower .Value }}{{ .none }}{{ if .none }}x{{ end }}", "ab");
    check(
        "{{ Hash \"salt\" .Value | len }} {{ Sha2Hash \"s\" \"\" }}",
        "64 043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89",
    );
    check(
        "{{ sha256sum \"abc\" | trunc 8 }} {{ list 1 \"a\" | join \",\" }} {{ ternary \"y\" \"n\" true }} {{ quote .Value }}",
        "ba7816bf 1,a y \"Ab\"",
    );
    check(
        "{{ .Value | default \"x\" }} {{ eq .none \"\" }} {{ toJson (dict \"a\" 1) }}",
        "Ab true {\"a\":1}",
    );
}

#[test]
fn functions_of_rules() {
    let data = Value::map([
        ("Labels".to_owned(), Value::map([("job".to_owned(), "api".into())])),
        ("Value".to_owned(), Value::Float(1_234_567.0)),
        ("ExternalURL".to_owned(), "http://host:1/base".into()),
    ]);
    let check = |source: &str, expect: &str| {
        assert_eq!(render(Functions::Rule, source, &data), expect, "{source}");
    };
    check(
        "{{ $labels.job }} {{ $value }} {{ .Value }} {{ $labels.none }}{{ $externalURL }}",
        "api 1.234567e+06 1.234567e+06 http://host:1/base",
    );
    check("{{ with $labels }}{{ .job }}{{ end }} {{ printf \"%.2f\" $value }}", "api 1234567.00");
    check(
        "{{ humanize $value }} {{ humanize 0.0012 }} {{ humanize1024 2048 }} {{ humanizePercentage 0.1234 }}",
        "1.235M 1.2m 2ki 12.34%",
    );
    check(
        "{{ humanizeDuration 3661 }} {{ humanizeDuration 0.05 }} {{ humanizeDuration 59.5 }} {{ humanizeDuration \"90061\" }}",
        "1h 1m 1s 50ms 59.5s 1d 1h 1m 1s",
    );
    check(
        "{{ humanizeTimestamp 1700000000 }} {{ (toTime 1700000000).Year }}",
        "2023-11-14 22:13:20 +0000 UTC 2023",
    );
    check(
        "{{ stripPort \"a:80\" }} {{ stripDomain \"a.b.c:80\" }} {{ stripDomain \"1.2.3.4:80\" }} {{ pathPrefix }} {{ reReplaceAll \"a(.)\" \"$1\" \"ab\" }}",
        "a a:80 1.2.3.4:80 /base b",
    );
    check(
        "{{ match \"^a\" \"ab\" }} {{ (args 1 \"x\").arg1 }} {{ graphLink \"up == 1\" }}",
        "true x /graph?g0.expr=up+%3D%3D+1&g0.tab=0",
    );
    check(
        "{{ query \"up\" | first | value }}",
        "error: error calling query: query is not available here",
    );
    check("{{ define \"a\" }}{{ $value }}{{ end }}{{ template \"a\" }}", "1.234567e+06");
}

#[test]
fn functions_of_notifications() {
    let data = Value::map([("l".to_owned(), Value::list(vec!["a".into(), "b".into()]))]);
    let check = |source: &str, expect: &str| {
        assert_eq!(render(Functions::Notification, source, &data), expect, "{source}");
    };
    check(
        "{{ join \", \" .l }} {{ .l | join \"-\" }} {{ toJson .l }} {{ stringSlice \"x\" \"y\" | len }}",
        "a, b a-b [\"a\",\"b\"] 2",
    );
    check("{{ append .l \"c\" | join \"\" }} {{ (dict \"k\" 1).k }} {{ list 1 2 }}", "abc 1 [1 2]");
    check(
        "{{ base64encode \"hi\" }} {{ base64decode \"aGk=\" }} {{ urlUnescape \"a%20b\" }} {{ trimSpace \" a \" }} {{ title \"high load\" }}",
        "aGk= hi a b a High Load",
    );
}

#[test]
fn durations_and_sizes() {
    check(
        "{{ duration \"1.5s\" }} {{ duration_seconds \"2m\" }} {{ bytes \"12KB\" }}",
        "1.5 120 12000",
    );
    check("{{ duration \"x\" }}", "error: error calling duration: time: invalid duration \"x\"");
}

proptest::proptest! {
    #[test]
    fn nothing_panics(source in "(\\{\\{|\\}\\}|if|end|range|else|with|\\$x|:=|=|\\.a|\\(|\\)|\\||\"s\"|`r`|'c'| |-|1.5|printf|index|/\\*|\\*/|define|template|\u{e9}){0,24}") {
        if let Ok(template) = Template::parse(&source, Functions::LogQl) {
            let _ = template.render(&Value::object(Line));
        }
    }
}

/// Small templates that would take hours or all memory.
#[test]
fn work_inside_functions_is_bounded() {
    let big = "{{ $x := repeat 1000000 \"a\" }}";
    for (source, fault) in [
        ("{{ range 199000 }}{{ if contains \"b\" $x }}{{ end }}{{ end }}", "too many steps"),
        ("{{ print $x $x $x $x $x $x $x $x }}", "too long"),
        ("{{ regexReplaceAll \"\" $x $x }}", "too long"),
        ("{{ regexReplaceAll \"a\" $x \"$0$0$0$0$0$0$0$0$0$0$0$0\" }}", "too long"),
        ("{{ regexReplaceAll \"(b)?\" $x (repeat 200000 \"$1\") }}", "too long"),
        (
            "{{ range 100000 }}{{ count (printf \"\\\\pL{100}%d\" .) \"\" }}{{ end }}",
            "too many steps",
        ),
    ] {
        let rendered = render(Functions::LogQl, &format!("{big}{source}"), &Value::Nil);
        assert!(rendered.starts_with("error") && rendered.contains(fault), "{source}: {rendered}");
    }
    // A set of characters as long as the text.
    check(
        &format!("{big}{{{{ $y := print (repeat 900000 \"b\") \"a\" }}}}{{{{ trimAll $y $x }}}}."),
        ".",
    );
    let nested = "{{ $x := list 1 2 }}{{ range 100000 }}{{ $x = list $x $x }}{{ end }}{{ $x }}";
    let deep = "{{ $x := list 1 }}{{ range 100000 }}{{ $x = list $x }}{{ end }}{{ $x }}";
    for source in [nested, deep] {
        let rendered = render(Functions::Promtail, source, &Value::Nil);
        assert!(rendered.contains("too long or too deep"), "{rendered}");
    }
}

#[test]
fn replaces_as_the_regex_crate_does() {
    for (pattern, by, text) in [
        ("(a)(b)?", "<$1|$2|${1}x|$1x|$$|$>", "abaab c"),
        ("", "-", "a\u{e9}"),
        ("x*", "$0.", "axxb"),
        ("b", "c", "abcb"),
    ] {
        let source = format!("{{{{ regexReplaceAll {pattern:?} {text:?} {by:?} }}}}")
            .replace("\\u{e9}", "\u{e9}");
        let expect = regex::Regex::new(pattern).unwrap().replace_all(text, by).into_owned();
        check(&source, &expect);
    }
}

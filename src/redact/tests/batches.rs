//! Batches: labels, metadata, keys over several entries, guarding, dropping, failing closed.

use super::{build, redactor};
use crate::model::{Batch, Changes, Entry, Labels, Position, StreamBatch, Text, Timestamp};

const CANARY: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

fn batch(lines: &[&str]) -> Batch {
    let entries = lines
        .iter()
        .enumerate()
        .map(|(i, line)| Entry::new(Timestamp(i64::try_from(i).unwrap()), *line))
        .collect();
    let labels = Labels::from_pairs([("app", "x")]);
    Batch { streams: vec![StreamBatch { labels, entries }], ..Batch::new("t") }
}

fn lines(batch: &Batch) -> Vec<&str> {
    batch.streams.iter().flat_map(|s| &s.entries).map(|e| e.line.as_str()).collect()
}

#[test]
fn nothing_of_a_canary_is_left_anywhere() {
    let redactor = redactor("");
    let mut entry = Entry::new(Timestamp(1), format!("line {CANARY}"));
    entry.metadata.push((Text::from("note"), Text::from(CANARY)));
    entry.metadata.push((Text::from(CANARY), Text::from("x")));
    entry.metadata.push((Text::from("db.password"), Text::from("hunter2")));
    let mut batch = Batch::new("t");
    let labels = Labels::from_pairs([("a", CANARY), (CANARY, "b"), ("api_key", "k"), ("app", "x")]);
    batch.push(&labels, entry);
    batch.positions.push(Position { source: "file".into(), value: "/var/log/a@b.com".into() });
    let redacted = redactor.redact(batch, "test").into_inner();
    let shown = format!("{redacted:?}");
    assert!(!shown.contains(CANARY) && !shown.contains("hunter2"), "{shown}");
    let stream = &redacted.streams[0];
    assert_eq!(stream.labels.get("a"), Some("<github-token>"));
    assert_eq!(stream.labels.get("_github_token_"), Some("b"));
    assert_eq!(stream.labels.get("api_key"), Some("<secret>"));
    assert_eq!(stream.labels.get("app"), Some("x"));
    assert_eq!(redacted.positions[0].value, "/var/log/a@b.com");
}

#[test]
fn redactors_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<crate::redact::Redactor>();
}

#[test]
fn untouched_lines_keep_their_buffer() {
    let redactor = redactor("");
    let line = Text::from("nothing to see, 2024-01-02T10:11:12 status=200 bob");
    let address = line.as_ptr();
    let mut batch = Batch::new("t");
    batch.push(&Labels::default(), Entry::new(Timestamp(1), line));
    let redacted = redactor.redact(batch, "test");
    assert_eq!(redacted.streams[0].entries[0].line.as_ptr(), address);
}

#[test]
fn a_key_over_many_entries_goes_whole() {
    let redactor = redactor("");
    let body = "MIIEpAIBAAKCAQEA75abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ";
    let first = ["start", "-----BEGIN RSA PRIVATE KEY-----", body, "GET /index.html 200", body];
    let second = [body, "Ab3=", "-----END RSA PRIVATE KEY-----", body];
    let redacted = redactor.redact(batch(&first), "s");
    assert_eq!(
        lines(&redacted),
        ["start", "<private-key>", "<private-key>", "GET /index.html 200", "<private-key>"]
    );
    // Another stream is not in the key.
    assert_eq!(lines(&redactor.redact(batch(&[body]), "other")), [body]);
    // A reload keeps the state.
    let mut reloaded = super::redactor("");
    reloaded.continue_from(&redactor);
    let redacted = reloaded.redact(batch(&second), "s");
    assert_eq!(lines(&redacted), ["<private-key>", "<private-key>", "<private-key>", body]);
}

#[test]
fn a_key_is_given_up_after_five_seconds() {
    let redactor = redactor("");
    let body = "MIIEpAIBAAKCAQEA75abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ";
    redactor.redact(batch(&["-----BEGIN PRIVATE KEY-----"]), "s");
    let mut late = batch(&[body]);
    late.streams[0].entries[0].ts = Timestamp::from_secs(6);
    assert_eq!(lines(&redactor.redact(late, "s")), [body]);
}

#[test]
fn guard_looks_at_what_changed() {
    let redactor = redactor("");
    let changes = Changes::Entries(vec![vec![false, true]]);
    let guarded = redactor.guard(batch(&[CANARY, CANARY, CANARY]), &changes, "s");
    assert_eq!(lines(&guarded), [CANARY, "<github-token>", "<github-token>"]);
    let guarded = redactor.guard(batch(&[CANARY]), &Changes::Nothing, "s");
    assert_eq!(lines(&guarded), [CANARY]);
    let guarded = redactor.guard(batch(&[CANARY]), &Changes::Entries(Vec::new()), "s");
    assert_eq!(lines(&guarded), ["<github-token>"]);
}

#[test]
fn actions_do_what_they_say() {
    let check = |yaml: &str, line: &str, expect: &[&str]| {
        let redactor = redactor(yaml);
        assert_eq!(lines(&redactor.redact(batch(&[line]), "s")), expect, "{yaml}");
    };
    check("actions: {email: mask}", "a@b.com", &["****"]);
    check("actions: {email: partial}", "alice@b.com", &["a***@b.com"]);
    check("actions: {email: drop_line}", "alice@b.com", &[]);
    check("actions: {email: count}", "alice@b.com", &["alice@b.com"]);
    check(
        "actions: {card: partial}",
        r#"{"n":4111111111111111}"#,
        &[r#"{"n":"411111******1111"}"#],
    );
    check("disable: [email]", "alice@b.com", &["alice@b.com"]);
    check("own_domains: [b.com]", "alice@b.com bob@c.com", &["alice@b.com <email>"]);
    check("allow: {values: [Alice@b.com]}", "alice@b.com bob@c.com", &["alice@b.com <email>"]);
    check("allow: {fields: [reply_to]}", "reply_to=alice@b.com", &["reply_to=alice@b.com"]);
    check("presets: [default, gdpr]", "ip 203.0.113.9", &["ip 203.0.113.0"]);
    check("enabled: false\ni_understand: true", CANARY, &[CANARY]);
    let drop = "actions: {secret-field: drop_field}";
    check(drop, r#"{"a":1,"password":"x","b":2}"#, &[r#"{"a":1,"b":2}"#]);
    check(drop, r#"{"a":1,"password":"x","secret":"y"}"#, &[r#"{"a":1}"#]);
    check(drop, r#"{"password":"x"}"#, &["{}"]);
    check(drop, "a=1 password=x b=2", &["a=1 b=2"]);
}

#[test]
fn hashing_needs_a_key_and_gives_a_search_term() {
    let faults = build("actions: {email: hash}").unwrap_err();
    assert!(faults[0].message.contains("hash_key_file"), "{faults:?}");
    let redactor = redactor("actions: {email: hash}\nhash_key_file: x");
    let one = redactor.redact_text("Alice@Example.com").into_owned();
    assert_eq!(redactor.redact_text("?m=alice%40example.com"), format!("?m={one}"));
    assert_eq!(redactor.hash_terms("email", "alice@example.com"), [one]);
}

#[test]
fn faults_tell_their_place() {
    let check = |yaml: &str, expect: &str| {
        let faults = build(yaml).unwrap_err();
        assert!(faults[0].to_string().contains(expect), "{faults:?}");
    };
    check("enabled: false", "i_understand: true");
    check("disable: [emial]", "test.yaml:1:11: unknown rule \"emial\"; did you mean \"email\"");
    check("actions: {emial: mask}", "unknown rule \"emial\"");
    check("presets: [gpdr]", "did you mean \"gdpr\"");
    check("actions: {email: hsh}", "did you mean \"hash\"");
    check("rulez: []", "did you mean \"rules\"");
    check("rules: [{name: x, category: pii, pattern: '('}]", "pattern");
    check("rules: [{name: x, category: pii, pattern: 'a*'}]", "empty text");
    check("rules: [{name: x, category: pii}]", "no pattern");
    check("rules: [{name: X!, category: pii, pattern: a}]", "rule name");
    check("rules: [missing.yaml]", "missing.yaml: cannot be read");
}

#[test]
fn own_rules_work_like_shipped_ones() {
    let redactor = redactor(
        "rules:\n- {name: badge, category: pii, literals: [emp-], pattern: 'EMP-\\d{6}'}\n\
         - {name: room, category: pii, pattern: 'room \\d+'}\n\
         - {name: note-field, category: pii, keys: [medical_note], action: mask}",
    );
    assert_eq!(
        redactor.redact_text("EMP-123456 in room 12 medicalNote=\"a b\" EMP-1234567"),
        "<badge> in <room> medicalNote=\"****\" EMP-1234567"
    );
}

#[test]
fn too_much_work_fails_closed() {
    let redactor = redactor(
        "rules: [{name: heavy, category: pii, literals: [a], pattern: 'a[a ]*9', after_bytes: 4096}]",
    );
    let line = "a ".repeat(10_000);
    let redacted = redactor.redact(batch(&[&line]), "s");
    assert!(lines(&redacted) == ["<redaction-error>"]);
}

#[test]
fn streams_of_text_are_copied_line_by_line() {
    let redactor = redactor("");
    let long = "x".repeat(2 * 1024 * 1024);
    let input = format!("a\nmail bob@example.com\n\n{long} {CANARY}\nlast {CANARY}");
    let mut output = Vec::new();
    let counts = redactor.redact_stream(input.as_bytes(), &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    assert!(output.starts_with("a\nmail <email>\n\n"));
    assert!(output.ends_with("<cut>\nlast <github-token>"));
    assert_eq!(counts.lines, 5);
    assert_eq!(counts.rules, [("github-token".to_owned(), 1), ("email".to_owned(), 1)]);
}

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::limits::{PUSH_ENTRIES_MAX, PUSH_PAIRS_MAX};
use crate::model::{Entry, Labels, Timestamp};

fn show(streams: &[StreamBatch]) -> String {
    let mut text = String::new();
    for stream in streams {
        for entry in &stream.entries {
            text.push_str(&format!(
                "{} {} {:?} {:?}\n",
                stream.labels, entry.ts.0, entry.line, entry.metadata
            ));
        }
    }
    text
}

#[track_caller]
fn check_json(body: &str, expect: &str) {
    let shown = match decode(Format::Json, None, Bytes::from(body.to_owned()), 1 << 20) {
        Ok(streams) => show(&streams),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(shown.trim_end(), expect);
}

#[test]
fn json() {
    check_json(
        r#"{"streams":[{"stream":{"b":"2","a":"1"},"values":[["7","x \"y\""],["8","z",{"k":"v"}]]}]}"#,
        "{a=\"1\", b=\"2\"} 7 \"x \\\"y\\\"\" []\n{a=\"1\", b=\"2\"} 8 \"z\" [(\"k\", \"v\")]",
    );
    check_json(
        r#"{"streams":[{"labels":"{a=\"1\"}","entries":[{"ts":"1970-01-01T00:00:01Z","line":"x"}]}]}"#,
        "{a=\"1\"} 1000000000 \"x\" []",
    );
    check_json(
        r#"{"streams":[]}"#,
        "error: error at least one valid stream is required for ingestion",
    );
    check_json(r#"{"streams":[{"stream":{"a":"1"},"values":[]}]}"#, "");
    check_json(
        r#"{"streams":[{"stream":{"a":"1"},"values":[[7,"x"]]}]}"#,
        "error: the JSON body cannot be read: invalid type: integer `7`, expected a string at line 1 column 44",
    );
    check_json(
        r#"{"streams":[{"stream":{"a-b":"1"},"values":[]}]}"#,
        "error: couldn't parse labels: label name \"a-b\" is not valid: use letters, digits and '_', not starting with a digit at line 1 column 33",
    );
    check_json(
        r#"{"streams":[{"stream":{"a":"1"},"values":[["7","x",{"k":1}]]}]}"#,
        "error: the JSON body cannot be read: invalid type: integer `1`, expected a string at line 1 column 57",
    );
    check_json(
        "{",
        "error: the JSON body cannot be read: EOF while parsing an object at line 1 column 1",
    );
}

fn field(number: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(number << 3 | 2) as u8];
    let mut length = body.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

fn example() -> Vec<u8> {
    let timestamp = [&[0x08, 2, 0x10, 3][..]].concat(); // 2 s, 3 ns
    let metadata = [field(1, b"k"), field(2, b"v")].concat();
    let entry = [field(1, &timestamp), field(2, b"line \xff"), field(3, &metadata)].concat();
    let stream = [field(1, br#"{a="1"}"#), field(2, &entry)].concat();
    field(1, &stream)
}

#[test]
fn protobuf() {
    let body = Bytes::from(snap::raw::Encoder::new().compress_vec(&example()).unwrap());
    let streams = decode(Format::Protobuf, None, body, 1 << 20).unwrap();
    assert_eq!(show(&streams), "{a=\"1\"} 2000000003 \"line \u{fffd}\" [(\"k\", \"v\")]\n");
}

#[test]
fn broken_bodies_are_refused() {
    let whole = example();
    for cut in 1..whole.len() {
        // Cut anywhere, a message is refused or read as a shorter one; it never panics.
        let _ = proto::decode(&Bytes::copy_from_slice(&whole[..cut]), &Room::default());
    }
    let error = |encoding: &str, body: &[u8]| {
        decode(Format::Protobuf, Some(encoding), Bytes::copy_from_slice(body), 1 << 20)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("br", b""),
        "Content-Encoding \"br\" not supported; use snappy, gzip, deflate or none"
    );
    assert!(error("snappy", b"\xff\xff\xff\xff\x0f").contains("after decompression"));
    assert!(error("snappy", b"nonsense").starts_with("the snappy body"));
    assert!(error("gzip", b"nonsense").starts_with("the gzip body"));
}

#[test]
fn bombs_stop_at_the_limit() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b'a'; 64 << 20]).unwrap();
    let bomb = Bytes::from(gzip.finish().unwrap());
    assert!(bomb.len() < 1 << 17);
    let error = decode(Format::Json, Some("gzip"), bomb, 1 << 20).unwrap_err();
    assert_eq!(error, PushError::TooLarge { bytes_max: 1 << 20, when: " after decompression" });
}

#[test]
fn what_a_body_becomes_is_bounded() {
    let json = |body: &str, entries, pairs| {
        json::decode(&Bytes::from(body.to_owned()), Room::of(entries, pairs))
            .map(|streams| streams.len())
    };
    let too_many_entries = Err(PushError::TooManyEntries { entries_max: PUSH_ENTRIES_MAX });
    let too_many_pairs = Err(PushError::TooMany { entries_max: PUSH_PAIRS_MAX });
    let lines = r#"{"streams":[{"values":[["1",""],["2",""]]}]}"#;
    assert_eq!(json(lines, 3, 0), Ok(1));
    assert_eq!(json(lines, 2, 0), too_many_entries);
    let old = r#"{"streams":[{"entries":[{},{}]}]}"#;
    assert_eq!(json(old, 3, 0), Ok(1));
    assert_eq!(json(old, 2, 0), too_many_entries);
    assert_eq!(json(r#"{"streams":[{},{}]}"#, 1, 0), too_many_entries);
    let pairs = r#"{"streams":[{"stream":{"a":""},"values":[["1","",{"b":"","c":""}]]}]}"#;
    assert_eq!(json(pairs, 2, 3), Ok(1));
    assert_eq!(json(pairs, 2, 2), too_many_pairs);

    let proto = |streams: &[Vec<u8>], entries, pairs| {
        let body: Vec<u8> = streams.iter().flat_map(|stream| field(1, stream)).collect();
        proto::decode(&Bytes::from(body), &Room::of(entries, pairs)).map(|streams| streams.len())
    };
    let empty = field(2, b"");
    let two = [empty.clone(), empty.clone()].concat();
    assert_eq!(proto(&[two.clone(), empty], 5, 0), Ok(2));
    assert_eq!(proto(&[two, vec![]], 3, 0), too_many_entries);
    let pair = field(3, b"");
    let entry = field(2, &[pair.clone(), pair].concat());
    assert_eq!(proto(std::slice::from_ref(&entry), 2, 2), Ok(1));
    assert_eq!(proto(&[[entry.clone(), entry].concat()], 3, 3), too_many_pairs);
}

fn limits() -> PushLimits {
    PushLimits {
        reject_old_samples: true,
        reject_old_samples_max_age_ns: 1000,
        creation_grace_period_ns: 10,
        max_line_size_bytes: 8,
        max_line_size_truncate: false,
        max_label_name_length: 10,
        max_label_value_length: 10,
        max_label_names_per_series: 2,
        allow_structured_metadata: true,
        max_structured_metadata_size_bytes: 20,
        max_structured_metadata_entries_count: 2,
    }
}

#[track_caller]
fn check_limit(stream: &str, value: &str, expect: &str) {
    let body = format!(r#"{{"streams":[{{"stream":{stream},"values":[{value},["2000","ok"]]}}]}}"#);
    let mut streams =
        decode(Format::Json, None, Bytes::from(body), 1 << 20).expect("a readable body");
    let rejected = validate(&mut streams, &limits(), Timestamp(2000), &|_| None);
    assert_eq!(rejected.message(), expect);
    let kept: usize = streams.iter().map(|s| s.entries.len()).sum();
    assert_eq!(kept + rejected.entries, 2, "every entry is stored or named");
}

#[test]
fn limits_take_what_fits_and_name_the_rest() {
    check_limit(r#"{"a":"1"}"#, r#"["1000","x"]"#, "");
    check_limit(
        r#"{"a":"1"}"#,
        r#"["999","x"]"#,
        "entry for stream '{a=\"1\"}' has timestamp too old: 1970-01-01T00:00:00Z, oldest acceptable timestamp is: 1970-01-01T00:00:00Z",
    );
    check_limit(
        r#"{"a":"1"}"#,
        r#"["2011","x"]"#,
        "entry for stream '{a=\"1\"}' has timestamp too new: 1970-01-01T00:00:00Z",
    );
    check_limit(
        r#"{"a":"1"}"#,
        r#"["2000","123456789"]"#,
        "max entry size '8' bytes exceeded for stream '{a=\"1\"}' while adding an entry with length '9' bytes",
    );
    check_limit(
        r#"{"a":"1","b":"2","c":"3","service_name":"s"}"#,
        r#"["2000","x"]"#,
        "entry for stream '{a=\"1\", b=\"2\", c=\"3\", service_name=\"s\"}' has 3 label names; limit 2",
    );
    check_limit(
        r#"{"a":"12345678901"}"#,
        r#"["2000","x"]"#,
        "stream '{a=\"12345678901\"}' has label value too long: '12345678901'",
    );
    check_limit(
        r#"{"a":"1"}"#,
        r#"["2000","x",{"a":"1","b":"2","c":"3"}]"#,
        "stream '{a=\"1\"}' has too many structured metadata labels: '3', limit: '2'. Please see `limits_config.max_structured_metadata_entries_count`",
    );
}

#[test]
fn what_is_refused_is_grouped_and_named_as_it_would_be_stored() {
    let stream = |app: &str, times: std::ops::Range<i64>| StreamBatch {
        labels: Labels::from_pairs([("a", app)]),
        entries: times.map(|ts| Entry::new(Timestamp(ts), "x")).collect(),
    };
    let shown = |labels: &Labels| Some(labels.with("service_name", "s"));
    let told = |mut streams: Vec<StreamBatch>| {
        validate(&mut streams, &limits(), Timestamp(2000), &shown).message()
    };
    let old = |app: &str| {
        format!(
            "entry for stream '{{a=\"{app}\", service_name=\"s\"}}' has timestamp too old: 1970-01-01T00:00:00Z, oldest acceptable timestamp is: 1970-01-01T00:00:00Z"
        )
    };
    assert_eq!(told(vec![stream("1", 10..11)]), old("1"));
    assert_eq!(told(vec![stream("1", 10..25)]), format!("15 errors like: {}", old("1")));
    let two = told(vec![stream("1", 10..12), stream("2", 10..11), stream("1", 3..4)]);
    assert_eq!(two, format!("3 errors like: {}; 1 errors like: {}", old("1"), old("2")));
    let many = told((0..14).map(|n| stream(&n.to_string(), 1..3)).collect());
    assert!(
        many.ends_with("; and 8 more") && many.matches("2 errors like").count() == 10,
        "{many}"
    );
}

#[test]
fn metadata_names_are_made_valid() {
    for (name, clean) in [("a.b", "a_b"), ("1c", "key_1c"), ("é", "_"), ("a-b/c", "a_b_c")] {
        assert_eq!(sanitize_metadata_name(name).as_deref(), Some(clean));
    }
    assert_eq!(sanitize_metadata_name("a_1"), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>, json: bool) {
        let format = if json { Format::Json } else { Format::Protobuf };
        let _ = decode(format, Some("identity"), Bytes::from(body.clone()), 1 << 16);
        let _ = decode(format, None, Bytes::from(body), 1 << 16);
    }
}

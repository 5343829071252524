//! What holds for all lines: redacting twice changes nothing more, JSON stays JSON, work grows
//! with the length of a line and not faster.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::redactor;
use crate::redact::Redactor;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| redactor("enable: [ip]"));

fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "password",
        "token",
        "apiKey",
        "=",
        ":",
        "\"",
        "'",
        "{",
        "}",
        "[",
        "]",
        ",",
        " ",
        "&",
        "@",
        "\\",
        "\\\"",
        "\\n",
        "\\u0040",
        "%40",
        "%3D",
        "bob@example.com",
        "4111111111111111",
        "4111 1111 1111 1111",
        "123-45-6789",
        "+4915112345678",
        "DE89370400440532013000",
        "https://u:p@h/",
        "Bearer ",
        "Basic Ym9iOmh1bnRlcjI=",
        "Authorization",
        "Cookie: a=b; c=d",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
        "203.0.113.7",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "<",
        ">",
        "</",
        ";",
        "--",
        "\u{1b}[1m",
        "\u{200b}",
        "\u{e9}",
        "null",
        "12",
        "x",
        "=>",
        "Digest a=\"b\"",
        "IDENTIFIED BY '",
        "<secret>",
        "***",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => "[ -~]{1,6}"]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..14).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        text().prop_map(serde_json::Value::from),
        Just(serde_json::json!(4_111_111_111_111_111_u64)),
        Just(serde_json::json!(12.5)),
        Just(serde_json::json!(null)),
        Just(serde_json::json!(true)),
        Just(serde_json::json!({"pin": 1234, "n": 5_555_555_555_554_444_u64}).to_string().into()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((prop_oneof![text(), Just("password".to_owned())], inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redacting_twice_changes_nothing_more(line in text()) {
        let once = REDACTOR.redact_text(&line).into_owned();
        let twice = REDACTOR.redact_text(&once).into_owned();
        prop_assert_eq!(&once, &twice, "from {:?}", line);
    }

    #[test]
    fn json_stays_json(value in json()) {
        let line = serde_json::json!({"a": value}).to_string();
        let redacted = REDACTOR.redact_text(&line).into_owned();
        prop_assert!(
            serde_json::from_str::<serde_json::Value>(&redacted).is_ok(),
            "{} became {}", line, redacted
        );
    }
}

#[test]
fn work_grows_no_faster_than_the_line() {
    for piece in [
        "a@",
        "a@a.com@",
        "1",
        "1 ",
        "4111 ",
        "4111-",
        "\"",
        "'",
        "\\",
        "\\\"",
        "+1",
        "+491 ",
        "GB82",
        "GB82 ",
        "password=",
        "password=\"",
        "\"token\":{",
        "token: ",
        "eyJ",
        "-eyJaaaaaaaa.",
        "://",
        "a://b:c",
        "%40",
        "%25",
        "\\u0040",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "Cookie: a",
        "Bearer ",
        "Basic a",
        "sk-",
        ":AA",
        "<secret>",
        "mysql -",
        "\u{1b}[",
        "\u{200b}",
        "8Q~",
        "a.atlasv1.",
        "-us",
    ] {
        let of = |bytes: usize| REDACTOR.work_of(&piece.repeat(bytes / piece.len()));
        const LARGE: usize = 128 * 1024;
        let (small, large) = (of(LARGE / 16), of(LARGE));
        // What costs too much is given up at a bound that grows with the line as well.
        let given_up = 2 * 1024 * 1024 + 256 * LARGE;
        assert!(large <= given_up, "{piece:?}: {large}");
        let linear = large <= 17 * small.max(LARGE / 16);
        assert!(linear || large > given_up / 2, "{piece:?}: {small} then {large}");
    }
}

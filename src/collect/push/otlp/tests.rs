//! The mapping, case by case; what Loki's own tests of it say stands beside.

use bytes::Bytes;

use super::map::Mapper;
use super::{Encoding, decode, partial_success, proto, status};
use crate::collect::push::PushError;
use crate::limits::OTLP_JSON_OBJECTS_MAX;
use crate::model::{StreamBatch, Timestamp};

const NOW: Timestamp = Timestamp(1_000);

fn show(streams: &[StreamBatch]) -> String {
    let mut text = String::new();
    for stream in streams {
        for entry in &stream.entries {
            let metadata: Vec<String> =
                entry.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
            text.push_str(&format!(
                "{} {} {:?} {}\n",
                stream.labels,
                entry.ts.0,
                &*entry.line,
                metadata.join(" ")
            ));
        }
    }
    text.trim_end().to_owned()
}

fn of_json(body: &str) -> Result<Vec<StreamBatch>, PushError> {
    decode(Encoding::Json, &Bytes::from(body.to_owned()), NOW)
}

#[track_caller]
fn check(body: &str, expect: &str) {
    let shown = match of_json(body) {
        Ok(streams) => show(&streams),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(shown, expect);
}

fn records(records: &str) -> String {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#)
}

#[test]
fn everything_at_once() {
    check(
        r#"{"resourceLogs":[{"resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"shop"}},
            {"key":"k8s.pod.name","value":{"stringValue":"shop-1"}},
            {"key":"os.type","value":{"stringValue":"linux"}},
            {"key":"nested","value":{"kvlistValue":{"values":[
                {"key":"a.b","value":{"intValue":"7"}},{"key":"c","value":{"arrayValue":{"values":[{"boolValue":true}]}}}]}}}]},
          "scopeLogs":[{"scope":{"name":"lib","version":"1.2","droppedAttributesCount":3,
                "attributes":[{"key":"scope.x","value":{"doubleValue":1.5}}]},
            "logRecords":[{"timeUnixNano":"5","observedTimeUnixNano":6,"severityNumber":17,"severityText":"Error",
                "body":{"stringValue":"it broke"},"flags":1,"droppedAttributesCount":2,
                "traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","eventName":"boom",
                "attributes":[{"key":"event_name","value":{"stringValue":"other"}},{"key":"http.status","value":{"intValue":500}}]}]}]}]}"#,
        r#"{k8s_pod_name="shop-1", service_name="shop"} 5 "it broke" http_status=500 observed_timestamp=6 severity_number=17 severity_text=Error dropped_attributes_count=2 flags=1 trace_id=0102030405060708090a0b0c0d0e0f10 span_id=0102030405060708 event_name=boom os_type=linux nested_a_b=7 nested_c=[true] scope_x=1.5 scope_name=lib scope_version=1.2 scope_dropped_attributes_count=3"#,
    );
}

#[test]
fn times_bodies_and_odd_requests() {
    check(
        &records(
            r#"{"body":{"stringValue":"a"}},{"observedTimeUnixNano":"9","body":{"stringValue":"b"}}"#,
        ),
        "{} 1000 \"a\" \n{} 9 \"b\"",
    );
    for (body, line) in [
        (
            r#"{"kvlistValue":{"values":[{"key":"b","value":{"intValue":1}},{"key":"a","value":{}}]}}"#,
            r#"{"a":null,"b":1}"#,
        ),
        (
            r#"{"arrayValue":{"values":[{"stringValue":"x"},{"bytesValue":"AP8="}]}}"#,
            r#"["x","AP8="]"#,
        ),
        (r#"{"bytesValue":"AP8="}"#, "AP8="),
        (r#"{"intValue":"-3"}"#, "-3"),
        (r#"{"doubleValue":"Infinity"}"#, "Infinity"),
        ("{}", ""),
        ("null", ""),
    ] {
        let streams = of_json(&records(&format!(r#"{{"timeUnixNano":1,"body":{body}}}"#))).unwrap();
        assert_eq!(&*streams[0].entries[0].line, line, "{body}");
    }
    check("{}", "");
    check(r#"{"resourceLogs":null,"unknown":[1,{}]}"#, "");
    check(
        &records(
            r#"{"severity_number":"SEVERITY_NUMBER_INFO2","trace_id":"00000000000000000000000000000000","time_unix_nano":2}"#,
        ),
        "{} 2 \"\" severity_number=10",
    );
    check(
        &records(r#"{"traceId":"zz"}"#),
        "error: the JSON body cannot be read: traceId is not 32 hex digits",
    );
    for broken in ["", "[", "[]", "{\"resourceLogs\":[7]}", &records(r#"{"timeUnixNano":"x"}"#)] {
        assert!(matches!(of_json(broken), Err(PushError::Json(_))), "{broken}");
    }
}

/// A message: (field, payload) pairs, all of wire type 2.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, payload) in fields {
        out.push((field << 3) | 2);
        let mut length = payload.len();
        while length >= 0x80 {
            out.push((length as u8 & 0x7f) | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(payload);
    }
    out
}

#[test]
fn protobuf_with_the_resource_last() {
    let text = |text: &str| message(&[(1, text.as_bytes())]);
    let pair = |key: &str, value: &[u8]| message(&[(1, key.as_bytes()), (2, value)]);
    let mut record = vec![0x09];
    record.extend_from_slice(&5u64.to_le_bytes());
    record.extend_from_slice(&[0x10, 9, 0x45, 1, 0, 0, 0]);
    record.extend_from_slice(&message(&[
        (5, &text("hello")),
        (6, &pair("n", &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])),
        (9, &[7; 16]),
    ]));
    let scope = message(&[(1, b"lib"), (3, &pair("x", &text("y")))]);
    let scope_logs = message(&[(2, &record), (1, &scope)]);
    let resource =
        message(&[(1, &pair("service.name", &text("s"))), (1, &pair("a.b", &text("c")))]);
    let body = message(&[(1, &message(&[(2, &scope_logs), (1, &resource)]))]);
    let streams = decode(Encoding::Protobuf, &Bytes::from(body.clone()), NOW).unwrap();
    assert_eq!(
        show(&streams),
        r#"{service_name="s"} 5 "hello" n=-1 severity_number=9 flags=1 trace_id=07070707070707070707070707070707 a_b=c x=y scope_name=lib"#
    );
    for cut in 1..body.len() {
        // Never a panic; most cuts end in the middle of a field.
        let _ = decode(Encoding::Protobuf, &Bytes::copy_from_slice(&body[..cut]), NOW);
    }
    let mut nested = text("x");
    for _ in 0..200 {
        nested = message(&[(5, &message(&[(1, &nested)]))]);
    }
    let deep = message(&[(1, &message(&[(2, &message(&[(2, &message(&[(5, &nested)]))]))]))]);
    let refused = decode(Encoding::Protobuf, &Bytes::from(deep), NOW);
    assert!(refused.unwrap_err().to_string().contains("deep"));
}

#[test]
fn a_small_body_cannot_grow_without_bound() {
    // 1000 attributes of the resource, and 100,000 empty records that would each copy them.
    let pair = message(&[(1, b"k")]);
    let resource = message(&vec![(1u8, pair.as_slice()); 1000]);
    let scope_logs = message(&vec![(2u8, &b""[..]); 100_000]);
    let body = message(&[(1, &message(&[(1, &resource), (2, &scope_logs)]))]);
    let refused = decode(Encoding::Protobuf, &Bytes::from(body), NOW);
    assert!(matches!(refused, Err(PushError::TooMany { .. })), "{refused:?}");
}

#[test]
fn long_names_count_as_several_values() {
    // A name of 640 bytes that each leaf repeats.
    let leaves = vec![(1u8, &b""[..]); 100];
    let any = message(&[(6, &message(&leaves))]);
    let pair = message(&[(1, &[b'a'; 640]), (2, &any)]);
    let resource = message(&[(1, &pair)]);
    let body = Bytes::from(message(&[(1, &message(&[(1, &resource)]))]));
    let decode = |values| proto::decode(&body, &mut Mapper::with_room(NOW, values));
    assert_eq!(decode(100 + 2 + 100 * 10), Ok(()));
    assert!(matches!(decode(100 + 1 + 100 * 10), Err(PushError::TooMany { .. })));
}

#[test]
fn objects_of_json_are_counted() {
    let many = format!("{{\"resourceLogs\":[{}[]]}}", "[],".repeat(OTLP_JSON_OBJECTS_MAX));
    assert!(matches!(of_json(&many), Err(PushError::TooMany { .. })));
    // What stands in texts is none.
    let line = "{[\\\"".repeat(OTLP_JSON_OBJECTS_MAX);
    let record = format!(r#"{{"body":{{"stringValue":"{line}"}},"timeUnixNano":1}}"#);
    assert_eq!(of_json(&records(&record)).unwrap().len(), 1);
    check(
        &records(r#"{"timeUnixNano":[1]}"#),
        "error: the JSON body cannot be read: invalid type: sequence, expected a number or a text at line 1 column 63",
    );
}

#[test]
fn answers() {
    assert_eq!(partial_success(Encoding::Protobuf, None), b"");
    assert_eq!(partial_success(Encoding::Json, None), b"{}");
    assert_eq!(
        partial_success(Encoding::Protobuf, Some((300, "no"))),
        [0x0a, 7, 0x08, 0xac, 0x02, 0x12, 2, b'n', b'o']
    );
    assert_eq!(
        String::from_utf8(partial_success(Encoding::Json, Some((3, "no")))).unwrap(),
        r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}"#
    );
    assert_eq!(status(Encoding::Protobuf, 3, "no"), [0x08, 3, 0x12, 2, b'n', b'o']);
    assert_eq!(status(Encoding::Json, 3, "no"), br#"{"code":3,"message":"no"}"#);
}

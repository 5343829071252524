//! `_bulk` and JSON lines: what becomes a line, what metadata, what a fault.

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn limits() -> PushLimits {
    PushLimits {
        reject_old_samples: true,
        reject_old_samples_max_age_ns: 7 * 86_400_000_000_000,
        creation_grace_period_ns: 600_000_000_000,
        max_line_size_bytes: 100,
        max_line_size_truncate: false,
        max_label_name_length: 1024,
        max_label_value_length: 2048,
        max_label_names_per_series: 15,
        allow_structured_metadata: true,
        max_structured_metadata_size_bytes: 65536,
        max_structured_metadata_entries_count: 4,
    }
}

fn taken(shape: &Shape, body: &str) -> Result<(String, Vec<Item>), PushError> {
    let mut decoded = open(shape, None, Bytes::from(body.to_owned()), &limits(), NOW)?;
    decoded.validate(&limits(), NOW);
    let (streams, items) = decoded.into_parts();
    let mut text = String::new();
    for stream in &streams {
        for entry in &stream.entries {
            let metadata: Vec<String> =
                entry.metadata.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let ago = (NOW.0 - entry.ts.0) / 1_000_000;
            let metadata = metadata.join(" ");
            text.push_str(&format!("{} -{ago}ms {:?} {metadata}\n", stream.labels, &*entry.line));
        }
    }
    Ok((text, items.unwrap_or_default()))
}

fn faults(items: &[Item]) -> Vec<String> {
    let told = |item: &Item| {
        let fault = item.fault.as_ref()?;
        Some(format!("{} {:?} {}", item.line, fault.kind, fault.reason))
    };
    items.iter().filter_map(told).collect()
}

#[test]
fn json_lines() {
    let shape = Shape::JsonLines(FieldNames::default());
    let (stored, items) = taken(
        &shape,
        concat!(
            r#"{"_msg":"a","_time":"2023-11-14T22:13:19Z","service":"api","n":1,"o":{"x.y":true,"z":null}}"#,
            "\n\n",
            r#"{"message":"b","@timestamp":1699999999000,"host":{"name":"h"},"log":{"level":"warn"}}"#,
            "\r\n",
            r#"{"no":"message","app":"web"}"#,
            "\n",
            r#"{"msg":"many","app":"web","a":1,"b":2,"c":3,"d":4,"e":5}"#,
            "\nnot json\n[1]\n",
            r#"{"msg":"when","time":"yesterday"}"#,
            "\n",
            r#"{"msg":"old","time":1}"#,
        ),
    )
    .unwrap();
    assert_eq!(
        stored,
        concat!(
            "{service_name=\"api\"} -1000ms \"a\" n=1 o_x_y=true\n",
            "{host=\"h\"} -1000ms \"b\" level=warn\n",
            "{service_name=\"web\"} -0ms \"{\\\"no\\\":\\\"message\\\",\\\"app\\\":\\\"web\\\"}\" \n",
            "{service_name=\"web\"} -0ms \"{\\\"msg\\\":\\\"many\\\",\\\"app\\\":\\\"web\\\",\\\"a\\\":1,\\\"b\\\":2,\\\"c\\\":3,\\\"d\\\":4,\\\"e\\\":5}\" \n",
        )
    );
    assert_eq!(items.len(), 8);
    let faults = faults(&items);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults[0].starts_with("6 Malformed not a JSON object"), "{faults:?}");
    assert!(faults[1].starts_with("7 Malformed not a JSON object"), "{faults:?}");
    assert!(faults[2].starts_with("8 Malformed field \"time\" is no time"), "{faults:?}");
    assert!(
        faults[3].starts_with("9 Limit entry for stream '{}' has timestamp too old"),
        "{faults:?}"
    );
}

#[test]
fn fields_as_asked() {
    let names = FieldNames {
        message: FieldNames::list("text"),
        time: FieldNames::list("at"),
        stream: FieldNames::list("kubernetes.pod, env"),
        ignore: FieldNames::list("secret"),
        extra: vec![("dc".to_owned(), "eu".to_owned())],
    };
    let (stored, _) = taken(
        &Shape::JsonLines(names),
        r#"{"text":"t","at":"1699999999.5","message":"m","kubernetes":{"pod":"p","ns":"n"},"env":3,"secret":"s"}"#,
    )
    .unwrap();
    assert_eq!(
        stored,
        "{dc=\"eu\", env=\"3\", kubernetes_pod=\"p\"} -500ms \"t\" kubernetes_ns=n message=m\n"
    );
}

#[test]
fn times_tell_their_unit() {
    for (time, ago_ms) in [
        ("1699999999", 1000),
        ("1699999999000", 1000),
        ("1699999999000000", 1000),
        ("1699999999000000000", 1000),
        ("1699999999.25", 750),
        ("\"2023-11-14 22:13:19.5\"", 500),
        ("\"2023-11-14T23:13:19+01:00\"", 1000),
        ("\"\"", 0),
        ("0", 0),
    ] {
        let body = format!(r#"{{"msg":"x","ts":{time}}}"#);
        let (stored, _) = taken(&Shape::JsonLines(FieldNames::default()), &body).unwrap();
        assert_eq!(stored, format!("{{}} -{ago_ms}ms \"x\" \n"), "{time}");
    }
}

#[test]
fn bulk() {
    let shape = |index: Option<&str>| Shape::Bulk {
        index: index.map(ToOwned::to_owned),
        names: FieldNames::default(),
    };
    let (stored, items) = taken(
        &shape(Some("logs")),
        concat!(
            "{\"create\":{}}\n{\"message\":\"a\",\"service\":{\"name\":\"api\"}}\n",
            "{\"index\":{\"_index\":\"other\",\"_id\":7}}\n{\"message\":\"b\"}\n",
            "{\"delete\":{\"_id\":\"x\"}}\n",
            "{\"update\":{\"_id\":\"x\"}}\n{\"doc\":{}}\n",
            "{\"create\":{}}\n{broken\n",
        ),
    )
    .unwrap();
    assert_eq!(
        stored,
        concat!(
            "{index=\"logs\", service_name=\"api\"} -0ms \"a\" \n",
            "{index=\"other\", service_name=\"other\"} -0ms \"b\" \n",
        )
    );
    let names: Vec<_> = items.iter().map(|item| (item.action, item.id.as_str())).collect();
    assert_eq!(
        names,
        [("create", ""), ("index", "7"), ("delete", "x"), ("update", "x"), ("create", "")]
    );
    let faults = faults(&items);
    assert!(faults[0].starts_with("5 Unsupported [delete] is not supported"), "{faults:?}");
    assert!(faults[1].starts_with("6 Unsupported [update] is not supported"), "{faults:?}");
    assert!(faults[2].starts_with("8 Malformed not a JSON object"), "{faults:?}");

    let (_, items) = taken(&shape(None), "{\"index\":{}}\n{}\n").unwrap();
    assert!(self::faults(&items)[0].contains("an index is missing"));
    for body in ["", "\n", "{\"create\":{}}\n", "nonsense\n", "{\"create\":{},\"index\":{}}\n{}\n"]
    {
        assert!(matches!(taken(&shape(None), body), Err(PushError::Bulk(_))), "{body:?}");
    }
}

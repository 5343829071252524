//! Paging as logcli does it: batch by batch from the last time on, of which all lines come again
//! and are told apart; and the statistics that it prints.

use serde_json::{Value, json};

use crate::support::{QUIET, Server, now_ns};

/// Times that many lines share stand where batches end.
const LINES: i64 = 1_200;
const EQUAL: i64 = 37;
const BATCH: usize = 60;

type Entry = (i64, String, String);

fn page(server: &Server, start: i64, end: i64, direction: &str) -> Vec<Entry> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", "{app=~\".+\"}")
        .append_pair("start", &start.to_string())
        .append_pair("end", &end.to_string())
        .append_pair("limit", &BATCH.to_string())
        .append_pair("direction", direction)
        .finish();
    let (status, body) = server.get(&format!("/loki/api/v1/query_range?{query}"));
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let mut entries = Vec::new();
    for stream in answer["data"]["result"].as_array().unwrap() {
        let app = stream["stream"]["app"].as_str().unwrap();
        for value in stream["values"].as_array().unwrap() {
            let ts: i64 = value[0].as_str().unwrap().parse().unwrap();
            entries.push((ts, app.to_owned(), value[1].as_str().unwrap().to_owned()));
        }
    }
    // logcli puts the streams of a batch together by time.
    entries.sort_by_key(|(ts, ..)| if direction == "forward" { *ts } else { -*ts });
    entries
}

/// logcli's loop: what came with the last time is remembered and left out when it comes again.
fn all_pages(server: &Server, from: i64, until: i64, direction: &str) -> Vec<Entry> {
    let (mut start, mut end) = (from, until);
    let mut found: Vec<Entry> = Vec::new();
    let mut last: Vec<Entry> = Vec::new();
    loop {
        let page = page(server, start, end, direction);
        let fresh: Vec<Entry> = page.iter().filter(|e| !last.contains(e)).cloned().collect();
        let Some((edge, ..)) = page.last().cloned() else { return found };
        if fresh.is_empty() {
            return found;
        }
        found.extend(fresh);
        last = found.iter().filter(|(ts, ..)| *ts == edge).cloned().collect();
        assert!(last.len() < BATCH, "a batch must hold more than one time");
        if direction == "forward" { start = edge } else { end = edge + 1 }
    }
}

#[test]
fn pages_join_where_times_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let base = now_ns() - 60_000_000_000;
    let entry = |n: i64| (base + n / EQUAL * 1_000, format!("a{}", n % 3), format!("line {n}"));
    let expect: Vec<Entry> = (0..LINES).map(entry).collect();
    for part in expect.chunks(100) {
        let streams: Vec<Value> = part
            .iter()
            .map(|(ts, app, line)| json!({"stream": {"app": app}, "values": [[ts.to_string(), line]]}))
            .collect();
        assert_eq!(server.push_json(&json!({"streams": streams})).0, 204);
    }
    for _ in ["head", "parts"] {
        for direction in ["forward", "backward"] {
            let mut found = all_pages(&server, base, base + LINES * 1_000, direction);
            let in_order = found.windows(2).all(|pair| match direction {
                "forward" => pair[0].0 <= pair[1].0,
                _ => pair[0].0 >= pair[1].0,
            });
            assert!(in_order, "{direction}");
            let mut wanted = expect.clone();
            found.sort();
            wanted.sort();
            assert_eq!(found.len(), wanted.len(), "{direction}");
            assert_eq!(found, wanted, "{direction}");
        }
        assert_eq!(server.post("/flush", &[], b"").0, 204);
    }
}

#[test]
fn statistics_have_what_logcli_prints() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    assert_eq!(server.push_lines(json!({"app": "x"}), &[(now_ns(), "one".to_owned())]).0, 204);
    let chunk = [
        "headChunkBytes",
        "headChunkLines",
        "decompressedBytes",
        "decompressedLines",
        "compressedBytes",
        "totalDuplicates",
    ];
    let numbers: Vec<String> = [
        "summary/bytesProcessedPerSecond",
        "summary/linesProcessedPerSecond",
        "summary/totalBytesProcessed",
        "summary/totalLinesProcessed",
        "summary/execTime",
        "summary/queueTime",
        "summary/subqueries",
        "summary/totalEntriesReturned",
        "summary/splits",
        "summary/shards",
        "summary/totalPostFilterLines",
        "summary/totalStructuredMetadataBytesProcessed",
        "querier/store/totalChunksRef",
        "querier/store/totalChunksDownloaded",
        "querier/store/chunksDownloadTime",
        "ingester/totalReached",
        "ingester/totalChunksMatched",
        "ingester/totalBatches",
        "ingester/totalLinesSent",
        "ingester/store/totalChunksRef",
        "cache/chunk/entriesFound",
        "cache/index/entriesFound",
        "cache/result/entriesFound",
        "cache/statsResult/requests",
        "cache/volumeResult/requests",
        "index/totalChunks",
        "index/postFilterChunks",
        "index/shardsDuration",
    ]
    .into_iter()
    .map(ToOwned::to_owned)
    .chain(
        ["querier", "ingester"]
            .iter()
            .flat_map(|who| chunk.iter().map(move |name| format!("{who}/store/chunk/{name}"))),
    )
    .collect();
    for path in [
        "query_range?query=%7Bapp%3D%22x%22%7D",
        "query_range?query=count_over_time(%7Bapp%3D%22x%22%7D%5B1m%5D)",
        "query?query=count_over_time(%7Bapp%3D%22x%22%7D%5B1m%5D)",
    ] {
        let (status, body) = server.get(&format!("/loki/api/v1/{path}"));
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let stats = &answer["data"]["stats"];
        let missing: Vec<&String> = numbers
            .iter()
            .filter(|name| !stats.pointer(&format!("/{name}")).is_some_and(Value::is_number))
            .collect();
        assert!(missing.is_empty(), "{path}: {missing:?}");
        assert_eq!(stats["summary"]["totalLinesProcessed"], 1, "{path}");
    }
}

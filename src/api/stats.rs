//! Loki's statistics of a query. Clients take absent numbers as zero, but logcli and Grafana want
//! the objects to be there.

use serde_json::{Map, Value, json};

use crate::query::QueryStats;
use crate::store::read::ScanStats;

/// The caches that Loki tells of. Ours keep results of parts, which is not what these count.
const CACHES: [&str; 10] = [
    "chunk",
    "index",
    "result",
    "statsResult",
    "volumeResult",
    "seriesResult",
    "labelResult",
    "instantMetricResult",
    "logResult",
    "taskResult",
];

/// What was read, as Loki's queriers tell it of their stores.
fn store(scan: &ScanStats, rows_matched: u64) -> Value {
    json!({
        "totalChunksRef": scan.blocks + scan.blocks_pruned,
        "totalChunksDownloaded": scan.blocks,
        "chunksDownloadTime": 0,
        "queryReferencedStructuredMetadata": false,
        "queryUsedV2Engine": false,
        "chunk": {
            "headChunkBytes": 0,
            "headChunkLines": 0,
            "decompressedBytes": scan.bytes,
            "decompressedLines": scan.rows,
            "compressedBytes": scan.bytes_compressed,
            "totalDuplicates": 0,
            "postFilterLines": rows_matched,
            "headChunkStructuredMetadataBytes": 0,
            "decompressedStructuredMetadataBytes": 0,
        },
        "chunkRefsFetchTime": 0,
        "congestionControlLatency": 0,
        "pipelineWrapperFilteredLines": 0,
        "dataobj": {
            "prePredicateDecompressedRows": 0,
            "prePredicateDecompressedBytes": 0,
            "prePredicateDecompressedStructuredMetadataBytes": 0,
            "postPredicateRows": 0,
            "postPredicateDecompressedBytes": 0,
            "postPredicateStructuredMetadataBytes": 0,
            "postFilterRows": 0,
            "pagesScanned": 0,
            "pagesDownloaded": 0,
            "pagesDownloadedBytes": 0,
            "pageBatches": 0,
            "totalRowsAvailable": 0,
            "totalPageDownloadTime": 0,
            "wireBytesTransferred": 0,
        },
    })
}

/// The object `stats` of an answer.
pub fn stats(stats: &QueryStats, entries_returned: usize) -> Value {
    let exec_secs = stats.duration_ns as f64 / 1e9;
    let per_second = |amount: u64| {
        if exec_secs > 0.0 { (amount as f64 / exec_secs) as u64 } else { 0 }
    };
    let scan = &stats.scan;
    let cache = json!({
        "entriesFound": 0,
        "entriesRequested": 0,
        "entriesStored": 0,
        "bytesReceived": 0,
        "bytesSent": 0,
        "requests": 0,
        "downloadTime": 0,
        "queryLengthServed": 0,
    });
    let caches: Map<String, Value> =
        CACHES.iter().map(|name| ((*name).to_owned(), cache.clone())).collect();
    json!({
        "summary": {
            "bytesProcessedPerSecond": per_second(scan.bytes),
            "linesProcessedPerSecond": per_second(scan.rows),
            "totalBytesProcessed": scan.bytes,
            "totalLinesProcessed": scan.rows,
            "execTime": exec_secs,
            "queueTime": 0,
            "subqueries": 0,
            "totalEntriesReturned": entries_returned,
            "splits": 0,
            "shards": 0,
            "totalPostFilterLines": stats.rows_matched,
            "totalStructuredMetadataBytesProcessed": 0,
            "estimatedQueryBytes": scan.bytes,
        },
        "querier": { "store": store(scan, stats.rows_matched), "querierExecTime": exec_secs },
        "ingester": {
            "totalReached": 0,
            "totalChunksMatched": 0,
            "totalBatches": 0,
            "totalLinesSent": 0,
            "store": store(&ScanStats::default(), 0),
        },
        "cache": caches,
        "index": {
            "totalChunks": scan.blocks + scan.blocks_pruned,
            "postFilterChunks": scan.blocks,
            "shardsDuration": 0,
            "usedBloomFilters": false,
            "totalStreams": scan.streams,
            "chunkRefsLookupTime": 0,
            "bloomFilterTime": 0,
        },
    })
}

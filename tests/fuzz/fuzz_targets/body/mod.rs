//! What holds for a body of any format.

use bytes::Bytes;
use stockade::collect::push::{PushLimits, Shape, open, sanitize_metadata_name};
use stockade::model::{Labels, Timestamp};

const LINE_BYTES_MAX: usize = 64;
const METADATA_MAX: usize = 8;

pub fn check(shape: &Shape, bytes: &[u8]) {
    let limits = PushLimits {
        reject_old_samples: true,
        reject_old_samples_max_age_ns: 1_000,
        creation_grace_period_ns: 1_000,
        max_line_size_bytes: LINE_BYTES_MAX,
        max_line_size_truncate: bytes.len().is_multiple_of(2),
        max_label_name_length: 32,
        max_label_value_length: 32,
        max_label_names_per_series: 4,
        allow_structured_metadata: true,
        max_structured_metadata_size_bytes: 256,
        max_structured_metadata_entries_count: METADATA_MAX,
    };
    let now = Timestamp(1_000_000);
    let body = Bytes::copy_from_slice(bytes);
    let Ok(mut decoded) = open(shape, Some("identity"), body, &limits, now) else { return };
    decoded.validate(&limits, now);
    let (streams, items) = decoded.into_parts();
    let mut entries = 0;
    for stream in &streams {
        assert!(stream.labels.iter().all(|(name, value)| {
            Labels::is_valid_name(name) && !value.is_empty() && value.len() <= 32
        }));
        for entry in &stream.entries {
            entries += 1;
            assert!(
                entry.line.len() <= LINE_BYTES_MAX && (999_000..=1_001_000).contains(&entry.ts.0)
            );
            assert!(entry.metadata.len() <= METADATA_MAX);
            for (name, value) in &entry.metadata {
                assert!(sanitize_metadata_name(name).is_none() && !value.is_empty());
            }
        }
    }
    if let Some(items) = items {
        let taken = items.iter().filter(|item| item.fault.is_none()).count();
        assert_eq!(taken, entries, "each item is an entry or has a fault");
    }
}

//! Content-Encodings of pushes, with a wall against decompression bombs.

use std::io::Read;

use bytes::Bytes;

use super::PushError;

/// Undoes a Content-Encoding (lower case). Stops as soon as the result would be larger than
/// `decoded_bytes_max`, so a bomb costs at most that much memory.
pub fn decompress(
    encoding: &str,
    body: Bytes,
    decoded_bytes_max: usize,
) -> Result<Bytes, PushError> {
    match encoding {
        "" | "identity" => Ok(body),
        "snappy" => snappy(&body, decoded_bytes_max),
        "gzip" => read_bounded(
            "gzip",
            flate2::read::MultiGzDecoder::new(&body[..]),
            body.len(),
            decoded_bytes_max,
        ),
        "deflate" => read_bounded(
            "deflate",
            flate2::read::DeflateDecoder::new(&body[..]),
            body.len(),
            decoded_bytes_max,
        ),
        "zstd" => {
            let decoder = zstd::stream::read::Decoder::with_buffer(&body[..]).map_err(|error| {
                PushError::Compression { encoding: "zstd", reason: error.to_string() }
            })?;
            read_bounded("zstd", decoder, body.len(), decoded_bytes_max)
        }
        other => Err(PushError::Encoding(other.to_owned())),
    }
}

fn too_large(bytes_max: usize) -> PushError {
    PushError::TooLarge { bytes_max, when: " after decompression" }
}

fn snappy(body: &[u8], decoded_bytes_max: usize) -> Result<Bytes, PushError> {
    let fault = |error: snap::Error| PushError::Compression {
        encoding: "snappy",
        reason: error.to_string(),
    };
    // The block format states its length up front; check it before allocating.
    let length = snap::raw::decompress_len(body).map_err(fault)?;
    if length > decoded_bytes_max {
        return Err(too_large(decoded_bytes_max));
    }
    // A block cannot grow more than about 1:64 over its input, whatever its header claims.
    if length > body.len().saturating_mul(64).saturating_add(64) {
        return Err(PushError::Compression {
            encoding: "snappy",
            reason: "the stated length is impossible".to_owned(),
        });
    }
    snap::raw::Decoder::new().decompress_vec(body).map(Bytes::from).map_err(fault)
}

fn read_bounded(
    encoding: &'static str,
    reader: impl Read,
    compressed_len: usize,
    decoded_bytes_max: usize,
) -> Result<Bytes, PushError> {
    let mut decoded = Vec::with_capacity((compressed_len * 4).min(decoded_bytes_max));
    let mut bounded = reader.take(decoded_bytes_max as u64 + 1);
    bounded
        .read_to_end(&mut decoded)
        .map_err(|error| PushError::Compression { encoding, reason: error.to_string() })?;
    if decoded.len() > decoded_bytes_max {
        return Err(too_large(decoded_bytes_max));
    }
    Ok(Bytes::from(decoded))
}

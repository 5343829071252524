//! Push bodies as collectors write them: protobuf in snappy's block format.

/// Appends a length-delimited field.
pub fn field(out: &mut Vec<u8>, number: u8, body: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `EntryAdapter` with time and line.
pub fn entry(out: &mut Vec<u8>, ts_ns: i64, line: &[u8]) {
    let mut timestamp = Vec::with_capacity(16);
    timestamp.push(0x08);
    varint(&mut timestamp, ts_ns.div_euclid(1_000_000_000) as u64);
    timestamp.push(0x10);
    varint(&mut timestamp, ts_ns.rem_euclid(1_000_000_000) as u64);
    let mut message = Vec::with_capacity(line.len() + 32);
    field(&mut message, 1, &timestamp);
    field(&mut message, 2, line);
    field(out, 2, &message);
}

pub fn snappy(message: &[u8]) -> Vec<u8> {
    // Fails only for inputs above 4 GiB.
    snap::raw::Encoder::new().compress_vec(message).unwrap_or_default()
}

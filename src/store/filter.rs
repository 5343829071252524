//! A filter over hashes that answers "perhaps" or "no": about 9 bits for each hash, one false
//! "perhaps" in 256.
//!
//! The filter is a binary fuse filter: what a hash is asked with lies in three segments side by
//! side. Each segment is stored with a checksum behind it, so that a question reads these three
//! and nothing else, however large the filter is.

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use super::varint::{Reader, put as put_varint};

const DESCRIPTOR_BYTES: usize = BinaryFuse8::DESCRIPTOR_LEN;
/// Segments that one hash has to do with.
const ARITY: u32 = 3;
const CRC_BYTES: usize = 4;

/// How a filter lies on disk; kept in the table of the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    seed: u64,
    /// A power of two.
    segment_bytes: u32,
    /// In how many segments the first of the three can be; 0 in a filter over nothing.
    segments: u32,
}

/// Adds a filter over sorted, distinct hashes to `out`. `None` in the very unlikely case that
/// none can be built; a reader then has to assume "perhaps".
pub fn put(out: &mut Vec<u8>, hashes: &[u64]) -> Option<Layout> {
    if hashes.is_empty() {
        return Some(Layout::default());
    }
    let filter = BinaryFuse8::try_from(hashes).ok()?;
    let mut descriptor = [0; DESCRIPTOR_BYTES];
    filter.dma_copy_descriptor_to(&mut descriptor);
    let mut reader = Reader::new(&descriptor);
    let seed = reader.u64()?;
    let (segment_bytes, _mask, starts) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let layout = Layout { seed, segment_bytes, segments: starts.checked_div(segment_bytes)? };
    let fingerprints = filter.dma_fingerprints();
    let expected = (layout.segments + ARITY - 1) as usize * segment_bytes as usize;
    if !layout.is_sound() || fingerprints.len() != expected {
        return None;
    }
    for segment in fingerprints.chunks(segment_bytes as usize) {
        out.extend_from_slice(segment);
        out.extend_from_slice(&crc32fast::hash(segment).to_le_bytes());
    }
    Some(layout)
}

/// A question to a filter, and where in it the answer lies.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    pub from: usize,
    pub bytes: usize,
    segment_bytes: usize,
    /// Places in the segments.
    at: [usize; ARITY as usize],
    fingerprint: u8,
}

impl Layout {
    fn is_sound(&self) -> bool {
        self.segments == 0
            || (self.segment_bytes.is_power_of_two()
                && self.segments.checked_mul(self.segment_bytes).is_some())
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.segments));
        if self.segments > 0 {
            put_varint(out, u64::from(self.segment_bytes.trailing_zeros()));
            out.extend_from_slice(&self.seed.to_le_bytes());
        }
    }

    /// `None` on damage.
    pub fn read(reader: &mut Reader<'_>) -> Option<Layout> {
        let segments = u32::try_from(reader.varint()?).ok()?;
        if segments == 0 {
            return Some(Layout::default());
        }
        let segment_bytes = 1u32.checked_shl(u32::try_from(reader.varint()?).ok()?)?;
        let layout = Layout { seed: reader.u64()?, segment_bytes, segments };
        layout.is_sound().then_some(layout)
    }

    /// `None` when the filter holds nothing.
    pub fn probe(&self, hash: u64) -> Option<Probe> {
        if self.segments == 0 {
            return None;
        }
        // As the library places fingerprints, for one hash alone.
        let hash = mixed(hash.wrapping_add(self.seed));
        let starts = u128::from(self.segments * self.segment_bytes);
        let first = ((u128::from(hash) * starts) >> 64) as usize;
        let mask = self.segment_bytes as usize - 1;
        let segment_bytes = self.segment_bytes as usize;
        let stride = segment_bytes + CRC_BYTES;
        let inside = first & mask;
        Some(Probe {
            from: first / segment_bytes * stride,
            bytes: stride * ARITY as usize,
            segment_bytes,
            at: [
                inside,
                inside ^ ((hash >> 18) as u32 as usize & mask),
                inside ^ (hash as u32 as usize & mask),
            ],
            fingerprint: (hash ^ (hash >> 32)) as u8,
        })
    }
}

impl Probe {
    /// Whether the filter may hold the hash, by `bytes` of it at `from`; `None` on damage.
    pub fn may_hold(&self, window: &[u8]) -> Option<bool> {
        let mut left = self.fingerprint;
        let segments = window.chunks_exact(self.segment_bytes + CRC_BYTES);
        for (segment, at) in segments.zip(self.at) {
            let (segment, crc) = segment.split_at_checked(self.segment_bytes)?;
            if crc32fast::hash(segment).to_le_bytes() != crc {
                return None;
            }
            left ^= segment.get(at)?;
        }
        (window.len() == self.bytes).then_some(left == 0)
    }
}

fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A filter of a part of version 1: a checksum over all of it in front.
pub struct Stored<'a>(BinaryFuse8Ref<'a>);

impl<'a> Stored<'a> {
    /// `None` on damage.
    pub fn read(bytes: &'a [u8]) -> Option<Stored<'a>> {
        let (crc, body) = bytes.split_first_chunk::<CRC_BYTES>()?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
            return None;
        }
        let (descriptor, fingerprints) = body.split_at_checked(DESCRIPTOR_BYTES)?;
        Some(Stored(BinaryFuse8Ref::from_dma(descriptor, fingerprints)))
    }

    pub fn may_hold(&self, hash: u64) -> bool {
        self.0.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(count: u64) -> Vec<u64> {
        let mut hashes: Vec<u64> =
            (1..=count).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        hashes.sort_unstable();
        hashes
    }

    fn may_hold(out: &[u8], layout: &Layout, hash: u64) -> Option<bool> {
        let Some(probe) = layout.probe(hash) else { return Some(false) };
        probe.may_hold(&out[probe.from..probe.from + probe.bytes])
    }

    #[test]
    fn holds_all_and_little_else() {
        for count in [0u64, 1, 2, 3, 4, 5, 10, 100, 5000, 13_000, 70_000] {
            let hashes = hashes(count);
            let mut out = vec![7; 3];
            let layout = put(&mut out, &hashes).unwrap();
            let mut stored = Vec::new();
            layout.put(&mut stored);
            assert_eq!(Layout::read(&mut Reader::new(&stored)), Some(layout));
            let filter = &out[3..];
            assert!(hashes.iter().all(|hash| may_hold(filter, &layout, *hash) == Some(true)));
            let library = (count > 0).then(|| BinaryFuse8::try_from(&hashes).unwrap());
            let wrong = (0..10_000u64)
                .map(|i| i.wrapping_mul(0xdead_beef_cafe_f00d))
                .filter(|hash| {
                    let ours = may_hold(filter, &layout, *hash);
                    assert_eq!(ours, Some(library.as_ref().is_some_and(|l| l.contains(hash))));
                    ours == Some(true)
                })
                .count();
            assert!(wrong < 120, "{wrong} of 10000");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let hashes = hashes(500);
        let mut out = Vec::new();
        let layout = put(&mut out, &hashes).unwrap();
        let probe = layout.probe(hashes[3]).unwrap();
        for at in probe.from..probe.from + probe.bytes {
            let mut damaged = out.clone();
            damaged[at] ^= 4;
            assert_eq!(may_hold(&damaged, &layout, hashes[3]), None);
        }
        assert_eq!(probe.may_hold(&out[probe.from..probe.from + probe.bytes - 1]), None);
    }

    #[test]
    fn filters_of_older_parts_are_read() {
        let hashes = hashes(1000);
        let filter = BinaryFuse8::try_from(&hashes).unwrap();
        let mut stored = vec![0; CRC_BYTES + DESCRIPTOR_BYTES];
        filter.dma_copy_descriptor_to(&mut stored[CRC_BYTES..]);
        stored.extend_from_slice(filter.dma_fingerprints());
        let crc = crc32fast::hash(&stored[CRC_BYTES..]).to_le_bytes();
        stored[..CRC_BYTES].copy_from_slice(&crc);
        let read = Stored::read(&stored).unwrap();
        assert!(hashes.iter().all(|hash| read.may_hold(*hash)));
        stored[10] ^= 1;
        assert!(Stored::read(&stored).is_none());
    }
}

//! A filter over hashes that answers "perhaps" or "no": about 9 bits for each hash, one false
//! "perhaps" in 256.

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

const DESCRIPTOR_BYTES: usize = BinaryFuse8::DESCRIPTOR_LEN;

/// Adds a filter over sorted, distinct hashes to `out`, with a checksum in front. An empty set
/// takes no bytes. `None` in the very unlikely case that none can be built; a reader then has
/// to assume "perhaps".
pub fn put(out: &mut Vec<u8>, hashes: &[u64]) -> Option<()> {
    if hashes.is_empty() {
        return Some(());
    }
    let filter = BinaryFuse8::try_from(hashes).ok()?;
    let start = out.len();
    out.resize(start + 4 + DESCRIPTOR_BYTES, 0);
    filter.dma_copy_descriptor_to(&mut out[start + 4..]);
    out.extend_from_slice(filter.dma_fingerprints());
    let crc = crc32fast::hash(&out[start + 4..]).to_le_bytes();
    out[start..start + 4].copy_from_slice(&crc);
    Some(())
}

/// A filter in the bytes that `put` wrote.
pub struct Stored<'a>(BinaryFuse8Ref<'a>);

impl<'a> Stored<'a> {
    /// `None` on damage.
    pub fn read(bytes: &'a [u8]) -> Option<Stored<'a>> {
        let (crc, body) = bytes.split_first_chunk::<4>()?;
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

    #[test]
    fn holds_all_and_little_else() {
        for count in [1u64, 2, 3, 10, 100, 5000] {
            let hashes: Vec<u64> =
                (1..=count).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let mut sorted = hashes.clone();
            sorted.sort_unstable();
            let mut out = Vec::new();
            assert_eq!(put(&mut out, &sorted), Some(()));
            let stored = Stored::read(&out).unwrap();
            assert!(hashes.iter().all(|hash| stored.may_hold(*hash)));
            let wrong = (0..10_000u64)
                .filter(|i| stored.may_hold(i.wrapping_mul(0xdead_beef_cafe_f00d)))
                .count();
            assert!(wrong < 120, "{wrong} of 10000");
            out[10] ^= 1;
            assert!(Stored::read(&out).is_none());
        }
    }
}

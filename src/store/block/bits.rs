//! Sorted times: differences, less their smallest, packed into as many bits as the largest
//! needs, 128 at a time. Even steps cost nothing.

use crate::store::varint::{Reader, put, unzigzag, zigzag};

use super::Run;

const CHUNK: usize = 128;
/// Times are often whole microseconds, milliseconds or seconds.
const SCALES: [i64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];

fn pack(out: &mut Vec<u8>, values: &[u64], width: u32) {
    let mut pending: u128 = 0;
    let mut bits = 0;
    for value in values {
        pending |= u128::from(*value) << bits;
        bits += width;
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(pending as u8);
    }
}

pub(super) fn put_times(out: &mut Vec<u8>, times: &[i64], runs: &[Run]) {
    let scale_at =
        SCALES.iter().position(|scale| times.iter().all(|ts| ts % scale == 0)).unwrap_or_default();
    let scale = SCALES[scale_at];
    out.push(scale_at as u8);
    let mut rest = times;
    let mut deltas = [0u64; CHUNK];
    for run in runs {
        let (of_run, after) = rest.split_at((run.rows as usize).min(rest.len()));
        rest = after;
        let Some((first, others)) = of_run.split_first() else { continue };
        put(out, zigzag(first / scale));
        let mut before = first / scale;
        for chunk in others.chunks(CHUNK) {
            for (delta, ts) in deltas.iter_mut().zip(chunk) {
                let ts = ts / scale;
                *delta = ts.wrapping_sub(before) as u64;
                before = ts;
            }
            let deltas = &mut deltas[..chunk.len()];
            let least = deltas.iter().copied().min().unwrap_or_default();
            let mut all = 0;
            for delta in deltas.iter_mut() {
                *delta -= least;
                all |= *delta;
            }
            let width = u64::BITS - all.leading_zeros();
            put(out, least);
            out.push(width as u8);
            pack(out, deltas, width);
        }
    }
}

/// `None` on damage. `times` is replaced.
pub(super) fn read_times(bytes: &[u8], runs: &[Run], times: &mut Vec<i64>) -> Option<()> {
    times.clear();
    let mut reader = Reader::new(bytes);
    let scale = *SCALES.get(usize::from(reader.byte()?))?;
    for run in runs {
        let mut left = run.rows as usize;
        if left == 0 {
            continue;
        }
        let mut before = unzigzag(reader.varint()?);
        times.push(before.wrapping_mul(scale));
        left -= 1;
        while left > 0 {
            let rows = left.min(CHUNK);
            left -= rows;
            let least = reader.varint()?;
            let width = u32::from(reader.byte()?);
            if width > u64::BITS {
                return None;
            }
            let packed = reader.take((rows * width as usize).div_ceil(8))?;
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            let mut pending: u128 = 0;
            let mut bits = 0;
            let mut at = 0;
            for _ in 0..rows {
                while bits < width {
                    pending |= u128::from(*packed.get(at)?) << bits;
                    at += 1;
                    bits += 8;
                }
                let delta = (pending as u64 & mask).wrapping_add(least);
                pending >>= width;
                bits -= width;
                before = before.wrapping_add(delta as i64);
                times.push(before.wrapping_mul(scale));
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_come_back(
            mut times in prop::collection::vec(any::<i64>(), 1..400),
            step in prop::sample::select(vec![1i64, 1_000_000]),
            cut in any::<prop::sample::Index>(),
        ) {
            times.iter_mut().for_each(|ts| *ts = *ts / step * step);
            let first = cut.index(times.len());
            times[..first].sort_unstable();
            times[first..].sort_unstable();
            let runs = [
                Run { stream: 0, rows: first as u32 },
                Run { stream: 1, rows: (times.len() - first) as u32 },
            ];
            let mut out = Vec::new();
            put_times(&mut out, &times, &runs);
            let mut back = Vec::new();
            prop_assert_eq!(read_times(&out, &runs, &mut back), Some(()));
            prop_assert_eq!(back, times);
            for cut in 0..out.len() {
                let _ = read_times(&out[..cut], &runs, &mut Vec::new());
            }
        }
    }
}

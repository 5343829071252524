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

/// The widest values of which each lies in the eight bytes from where it starts.
const WORD_WIDTH_MAX: u32 = 56;

/// Reads `rows` values of `width` bits.
fn unpack(packed: &[u8], width: u32, rows: usize, values: &mut [u64; CHUNK]) -> Option<()> {
    let values = values.get_mut(..rows)?;
    if width == 0 {
        values.fill(0);
    } else if width <= WORD_WIDTH_MAX {
        // Room behind the last value, so that all are read as words.
        let mut room = [0; CHUNK * WORD_WIDTH_MAX as usize / 8 + 8];
        room.get_mut(..packed.len())?.copy_from_slice(packed);
        let mask = (1 << width) - 1;
        let mut bit = 0;
        for value in values {
            let word = room.get(bit / 8..).and_then(<[u8]>::first_chunk);
            *value = (word.map_or(0, |word| u64::from_le_bytes(*word)) >> (bit % 8)) & mask;
            bit += width as usize;
        }
    } else {
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        let mut pending: u128 = 0;
        let mut bits = 0;
        let mut bytes = packed.iter();
        for value in values {
            while bits < width {
                pending |= u128::from(*bytes.next()?) << bits;
                bits += 8;
            }
            *value = pending as u64 & mask;
            pending >>= width;
            bits -= width;
        }
    }
    Some(())
}

/// `None` on damage. `times` is replaced.
pub(super) fn read_times(bytes: &[u8], runs: &[Run], times: &mut Vec<i64>) -> Option<()> {
    times.clear();
    let mut reader = Reader::new(bytes);
    let scale = *SCALES.get(usize::from(reader.byte()?))?;
    times.reserve(runs.iter().map(|run| run.rows as usize).sum::<usize>().min(bytes.len() * 128));
    let mut deltas = [0u64; CHUNK];
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
            unpack(packed, width, rows, &mut deltas)?;
            times.extend(deltas.iter().take(rows).map(|delta| {
                before = before.wrapping_add(delta.wrapping_add(least) as i64);
                before.wrapping_mul(scale)
            }));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_of_every_width_come_back() {
        for width in 0..=64u32 {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            for rows in [1usize, 2, 63, 127, 128] {
                let values: Vec<u64> = (0..rows as u64)
                    .map(|at| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask)
                    .collect();
                let mut packed = Vec::new();
                pack(&mut packed, &values, width);
                assert_eq!(packed.len(), (rows * width as usize).div_ceil(8));
                let mut back = [7; CHUNK];
                assert_eq!(unpack(&packed, width, rows, &mut back), Some(()));
                assert_eq!(back[..rows], values);
            }
        }
    }

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

//! Comparing short texts without a call: most tokens, values and pieces of lines are shorter
//! than what a call of `memcmp` costs.

/// From here on a call is cheaper.
const LONG: usize = 64;

#[inline]
fn word<const N: usize>(text: &[u8], at: usize) -> Option<&[u8; N]> {
    text.get(at..)?.first_chunk()
}

/// Whether two texts are equal.
#[inline]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let bytes = a.len();
    if bytes != b.len() {
        return false;
    }
    match bytes {
        0 => true,
        1 => a[0] == b[0],
        2..=3 => a.first_chunk::<2>() == b.first_chunk() && a[bytes - 1] == b[bytes - 1],
        4..=7 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        8..LONG => {
            let mut at = 0;
            while at + 8 < bytes {
                if word::<8>(a, at) != word(b, at) {
                    return false;
                }
                at += 8;
            }
            a.last_chunk::<8>() == b.last_chunk()
        }
        _ => a == b,
    }
}

/// What stands behind a text that another begins with.
#[inline]
pub fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    same(start, prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        let text: Vec<u8> = (0..200).collect();
        for bytes in 0..text.len() {
            let a = &text[..bytes];
            assert!(same(a, &text.clone()[..bytes]));
            assert!(!same(a, &text[..bytes + 1]) && !same(&text[..bytes + 1], a));
            assert_eq!(strip(&text, a), Some(&text[bytes..]));
            assert_eq!(strip(a, &text), None);
            for at in 0..bytes {
                let mut other = a.to_vec();
                other[at] ^= 1;
                assert!(!same(a, &other), "{bytes} bytes, a difference at {at}");
            }
        }
    }
}

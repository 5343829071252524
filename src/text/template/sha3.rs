//! SHA3-256, for Promtail's `Hash`. Small enough to hold here; nothing else needs it.

const ROUNDS: [u64; 24] = [
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808a,
    0x8000000080008000,
    0x000000000000808b,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008a,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000a,
    0x000000008000808b,
    0x800000000000008b,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800a,
    0x800000008000000a,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
];
const ROTATE: [u32; 24] =
    [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
const LANES: [usize; 24] =
    [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];
const RATE_BYTES: usize = 136;

fn permute(state: &mut [u64; 25]) {
    for round in ROUNDS {
        let mut columns = [0u64; 5];
        for (at, lane) in state.iter().enumerate() {
            columns[at % 5] ^= lane;
        }
        for at in 0..25 {
            state[at] ^= columns[(at + 4) % 5] ^ columns[(at + 1) % 5].rotate_left(1);
        }
        let mut last = state[1];
        for (lane, by) in LANES.iter().zip(ROTATE) {
            let next = state[*lane];
            state[*lane] = last.rotate_left(by);
            last = next;
        }
        for row in state.chunks_exact_mut(5) {
            let before = [row[0], row[1], row[2], row[3], row[4]];
            for at in 0..5 {
                row[at] = before[at] ^ (!before[(at + 1) % 5] & before[(at + 2) % 5]);
            }
        }
        state[0] ^= round;
    }
}

fn absorb(state: &mut [u64; 25], block: &[u8]) {
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        *lane ^= u64::from_le_bytes(word);
    }
    permute(state);
}

/// The digest in hex.
pub(super) fn sha3_256_hex(input: &[u8]) -> String {
    let mut state = [0u64; 25];
    let mut blocks = input.chunks_exact(RATE_BYTES);
    for block in &mut blocks {
        absorb(&mut state, block);
    }
    let rest = blocks.remainder();
    let mut last = [0u8; RATE_BYTES];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x06;
    last[RATE_BYTES - 1] |= 0x80;
    absorb(&mut state, &last);
    state.iter().take(4).flat_map(|lane| lane.to_le_bytes()).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::sha3_256_hex;

    #[test]
    fn known_answers() {
        assert_eq!(
            sha3_256_hex(b""),
            "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"
        );
        assert_eq!(
            sha3_256_hex(b"abc"),
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"
        );
        // Longer than one block.
        assert_eq!(
            sha3_256_hex(&[0xa3; 200]),
            "79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787"
        );
    }
}

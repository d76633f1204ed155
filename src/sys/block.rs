//! Looks at many bytes of text at a time.

/// How many bytes a block has: as many as a mask has bits.
pub const BYTES: usize = 64;

/// What a look at a block shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which bytes are quotes, backslashes or control characters: a bit for each, the first in the last bit.
    pub special: u64,
    /// Whether any is above 0x7f.
    pub is_high: bool,
}

/// Looks at a block, by SSE2.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)] // the same bits
pub fn look(block: &[u8; BYTES]) -> Seen {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_setzero_si128,
    };
    // SAFETY: every x86-64 has SSE2; each of the four loads reads 16 of the block's 64 bytes, from any address.
    unsafe {
        let (mut special, mut any) = (0, _mm_setzero_si128());
        for quarter in 0..4 {
            let bytes = _mm_loadu_si128(block.as_ptr().add(quarter * 16).cast());
            let is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            let is_quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let is_backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let is_special = _mm_or_si128(_mm_or_si128(is_control, is_quote), is_backslash);
            let bits = _mm_movemask_epi8(is_special) as u32;
            special |= u64::from(bits) << (quarter * 16);
            any = _mm_or_si128(any, bytes);
        }
        Seen {
            special,
            is_high: _mm_movemask_epi8(any) != 0,
        }
    }
}

/// How many bytes two blocks have in common, from the first on; by SSE2.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(clippy::cast_sign_loss)] // the same bits
pub fn equal_bytes(one: &[u8; BYTES], other: &[u8; BYTES]) -> usize {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};
    let mut equal = 0;
    for quarter in 0..4 {
        // SAFETY: every x86-64 has SSE2; the loads read 16 of each block's 64 bytes, from any address.
        let bits = unsafe {
            let one = _mm_loadu_si128(one.as_ptr().add(quarter * 16).cast());
            let other = _mm_loadu_si128(other.as_ptr().add(quarter * 16).cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(one, other)) as u32
        };
        equal |= u64::from(bits) << (quarter * 16);
    }
    equal.trailing_ones() as usize
}

/// Looks at a block, byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod bytewise {
    use super::{BYTES, Seen};

    pub fn look(block: &[u8; BYTES]) -> Seen {
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let bits = block.iter().enumerate();
        Seen {
            special: bits.fold(0, |bits, (index, byte)| {
                bits | u64::from(is_special(byte)) << index
            }),
            is_high: !block.is_ascii(),
        }
    }

    pub fn equal_bytes(one: &[u8; BYTES], other: &[u8; BYTES]) -> usize {
        one.iter().zip(other).take_while(|(a, b)| a == b).count()
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub use bytewise::{equal_bytes, look};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_at_each_place_is_seen_for_what_it_is() {
        for at in 0..BYTES {
            for byte in 0..=u8::MAX {
                let mut block =
                    *b"ABCDEFGHIJKLMNOPQRSTUVWXYZ ABCDEFGHIJKLMNOPQRSTUVWXYZ ABCDEFGHIJ";
                block[at] = byte;
                assert_eq!(look(&block), bytewise::look(&block), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn what_blocks_have_in_common_ends_where_they_first_differ() {
        let block = [b'x'; BYTES];
        assert_eq!(equal_bytes(&block, &block), BYTES);
        for first in 0..BYTES {
            for second in first..BYTES {
                let mut other = block;
                (other[first], other[second]) = (0, b'X');
                assert_eq!(equal_bytes(&block, &other), first);
                assert_eq!(bytewise::equal_bytes(&block, &other), first);
            }
        }
    }
}

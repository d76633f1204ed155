//! Looks at several bytes of text at a time.

pub use machine::{BYTES, look};

/// What a look at a chunk shows, a bit for each byte, the first in the last bit.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Quotes, backslashes and control characters.
    pub special: u32,
    /// Bytes above 0x7f.
    pub high_bits: u32,
}

/// 16 bytes, by SSE2.
#[cfg(target_arch = "x86_64")]
mod machine {
    use super::Seen;
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };

    /// How many bytes a chunk has.
    pub const BYTES: usize = 16;

    /// Looks at a chunk.
    #[inline]
    #[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)] // the same bits
    pub fn look(chunk: &[u8; BYTES]) -> Seen {
        // SAFETY: every x86-64 has SSE2; the load reads 16 bytes, which `chunk` has, from any address.
        unsafe {
            let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
            let is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            let is_quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let is_backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let is_special = _mm_or_si128(_mm_or_si128(is_control, is_quote), is_backslash);
            Seen {
                special: _mm_movemask_epi8(is_special) as u32,
                high_bits: _mm_movemask_epi8(bytes) as u32,
            }
        }
    }
}

/// 8 bytes, one by one.
#[cfg(not(target_arch = "x86_64"))]
mod machine {
    use super::Seen;

    /// How many bytes a chunk has.
    pub const BYTES: usize = 8;

    /// Looks at a chunk.
    pub fn look(chunk: &[u8; BYTES]) -> Seen {
        let bits = |is_set: fn(u8) -> bool| {
            let bytes = chunk.iter().enumerate();
            bytes.fold(0, |bits, (index, byte)| {
                bits | u32::from(is_set(*byte)) << index
            })
        };
        Seen {
            special: bits(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)),
            high_bits: bits(|byte| !byte.is_ascii()),
        }
    }
}

//! One pass over JSON objects: grammar, UTF-8, and the rules by which parsers differ.
//!
//! Our own because it is the one thing that the daemon does to every byte; serde_json is its oracle in
//! the tests and under fuzzing.
//!
//! Each method takes a place in the text and returns the place behind the thing that it is named after, or
//! `None` when that is not there.

use super::nesting::Nesting;
use super::readers::has_line_end;
use super::{KEY_BYTES_MAX, NUMBER_DIGITS_MAX, keys, unicode_escape};
use crate::sys::block;

/// The length of the object that `bytes` begin with; `None` when they do not.
pub fn object_length(bytes: &[u8]) -> Option<usize> {
    Scanner::new(bytes).object(0)
}

/// A place that no text has, and none within a block of it.
const NOWHERE: usize = 1 << (usize::BITS - 1);

/// Finds objects in a text, one behind the other.
///
/// Lines of one sender begin alike. Where a line has the same bytes as the one before it, the same is true of it, so
/// it is looked at from the last member on that begins before they differ.
#[derive(Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    /// The last object found and no more, so that comparing with it costs no more than a line; nothing if what was
    /// looked at last is none.
    last: &'a [u8],
    /// How far behind its beginning a member of its first level begins from which the next one may be looked at; 0 if
    /// none is known.
    resume: usize,
    /// How many bytes the object that is looked at has in common with the last one.
    common: usize,
    /// Where the block begins that was looked at last; all places before it have been passed.
    block_start: usize,
    /// What is special in that block, a bit for each byte.
    special: u64,
    /// Whether that block holds bytes above 0x7f.
    block_is_high: bool,
    /// Whether any that the object may have a part of did.
    is_high: bool,
    /// Whether the object may go out as it is.
    is_plain: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner of this text.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            last: &[],
            resume: 0,
            common: 0,
            block_start: NOWHERE,
            special: 0,
            block_is_high: false,
            is_high: false,
            is_plain: true,
        }
    }

    /// Goes on with another text, in which places begin at 0 again.
    pub fn go_on(&mut self, bytes: &'a [u8]) {
        self.bytes = bytes;
        self.block_start = NOWHERE;
        self.block_is_high = false;
    }

    /// Tells whether the object found last may go out byte for byte: some readers end a line at what it holds
    /// otherwise.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Where the object ends that begins at `start`, which is not before the end of the last one found in this text;
    /// `None` when none does.
    ///
    /// A newline never belongs to one: what stands behind it is another line.
    pub fn object(&mut self, start: usize) -> Option<usize> {
        self.is_high = self.block_is_high;
        self.is_plain = true;
        self.common = common_bytes(self.last, self.bytes.get(start..)?);
        if self.common < self.resume {
            self.resume = 0;
        }
        let found = self.object_from(start, self.resume);
        match found {
            Some(end) if self.is_plain => self.last = &self.bytes[start..end],
            // Nor is one that is not plain remembered: what begins like it would be looked at only from where it may
            // be.
            _ => (self.last, self.resume) = (&[], 0),
        }
        found
    }

    /// An object that is known to be one up to a member of its first level that begins `from` bytes behind its
    /// beginning.
    fn object_from(&mut self, start: usize, from: usize) -> Option<usize> {
        let end = self.grammar(start, from)?;
        // Only then is a second look needed, and the library's is a fast one.
        if self.is_high {
            let seen_now = &self.bytes[start + from..end];
            std::str::from_utf8(seen_now).ok()?;
            self.is_plain &= !has_line_end(seen_now);
        }
        if end - start > KEY_BYTES_MAX && keys::has_too_long(&self.bytes[start..end]) {
            return None;
        }
        Some(end)
    }

    /// The grammar of an object from its first brace on, or from that member on.
    fn grammar(&mut self, start: usize, from: usize) -> Option<usize> {
        let mut nesting = Nesting::default();
        let (mut byte, mut at) = (b'{', start + 1);
        if from > 0 {
            nesting.open(b'{')?;
            (byte, at) = self.token(start + from)?;
            (byte, at) = self.members(byte, at, Some(start))?;
        } else if self.bytes.get(start) != Some(&byte) {
            return None;
        }
        loop {
            // A value, which begins with `byte`.
            match byte {
                b'"' => at = self.string(at)?,
                b'0'..=b'9' | b'-' => at = self.number(byte, at)?,
                b't' => at = self.literal(at, b"rue")?,
                b'f' => at = self.literal(at, b"alse")?,
                b'n' => at = self.literal(at, b"ull")?,
                b'{' | b'[' => {
                    nesting.open(byte)?;
                    (byte, at) = self.token(at)?;
                    if byte != nesting.closing_bracket() {
                        if nesting.is_in_object() {
                            let first_level = (nesting.depth == 1).then_some(start);
                            (byte, at) = self.members(byte, at, first_level)?;
                        }
                        continue;
                    }
                    nesting.close();
                }
                _ => return None,
            }
            // What ends with it, up to the comma before the next one.
            loop {
                if nesting.depth == 0 {
                    return Some(at);
                }
                (byte, at) = self.token(at)?;
                if byte == b',' {
                    break;
                }
                if byte != nesting.closing_bracket() {
                    return None;
                }
                nesting.close();
            }
            let first_level = (nesting.depth == 1).then_some(start);
            self.note_member(at, first_level);
            (byte, at) = self.token(at)?;
            if nesting.is_in_object() {
                (byte, at) = self.members(byte, at, first_level)?;
            }
        }
    }

    /// Notes that a member begins at `at` or behind the blanks there. `first_level` is where its object begins, if it
    /// is one of the first level.
    #[inline(always)]
    fn note_member(&mut self, at: usize, first_level: Option<usize>) {
        if let Some(start) = first_level
            && at - start <= self.common
        {
            self.resume = at - start;
        }
    }

    /// A key that begins with `byte`, its colon, and the first byte of its value. Members with a text that are
    /// written without blanks go before it: most of most records, so that most of most records takes this short
    /// way.
    #[inline(always)]
    fn members(
        &mut self,
        byte: u8,
        mut at: usize,
        first_level: Option<usize>,
    ) -> Option<(u8, usize)> {
        if byte != b'"' {
            return None;
        }
        loop {
            at = self.string(at)?;
            if self.pair(at) != Some(b":\"") {
                let (colon, after) = self.token(at)?;
                return if colon == b':' {
                    self.token(after)
                } else {
                    None
                };
            }
            at = self.string(at + 2)?;
            if self.pair(at) != Some(b",\"") {
                return Some((b'"', at - 1)); // of the text, its last quote is left
            }
            self.note_member(at + 1, first_level);
            at += 2;
        }
    }

    #[inline]
    fn pair(&self, at: usize) -> Option<&[u8; 2]> {
        self.bytes.get(at..)?.first_chunk()
    }

    fn literal(&self, at: usize, rest: &[u8]) -> Option<usize> {
        let end = at + rest.len();
        (self.bytes.get(at..end)? == rest).then_some(end)
    }

    /// The next byte that is no blank, and the place behind it.
    #[inline]
    fn token(&mut self, at: usize) -> Option<(u8, usize)> {
        match self.bytes.get(at) {
            Some(byte @ b'!'..=0xff) => Some((*byte, at + 1)),
            _ => self.token_after_blanks(at),
        }
    }

    #[cold]
    fn token_after_blanks(&mut self, mut at: usize) -> Option<(u8, usize)> {
        while let Some(blank @ (b' ' | b'\t' | b'\r')) = self.bytes.get(at) {
            self.is_plain &= *blank != b'\r';
            at += 1;
        }
        self.bytes.get(at).map(|byte| (*byte, at + 1))
    }

    /// The rest of a string whose first quote has been taken.
    #[inline(always)]
    fn string(&mut self, mut at: usize) -> Option<usize> {
        loop {
            at = self.next_special(at)?;
            if self.bytes[at] == b'"' {
                return Some(at + 1);
            }
            at = self.escape(at)?;
        }
    }

    /// The place of the next quote, backslash or control character.
    #[inline(always)]
    fn next_special(&mut self, at: usize) -> Option<usize> {
        let within = at.wrapping_sub(self.block_start);
        if within < block::BYTES {
            let ahead = self.special >> within;
            if ahead != 0 {
                return Some(at + ahead.trailing_zeros() as usize);
            }
            return self.next_special_from(self.block_start + block::BYTES);
        }
        self.next_special_from(at)
    }

    /// The same, from where no block has been looked at.
    #[inline(never)] // so that the short way stays short
    fn next_special_from(&mut self, mut at: usize) -> Option<usize> {
        loop {
            self.look(at)?;
            if self.special != 0 {
                return Some(at + self.special.trailing_zeros() as usize);
            }
            at += block::BYTES;
        }
    }

    /// Looks at the block that begins at `at`.
    #[inline]
    fn look(&mut self, at: usize) -> Option<()> {
        let rest = self.bytes.get(at..)?;
        let seen = match rest.first_chunk() {
            Some(block) => block::look(block),
            None => self.look_at_end(rest.len())?,
        };
        self.block_start = at;
        self.special = seen.special;
        self.block_is_high = seen.is_high;
        self.is_high |= seen.is_high;
        Some(())
    }

    /// Looks at the last bytes, so few that they are no block.
    #[inline]
    fn look_at_end(&self, left: usize) -> Option<block::Seen> {
        if left == 0 {
            return None;
        }
        if let Some(last) = self.bytes.last_chunk() {
            let mut seen = block::look(last);
            seen.special >>= block::BYTES - left;
            return Some(seen);
        }
        let mut block = [b' '; block::BYTES];
        block[..left].copy_from_slice(&self.bytes[self.bytes.len() - left..]);
        Some(block::look(&block))
    }

    /// An escape; a control character is none.
    fn escape(&self, at: usize) -> Option<usize> {
        match self.bytes.get(at..)? {
            [
                b'\\',
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                ..,
            ] => Some(at + 2),
            rest => match unicode_escape(rest)? {
                // Half a pair is no character.
                0xD800..=0xDBFF => match unicode_escape(rest.get(6..)?)? {
                    0xDC00..=0xDFFF => Some(at + 12),
                    _ => None,
                },
                0xDC00..=0xDFFF => None,
                _ => Some(at + 6),
            },
        }
    }

    /// The rest of a number that begins with `first`.
    #[inline]
    fn number(&self, first: u8, start: usize) -> Option<usize> {
        let (mut digit, mut at) = (first, start);
        if first == b'-' {
            digit = *self.bytes.get(at)?;
            at += 1;
        }
        match digit {
            b'0' => {}
            b'1'..=b'9' => at = self.digits(at),
            _ => return None,
        }
        let mut exponent = 0;
        if let Some(b'.' | b'e' | b'E') = self.bytes.get(at) {
            (at, exponent) = self.fraction_and_exponent(at)?;
        }
        let is_surely_double =
            at - start < SURELY_DOUBLE_BYTES && exponent <= SURELY_DOUBLE_EXPONENT;
        (is_surely_double || is_taken(&self.bytes[start - 1..at])).then_some(at)
    }

    /// Where the digits end that come next.
    #[inline]
    fn digits(&self, mut at: usize) -> usize {
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    }

    /// Also tells how many digits the exponent has.
    fn fraction_and_exponent(&self, mut at: usize) -> Option<(usize, usize)> {
        if self.bytes[at] == b'.' {
            let end = self.digits(at + 1);
            if end == at + 1 {
                return None;
            }
            at = end;
        }
        if !matches!(self.bytes.get(at), Some(b'e' | b'E')) {
            return Some((at, 0));
        }
        at += 1;
        if let Some(b'+' | b'-') = self.bytes.get(at) {
            at += 1;
        }
        let end = self.digits(at);
        (end > at).then_some((end, end - at))
    }
}

/// A number of so few bytes, with an exponent of so few digits, is within the range of a double.
const SURELY_DOUBLE_BYTES: usize = 200;
const SURELY_DOUBLE_EXPONENT: usize = 2;

/// How many bytes two texts have in common, from the first on; 0 if one of them is no block.
#[inline]
fn common_bytes(one: &[u8], other: &[u8]) -> usize {
    let length = one.len().min(other.len());
    let (one, other) = (&one[..length], &other[..length]);
    let blocks = one.as_chunks::<{ block::BYTES }>().0;
    let others = other.as_chunks::<{ block::BYTES }>().0;
    for (index, (one, other)) in blocks.iter().zip(others).enumerate() {
        let equal = block::equal_bytes(one, other);
        if equal < block::BYTES {
            return index * block::BYTES + equal;
        }
    }
    // The last block, of which a part has been seen.
    match (one.last_chunk(), other.last_chunk()) {
        (Some(one), Some(other)) => length - block::BYTES + block::equal_bytes(one, other),
        _ => 0,
    }
}

/// Tells whether a number is one that all readers take: of not too many digits, and within the range of a double.
#[cold]
fn is_taken(number: &[u8]) -> bool {
    let digits = number.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits > NUMBER_DIGITS_MAX {
        return false;
    }
    let text = std::str::from_utf8(number);
    text.is_ok_and(|text| text.parse().is_ok_and(f64::is_finite))
}

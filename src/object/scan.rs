//! One pass over a JSON object: grammar, UTF-8, and the rules by which parsers differ.
//!
//! Our own because it is the one thing that the daemon does to every byte; serde_json is its oracle in
//! the tests and under fuzzing.
//!
//! Each function takes what is left of the text and returns what is left behind the thing that it is named
//! after, or `None` when that is not there.

use super::{NESTING_MAX, unicode_escape};
use crate::sys::chunk;

/// The length of the object that `bytes` begin with; `None` when they do not.
///
/// A newline never belongs to one: what stands behind it is another line.
pub fn object_length(bytes: &[u8]) -> Option<usize> {
    let mut high_bits = 0;
    let length = bytes.len() - object(bytes, &mut high_bits)?.len();
    // Only then is a second look needed, and the library's is a fast one.
    if high_bits != 0 && std::str::from_utf8(&bytes[..length]).is_err() {
        return None;
    }
    Some(length)
}

/// The brackets around a place, the innermost in the last bit: 1 for those of an object.
#[derive(Default)]
struct Nesting {
    are_objects: u128,
    depth: usize,
}

impl Nesting {
    fn open(&mut self, bracket: u8) -> Option<()> {
        self.are_objects = self.are_objects << 1 | u128::from(bracket == b'{');
        self.depth += 1;
        (self.depth <= NESTING_MAX).then_some(())
    }

    fn close(&mut self) {
        self.are_objects >>= 1;
        self.depth -= 1;
    }

    fn is_in_object(&self) -> bool {
        self.are_objects & 1 == 1
    }

    fn closing_bracket(&self) -> u8 {
        if self.is_in_object() { b'}' } else { b']' }
    }
}

/// Sets bits of `high_bits` if a string holds bytes that may not be UTF-8. (A few bytes behind the string
/// may be meant.)
fn object<'a>(bytes: &'a [u8], high_bits: &mut u32) -> Option<&'a [u8]> {
    let mut nesting = Nesting::default();
    let (mut byte, mut rest) = (b'{', bytes.strip_prefix(b"{")?);
    let mut begins_level = true;
    loop {
        // One value, with its key where it has one; `byte` is what it begins with.
        if !begins_level {
            if nesting.is_in_object() {
                if byte != b'"' {
                    return None;
                }
                (byte, rest) = token(texts_and_key(rest, high_bits)?)?;
            }
            match byte {
                b'"' => rest = string(rest, high_bits)?,
                b'0'..=b'9' | b'-' => rest = number(byte, rest)?,
                b't' => rest = rest.strip_prefix(b"rue")?,
                b'f' => rest = rest.strip_prefix(b"alse")?,
                b'n' => rest = rest.strip_prefix(b"ull")?,
                b'{' | b'[' => begins_level = true,
                _ => return None,
            }
        }
        if begins_level {
            nesting.open(byte)?;
            (byte, rest) = token(rest)?;
            begins_level = false;
            if byte != nesting.closing_bracket() {
                continue;
            }
            nesting.close();
        }
        while nesting.depth > 0 {
            (byte, rest) = token(rest)?;
            if byte == b',' {
                break;
            }
            if byte != nesting.closing_bracket() {
                return None;
            }
            nesting.close();
        }
        if nesting.depth == 0 {
            return Some(rest);
        }
        (byte, rest) = token(rest)?;
    }
}

/// A key, of which the first quote has been taken, and its colon. Members with a text that are written
/// without blanks go before it: most of most records, so that most of most records takes this short way.
#[inline]
fn texts_and_key<'a>(mut rest: &'a [u8], high_bits: &mut u32) -> Option<&'a [u8]> {
    loop {
        rest = string(rest, high_bits)?;
        if let [b':', b'"', text @ ..] = rest {
            let key = rest;
            rest = string(text, high_bits)?;
            match rest {
                [b',', b'"', next @ ..] => rest = next,
                _ => return key.get(1..),
            }
        } else {
            let (colon, after) = token(rest)?;
            return (colon == b':').then_some(after);
        }
    }
}

/// The next byte that is no blank, and what is behind it.
#[inline]
fn token(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [byte @ b'!'..=0xff, after @ ..] => Some((*byte, after)),
        _ => token_after_blanks(rest),
    }
}

#[cold]
fn token_after_blanks(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    while let [b' ' | b'\t' | b'\r', after @ ..] = rest {
        rest = after;
    }
    rest.split_first().map(|(byte, after)| (*byte, after))
}

/// The rest of a string whose first quote has been taken.
#[inline]
fn string<'a>(mut rest: &'a [u8], high_bits: &mut u32) -> Option<&'a [u8]> {
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let seen = chunk::look(chunk);
        *high_bits |= seen.high_bits;
        if seen.special == 0 {
            rest = after;
            continue;
        }
        let at = seen.special.trailing_zeros() as usize % chunk::BYTES;
        if chunk[at] == b'"' {
            return Some(&rest[at + 1..]);
        }
        rest = escape(&rest[at..])?;
    }
    end_of_string(rest, high_bits)
}

/// The rest of a string of which less than a chunk is left.
fn end_of_string<'a>(mut rest: &'a [u8], high_bits: &mut u32) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = rest.split_first()?;
        rest = match byte {
            b'"' => return Some(after),
            b'\\' => escape(rest)?,
            0..=0x1f => return None,
            _ => after,
        };
        *high_bits |= u32::from(!byte.is_ascii());
    }
}

/// An escape; a control character is none.
fn escape(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [
            b'\\',
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            after @ ..,
        ] => Some(after),
        _ => {
            let (unit, after) = code_unit(rest)?;
            match unit {
                // Half a pair is no character.
                0xD800..=0xDBFF => match code_unit(after)? {
                    (0xDC00..=0xDFFF, after) => Some(after),
                    _ => None,
                },
                0xDC00..=0xDFFF => None,
                _ => Some(after),
            }
        }
    }
}

fn code_unit(rest: &[u8]) -> Option<(u16, &[u8])> {
    Some((unicode_escape(rest)?, &rest[6..]))
}

/// A number of so few bytes, with an exponent of so few digits, is within the range of a double.
const SURELY_DOUBLE_BYTES: usize = 200;
const SURELY_DOUBLE_EXPONENT: usize = 2;

/// The rest of a number that begins with `first`.
#[inline]
fn number(first: u8, text: &[u8]) -> Option<&[u8]> {
    let (digit, rest) = match (first, text) {
        (b'-', [digit, rest @ ..]) => (*digit, rest),
        _ => (first, text),
    };
    let mut rest = match digit {
        b'0' => rest,
        b'1'..=b'9' => &rest[digits(rest)..],
        _ => return None,
    };
    let mut exponent = 0;
    if let [b'.' | b'e' | b'E', ..] = rest {
        (rest, exponent) = fraction_and_exponent(rest)?;
    }
    let length = text.len() - rest.len();
    let is_surely_double = length < SURELY_DOUBLE_BYTES && exponent <= SURELY_DOUBLE_EXPONENT;
    (is_surely_double || is_double(first, &text[..length])).then_some(rest)
}

/// How many digits come next.
fn digits(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Also tells how many digits the exponent has.
fn fraction_and_exponent(mut rest: &[u8]) -> Option<(&[u8], usize)> {
    if let [b'.', fraction @ ..] = rest {
        let count = digits(fraction);
        rest = &fraction[count..];
        if count == 0 {
            return None;
        }
    }
    match rest {
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            let count = digits(exponent);
            (count > 0).then(|| (&exponent[count..], count))
        }
        _ => Some((rest, 0)),
    }
}

/// Tells whether a number is within the range of a double.
#[cold]
fn is_double(first: u8, rest: &[u8]) -> bool {
    let text: String = [&[first], rest]
        .concat()
        .into_iter()
        .map(char::from)
        .collect();
    text.parse().is_ok_and(f64::is_finite)
}

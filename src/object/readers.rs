//! What readers take for the end of a line, though it is none: a carriage return, and three characters.
//!
//! Python's text mode, Node's readline, Java and .NET end a line at a carriage return; Python's `splitlines`,
//! Java's Scanner and newer versions of Node's readline at some of U+0085, U+2028 and U+2029 as well. To JSON the
//! first is a blank, and the others are characters that may be written as escapes.

use std::io;

/// Tells whether a text, which is UTF-8, holds U+0085, U+2028 or U+2029.
///
/// Without a branch, so that the compiler makes it look at many bytes at a time: Chinese is full of bytes
/// that only look like those.
pub(super) fn has_line_end(text: &[u8]) -> bool {
    let mut found = text.ends_with("\u{85}".as_bytes());
    let places = text.len().saturating_sub(2);
    let (first, second, third) = (&text[..places], text.get(1..=places), text.get(2..));
    let (Some(second), Some(third)) = (second, third) else {
        return found;
    };
    for at in 0..places {
        found |= (first[at] == 0xc2) & (second[at] == 0x85)
            | (first[at] == 0xe2) & (second[at] == 0x80) & (third[at] | 1 == 0xa9);
    }
    found
}

/// What is written instead of what `bytes` begin with, and how many of them that is.
fn instead(bytes: &[u8]) -> Option<(usize, &'static [u8])> {
    match bytes {
        [b'\r', ..] => Some((1, b" ")),
        [0xc2, 0x85, ..] => Some((2, b"\\u0085")),
        [0xe2, 0x80, 0xa8, ..] => Some((3, b"\\u2028")),
        [0xe2, 0x80, 0xa9, ..] => Some((3, b"\\u2029")),
        _ => None,
    }
}

/// Writes a part of a valid JSON text so that no reader finds an end of a line in it. Carriage returns can only stand
/// between tokens there, and become blanks; the three characters can only stand in strings, and become escapes.
///
/// # Errors
/// Those of `out`.
pub fn write_plain<W: io::Write + ?Sized>(out: &mut W, part: &[u8]) -> io::Result<()> {
    let mut copied = 0;
    if part.contains(&b'\r') || has_line_end(part) {
        for at in 0..part.len() {
            if let Some((length, instead)) = instead(&part[at..]) {
                out.write_all(&part[copied..at])?;
                out.write_all(instead)?;
                copied = at + length;
            }
        }
    }
    out.write_all(&part[copied..])
}

/// Appends what serde_json writes so that no reader finds an end of a line in it. It writes characters whole.
#[derive(Debug)]
pub struct PlainWriter<'a>(pub &'a mut Vec<u8>);

impl io::Write for PlainWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_plain(self.0, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_line_somewhere_is_found_wherever_it_stands() {
        for text in ["\u{85}", "\u{2028}", "\u{2029}"] {
            for before in 0..40 {
                for after in 0..40 {
                    let text = ["x".repeat(before), text.to_owned(), "x".repeat(after)].concat();
                    assert!(has_line_end(text.as_bytes()), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn each_character_but_three_goes_as_it_is() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            let mut out = Vec::new();
            write_plain(&mut out, text.as_bytes()).unwrap();
            let want = match character {
                '\r' => " ".to_owned(),
                '\u{85}' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(character)),
                _ => text.clone(),
            };
            assert_eq!(String::from_utf8(out).unwrap(), want);
            assert_eq!(
                has_line_end(text.as_bytes()),
                want.len() > text.len(),
                "{text:?}"
            );
        }
        for text in [
            "\u{65e5}\u{5fd7}\u{8bb0}\u{5f55}",
            "\u{2020}\u{a8}\u{e2}\u{c2}\u{105}",
        ] {
            assert!(!has_line_end(text.repeat(20).as_bytes()), "{text}");
        }
    }
}

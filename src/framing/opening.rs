//! How an input begins: with a byte order mark, or with a count.

/// UTF-8's byte order mark, U+FEFF. It says nothing (RFC 8259, section 8.1, forbids it before JSON), but
/// editors, PowerShell and .NET's StreamWriter write it.
pub(super) const BOM: [u8; 3] = *b"\xef\xbb\xbf";

/// Most digits of a count; the longest message that any sender counts is far shorter.
const DIGITS_MAX: u8 = 10;

/// Watches for the beginning of a counted frame (RFC 6587, section 3.4.1): a number, a blank, and the `<` of
/// a syslog message's priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CountWatch(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Digits(u8),
    Blank,
    Over { has_found: bool },
}

impl CountWatch {
    /// A watch over an input that begins.
    pub(super) fn new() -> Self {
        Self(State::Digits(0))
    }

    /// One that is over.
    pub(super) fn over() -> Self {
        Self(State::Over { has_found: false })
    }

    /// Tells whether more bytes can change what it has seen.
    pub(super) fn is_open(self) -> bool {
        !matches!(self.0, State::Over { .. })
    }

    /// Tells whether it has seen one.
    pub(super) fn has_found(self) -> bool {
        self.0 == State::Over { has_found: true }
    }

    /// Looks at the next bytes of the first line, which may end with them. Tells whether with these it has
    /// seen a counted frame begin.
    #[cold]
    pub(super) fn look(&mut self, bytes: &[u8], is_end: bool) -> bool {
        for byte in bytes {
            self.0 = match (self.0, byte) {
                (State::Digits(0), b'1'..=b'9') => State::Digits(1),
                (State::Digits(count @ 1..DIGITS_MAX), b'0'..=b'9') => State::Digits(count + 1),
                (State::Digits(1..), b' ') => State::Blank,
                (State::Blank, b'<') => State::Over { has_found: true },
                _ => State::Over { has_found: false },
            };
            if !self.is_open() {
                return self.has_found();
            }
        }
        if is_end {
            *self = Self::over();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_a_blank_and_a_priority_are_a_counted_frame() {
        for (line, want) in [
            (&b"1 <"[..], true),
            (b"83 <13>1 text", true),
            (b"9876543210 <x", true),
            (b"98765432101 <x", false),
            (b"0 <", false),
            (b"083 <", false),
            (b"83", false),
            (b"83 ", false),
            (b"83  <", false),
            (b"83\t<", false),
            (b"<13>1 text", false),
            (b" 83 <", false),
            (b"83 text <", false),
            (b"", false),
        ] {
            for cut in 0..=line.len() {
                let mut watch = CountWatch::new();
                let mut found = watch.look(&line[..cut], false);
                if watch.is_open() {
                    found = watch.look(&line[cut..], true);
                }
                assert_eq!(found, want, "{} cut at {cut}", line.escape_ascii());
                assert_eq!(watch.has_found(), want);
                assert!(!watch.is_open());
            }
        }
    }
}

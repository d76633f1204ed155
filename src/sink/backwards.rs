//! Looks at a file from its end, in bounded memory and bounded time, whatever it holds.

use crate::sys;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// Room for one read.
const READ_BYTES: u64 = 64 << 10;

/// Most that is read before the search is given up: a quarter of a second from memory, some seconds from a slow
/// disk. Longer than 16 times the longest line that any `--max-record` lets us write.
const LOOKED_AT_MAX: u64 = 256 << 20;

/// The same of NULs alone, which nothing needs to be kept of.
const NULS_MAX: u64 = 4 << 30;

/// A search from a file's end to its beginning. Holes are passed over without being read.
pub(super) struct Backwards<'a> {
    file: &'a File,
    /// All from here on has been looked at.
    end: u64,
    buffer: Vec<u8>,
    may_read: u64,
}

impl<'a> Backwards<'a> {
    /// Begins at `end`, in bytes from the file's beginning.
    pub(super) fn new(file: &'a File, end: u64) -> Self {
        Self {
            file,
            end,
            buffer: Vec::new(),
            may_read: NULS_MAX,
        }
    }

    /// The end of what stands before a trailing run of NULs, which a power cut leaves.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub(super) fn end_of_text(&mut self) -> io::Result<u64> {
        let end = self.find(|bytes| {
            // Looked at all together first, which the compiler makes a few instructions of.
            let any = bytes.iter().fold(0, |any, byte| any | byte);
            let is_text = |byte: &u8| *byte != 0;
            (any != 0).then(|| bytes.iter().rposition(is_text))?
        });
        self.may_read = LOOKED_AT_MAX;
        end
    }

    /// The beginning of the line that ends where the search stands: after the newline before it.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub(super) fn start_of_line(&mut self) -> io::Result<u64> {
        self.find(|bytes| memchr::memrchr(b'\n', bytes))
    }

    /// Goes back to the last byte that `wanted` finds, and returns the place after it; 0 if there is none.
    ///
    /// # Errors
    /// `InvalidData` when it is too far away, and what reading gives.
    fn find(&mut self, wanted: impl Fn(&[u8]) -> Option<usize>) -> io::Result<u64> {
        loop {
            self.pass_over_holes()?;
            let bytes = self.end.min(READ_BYTES);
            if bytes == 0 {
                return Ok(0);
            }
            let Some(may_read) = self.may_read.checked_sub(bytes) else {
                let reason = "it is too far from the last newline to the end";
                return Err(io::Error::new(ErrorKind::InvalidData, reason));
            };
            self.may_read = may_read;
            self.buffer.resize(in_memory(bytes), 0);
            self.file
                .read_exact_at(&mut self.buffer, self.end - bytes)?;
            if let Some(at) = wanted(&self.buffer) {
                self.end -= bytes - 1 - at as u64;
                return Ok(self.end);
            }
            self.end -= bytes;
        }
    }

    /// Goes back until data stand in the last [`READ_BYTES`]. The kernel finds holes only forwards (`man 2 lseek`),
    /// so windows are tried, twice as long after a hole and half as long after data.
    fn pass_over_holes(&mut self) -> io::Result<()> {
        let mut window = READ_BYTES;
        while self.end > 0 {
            let start = self.end.saturating_sub(window);
            let data = sys::next_data(self.file, start)?;
            if data.is_none_or(|at| at >= self.end) {
                self.end = start;
                window = window.saturating_mul(2);
            } else if window == READ_BYTES {
                break;
            } else {
                window /= 2;
            }
        }
        Ok(())
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(parts: &[(u64, &[u8])], length: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        for (at, bytes) in parts {
            file.write_all_at(bytes, *at).unwrap();
        }
        file.set_len(length).unwrap();
        file
    }

    /// Text, so many NULs, and perhaps more text: where the text ends and its last line begins.
    #[test]
    fn the_last_line_is_found_whatever_lies_in_between() {
        const TIB: u64 = 1 << 40;
        for gap in [0, 1, 4095, 65_535, 65_536, 65_537, 1 << 20, TIB] {
            for text in [&b"x\nhalf"[..], b"x\n", b"x", b"\n"] {
                let after_text = text.len() as u64;
                let line = memchr::memrchr(b'\n', text).map_or(0, |at| at as u64 + 1);
                let file = file_of(&[(0, text)], after_text + gap);
                let mut search = Backwards::new(&file, after_text + gap);
                assert_eq!(search.end_of_text().unwrap(), after_text, "{gap}");
                assert_eq!(search.start_of_line().unwrap(), line, "{gap}");

                // The gap within the last line.
                let end = after_text + gap + 4;
                let file = file_of(&[(0, text), (after_text + gap, b"more")], end);
                let mut search = Backwards::new(&file, end);
                assert_eq!(search.end_of_text().unwrap(), end, "{gap}");
                assert_eq!(search.start_of_line().unwrap(), line, "{gap}");
            }
        }
    }

    #[test]
    fn nothing_but_nuls_is_nothing() {
        for length in [0, 1, 65_536, 1 << 40] {
            let file = file_of(&[], length);
            assert_eq!(Backwards::new(&file, length).end_of_text().unwrap(), 0);
        }
        let file = file_of(&[(0, &[0; 200_000])], 200_000);
        assert_eq!(Backwards::new(&file, 200_000).end_of_text().unwrap(), 0);
    }

    #[test]
    fn a_search_that_takes_too_long_is_given_up() {
        let file = file_of(&[(0, &[b'x'; 300_000])], 300_000);
        let mut search = Backwards::new(&file, 300_000);
        search.may_read = 200_000;
        let given_up = search.start_of_line().unwrap_err();
        assert_eq!(given_up.kind(), ErrorKind::InvalidData);
    }
}

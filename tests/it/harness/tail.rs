//! Follows a file that a daemon writes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The lines of a growing file, each seen once.
pub struct Tail {
    file: File,
    /// What stands after the last newline so far.
    rest: Vec<u8>,
    /// Up to where the file has been seen.
    pub seen: u64,
}

impl Tail {
    pub fn open(path: &Path) -> Self {
        Self {
            file: File::open(path).unwrap(),
            rest: Vec::new(),
            seen: 0,
        }
    }

    /// How long the file is now.
    pub fn length(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    /// Passes over what is there. The first line to be seen may be the last part of one.
    pub fn skip(&mut self) {
        self.seen = self.file.seek(SeekFrom::End(0)).unwrap();
        self.rest.clear();
    }

    /// Calls `see` for each line that has come since the last look, with the place at which it ends.
    pub fn look(&mut self, mut see: impl FnMut(&[u8], u64)) {
        // Not to the end, which a fast daemon moves as fast as we read.
        let new = self.length() - self.seen;
        let read = self.file.by_ref().take(new).read_to_end(&mut self.rest);
        self.seen += read.unwrap() as u64;
        let (mut begin, first) = (0, self.seen - self.rest.len() as u64);
        while let Some(length) = memchr::memchr(b'\n', &self.rest[begin..]) {
            let end = begin + length + 1;
            see(&self.rest[begin..end - 1], first + end as u64);
            begin = end;
        }
        self.rest.drain(..begin);
    }
}

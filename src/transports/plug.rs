//! How a stop leaves no moment in which a record written to a FIFO is lost.
//!
//! Whatever is in a pipe when its last read end is closed is lost, and no call reads the rest and closes
//! in one. So the pipe is made full first, of nothing: one page is all that it holds, and of that page one
//! byte, a newline, is left unread. Whoever writes then waits, and is told by the close (EPIPE) that
//! nothing of the record went (`pipe_write` in the kernel's fs/pipe.c: a byte is added to the last page
//! only if the rest of that page has room for the whole write, which one that was filled never has).

use crate::sys;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// A write end of our own, which fills the pipe.
#[derive(Debug)]
pub(super) struct Plug {
    writer: File,
}

impl Plug {
    /// A plug for the pipe behind `reader`.
    ///
    /// # Errors
    /// When we may not write to it.
    pub(super) fn new(reader: BorrowedFd<'_>) -> io::Result<Self> {
        let writer = sys::open_write_end_of(reader)?;
        Ok(Self { writer })
    }

    /// Fills the pipe, and tells whether that was possible: it is not as long as there is something in it
    /// that has not been read.
    pub(super) fn put(&self, reader: &mut impl Read) -> bool {
        // One page is the least that a pipe holds. EBUSY: there is more in it.
        let Ok(page_bytes) = sys::set_pipe_size(self.writer.as_fd(), 1) else {
            return false;
        };
        let mut filler = vec![b'\n'; page_bytes];
        if (&self.writer).write(&filler).is_err() {
            return false;
        }
        // A newline stays, so that a process which reads the pipe after us meets one blank line.
        reader.read_exact(&mut filler[1..]).is_ok()
    }
}

//! How a stop leaves no moment in which a record written to a FIFO is lost.
//!
//! Whatever is in a pipe when its last read end is closed is lost, and no call reads the rest and closes
//! in one. So the pipe is made full first, of nothing: one page is all that it holds, and of that page one
//! byte, a newline, is left unread. Whoever writes then waits, and is told by the close (EPIPE) that
//! nothing of the record went (`pipe_write` in the kernel's fs/pipe.c: a byte is added to the last page
//! only if the rest of that page has room for the whole write, which one that was filled never has).
//!
//! Where somebody else has the pipe open for reading, as rsyslog and syslog-ng have theirs, it outlives us with all
//! that is in it, and a plug would shut its writers out for as long as he stays: there it is left as it is.

use super::stream::StreamSource;
use crate::sys;
use log::info;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// How a stop leaves the pipe.
#[derive(Debug)]
pub(super) enum Ending {
    /// Full of nothing: ours is the last read end.
    Plugged(Plug),
    /// As it is: somebody else keeps it, and what is written to it from now on is for the next daemon.
    Kept,
    /// As it is: we may not write to it. What is written in the last moment is lost, if nobody else keeps it.
    Unplugged,
}

impl Ending {
    /// Finds out how this pipe is to be left. `stream` goes on with another read end of it.
    ///
    /// The kernel does not say who else reads a pipe; but without a reader, a write end that shall not wait is refused
    /// (ENXIO: `fifo_open` in the kernel's fs/pipe.c). So our read end is closed for a moment, while a write end of ours
    /// keeps the pipe with what is in it (`put_pipe_info`). If ours was the last one, whoever writes in that moment gets
    /// EPIPE, as all will who write after the stop, and nothing of his record has gone.
    pub(super) fn of(stream: &mut StreamSource<File>) -> Self {
        match Self::find(stream) {
            Ok(ending) => ending,
            Err(e) => {
                info!(
                    "a FIFO cannot be opened for writing: {e}; what is written to it in the moment before \
                     it is closed is lost"
                );
                Self::Unplugged
            }
        }
    }

    fn find(stream: &mut StreamSource<File>) -> io::Result<Self> {
        let writer = sys::open_write_end_of(stream.as_fd())?;
        // In its place, for the moment: reading from it fails.
        drop(stream.replace_reader(writer.try_clone()?));
        let probe = sys::open_write_end_of(writer.as_fd());
        stream.replace_reader(sys::open_read_end_of(writer.as_fd())?);
        match probe {
            Ok(_) => Ok(Self::Kept),
            Err(e) if sys::is_no_reader(&e) => Ok(Self::Plugged(Plug { writer })),
            Err(e) => Err(e),
        }
    }
}

/// A write end of our own, which fills the pipe.
#[derive(Debug)]
pub(super) struct Plug {
    writer: File,
}

impl Plug {
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
    /// Takes it out of the pipe again, which is to hold so many bytes as before.
    pub(super) fn pull(&self, reader: &mut impl Read, bytes: usize) {
        // The newline is all that is in it. As far as it goes: a pipe of one page works as well.
        let _ = reader.read(&mut [0]);
        let _ = sys::set_pipe_size(self.writer.as_fd(), bytes);
    }
}

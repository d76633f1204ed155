//! Where records go: a file, or standard output.
//!
//! Knows no source and no event loop. A regular file's write blocks, and that is the backpressure;
//! a pipe, socket or terminal that is full says so ([`Flush::NotReady`]) and is waited for.

mod mend;
mod output;
mod rotation;

pub use output::Output;
pub use rotation::Rotation;

use crate::batch::Batch;
use crate::claim;
use crate::error::Error;
use crate::sys;
use log::warn;
use mend::Mended;
use output::{Channel, Hold};
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// When what was written is made to survive a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the kernel sees fit.
    Never,
    /// At a stop.
    Exit,
    /// At most this long after it was written, and at a stop.
    Interval(Duration),
    /// After each write, before anything else is read.
    Batch,
}

/// What became of a batch. What the output has not taken stays in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flush {
    /// The output has taken all of it.
    Done,
    /// The output takes no more before it says so.
    NotReady,
    /// The output has refused bytes, for a reason that may pass.
    Refused(Error),
}

/// The open output.
#[derive(Debug)]
pub struct Sink {
    channel: Channel,
    output: Output,
    /// A regular file, which can be locked, emptied, mended, synced and rotated.
    is_regular: bool,
    /// How many bytes a regular file holds.
    length: u64,
    /// Set where standard output could only be kept from blocking for all who share it.
    _shared: Option<sys::NonBlocking>,
    /// Of a regular file. It goes on from one file to the next at the same path.
    hold: Hold,
}

impl Sink {
    /// Opens the output; an existing file keeps what it holds. A regular file is ours alone then.
    ///
    /// # Errors
    /// When it cannot be opened for writing, or another daemon writes to it.
    pub fn open(output: &Output) -> Result<Self, Error> {
        Self::open_beside(output, &None, claim::TRIES_AT_START)
    }

    /// Opens the output while we hold what `ours` says.
    fn open_beside(output: &Output, ours: &Hold, tries: u32) -> Result<Self, Error> {
        let failed = |e: io::Error| output::open_error(output, &e);
        let (channel, shared) = Channel::open(output).map_err(failed)?;
        let (is_regular, length) = match &channel {
            Channel::File(file) => {
                let metadata = file.metadata().map_err(failed)?;
                (metadata.is_file(), metadata.len())
            }
            Channel::Socket(_) => (false, 0),
        };
        let mut sink = Self {
            channel,
            output: output.clone(),
            is_regular,
            length,
            _shared: shared,
            hold: None,
        };
        if let (Some(file), Output::Path(path)) = (sink.regular_file(), output) {
            sink.hold = output::claim(path, file, ours, tries).map_err(failed)?;
        }
        Ok(sink)
    }

    /// Opens the output anew if its path names another file than the one that is open, as after a
    /// rotation; `None` if it does not, or cannot be opened twice.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`begin`](Self::begin).
    pub fn reopen(&self) -> Result<Option<Self>, Error> {
        let (Some(file), Output::Path(path)) = (self.regular_file(), &self.output) else {
            return Ok(None);
        };
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        if let (Ok(named), Ok(open)) = (path.metadata(), file.metadata())
            && identity(named) == identity(open)
        {
            return Ok(None);
        }
        let sink = Self::open_beside(&self.output, &self.hold, 1)?;
        sink.begin(false)?;
        Ok(Some(sink))
    }

    fn regular_file(&self) -> Option<&File> {
        match &self.channel {
            Channel::File(file) if self.is_regular => Some(file),
            Channel::File(_) | Channel::Socket(_) => None,
        }
    }

    /// Makes a regular file ready for the first record: emptied if `truncate` says so, and otherwise
    /// with a newline at its end, so that nothing is glued to an unfinished line.
    ///
    /// # Errors
    /// What `man 2 ftruncate` and `man 2 write` list.
    pub fn begin(&self, truncate: bool) -> Result<(), Error> {
        let Some(mut file) = self.regular_file() else {
            return Ok(());
        };
        if truncate {
            // Rewound, since standard output may have been written to before us.
            return file
                .set_len(0)
                .and_then(|()| file.rewind())
                .map_err(|e| Error::new("empty", self.describe(), e));
        }
        let Output::Path(path) = &self.output else {
            return Ok(());
        };
        // The file that is open, whatever its path names by now.
        let whole = match sys::open_again(file) {
            Ok(file) => file,
            Err(e) => {
                warn!(
                    "cannot see whether the last line of {} is whole: {e}",
                    path.display()
                );
                return Ok(());
            }
        };
        match mend::last_line(&whole, sys::unix_seconds()) {
            Ok(Mended::Nothing) => Ok(()),
            Ok(Mended::Ended) => {
                warn!(
                    "{}: its last line had no newline, and has one now",
                    path.display()
                );
                Ok(())
            }
            Ok(Mended::Wrapped) => {
                warn!(
                    "{}: its last line was unfinished, and is wrapped now",
                    path.display()
                );
                Ok(())
            }
            Err(e) => Err(Error::new("append to", path.display(), e).advise(
                "free some space, look at the file's end, or choose another with --output",
            )),
        }
    }

    /// Writes what the batch holds, going on at the exact byte after a short write.
    ///
    /// # Errors
    /// When the output refuses bytes for good.
    pub fn flush(&mut self, batch: &mut Batch) -> Result<Flush, Error> {
        let before = batch.rest().len();
        let written = write_out(&mut self.channel, batch);
        self.length += (before - batch.rest().len()) as u64;
        match written {
            Ok(Written::All) => Ok(Flush::Done),
            Ok(Written::AsMuchAsFits) => Ok(Flush::NotReady),
            Err(e) => {
                let error = Error::new("write", self.describe(), &e);
                // A terminal that has hung up gives EIO as well, and for good.
                if (self.is_regular && sys::is_refusal(&e)) || e.kind() == ErrorKind::StorageFull {
                    Ok(Flush::Refused(error))
                } else {
                    Err(error.advise("see to it that the output can take more, and start again"))
                }
            }
        }
    }

    /// Tells whether it has a path, at which it may be opened anew.
    pub fn has_path(&self) -> bool {
        matches!(self.output, Output::Path(_))
    }

    /// The path of a regular file that has reached this length.
    pub fn full_file(&self, bytes: u64) -> Option<&Path> {
        match &self.output {
            Output::Path(path) if self.is_regular && self.length >= bytes => Some(path),
            Output::Path(_) | Output::Stdout => None,
        }
    }

    /// Lets it count as empty, so that it is not full again before it has grown as much again.
    pub fn restart_length(&mut self) {
        self.length = 0;
    }

    /// Takes the last `bytes` of a regular file away again, as far as the file lets us.
    pub fn cut_back(&self, bytes: usize) {
        if let Some(file) = self.regular_file()
            && let Ok(metadata) = file.metadata()
        {
            let length = metadata.len().saturating_sub(bytes as u64);
            if let Err(e) = file.set_len(length) {
                warn!("{} ends in half a line: {e}", self.describe());
            }
        }
    }

    /// Tells whether a sync makes sense here: only a regular file outlives the machine.
    pub fn can_sync(&self) -> bool {
        self.is_regular
    }

    /// Waits until a regular file's bytes are on the disk.
    ///
    /// # Errors
    /// What `man 2 fsync` lists: some of what was written may be lost.
    pub fn sync(&self) -> Result<(), Error> {
        match self.regular_file() {
            Some(file) => file
                .sync_all()
                .map_err(|e| Error::new("sync", self.describe(), e)),
            None => Ok(()),
        }
    }

    fn describe(&self) -> String {
        match &self.output {
            Output::Stdout => "standard output".to_owned(),
            Output::Path(path) => path.display().to_string(),
        }
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// How much of a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it.
    All,
    /// What the channel had room for.
    AsMuchAsFits,
}

/// Writes what the batch holds to any channel, going on at the exact byte.
///
/// # Errors
/// What the channel gives; the batch knows what it has taken before.
pub fn write_out(channel: &mut impl Write, batch: &mut Batch) -> io::Result<Written> {
    while !batch.rest().is_empty() {
        match channel.write(batch.rest()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => batch.take(bytes),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Written::AsMuchAsFits),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Written::All)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A channel that answers each write as scripted, and takes all when the script is done.
    struct Script {
        answers: VecDeque<Result<usize, ErrorKind>>,
        taken: Vec<u8>,
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.answers.pop_front().unwrap_or(Ok(bytes.len()))?;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writing_goes_on_at_the_exact_byte_whatever_the_channel_answers() {
        let mut channel = Script {
            answers: [
                Ok(3),
                Err(ErrorKind::Interrupted),
                Ok(1),
                Err(ErrorKind::WouldBlock),
                Err(ErrorKind::StorageFull),
                Ok(2),
            ]
            .into(),
            taken: Vec::new(),
        };
        let mut batch = Batch::default();
        batch
            .lines_of(0)
            .bytes
            .extend_from_slice(b"{\"a\":1}\n{}\n");

        assert_eq!(
            write_out(&mut channel, &mut batch).unwrap(),
            Written::AsMuchAsFits
        );
        assert_eq!(batch.rest(), b":1}\n{}\n");
        let refused = write_out(&mut channel, &mut batch).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StorageFull);
        assert_eq!(batch.lines_left(), 2);
        assert_eq!(write_out(&mut channel, &mut batch).unwrap(), Written::All);
        assert_eq!(channel.taken, b"{\"a\":1}\n{}\n");
    }
}

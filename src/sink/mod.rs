//! Where records go: a file, or standard output.
//!
//! Knows no source and no event loop. A regular file's write blocks, and that is the backpressure;
//! a pipe, socket or terminal that is full says so ([`Flush::NotReady`]) and is waited for.

mod backwards;
mod ending;
mod mend;
mod output;
mod place;
mod rotation;
mod standard;

pub use output::Output;
pub use place::Moved;
pub use rotation::Rotation;
pub use standard::Standard;

use crate::batch::Batch;
use crate::claim;
use crate::error::Error;
use crate::failure::{self, Answer, Call, Tries};
use crate::sys;
use ending::Ending;
use log::warn;
use output::{Channel, Hold, Made, Opened};
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
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
    /// Longest record, in bytes: as much of an unfinished line is kept.
    record_bytes_max: usize,
    /// A regular file, which can be locked, emptied, mended, synced and rotated.
    is_regular: bool,
    /// Standard output or error, or another descriptor that was open before us, by whatever name: it has no path
    /// that we might rename or open anew.
    is_given: bool,
    /// Which of standard output and standard error it is.
    standard: Standard,
    /// How many bytes a regular file holds.
    length: u64,
    /// What is to be done before the next record.
    ending: Ending,
    /// Set where standard output could only be kept from blocking for all who share it.
    _shared: Option<sys::NonBlocking>,
    /// Until it is kept.
    made: Option<Made>,
    /// Of a regular file. It goes on from one file to the next at the same path.
    hold: Hold,
}

impl Sink {
    /// Opens the output; an existing file keeps what it holds. A regular file is ours alone then. Of an
    /// unfinished line in it, `record_bytes_max` bytes are kept.
    ///
    /// For a rehearsal nothing is opened that somebody else would notice.
    ///
    /// # Errors
    /// When it cannot be opened for writing, or another daemon writes to it.
    pub fn open(
        output: &Output,
        record_bytes_max: usize,
        is_rehearsal: bool,
    ) -> Result<Self, Error> {
        let opened = Opened::new(output, None, is_rehearsal);
        Self::of_opened(opened, output, record_bytes_max, None)
    }

    /// Lets a file stay that was made; until then, it is removed when this is dropped, if it is empty.
    pub fn keep(&mut self) {
        if let Some(made) = self.made.take() {
            made.keep();
        }
    }

    /// Opens the output; a file that is not there is made like the one of `old`, and what that one holds stays held.
    fn open_after(old: &Self) -> Result<Self, Error> {
        let opened = Opened::new(&old.output, old.own_file(), false);
        Self::of_opened(opened, &old.output, old.record_bytes_max, Some(old))
    }

    fn of_opened(
        opened: io::Result<Opened>,
        output: &Output,
        record_bytes_max: usize,
        old: Option<&Self>,
    ) -> Result<Self, Error> {
        let failed = |e: io::Error| output::open_error(output, &e);
        let Opened {
            channel,
            is_given,
            shared,
            made,
        } = opened.map_err(failed)?;
        let mut standard = Standard::compare(channel.as_fd()).map_err(failed)?;
        // Asked for by its name, it is even where a line for a person would do no harm.
        standard.output |= *output == Output::Stdout;
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
            record_bytes_max,
            is_regular,
            is_given,
            standard,
            length,
            ending: Ending::Whole,
            _shared: shared,
            made,
            hold: None,
        };
        if let Some((file, path)) = sink.file_at_path() {
            let (hold, tries) = match old {
                Some(old) => (&old.hold, 1),
                None => (&None, claim::TRIES_AT_START),
            };
            sink.hold = output::claim(path, file, hold, tries).map_err(failed)?;
        }
        Ok(sink)
    }

    /// Tells which of standard output and standard error are the output, so that nothing may be said there.
    pub fn standard(&self) -> Standard {
        self.standard
    }

    /// A regular file at a path of its own.
    fn own_file(&self) -> Option<&File> {
        self.regular_file().filter(|_| !self.is_given)
    }

    fn regular_file(&self) -> Option<&File> {
        match &self.channel {
            Channel::File(file) if self.is_regular => Some(file),
            Channel::File(_) | Channel::Socket(_) => None,
        }
    }

    /// Makes a regular file ready for the first record: emptied if `truncate` says so, and otherwise
    /// with its end mended, so that nothing is glued to an unfinished line. Where that takes room and there is
    /// none, it is done before the first record is written.
    ///
    /// # Errors
    /// What `man 2 ftruncate` lists. Nothing that the file holds stands in the way.
    pub fn begin(&mut self, truncate: bool) -> Result<(), Error> {
        if truncate && let Some(mut file) = self.regular_file() {
            // Rewound, since standard output may have been written to before us.
            sys::set_length(file, 0)
                .and_then(|()| file.rewind())
                .map_err(|e| Error::new("empty", self.output.described(), e))?;
            self.length = 0;
        }
        self.begin_at_its_end();
        Ok(())
    }

    /// Sees to it that the next record stands on a line of its own.
    fn begin_at_its_end(&mut self) {
        let Some(file) = self.regular_file() else {
            return;
        };
        if self.is_given {
            self.ending = Ending::of_given(file);
            return;
        }
        self.ending = Ending::Torn;
        if let Err(e) = self.mend() {
            warn!(
                "{}: its last line is unfinished, and is mended when there is room: {e}",
                self.output.described()
            );
        }
    }

    /// Mends the end of a file that is torn.
    fn mend(&mut self) -> io::Result<()> {
        if self.ending == Ending::Torn
            && let Some(file) = self.own_file()
        {
            let name = self.output.described();
            let ending = Ending::mend(
                file,
                |write| self.open_again(write),
                &name,
                self.record_bytes_max,
            )?;
            self.length = file.metadata().map_or(self.length, |open| open.len());
            self.ending = ending;
        }
        Ok(())
    }

    /// Does what is to be done before the next record.
    fn begin_line(&mut self) -> io::Result<()> {
        self.mend()?;
        if self.ending == Ending::Open {
            // A stream's is never open.
            if self.channel.write(b"\n")? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.length += 1;
            self.ending = Ending::Whole;
        }
        Ok(())
    }

    /// Writes what the batch holds, going on at the exact byte after a short write. `is_retry` says that the last try has
    /// failed.
    ///
    /// # Errors
    /// When the output refuses bytes for good.
    pub fn flush(&mut self, batch: &mut Batch, is_retry: bool) -> Result<Flush, Error> {
        if self.ending != Ending::Whole
            && let Err(e) = self.begin_line()
        {
            return self.refusal(&e);
        }
        let before = batch.rest().len();
        let call = self.call();
        let tries = if is_retry {
            Tries::spent()
        } else {
            Tries::default()
        };
        let written = write_out(&mut self.channel, call, tries, batch);
        self.length += (before - batch.rest().len()) as u64;
        match written {
            Ok(Written::All) => Ok(Flush::Done),
            Ok(Written::AsMuchAsFits) => Ok(Flush::NotReady),
            Err(e) => self.refusal(&e),
        }
    }

    /// Decides whether a write that failed may succeed later.
    fn refusal(&self, e: &io::Error) -> Result<Flush, Error> {
        let error = Error::new("write", self.output.described(), e);
        match failure::answer(self.call(), failure::errno(e)) {
            Answer::GiveUp => {
                Err(error.advise("see to it that the output can take more, and start again"))
            }
            _ => Ok(Flush::Refused(error)),
        }
    }

    fn call(&self) -> Call {
        if self.is_regular {
            Call::WriteFile
        } else {
            Call::WriteStream
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
        let Some(file) = self.regular_file() else {
            return Ok(());
        };
        let mut tries = Tries::default();
        loop {
            match sys::sync(file) {
                Err(e) if tries.answer(Call::Sync, &e) == Answer::Again => {}
                result => {
                    return result.map_err(|e| Error::new("sync", self.output.described(), e));
                }
            }
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
pub fn write_out(
    channel: &mut impl Write,
    call: Call,
    mut tries: Tries,
    batch: &mut Batch,
) -> io::Result<Written> {
    while !batch.rest().is_empty() {
        match channel.write(batch.rest()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => {
                tries.succeed();
                batch.take(bytes);
            }
            Err(e) => match tries.answer(call, &e) {
                Answer::Again => {}
                Answer::NotReady => return Ok(Written::AsMuchAsFits),
                _ => return Err(e),
            },
        }
    }
    Ok(Written::All)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno;
    use std::collections::VecDeque;

    /// A channel that answers each write as scripted, and takes all when the script is done.
    struct Script {
        answers: VecDeque<Result<usize, i32>>,
        taken: Vec<u8>,
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let answer = self.answers.pop_front().unwrap_or(Ok(bytes.len()));
            let count = answer.map_err(io::Error::from_raw_os_error)?;
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
                Err(errno::EINTR),
                Ok(1),
                Err(errno::EAGAIN),
                Err(errno::ENOSPC),
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
            write_out(
                &mut channel,
                Call::WriteStream,
                Tries::default(),
                &mut batch
            )
            .unwrap(),
            Written::AsMuchAsFits
        );
        assert_eq!(batch.rest(), b":1}\n{}\n");
        let refused = write_out(
            &mut channel,
            Call::WriteStream,
            Tries::default(),
            &mut batch,
        )
        .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StorageFull);
        assert_eq!(batch.lines_left(), 2);
        assert_eq!(
            write_out(
                &mut channel,
                Call::WriteStream,
                Tries::default(),
                &mut batch
            )
            .unwrap(),
            Written::All
        );
        assert_eq!(channel.taken, b"{\"a\":1}\n{}\n");
    }
}

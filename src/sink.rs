//! Where records go: a file, or standard output.
//!
//! Knows no source and no event loop. A regular file's write blocks, and that is the backpressure;
//! a pipe, socket or terminal that is full says so ([`Flush::NotReady`]) and is waited for.

use crate::batch::Batch;
use crate::error::Error;
use crate::sys;
use socket2::Socket;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

/// Where records are to go, as the user said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// `-`
    Stdout,
    /// A file's path.
    Path(PathBuf),
}

impl From<&str> for Output {
    fn from(text: &str) -> Self {
        match text {
            "-" => Self::Stdout,
            path => Self::Path(path.into()),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl Output {
    /// Tells whether records could be written here, without creating anything.
    ///
    /// # Errors
    /// What stands in the way, as [`Sink::open`] would find it.
    pub fn check(&self) -> Result<(), Error> {
        let Self::Path(path) = self else {
            return Ok(());
        };
        match path.symlink_metadata() {
            Ok(_) => Sink::open(self).map(drop),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                sys::check_folder_of(path).map_err(|e| open_error(self, &e))
            }
            Err(e) => Err(open_error(self, &e)),
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// The output has taken all of it.
    Done,
    /// The output takes no more for now; the rest stays in the batch.
    NotReady,
}

/// The open output.
#[derive(Debug)]
pub struct Sink {
    channel: Channel,
    output: Output,
    /// A regular file, which can be emptied and synced.
    is_regular: bool,
}

#[derive(Debug)]
enum Channel {
    /// Opened by us and non-blocking, or a device that never blocks.
    File(File),
    /// A socket given as standard output. It cannot be opened anew, so each send says that it must
    /// not block.
    Socket(Socket),
}

impl Sink {
    /// Opens the output; an existing file keeps what it holds.
    ///
    /// # Errors
    /// When it cannot be opened for writing.
    pub fn open(output: &Output) -> Result<Self, Error> {
        let failed = |e: io::Error| open_error(output, &e);
        let channel = match output {
            Output::Path(path) => Channel::File(sys::open_output(path).map_err(failed)?),
            Output::Stdout => stdout_channel().map_err(failed)?,
        };
        let is_regular = match &channel {
            Channel::File(file) => file.metadata().map_err(failed)?.is_file(),
            Channel::Socket(_) => false,
        };
        Ok(Self {
            channel,
            output: output.clone(),
            is_regular,
        })
    }

    /// Empties a regular file.
    ///
    /// # Errors
    /// What `man 2 ftruncate` lists.
    pub fn truncate(&self) -> Result<(), Error> {
        match &self.channel {
            Channel::File(file) if self.is_regular => file
                .set_len(0)
                .map_err(|e| Error::new("empty", self.describe(), e)),
            _ => Ok(()),
        }
    }

    /// Writes what the batch holds, going on at the exact byte after a short write.
    ///
    /// # Errors
    /// When the output refuses bytes; the batch keeps those that it did not take.
    pub fn flush(&mut self, batch: &mut Batch) -> Result<Flush, Error> {
        write_out(&mut self.channel, batch).map_err(|e| {
            Error::new("write", self.describe(), e)
                .advise("see to it that the output can take more, and start again")
        })
    }

    /// Waits until a regular file's bytes are on the disk.
    ///
    /// # Errors
    /// What `man 2 fsync` lists: some of what was written may be lost.
    pub fn sync(&self) -> Result<(), Error> {
        match &self.channel {
            Channel::File(file) if self.is_regular => file
                .sync_all()
                .map_err(|e| Error::new("sync", self.describe(), e)),
            _ => Ok(()),
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
        match &self.channel {
            Channel::File(file) => file.as_fd(),
            Channel::Socket(socket) => socket.as_fd(),
        }
    }
}

fn open_error(output: &Output, error: &io::Error) -> Error {
    if sys::is_no_reader(error) {
        return Error::new("open", output, "no process reads this FIFO")
            .advise("start its reader first");
    }
    Error::new("open", output, error).advise("choose another file with --output")
}

/// Standard output in a form that never blocks.
fn stdout_channel() -> io::Result<Channel> {
    let given = File::from(sys::raw_stdout()?);
    let kind = given.metadata()?.file_type();
    if kind.is_socket() {
        return Ok(Channel::Socket(Socket::from(OwnedFd::from(given))));
    }
    if kind.is_fifo() || kind.is_char_device() {
        return Ok(Channel::File(sys::reopen_stdout()?));
    }
    Ok(Channel::File(given))
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Socket(socket) => sys::send_without_waiting(socket, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(channel: &mut impl Write, batch: &mut Batch) -> io::Result<Flush> {
    while !batch.rest().is_empty() {
        match channel.write(batch.rest()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => batch.take(bytes),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Flush::NotReady),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Flush::Done)
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
            Flush::NotReady
        );
        assert_eq!(batch.rest(), b":1}\n{}\n");
        let refused = write_out(&mut channel, &mut batch).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StorageFull);
        assert_eq!(batch.lines_left(), 2);
        assert_eq!(write_out(&mut channel, &mut batch).unwrap(), Flush::Done);
        assert_eq!(channel.taken, b"{\"a\":1}\n{}\n");
    }
}

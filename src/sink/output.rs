//! Opening the output: a file that is ours alone, or standard output in a form that never blocks.

use crate::claim::{Claim, NoClaim};
use crate::error::Error;
use crate::sys::{self, Target};
use log::debug;
use socket2::Socket;
use std::fmt;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

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
    /// Tells whether records could be written here, without creating or changing anything.
    ///
    /// # Errors
    /// What stands in the way, as [`Sink::open`](super::Sink::open) would find it.
    pub fn check(&self) -> Result<(), Error> {
        let Self::Path(path) = self else {
            return Ok(());
        };
        let result = sys::follow_own_links(path).and_then(|target| match target.path.metadata() {
            // To open a FIFO, even to close it again, would be an event for its reader.
            Ok(found) if found.file_type().is_fifo() => Ok(()),
            Ok(_) => sys::open_output(path, false).and_then(|file| check_claim(&target, &file)),
            Err(e) if e.kind() == ErrorKind::NotFound => sys::check_folder_of(&target.path),
            Err(e) => Err(e),
        });
        result.map_err(|e| open_error(self, &e))
    }
}

#[derive(Debug)]
pub(super) enum Channel {
    /// A file, or a pipe or device that does not block.
    File(File),
    /// A socket given as standard output. It cannot be opened anew, so each send says that it must
    /// not block.
    Socket(Socket),
}

impl Channel {
    /// Opens the output, and keeps it from blocking: where that concerns others as well, until the
    /// guard is dropped.
    pub(super) fn open(output: &Output) -> io::Result<(Self, Option<sys::NonBlocking>)> {
        match output {
            Output::Path(path) => Ok((Self::File(sys::open_output(path, true)?), None)),
            Output::Stdout => stdout_channel(),
        }
    }
}

/// What keeps other daemons from the output, until it is dropped; `None` where there is nothing to keep.
pub(super) type Hold = Option<Rc<Claim>>;

/// Makes a regular file at `path` ours until it is closed and the claim is dropped. Anything else may have several
/// writers. `ours` is the claim that we have already, which may be the one to this path.
///
/// The file itself is locked as well, as far as that goes: for a daemon that may write to it, but not make files beside
/// it, this is the only lock. There a stranger's lock keeps us out, who may read the file: two daemons would do it harm.
///
/// # Errors
/// When another daemon has it, or may have it.
pub(super) fn claim(path: &Path, file: &File, ours: &Hold, tries: u32) -> io::Result<Hold> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(None);
    }
    let target = sys::follow_own_links(path)?;
    let hold = match ours {
        Some(claim) if claim.is_of(&target) => Some(Rc::clone(claim)),
        _ => held(Claim::take(&target, tries, || is_locked(file)))?.map(Rc::new),
    };
    refuse_if_needed(file.try_lock(), hold.is_none(), &found)?;
    Ok(hold)
}

/// Tells whether [`claim`] would succeed; several may ask at a time.
fn check_claim(target: &Target, file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(());
    }
    let hold = held(Claim::check(target, || is_locked(file)))?;
    refuse_if_needed(file.try_lock_shared(), hold.is_none(), &found)
}

fn held<T>(claimed: Result<T, NoClaim>) -> io::Result<Option<T>> {
    match claimed {
        Ok(claim) => Ok(Some(claim)),
        Err(NoClaim::Taken) => Err(io::Error::other("in use by another aggregator")),
        Err(NoClaim::Unknowable(reason)) => {
            debug!("{reason}; the output is locked itself");
            Ok(None)
        }
    }
}

/// Whether the lock on the file itself decides: where there is no other, or where another daemon may know the file by
/// another name.
fn refuse_if_needed(
    locked: Result<(), TryLockError>,
    is_only_lock: bool,
    found: &Metadata,
) -> io::Result<()> {
    match locked {
        Err(TryLockError::WouldBlock) if is_only_lock || found.nlink() > 1 => {
            Err(io::Error::other(
                "in use by another aggregator, or locked by some other process (lslocks says by which)",
            ))
        }
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
        // Not every file system has locks.
        Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Tells whether some process has locked the file, as a daemon does that writes to it.
fn is_locked(file: &File) -> bool {
    file.metadata().is_ok_and(|found| sys::is_locked(&found))
}

pub(super) fn open_error(output: &Output, error: &io::Error) -> Error {
    if sys::is_no_reader(error) {
        return Error::new("open", output, "no process reads this FIFO")
            .advise("start its reader first");
    }
    let name = match output {
        Output::Stdout => "standard output".to_owned(),
        Output::Path(path) => path.display().to_string(),
    };
    Error::new("open", name, error).advise(match error.kind() {
        ErrorKind::NotFound => "make its folder first",
        _ => "choose another file with --output",
    })
}

/// Standard output in a form that never blocks.
fn stdout_channel() -> io::Result<(Channel, Option<sys::NonBlocking>)> {
    let given = File::from(sys::raw_stdout()?);
    let kind = given.metadata()?.file_type();
    if kind.is_socket() {
        return Ok((Channel::Socket(Socket::from(OwnedFd::from(given))), None));
    }
    if !kind.is_fifo() && !kind.is_char_device() {
        return Ok((Channel::File(given), None));
    }
    match sys::reopen_stdout() {
        Ok(own) => Ok((Channel::File(own), None)),
        // Another user's, as after su or in a container; or there is no /proc.
        Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
            let shared = sys::NonBlocking::set(&given)?;
            Ok((Channel::File(given), Some(shared)))
        }
        Err(e) => Err(e),
    }
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

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Socket(socket) => socket.as_fd(),
        }
    }
}

//! Opening the output: a file that is ours alone, or standard output in a form that never blocks.

use super::standard::Standard;
use crate::claim::{Claim, NoClaim};
use crate::error::Error;
use crate::sys::{self, Target};
use log::{debug, warn};
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
    /// What it is called in a line for a person.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Stdout => "standard output".to_owned(),
            Self::Path(path) => path.display().to_string(),
        }
    }

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
            Ok(_) => sys::open_output(&target, false).and_then(|file| check_claim(&target, &file)),
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

/// An output that has been opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub channel: Channel,
    /// It was given to us as a descriptor, by whatever name: there is no path at which it could be opened anew
    /// or moved, and what is in it already is somebody else's.
    pub is_given: bool,
    /// Set where it could only be kept from blocking for all who share it.
    pub shared: Option<sys::NonBlocking>,
}

impl Opened {
    /// Opens the output, and keeps it from blocking: where that concerns others as well, until the
    /// guard is dropped. A file that is not there is made, like `old` if there is one.
    pub(super) fn new(output: &Output, old: Option<&File>) -> io::Result<Self> {
        let Output::Path(path) = output else {
            return given(File::from(sys::raw_stdout()?));
        };
        let target = sys::follow_own_links(path)?;
        if !target.is_kernels_link() {
            let file = match old {
                None => sys::open_output(&target, true)?,
                Some(old) => open_after(&target, old)?,
            };
            return Ok(Self::file(file, false));
        }
        // /dev/stdout, and all its other names, are `-`: opened anew, a socket could not be had.
        match Standard::among(&sys::pin_followed(&target)?.metadata()?)? {
            Some(standard) => given(standard),
            None => sys::open_output(&target, false).map(|file| Self::file(file, true)),
        }
    }

    fn file(file: File, is_given: bool) -> Self {
        Self {
            channel: Channel::File(file),
            is_given,
            shared: None,
        }
    }
}

/// Opens the file that stands at the path now or, where there is none, makes one like the old.
fn open_after(target: &sys::Target, old: &File) -> io::Result<File> {
    match sys::open_output(target, false) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        result => return result,
    }
    match sys::create_output_like(target, old) {
        // Somebody was faster.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => sys::open_output(target, false),
        Err(e) => Err(e),
        Ok((file, is_like)) => {
            if !is_like {
                warn!(
                    "{} could not be given owner, group and rights of the one before: \
                     who reads it may no longer be able to; see to its owner and group",
                    target.path.display()
                );
            }
            Ok(file)
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
    let is_socket = |path: &PathBuf| path.metadata().is_ok_and(|m| m.file_type().is_socket());
    if sys::is_no_reader(error) && !matches!(output, Output::Path(path) if is_socket(path)) {
        return Error::new("open", output, "no process reads this FIFO")
            .advise("start its reader first");
    }
    Error::new("open", output.described(), error).advise(match error.kind() {
        ErrorKind::NotFound => "make its folder first",
        _ => "choose another file with --output",
    })
}

/// What was given to us as a descriptor, in a form that never blocks.
fn given(given: File) -> io::Result<Opened> {
    let kind = given.metadata()?.file_type();
    let (channel, shared) = if kind.is_socket() {
        (Channel::Socket(Socket::from(OwnedFd::from(given))), None)
    } else if !kind.is_fifo() && !kind.is_char_device() {
        (Channel::File(given), None)
    } else {
        match sys::reopen_given(&given) {
            Ok(own) => (Channel::File(own), None),
            // Another user's, as after su or in a container; or there is no /proc.
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
                let shared = sys::NonBlocking::set(&given)?;
                (Channel::File(given), Some(shared))
            }
            Err(e) => return Err(e),
        }
    };
    Ok(Opened {
        channel,
        is_given: true,
        shared,
    })
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

//! Opening the output: a file that is ours alone, or standard output in a form that never blocks.

use super::standard::Standard;
use crate::claim::{Claim, NoClaim};
use crate::error::Error;
use crate::sys::{self, Target};
use log::{debug, warn};
use socket2::Socket;
use std::fmt;
use std::fs::{File, Metadata, TryLockError, remove_file};
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
    /// Set if there was no file.
    pub made: Option<Made>,
}

/// An output file that we have made, and that nothing has come of yet: removed when this is dropped, if it is empty.
#[derive(Debug)]
pub(super) struct Made {
    path: PathBuf,
    identity: (u64, u64),
    is_kept: bool,
}

impl Made {
    /// Lets it stay.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let is_ours =
            |found: Metadata| (found.dev(), found.ino()) == self.identity && found.len() == 0;
        if !self.is_kept && self.path.symlink_metadata().is_ok_and(is_ours) {
            // Best effort: an empty file does no harm.
            let _ = remove_file(&self.path);
        }
    }
}

impl Opened {
    /// Opens the output, and keeps it from blocking: where that concerns others as well, until the
    /// guard is dropped. A file that is not there is made, like `old` if there is one. In a rehearsal, a FIFO is not
    /// opened: even to close it again would be an event for its reader.
    pub(super) fn new(output: &Output, old: Option<&File>, is_rehearsal: bool) -> io::Result<Self> {
        let Output::Path(path) = output else {
            return given(File::from(sys::raw_stdout()?));
        };
        let target = sys::follow_own_links(path)?;
        if !target.is_kernels_link() {
            if is_rehearsal
                && target
                    .path
                    .metadata()
                    .is_ok_and(|m| m.file_type().is_fifo())
            {
                sys::check_writable(&sys::pin(&target.path)?)?;
                let stand_in = sys::follow_own_links("/dev/null".as_ref())?;
                return sys::open_output(&stand_in).map(|file| Self::file(file, false));
            }
            return match old {
                None => open_or_make(&target),
                Some(old) => open_after(&target, old).map(|file| Self::file(file, false)),
            };
        }
        // /dev/stdout, and all its other names, are `-`: opened anew, a socket could not be had.
        match Standard::among(&sys::pin_followed(&target)?.metadata()?)? {
            Some(standard) => given(standard),
            None => sys::open_output(&target).map(|file| Self::file(file, true)),
        }
    }

    fn file(file: File, is_given: bool) -> Self {
        Self {
            channel: Channel::File(file),
            is_given,
            shared: None,
            made: None,
        }
    }
}

/// Opens the file that stands at the path or, where there is none, makes one.
fn open_or_make(target: &Target) -> io::Result<Opened> {
    match sys::open_output(target) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        result => return result.map(|file| Opened::file(file, false)),
    }
    match sys::make_output(target) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            sys::open_output(target).map(|file| Opened::file(file, false))
        }
        Err(e) => Err(e),
        Ok(file) => {
            let found = file.metadata()?;
            let made = Made {
                path: target.path.clone(),
                identity: (found.dev(), found.ino()),
                is_kept: false,
            };
            Ok(Opened {
                made: Some(made),
                ..Opened::file(file, false)
            })
        }
    }
}

/// Opens the file that stands at the path now or, where there is none, makes one like the old.
fn open_after(target: &sys::Target, old: &File) -> io::Result<File> {
    match sys::open_output(target) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        result => return result,
    }
    match sys::create_output_like(target, old) {
        // Somebody was faster.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => sys::open_output(target),
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
    let metadata = given.metadata()?;
    if sys::is_closed_standard(&given, &metadata)? {
        return Err(io::Error::other("it is closed"));
    }
    let kind = metadata.file_type();
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
        made: None,
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

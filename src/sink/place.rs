//! Where the output's file is: whether its path still leads to it, and how it is moved and begun anew.
//!
//! What is moved and compared is the file that is open, by device and inode number, whatever links lead to it.

use super::rotation::Rotation;
use super::standard::is_same;
use super::{Output, Sink, mend};
use crate::error::Error;
use crate::sys;
use log::warn;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What became of a full file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It has another name now.
    Away,
    /// The path names another file, or none: there was nothing of ours to be moved.
    NotThere,
}

impl Sink {
    /// Tells whether it has a path, at which it may be opened anew.
    pub fn has_path(&self) -> bool {
        !self.is_given
    }

    /// Makes sure that a full file can be moved out of the way.
    ///
    /// # Errors
    /// Wrong usage, if it has no path; what the kernel will refuse.
    pub fn check_can_rotate(&self) -> Result<(), Error> {
        if !self.is_given {
            let Some((file, path)) = self.file_at_path() else {
                return Ok(());
            };
            let place = sys::follow_own_links(path).map(|target| target.place());
            return place
                .and_then(|place| sys::check_renamable(file, &place))
                .map_err(|e| {
                    Error::new("rotate", path.display(), e)
                        .advise("let its folder be written to, or leave --rotate-size out")
                });
        }
        let reason = match &self.output {
            Output::Stdout => "standard output cannot be moved".to_owned(),
            Output::Path(path) => format!(
                "{} is an open descriptor, and cannot be moved",
                path.display()
            ),
        };
        Err(Error::usage("--rotate-size", reason).advise("name a file with --output"))
    }

    /// Makes sure that the file can be emptied.
    ///
    /// # Errors
    /// What the kernel will refuse.
    pub fn check_can_empty(&self) -> Result<(), Error> {
        (self.regular_file().map_or(Ok(()), sys::check_changeable)).map_err(|e| {
            Error::new("empty", self.output.described(), e).advise("leave --truncate out")
        })
    }

    /// What could go wrong later, for whoever asks before the start.
    pub fn caveat(&self) -> Option<String> {
        let (_, path) = self.file_at_path()?;
        let place = sys::follow_own_links(path).ok()?.place();
        let refusal = sys::check_folder_of(&place).err()?;
        Some(format!(
            "but it could not be made anew, should it be moved or removed: {refusal}"
        ))
    }

    /// The regular file that is open at a path, and the path.
    pub fn file_at_path(&self) -> Option<(&File, &Path)> {
        match &self.output {
            Output::Path(path) => self.own_file().map(|file| (file, path.as_path())),
            Output::Stdout => None,
        }
    }

    /// Tells whether its path leads to anything but the file that is open, or that file's system has gone.
    pub fn is_elsewhere(&self) -> bool {
        self.file_at_path()
            .is_some_and(|(file, path)| match (path.metadata(), file.metadata()) {
                (Ok(named), Ok(open)) => !is_same(&named, &open),
                (Err(_), _) | (_, Err(_)) => true,
            })
    }

    /// Tells whether the file has no name left, or its file system knows it no more: what is written to it goes
    /// with it.
    pub fn has_lost_its_name(&self) -> bool {
        match self.own_file().map(File::metadata) {
            Some(Ok(open)) => open.nlink() == 0,
            Some(Err(e)) => sys::is_file_gone(&e),
            None => false,
        }
    }

    /// What is to be said at the end of a run whose file is gone.
    pub fn loss(&self) -> Option<Error> {
        let reason = match self.own_file()?.metadata() {
            Ok(open) if open.nlink() > 0 => return None,
            Ok(_) => "it was removed, and could not be opened anew".to_owned(),
            Err(e) if sys::is_file_gone(&e) => e.to_string(),
            Err(_) => return None,
        };
        let error = Error::new("keep", self.output.described(), reason);
        Some(error.advise("what was written to it since is lost"))
    }

    /// Opens the output anew if its path leads elsewhere, as after a rotation; `None` if it does not, or
    /// cannot be opened twice. A file that is not there is made like the old one. Before it is written to,
    /// [`go_on`](Self::go_on) is to be called.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reopen(&self) -> Result<Option<Self>, Error> {
        if !self.is_elsewhere() {
            return Ok(None);
        }
        Self::open_after(self).map(Some)
    }

    /// Opens its file a second time, for reading and, if `write` says so, for writing where it is.
    pub(super) fn open_again(&self, write: bool) -> io::Result<File> {
        let Some((file, path)) = self.file_at_path() else {
            return Err(ErrorKind::Unsupported.into());
        };
        match sys::open_again(file, write) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            result => return result,
        }
        // Without /proc, by its path, if that still leads there.
        let again = sys::open_to_look_at(&sys::follow_own_links(path)?, write)?;
        if is_same(&again.metadata()?, &file.metadata()?) {
            Ok(again)
        } else {
            Err(ErrorKind::NotFound.into())
        }
    }

    /// Goes on where another file has left off, at the beginning of a line; `half` is what that one has of it.
    pub fn go_on(&mut self, half: &[u8]) {
        // A copy of the old file, or the same one on a file system that has come again.
        if !half.is_empty()
            && let Ok(again) = self.open_again(true)
        {
            // What cannot be cut off is mended.
            let _ = mend::cut_half_line(&again, half);
        }
        self.begin_at_its_end();
    }

    /// Takes half a line away again that a regular file ends in, as far as the file lets us.
    pub fn cut_back(&self, half: &[u8]) {
        let Some(file) = self.own_file().filter(|_| !half.is_empty()) else {
            return;
        };
        let cut = match self.open_again(true) {
            Ok(again) => mend::cut_half_line(&again, half).map(drop),
            // Not to be read, but by us alone written to.
            Err(_) => file.metadata().and_then(|open| {
                let length = open.len().saturating_sub(half.len() as u64);
                sys::set_length(file, length)
            }),
        };
        if let Err(e) = cut {
            warn!("{} ends in half a line: {e}", self.output.described());
        }
    }

    /// Tells whether a regular file has reached this length.
    pub fn is_full(&self, bytes: u64) -> bool {
        self.length >= bytes && self.own_file().is_some()
    }

    /// Moves the file that is open out of the way, if it is still where the path leads to; a link in the
    /// path's last place stays.
    ///
    /// # Errors
    /// As [`Rotation::rotate`], and what following the path gives.
    pub fn move_away(&self, rotation: &Rotation, unix_ns: u64) -> io::Result<Moved> {
        let Some((file, path)) = self.file_at_path() else {
            return Ok(Moved::NotThere);
        };
        let target = sys::follow_own_links(path)?;
        match target.path.symlink_metadata() {
            Ok(named) if is_same(&named, &file.metadata()?) => {
                rotation.rotate(&target.path, unix_ns)?;
                Ok(Moved::Away)
            }
            Ok(_) => Ok(Moved::NotThere),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Moved::NotThere),
            Err(e) => Err(e),
        }
    }
}

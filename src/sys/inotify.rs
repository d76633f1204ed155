//! Word of paths that were removed, moved or replaced.

use super::cvt;
use super::output::path_of;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Watches files, not folders, for the loss of their names (`man 7 inotify`).
///
/// A file that a process has open does not go with its last name, so it is the change of its link count
/// that is told (IN_ATTRIB), and not its end (IN_DELETE_SELF).
#[derive(Debug)]
pub struct PathWatch {
    file: File,
    /// The number of the watch of the open file that is followed.
    followed: Option<libc::c_int>,
}

impl PathWatch {
    /// Opens the descriptor that tells.
    ///
    /// # Errors
    /// EMFILE when the user has as many as `fs.inotify.max_user_instances` allows.
    pub fn new() -> io::Result<Self> {
        // SAFETY: inotify_init1 takes only flags.
        let fd = cvt(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })?;
        // SAFETY: inotify_init1 has just returned this descriptor, and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            file: File::from(fd),
            followed: None,
        })
    }

    /// Watches the links of an open file, and those of the one before no more; `path` is where it was opened,
    /// for want of /proc.
    ///
    /// # Errors
    /// ENOSPC above `fs.inotify.max_user_watches`, ENOENT when it has no name left and there is no /proc.
    pub fn follow(&mut self, open: Option<(&File, &Path)>) -> io::Result<()> {
        const LOSS: u32 = libc::IN_ATTRIB | libc::IN_DELETE_SELF;
        if let Some(before) = self.followed.take() {
            // SAFETY: inotify_rm_watch takes only numbers. It fails if the watch has ended with its file.
            unsafe { libc::inotify_rm_watch(self.file.as_raw_fd(), before) };
        }
        let Some((file, path)) = open else {
            return Ok(());
        };
        let the_file = self.add_one(Path::new(&path_of(file)), LOSS);
        self.followed = Some(match the_file {
            Err(e) if e.kind() == ErrorKind::NotFound => self.add_one(path, LOSS)?,
            result => result?,
        });
        Ok(())
    }

    fn add_one(&self, path: &Path, mask: u32) -> io::Result<libc::c_int> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: `path` is a NUL-terminated string that outlives the call.
        cvt(unsafe { libc::inotify_add_watch(self.file.as_raw_fd(), path.as_ptr(), mask) })
    }

    /// Watches the file that a path names and, if that is a symbolic link, the link as well.
    ///
    /// # Errors
    /// ENOENT when there is none, ENOSPC above `fs.inotify.max_user_watches`.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        const LOSS: u32 = libc::IN_ATTRIB | libc::IN_MOVE_SELF | libc::IN_DELETE_SELF;
        for follow in [libc::IN_DONT_FOLLOW, 0] {
            self.add_one(path, LOSS | follow)?;
        }
        Ok(())
    }

    /// Forgets what it has told so far.
    ///
    /// # Errors
    /// What read(2) gives: none that the kernel documents.
    pub fn clear(&mut self) -> io::Result<()> {
        // Room for the longest event: a name is never told, since no folder is watched.
        let mut events = [0_u8; 4096];
        loop {
            match self.file.read(&mut events) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for PathWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

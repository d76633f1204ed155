//! Whose a path is: the file that it named when we bound or opened it, or another one by now.

use super::reason::Reason;
use super::{BindOptions, DEFAULT_MODE};
use crate::claim::Claim;
use crate::sys;
pub(super) use crate::sys::is_still;
use log::Level;
use std::fs::{File, Metadata, TryLockError, metadata, remove_file, symlink_metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The path of a socket or FIFO that we serve, and the very file that clients are to find there.
#[derive(Debug)]
pub struct BoundPath {
    path: PathBuf,
    file: Bound,
}

#[derive(Debug)]
enum Bound {
    /// Removed when we leave: a socket is of no use without the process that has bound it. The pin
    /// keeps the file's number from being given to another, also when the socket is closed.
    Socket { pin: File, aside: Option<Aside> },
    /// Stays: writers wait there for the next daemon. The read end keeps the number. `None`: another
    /// daemon would not be noticed.
    Fifo {
        identity: Identity,
        claim: Option<Claim>,
        /// Where we have made it, and nothing has come of it yet.
        made: Option<PathBuf>,
    },
}

impl BoundPath {
    /// The path of a socket that we have just bound. It is removed when this is dropped, if it is still
    /// the one.
    pub(super) fn socket(path: &Path, aside: Option<Aside>) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: Bound::Socket {
                pin: sys::pin(path)?,
                aside,
            },
        })
    }

    /// Lets it stay: from now on, what it has replaced does not come back.
    pub fn keep(&mut self) {
        match &mut self.file {
            Bound::Socket { aside, .. } => {
                if let Some(aside) = aside.take() {
                    aside.remove();
                }
            }
            Bound::Fifo { made, .. } => *made = None,
        }
    }

    /// Tells whether a path leads to the same file, by whatever name.
    pub fn is_at(&self, path: &Path) -> bool {
        match &self.file {
            Bound::Socket { pin, .. } => is_still(path, pin),
            Bound::Fifo { identity, .. } => {
                metadata(path).is_ok_and(|found| Identity::of(&found) == *identity)
            }
        }
    }

    /// The path of a FIFO whose read end is open for at least as long as this exists.
    /// `made` is where we have just made it: there it is removed when this is dropped, unless it is [kept](Self::keep).
    pub(super) fn fifo(
        path: &Path,
        identity: Identity,
        claim: Option<Claim>,
        made: Option<PathBuf>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            file: Bound::Fifo {
                identity,
                claim,
                made,
            },
        }
    }

    /// Lets go of what keeps other daemons from the path, before we bind it anew: it would keep us out as well.
    pub fn let_go(&mut self) {
        if let Bound::Fifo { claim, .. } = &mut self.file {
            *claim = None;
        }
    }

    /// Takes back what [`let_go`](Self::let_go) has let go of, as far as it can be had.
    pub fn claim_again(&mut self) {
        if let Bound::Fifo { claim, .. } = &mut self.file
            && let Ok(target) = sys::follow_own_links(&self.path)
        {
            *claim = Claim::take(&target, 1, || false).ok();
        }
    }

    /// Gives a socket's path to the owner and the group that were asked for, and only then the
    /// permissions that let others in.
    ///
    /// # Errors
    /// EPERM when the owner is not us, or we are not in the group, without CAP_CHOWN.
    pub(super) fn hand_over(&self, options: &BindOptions) -> Result<(), Reason> {
        match &self.file {
            Bound::Socket { pin, .. } if options.is_handed_over() => {
                sys::set_owner(pin, options.owner, options.group)
                    .map_err(|e| Reason::not_handed_over(&e))?;
                if !options.is_rehearsal {
                    sys::set_mode(pin, options.mode.unwrap_or(DEFAULT_MODE))?;
                }
                Ok(())
            }
            Bound::Socket { .. } | Bound::Fifo { .. } => Ok(()),
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether the path still names the same file, so that clients find us.
    pub fn is_intact(&self) -> bool {
        self.is_at(&self.path)
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if let Bound::Fifo {
            identity,
            made: Some(made),
            ..
        } = &self.file
            && symlink_metadata(made).is_ok_and(|found| Identity::of(&found) == *identity)
        {
            // Best effort: the next start takes its permissions for somebody's wish.
            let _ = remove_file(made);
        }
        if let Bound::Socket { pin, .. } = &self.file {
            let _lock = lock_folder_of(&self.path, 1); // nobody waits for us any more
            if is_still(&self.path, pin) {
                // Best effort: we are leaving, and a stale socket is no obstacle to our next start.
                let _ = remove_file(&self.path);
            }
        }
    }
}

/// A stale socket that was moved out of the way, and comes back when this is dropped.
#[derive(Debug)]
pub(super) struct Aside {
    path: PathBuf,
    moved: PathBuf,
}

impl Aside {
    /// Moves the pinned file at `path` aside, under a name that shows where it belongs.
    ///
    /// # Errors
    /// What `man 2 rename` lists: EBUSY for a mount point.
    pub(super) fn new(path: &Path, pin: &File) -> io::Result<Self> {
        let name = format!(".stale-{}", pin.metadata()?.ino());
        let moved = sys::folder_of(path).join(name);
        sys::rename_without_replacing(path, &moved)?;
        let aside = Self {
            path: path.to_owned(),
            moved,
        };
        if is_still(&aside.moved, pin) {
            Ok(aside)
        } else {
            // Another daemon has replaced it meanwhile, without the lock: it comes back.
            Err(io::Error::from(ErrorKind::AddrInUse))
        }
    }

    /// Removes it for good.
    fn remove(self) {
        // Best effort: it is of no use to anybody. And then there is nothing to come back.
        let _ = remove_file(&self.moved);
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if sys::rename_without_replacing(&self.moved, &self.path).is_err() {
            // Somebody else has the path by now.
            let _ = remove_file(&self.moved);
        }
    }
}

/// What tells one file from another as long as both exist: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// How long to wait between two tries to lock a folder.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Locks the folder of a path until dropped, so that of several daemons that start or end at the same
/// path only one looks and acts at a time: a socket that is bound and does not listen yet looks
/// stale. Goes without the lock when it cannot be had: anybody may hold it.
pub(super) fn lock_folder_of(path: &Path, tries: u32) -> Option<File> {
    let folder = File::open(sys::folder_of(path)).ok()?;
    for remaining in (0..tries).rev() {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) if remaining == 0 => break,
            Err(TryLockError::WouldBlock) => sys::pause(LOCK_PAUSE),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    // Where it is tried once, it is tried again and again: anybody could fill the log.
    let level = if tries > 1 { Level::Warn } else { Level::Debug };
    log::log!(
        level,
        "another process keeps {} locked; going on without the lock",
        sys::folder_of(path).display()
    );
    None
}

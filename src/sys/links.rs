//! Symbolic links in a path's last place: followed only if nobody else can have put them there.

use super::cvt;
use super::files::{folder_of, pin};
use super::locks::effective_user;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most links in a row, as the kernel has it (MAXSYMLINKS in include/linux/namei.h).
const LINKS_MAX: usize = 40;

/// A path whose last component may be opened: it is no link, or one that only the kernel makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path with the links in its last place followed.
    pub path: PathBuf,
    /// O_NOFOLLOW, so that a link which is put there meanwhile is refused, or nothing.
    pub(super) flags: libc::c_int,
}

impl Target {
    /// Tells whether it is a link that only the kernel makes, to a descriptor of a process: what that leads to
    /// has no path here, and to rename or remove this one would be wrong.
    pub fn is_kernels_link(&self) -> bool {
        self.flags == 0
    }

    /// Where it is, by a name: a link that only the kernel makes (/proc/self/fd/1) leads to a file that has one, as a
    /// rule.
    pub fn place(&self) -> PathBuf {
        let real = (self.is_kernels_link()).then(|| self.path.canonicalize().ok());
        real.flatten().unwrap_or_else(|| self.path.clone())
    }
}

/// Follows the links in the path's last place by hand, as long as each belongs to root or to us. What
/// stands at the end need not exist.
///
/// # Errors
/// `PermissionDenied` when a link belongs to somebody else; ELOOP and what `man 2 open` lists.
pub fn follow_own_links(path: &Path) -> io::Result<Target> {
    let us = effective_user();
    let target = |path, flags| Ok(Target { path, flags });
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let pin = match pin(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return target(path, libc::O_NOFOLLOW),
            result => result?,
        };
        let found = pin.metadata()?;
        if !found.is_symlink() {
            return target(path, libc::O_NOFOLLOW);
        }
        if found.uid() != 0 && found.uid() != us {
            let reason = "the path is another user's symbolic link";
            return Err(io::Error::new(ErrorKind::PermissionDenied, reason));
        }
        // /proc/self/fd/1, to which /dev/stdout leads: what the kernel follows is not its text.
        if is_in_proc(&pin) {
            return target(path, 0);
        }
        path = folder_of(&path).join(text_of(&pin)?);
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Tells whether a pinned file is one of a procfs, wherever that is mounted.
fn is_in_proc(pin: &File) -> bool {
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `found` outlives the call and has the type that it fills.
    let result = unsafe { libc::fstatfs(pin.as_raw_fd(), found.as_mut_ptr()) };
    if result == -1 {
        return false;
    }
    // SAFETY: fstatfs succeeded, so it has filled `found`.
    let kind = unsafe { found.assume_init() }.f_type;
    // Its type differs between C libraries.
    i128::from(kind) == i128::from(libc::PROC_SUPER_MAGIC)
}

/// What a pinned link says.
fn text_of(link: &File) -> io::Result<PathBuf> {
    let mut text = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the empty path is NUL-terminated and names the link itself (`man 2 readlink`); `text`
    // outlives the call, which writes at most its length.
    let length = unsafe {
        libc::readlinkat(
            link.as_raw_fd(),
            c"".as_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
        )
    };
    match usize::try_from(length) {
        Ok(length) => {
            text.truncate(length);
            Ok(OsString::from_vec(text).into())
        }
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Gives the file that a descriptor pins to this user and group; `None` leaves it as it is.
///
/// # Errors
/// What `man 2 chown` lists.
pub fn set_owner(pin: &File, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    const KEEP: u32 = u32::MAX;
    // SAFETY: the empty path is NUL-terminated, and AT_EMPTY_PATH makes it stand for the descriptor's
    // own file, whatever its path names by now (`man 2 fchownat`).
    cvt(unsafe {
        libc::fchownat(
            pin.as_raw_fd(),
            c"".as_ptr(),
            user.unwrap_or(KEEP),
            group.unwrap_or(KEEP),
            libc::AT_EMPTY_PATH,
        )
    })?;
    Ok(())
}

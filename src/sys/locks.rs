//! Lock files: opened so that nobody leads us elsewhere or keeps us waiting, and who holds one.

use super::files::open;
use std::fs::{File, Metadata, read_to_string, symlink_metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Nobody but its owner may open a lock file, and so nobody else can hold its lock.
const LOCK_FILE_MODE: u32 = 0o600;

/// Opens the lock file that is there. Not through a link, and without waiting, should it be a FIFO or under
/// somebody's lease (`man 2 open`); what it is, is for the caller to look at.
///
/// Without O_CREAT: with `fs.protected_regular` even root would be refused another user's file in a folder like
/// /tmp (`may_create_in_sticky` in the kernel's fs/namei.c).
///
/// # Errors
/// What `man 2 open` lists.
pub fn open_lock_file(path: &Path) -> io::Result<File> {
    open(path, LOCK_FILE_FLAGS, 0)
}

/// Makes a lock file that nobody but us may open, whatever the umask.
///
/// # Errors
/// `AlreadyExists` when the path is taken, and what `man 2 open` lists.
pub fn make_lock_file(path: &Path) -> io::Result<File> {
    let flags = LOCK_FILE_FLAGS | libc::O_CREAT | libc::O_EXCL;
    super::with_umask(0, || open(path, flags, LOCK_FILE_MODE))
}

/// For writing as well: a network file system asks for that before it locks (`man 2 flock`, NFS).
const LOCK_FILE_FLAGS: libc::c_int =
    libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

/// The user that we act as.
pub fn effective_user() -> u32 {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Tells whether the path, not followed, still names the file that is open.
pub fn is_still(path: &Path, open: &File) -> bool {
    match (symlink_metadata(path), open.metadata()) {
        (Ok(found), Ok(open)) => (found.dev(), found.ino()) == (open.dev(), open.ino()),
        _ => false,
    }
}

/// Tells whether some process holds a lock on a file that we may not open, as far as the kernel shows it:
/// holders in other containers are not listed, nor are files that their file system numbers in its own way.
pub fn is_locked(found: &Metadata) -> bool {
    // As `man 5 proc_locks` has it: the device's two numbers in hexadecimal, and the file's own.
    let (major, minor) = (libc::major(found.dev()), libc::minor(found.dev()));
    let numbers = format!("{major:02x}:{minor:02x}:{}", found.ino());
    read_to_string("/proc/locks").is_ok_and(|locks| lists(&locks, &numbers))
}

fn lists(locks: &str, numbers: &str) -> bool {
    locks.split_ascii_whitespace().any(|word| word == numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_by_all_of_its_numbers_and_no_part_of_them() {
        let locks = "1: FLOCK  ADVISORY  WRITE 4711 fd:00:123456 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 4712 fd:00:123456 0 EOF\n\
                     2: POSIX  ADVISORY  READ  1 00:19:77 128 128\n";
        assert!(lists(locks, "fd:00:123456"));
        assert!(lists(locks, "00:19:77"));
        for numbers in ["fd:00:12345", "d:00:123456", "00:19:7", "01:19:77"] {
            assert!(!lists(locks, numbers), "{numbers}");
        }
    }

    #[test]
    fn a_lock_of_ours_is_shown_by_the_kernel() {
        let folder = tempfile::tempdir().unwrap();
        let file = make_lock_file(&folder.path().join("lock")).unwrap();
        let found = file.metadata().unwrap();
        assert_eq!(found.mode() & 0o7777, 0o600);
        assert!(!is_locked(&found));
        file.try_lock().unwrap();
        assert!(is_locked(&found));
    }
}

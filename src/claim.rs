//! A daemon's claim to a path that it reads or writes: what tells it from a second daemon.
//!
//! Not by who has the path open: rsyslog and syslog-ng open the FIFO that they write to for reading as well. Not by a
//! lock on it: that is anyone's to take who may read or write there, and would keep us out. But by a lock on a file of
//! our own beside it, `.NAME.lock`, which nobody else may open. It is there while the daemon runs. One that a killed
//! daemon left is no obstacle: the kernel has let go of its lock. Whoever removes it under a running daemon takes the
//! claim away.
//!
//! What cannot be told: the same file by another name in another place (a hard link, a bind mount of the file alone).

use crate::sys::{self, Target};
use log::debug;
use std::ffi::OsString;
use std::fs::{File, Metadata, TryLockError, remove_file, symlink_metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest name of a file, in bytes (NAME_MAX in the kernel's include/uapi/linux/limits.h).
const NAME_BYTES_MAX: usize = 255;

/// How often the lock file may vanish or appear between two looks at it. Each time, another daemon has started or
/// ended.
const RACES_MAX: u32 = 100;

/// How long to wait between two tries: `--check` and a daemon that is refused hold the lock for a moment.
const PAUSE: Duration = Duration::from_millis(10);

/// How often a start tries to claim a path: for some 200 ms.
pub const TRIES_AT_START: u32 = 20;

/// A path that is ours until this is dropped. The lock file is removed then.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    file: File,
}

/// Why there is no claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoClaim {
    /// Another daemon has it.
    Taken,
    /// It cannot be told whether one has, for this reason. No stranger keeps us out: we go on without.
    Unknowable(String),
}

/// How far a lock file can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Root's or our user's.
    Full,
    /// Of whoever owns the path or its folder, who can keep us out in other ways: a daemon of his if the path looks
    /// like one's.
    Half,
    /// A stranger's, or one that a stranger may open.
    No,
}

impl Claim {
    /// Claims `target`. `is_served` looks whether some process behaves there as a daemon does; it decides only where the
    /// lock alone proves little.
    ///
    /// Tries so often, with pauses of 10 ms, in case somebody has only looked.
    ///
    /// # Errors
    /// [`NoClaim`].
    pub fn take(
        target: &Target,
        tries: u32,
        is_served: impl Fn() -> bool,
    ) -> Result<Self, NoClaim> {
        let target = &target.place();
        for _ in 1..tries {
            match Self::take_now(target, &is_served) {
                Err(NoClaim::Taken) => sys::pause(PAUSE),
                result => return result,
            }
        }
        Self::take_now(target, &is_served)
    }

    fn take_now(target: &Path, is_served: &impl Fn() -> bool) -> Result<Self, NoClaim> {
        let path = lock_path(target);
        for _ in 0..RACES_MAX {
            let (file, trust, is_new) = match open(&path, target, is_served)? {
                Some((file, trust)) => (file, trust, false),
                None => match make(&path)? {
                    Some(made) => (made, Trust::Full, true),
                    None => continue,
                },
            };
            if let Err(no_claim) = lock(&path, &file, trust, is_served) {
                if is_new {
                    let _ = remove_file(&path); // of no use to anybody
                }
                return Err(no_claim);
            }
            // Its last holder may have removed it after we opened it: then it is nobody's lock any more.
            if sys::is_still(&path, &file) {
                return Ok(Self { path, file });
            }
        }
        Err(unknowable(&path, "is made and removed again and again"))
    }

    /// Tells whether this is, and still is, the claim to `target`.
    pub fn is_of(&self, target: &Target) -> bool {
        self.path == lock_path(&target.place()) && sys::is_still(&self.path, &self.file)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: who opens it now finds it locked, or sees afterwards that it is gone.
        if sys::is_still(&self.path, &self.file)
            && let Err(e) = remove_file(&self.path)
        {
            debug!("cannot remove {}: {e}", self.path.display()); // it is no obstacle
        }
    }
}

/// The lock file of a path: beside it, by its name, or by a number where no name is long enough for that.
fn lock_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    let mut lock = OsString::from(".");
    if name.len() + ".".len() + ".lock".len() <= NAME_BYTES_MAX {
        lock.push(name);
    } else {
        lock.push(format!("{:016x}", fnv_1a(name.as_bytes())));
    }
    lock.push(".lock");
    sys::folder_of(target).join(lock)
}

/// A number for a name, the same in every build (FNV-1a with 64 bits).
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Opens the lock file that is there; `None` if there is none.
fn open(
    path: &Path,
    target: &Path,
    is_served: &impl Fn() -> bool,
) -> Result<Option<(File, Trust)>, NoClaim> {
    let opened = sys::open_lock_file(path).and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((found, _)) if found.nlink() == 0 => Ok(None), // removed meanwhile
        Ok((found, file)) => match trust_in(&found, target) {
            Trust::No => Err(unknowable(path, "is not ours alone")),
            trust => Ok(Some((file, trust))),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        // Another user's, who may run a daemon.
        Err(e) => match symlink_metadata(path) {
            Ok(found) if sys::is_locked(&found) && trust_in(&found, target).holds(is_served) => {
                Err(NoClaim::Taken)
            }
            _ => Err(unknowable(path, format_args!("cannot be opened: {e}"))),
        },
    }
}

/// Makes the lock file; `None` if there is one by now.
fn make(path: &Path) -> Result<Option<File>, NoClaim> {
    match sys::make_lock_file(path) {
        // Not every file system has owners and permissions.
        Ok(file) if file.metadata().map_or(Trust::No, |m| trust_in(&m, path)) != Trust::Full => {
            let _ = remove_file(path); // ours: we have just made it
            Err(unknowable(path, "would not be ours alone"))
        }
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(e) => Err(unknowable(path, format_args!("cannot be made: {e}"))),
    }
}

fn lock(
    path: &Path,
    file: &File,
    trust: Trust,
    is_served: &impl Fn() -> bool,
) -> Result<(), NoClaim> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) if trust.holds(is_served) => Err(NoClaim::Taken),
        Err(TryLockError::WouldBlock) => {
            Err(unknowable(path, "is another user's, who has locked it"))
        }
        Err(TryLockError::Error(e)) => Err(unknowable(path, format_args!("cannot be locked: {e}"))),
    }
}

/// How far to believe a lock on the file `found`. A file that others may open, or that has a second name by which it
/// may have come here, can be locked by anyone.
fn trust_in(found: &Metadata, target: &Path) -> Trust {
    let is_private = found.is_file() && found.nlink() == 1 && found.mode() & 0o077 == 0;
    let owner = found.uid();
    let owns = |path: &Path| symlink_metadata(path).is_ok_and(|found| found.uid() == owner);
    if !is_private {
        Trust::No
    } else if owner == 0 || owner == sys::effective_user() {
        Trust::Full
    } else if owns(target) || owns(sys::folder_of(target)) {
        Trust::Half
    } else {
        Trust::No
    }
}

impl Trust {
    /// Tells whether such a file's lock is a daemon's.
    fn holds(self, is_served: &impl Fn() -> bool) -> bool {
        match self {
            Self::Full => true,
            Self::Half => is_served(),
            Self::No => false,
        }
    }
}

fn unknowable(path: &Path, what: impl std::fmt::Display) -> NoClaim {
    NoClaim::Unknowable(format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn target(path: &Path) -> Target {
        sys::follow_own_links(path).unwrap()
    }

    fn take(path: &Path) -> Result<Claim, NoClaim> {
        Claim::take(&target(path), 1, || unreachable!("all files are ours"))
    }

    #[test]
    fn a_claim_is_one_daemons_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // Names as people and machines give them; the last one leaves no room for more letters.
        for name in ["f", "a b", "line\n", "-", ".hidden", &"n".repeat(255)] {
            let path = folder.path().join(name);
            let claim = take(&path).unwrap();
            assert!(claim.is_of(&target(&path)));
            assert_eq!(take(&path).unwrap_err(), NoClaim::Taken, "{name:?}");
            assert_eq!(claim.file.metadata().unwrap().mode() & 0o7777, 0o600);
            drop(claim);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name:?}");
        }
    }

    #[test]
    fn long_names_do_not_share_a_lock() {
        let [a, b] = ["a", "b"].map(|end| format!("/x/{}{end}", "n".repeat(254)));
        assert_ne!(lock_path(Path::new(&a)), lock_path(Path::new(&b)));
        assert_eq!(lock_path(Path::new("f")), Path::new("./.f.lock"));
    }

    #[test]
    fn one_that_a_killed_daemon_left_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        drop(sys::make_lock_file(&lock_path(&path)).unwrap());
        take(&path).unwrap();
        assert!(!lock_path(&path).exists());
    }

    #[test]
    fn what_is_no_lock_file_keeps_nobody_out_and_is_left_alone() {
        type Plant = fn(&Path);
        let plants: [(&str, Plant); 6] = [
            ("folder", |path| fs::create_dir(path).unwrap()),
            ("link", |path| symlink("precious", path).unwrap()),
            ("dangling link", |path| symlink("nowhere", path).unwrap()),
            ("fifo", |path| sys::make_fifo(path, 0o600).unwrap()),
            ("file that others may open", |path| {
                fs::write(path, "").unwrap();
                fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
            }),
            ("file with another name", |path| {
                fs::hard_link(path.with_file_name("precious"), path).unwrap();
            }),
        ];
        for (what, plant) in plants {
            let folder = tempfile::tempdir().unwrap();
            let precious = folder.path().join("precious");
            drop(sys::make_lock_file(&precious).unwrap());
            let path = folder.path().join("f");
            plant(&lock_path(&path));
            let kind = symlink_metadata(lock_path(&path)).unwrap().file_type();
            let locked = File::open(&precious).unwrap();
            locked.lock().unwrap(); // whatever leads there, it does not count
            let refused = take(&path).unwrap_err();
            assert!(
                matches!(&refused, NoClaim::Unknowable(_)),
                "{what}: {refused:?}"
            );
            let left = symlink_metadata(lock_path(&path)).unwrap();
            assert_eq!(left.file_type(), kind, "{what}");
        }
    }

    #[test]
    fn without_a_folder_there_is_none() {
        let path = Path::new("/nowhere/at/all/f");
        let result = take(path);
        assert!(matches!(result, Err(NoClaim::Unknowable(_))), "{result:?}");
    }

    #[test]
    fn one_that_is_replaced_meanwhile_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let claim = take(&path).unwrap();
        fs::rename(lock_path(&path), folder.path().join("moved")).unwrap();
        assert!(!claim.is_of(&target(&path)));
        let second = take(&path).unwrap();
        drop(claim);
        assert!(
            second.is_of(&target(&path)),
            "the first removed the second's"
        );
    }

    /// Many at a time, for the same path, again and again: never two that hold it.
    #[test]
    fn of_many_at_a_time_one_has_it() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let (holders, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while taken.load(Ordering::SeqCst) < 300 {
                        let Ok(claim) = take(&path) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

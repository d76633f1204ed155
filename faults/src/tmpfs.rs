//! A disk of its own for the output.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;
use std::path::{Path, PathBuf};

/// Makes what this program mounts invisible to others, and gone with its end.
///
/// To be called before the first thread is started.
pub fn private_mounts() -> Result<(), String> {
    let failed = |e| format!("a mount namespace: {e}; run the suite as root");
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(failed)
}

#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    pub fn mount(path: &Path, bytes: u64) -> Result<Self, String> {
        let options = format!("size={bytes}");
        let none = MsFlags::empty();
        mount(
            Some("tmpfs"),
            path,
            Some("tmpfs"),
            none,
            Some(options.as_str()),
        )
        .map_err(|e| format!("mount a tmpfs: {e}; run the suite as root"))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    pub fn is_full(&self) -> bool {
        statvfs(&self.path).is_ok_and(|disk| disk.blocks_available() == 0)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Best effort; the end of the program undoes it in any case.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

//! Moving a full output file out of the way, under a name that sorts by time.

use log::warn;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// When a file is full, and how many full ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The file is moved once it has this many bytes.
    pub bytes: u64,
    /// Full ones beyond this many are removed, the oldest first; `None`: none is.
    pub keep: Option<usize>,
}

/// Digits of a rotated name: nanoseconds since 1970, until the year 2286.
const STAMP_DIGITS: usize = 19;

impl Rotation {
    /// Moves the file at `path` to `path.NANOSECONDS` and removes what is not kept.
    ///
    /// # Errors
    /// What `man 2 rename` lists; a surplus file that cannot be removed is only said.
    pub fn rotate(&self, path: &Path, unix_ns: u64) -> io::Result<()> {
        // After the clock was set back, a name may be taken.
        let free = (unix_ns..)
            .map(|ns| rotated(path, ns))
            .find(|name| !name.exists());
        fs::rename(path, free.unwrap_or_else(|| rotated(path, unix_ns)))?;
        let (Some(keep), Some(name)) = (self.keep, path.file_name()) else {
            return Ok(());
        };
        let folder = crate::sys::folder_of(path);
        let names = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.file_name()));
        for old in surplus(name, names, keep) {
            let old = folder.join(old);
            if let Err(e) = fs::remove_file(&old) {
                warn!("cannot remove {}: {e}; remove it by hand", old.display());
            }
        }
        Ok(())
    }
}

fn rotated(path: &Path, unix_ns: u64) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{unix_ns:0STAMP_DIGITS$}"));
    name.into()
}

/// Of the names in a folder, those of rotated files of `name` beyond the newest `keep`.
fn surplus(name: &OsStr, names: impl Iterator<Item = OsString>, keep: usize) -> Vec<OsString> {
    let is_rotated = |candidate: &OsString| {
        let rest = candidate
            .as_encoded_bytes()
            .strip_prefix(name.as_encoded_bytes());
        rest.and_then(|rest| rest.strip_prefix(b"."))
            .is_some_and(|stamp| {
                stamp.len() == STAMP_DIGITS && stamp.iter().all(u8::is_ascii_digit)
            })
    };
    let mut rotated: Vec<OsString> = names.filter(is_rotated).collect();
    rotated.sort();
    rotated.truncate(rotated.len().saturating_sub(keep));
    rotated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_name_sorts_by_time() {
        let name = |ns| rotated(Path::new("/x/out.jsonl"), ns);
        assert_eq!(
            name(1_795_377_632_123_456_789),
            Path::new("/x/out.jsonl.1795377632123456789")
        );
        assert!(name(999) < name(1_000));
    }

    #[test]
    fn only_rotated_files_of_this_output_are_surplus_and_the_oldest_first() {
        let names = [
            "out.0000000000000000003",
            "out",
            "out.0000000000000000001",
            "out.1",
            "out.000000000000000000x",
            "other.0000000000000000001",
            "out.0000000000000000002",
            "out.0000000000000000001.gz",
        ];
        let surplus = |keep| surplus(OsStr::new("out"), names.iter().map(OsString::from), keep);
        assert_eq!(
            surplus(1),
            ["out.0000000000000000001", "out.0000000000000000002"]
        );
        assert_eq!(surplus(3).len(), 0);
        assert_eq!(surplus(9).len(), 0);
        assert_eq!(surplus(0).len(), 3);
    }
}

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
const STAMP_MAX: u64 = 9_999_999_999_999_999_999;

impl Rotation {
    /// Moves the file at `path` to `path.NANOSECONDS` and removes what is not kept.
    ///
    /// # Errors
    /// What `man 2 rename` and `man 3 readdir` list; a surplus file that cannot be removed is only said.
    pub fn rotate(&self, path: &Path, unix_ns: u64) -> io::Result<()> {
        let folder = crate::sys::folder_of(path);
        let name = path.file_name().unwrap_or_default();
        let mut stamps: Vec<u64> = fs::read_dir(folder)?
            .filter_map(|entry| stamp(name, &entry.ok()?.file_name()))
            .collect();
        stamps.sort_unstable();
        let stamp = next_stamp(&stamps, unix_ns);
        fs::rename(path, rotated(path, stamp))?;
        stamps.push(stamp);
        let surplus = self
            .keep
            .map_or(0, |keep| stamps.len().saturating_sub(keep));
        for &old in &stamps[..surplus] {
            let old = rotated(path, old);
            if let Err(e) = fs::remove_file(&old) {
                warn!("cannot remove {}: {e}; remove it by hand", old.display());
            }
        }
        Ok(())
    }
}

/// The time to name the next file by: after all that are there, whatever the clock says. One that was set
/// back would make the newest file look like the oldest, which is the first to be removed.
fn next_stamp(stamps: &[u64], unix_ns: u64) -> u64 {
    stamps.last().map_or(unix_ns, |last| unix_ns.max(last + 1))
}

fn rotated(path: &Path, unix_ns: u64) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{unix_ns:0STAMP_DIGITS$}"));
    name.into()
}

/// The time in the name of a rotated file of `name`; `None` if it is not the name of one.
fn stamp(name: &OsStr, candidate: &OsStr) -> Option<u64> {
    let rest = candidate
        .as_encoded_bytes()
        .strip_prefix(name.as_encoded_bytes())?;
    let digits = rest.strip_prefix(b".")?;
    if digits.len() != STAMP_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // The last one is nobody's: there is none after it.
    let stamp = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (stamp < STAMP_MAX).then_some(stamp)
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
    fn only_rotated_files_of_this_output_have_a_stamp() {
        let stamp = |candidate| stamp(OsStr::new("out"), OsStr::new(candidate));
        assert_eq!(stamp("out.0000000000000000003"), Some(3));
        assert_eq!(stamp("out.9999999999999999998"), Some(STAMP_MAX - 1));
        for candidate in [
            "out",
            "out.1",
            "out.000000000000000000x",
            "out.+000000000000000001",
            "other.0000000000000000001",
            "out.0000000000000000001.gz",
            "out.9999999999999999999",
        ] {
            assert_eq!(stamp(candidate), None, "{candidate}");
        }
    }

    #[test]
    fn after_the_clock_was_set_back_the_newest_file_still_has_the_last_name() {
        assert_eq!(next_stamp(&[], 5), 5);
        assert_eq!(next_stamp(&[1, 4], 5), 5);
        assert_eq!(next_stamp(&[1, 5], 5), 6);
        assert_eq!(next_stamp(&[1, 100], 5), 101);
    }

    #[test]
    fn the_oldest_beyond_those_to_be_kept_are_removed_and_nothing_else() {
        for (keep, want) in [(Some(0), 0), (Some(2), 2), (Some(9), 4), (None, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            fs::write(folder.path().join("out.keep"), "precious").unwrap();
            let rotation = Rotation { bytes: 1, keep };
            for unix_ns in [7, 6, 5, 4] {
                fs::write(&path, unix_ns.to_string()).unwrap();
                rotation.rotate(&path, unix_ns).unwrap();
            }
            for (number, text) in ["7", "6", "5", "4"].iter().enumerate() {
                let file = rotated(&path, 7 + number as u64);
                assert_eq!(file.exists(), number >= 4 - want, "{keep:?} {text}");
                if file.exists() {
                    assert_eq!(fs::read_to_string(file).unwrap(), *text);
                }
            }
            assert!(folder.path().join("out.keep").exists());
        }
    }
}

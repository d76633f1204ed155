//! How the output ends before the first record: a record never stands on a line with anything else.

use super::mend::{self, LastLine, Mended};
use crate::sys;
use log::warn;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// What is to be done before the next record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing: it ends in a newline, or is empty.
    Whole,
    /// A newline is to be written first.
    Open,
    /// It is to be mended, as soon as there is room.
    Torn,
}

impl Ending {
    /// Looks at the end of a file of ours, `name` in what is said about it, and mends it. `open_again` opens it
    /// for reading and, if asked to, for writing.
    ///
    /// # Errors
    /// When there is no room. Whatever else stands in the way makes it [`Open`](Self::Open).
    pub(super) fn mend(
        file: &File,
        open_again: impl Fn(bool) -> io::Result<File>,
        name: &str,
        record_bytes_max: usize,
    ) -> io::Result<Self> {
        let mended = open_again(true)
            .and_then(|again| mend::end_of(&again, record_bytes_max, sys::unix_seconds()));
        let obstacle = match mended {
            Ok(mended) => {
                tell(mended, name, record_bytes_max);
                return Ok(Self::Whole);
            }
            Err(e) if is_lack_of_room(&e) => return Err(e),
            Err(e) => e,
        };
        match is_whole_before(length_of(file), || open_again(false)) {
            Ok(true) => return Ok(Self::Whole),
            Ok(false) => warn!(
                "{name}: its last line is unfinished, and cannot be mended: {obstacle}; \
                 a newline is put before the next record"
            ),
            Err(e) => warn!(
                "{name}: whether its last line is whole cannot be seen: {e}; \
                 a newline is put before the next record"
            ),
        }
        Ok(Self::Open)
    }

    /// Looks at what stands before the next write to a regular file that was given to us, and changes nothing:
    /// it is somebody else's.
    pub(super) fn of_given(file: &File) -> Self {
        let position = sys::write_position(file);
        let open_again = || sys::open_again(file, false);
        match position.and_then(|position| is_whole_before(position, open_again)) {
            Ok(true) => Self::Whole,
            Ok(false) => Self::Open,
            Err(e) => {
                warn!(
                    "whether standard output ends in a newline cannot be seen: {e}; \
                     one is put before the next record"
                );
                Self::Open
            }
        }
    }
}

/// Tells whether something that needs room may have it later.
fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// How long a file is; when that cannot be known, not empty.
fn length_of(file: &File) -> u64 {
    file.metadata().map_or(1, |metadata| metadata.len())
}

/// Tells whether a line begins at this place: at the beginning, or after a newline.
fn is_whole_before(
    position: u64,
    open_again: impl FnOnce() -> io::Result<File>,
) -> io::Result<bool> {
    let Some(before) = position.checked_sub(1) else {
        return Ok(true);
    };
    let mut last = [0];
    // Beyond the end there is a hole, and no newline.
    let read = open_again()?.read_at(&mut last, before)?;
    Ok(read == 1 && last == *b"\n")
}

fn tell(mended: Mended, name: &str, record_bytes_max: usize) {
    let Mended { nuls, line } = mended;
    if nuls > 0 {
        warn!("{name}: it ended in {nuls} bytes of NULs, as after a power cut; they are cut off");
    }
    match line {
        LastLine::Whole => {}
        LastLine::Ended => warn!("{name}: its last line had no newline, and has one now"),
        LastLine::Wrapped => warn!("{name}: its last line was unfinished, and is wrapped now"),
        LastLine::Cut(bytes) => warn!(
            "{name}: its last line was unfinished, and longer than --max-record: \
             the first {record_bytes_max} bytes of {bytes} are wrapped now"
        ),
    }
}

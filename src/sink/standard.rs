//! Which of standard output and standard error lead to the output, by whatever names.
//!
//! What is said there would overwrite records, or stand among them.

use crate::sys;
use std::fs::{File, Metadata};
use std::io;
use std::ops::BitOrAssign;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

/// Which of the two are the output itself. A terminal and /dev/null are not: lines for a person may stand there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standard {
    /// Descriptor 1 is.
    pub output: bool,
    /// Descriptor 2 is.
    pub error: bool,
}

impl Standard {
    /// Compares the open output with both.
    pub(super) fn compare(output: BorrowedFd<'_>) -> io::Result<Self> {
        let output = File::from(output.try_clone_to_owned()?);
        let metadata = output.metadata()?;
        if sys::is_for_people(&output, &metadata) {
            return Ok(Self::default());
        }
        Ok(Self {
            output: is_same(&metadata, &standard_output()?.metadata()?),
            error: is_same(&metadata, &standard_error()?.metadata()?),
        })
    }

    /// That one of the two, if it is one, that is the file of this metadata.
    pub(super) fn among(metadata: &Metadata) -> io::Result<Option<File>> {
        for standard in [standard_output()?, standard_error()?] {
            if is_same(metadata, &standard.metadata()?) {
                return Ok(Some(standard));
            }
        }
        Ok(None)
    }
}

impl BitOrAssign for Standard {
    fn bitor_assign(&mut self, other: Self) {
        self.output |= other.output;
        self.error |= other.error;
    }
}

fn standard_output() -> io::Result<File> {
    sys::raw_stdout().map(File::from)
}

fn standard_error() -> io::Result<File> {
    sys::raw_stderr().map(File::from)
}

/// Tells whether these are of one file, by device and inode number: sockets and pipes have such as well.
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

//! The wait that only a few descriptors can end.

use super::cvt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Waits until one of `inputs` has something to read or, if there is one, `output` takes bytes again, at
/// most `timeout`.
///
/// # Errors
/// ENOMEM; an interrupted wait is a wait that ended.
pub fn wait_for_inputs_or_output(
    inputs: &[BorrowedFd<'_>],
    output: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    let entry = |fd: BorrowedFd<'_>, events| libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    let inputs = inputs.iter().map(|&fd| entry(fd, libc::POLLIN));
    let output = output.map(|fd| entry(fd, libc::POLLOUT));
    let mut waited_for: Vec<libc::pollfd> = inputs.chain(output).collect();
    let count = waited_for.len() as libc::nfds_t;
    let milliseconds = timeout.map_or(-1, |t| {
        // Rounded up: rounded down, the last millisecond before a deadline would be a busy loop.
        libc::c_int::try_from(t.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: `waited_for` outlives the call and has as many entries as `count` says.
    match cvt(unsafe { libc::poll(waited_for.as_mut_ptr(), count, milliseconds) }) {
        Err(e) if e.kind() != ErrorKind::Interrupted => Err(e),
        _ => Ok(()),
    }
}

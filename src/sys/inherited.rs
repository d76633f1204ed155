//! Descriptors that a service manager opened for us.

use super::cvt;
use std::env;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The first of them (SD_LISTEN_FDS_START, `man 3 sd_listen_fds`).
const FIRST: RawFd = 3;

/// Tells whether a descriptor was opened for reading.
///
/// # Errors
/// None on an open descriptor.
pub fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: F_GETFL takes nothing.
    let flags = cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    Ok(flags & libc::O_ACCMODE != libc::O_WRONLY)
}

/// Takes the descriptors that LISTEN_FDS counts, if LISTEN_PID says that they are meant for this process.
/// From then on they do not block, and are closed on exec.
///
/// To be called once, before this process opens anything.
///
/// # Errors
/// `InvalidInput` when LISTEN_FDS is not a number; EBADF when a descriptor is not open.
pub fn take_inherited() -> io::Result<Vec<OwnedFd>> {
    let is_for_us = env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let (true, Ok(count)) = (is_for_us, env::var("LISTEN_FDS")) else {
        return Ok(Vec::new());
    };
    let count: RawFd = count
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "LISTEN_FDS is not a number"))?;
    (FIRST..FIRST.saturating_add(count))
        .map(|fd| {
            // SAFETY: F_SETFD and F_SETFL take an int, and F_GETFL nothing; all fail on what is no open
            // descriptor.
            unsafe {
                cvt(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
                let flags = cvt(libc::fcntl(fd, libc::F_GETFL))?;
                cvt(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK))?;
            }
            // SAFETY: it is open, and the protocol gives it to this process alone; nothing in it has
            // opened a descriptor before.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .collect()
}

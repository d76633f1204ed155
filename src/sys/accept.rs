//! Accepting connections without the peer's address, which nobody asks for.

use super::{cvt, errno};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

/// Accepts a connection, which does not block and is closed on exec.
///
/// # Errors
/// `WouldBlock` when none waits, and what `man 2 accept` lists.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: a null address with a null length asks for none (`man 2 accept`).
    let fd = cvt(unsafe { libc::accept4(listener.as_raw_fd(), null_mut(), null_mut(), flags) })?;
    // SAFETY: accept4 has just returned this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The same with accept(2) and fcntl(2), for a sandbox that knows only these.
///
/// # Errors
/// As [`accept`].
pub fn accept_plainly(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let fd = cvt(unsafe { libc::accept(listener.as_raw_fd(), null_mut(), null_mut()) })?;
    // SAFETY: accept has just returned this descriptor, and nobody else owns it.
    let connection = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: F_SETFD and F_SETFL take an int; a new connection has no other flags.
    unsafe {
        cvt(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
        cvt(libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK))?;
    }
    Ok(connection)
}

/// Tells whether a call failed as one does that the kernel or a sandbox (`man 2 seccomp`) does not have.
pub fn is_lacking(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::ENOSYS | errno::EPERM))
}

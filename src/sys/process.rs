//! What concerns the process as a whole: limits, signals ignored, its standard descriptors, and a
//! `main` without the runtime's start-up.

use super::cvt;
use std::ffi::{CStr, OsStr, OsString, c_char};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Raises the limit of open descriptors to its hard value and returns that.
///
/// # Errors
/// What `man 2 setrlimit` lists; raising the soft limit up to the hard one needs no privilege.
pub fn raise_descriptor_limit() -> io::Result<usize> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: `limit` outlives the call and has the type that it fills.
    cvt(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) })?;
    // SAFETY: getrlimit succeeded, so it has filled `limit`.
    let mut limit = unsafe { limit.assume_init() };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` outlives the call and is only read.
    cvt(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// Makes a write to a peer that is gone fail with EPIPE instead of killing the process. std does so
/// before `main`; [`quiet_main`](crate::quiet_main) leaves that out.
pub fn ignore_sigpipe() {
    // SAFETY: SIG_IGN is a valid disposition of SIGPIPE, and no handler of ours is replaced.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Lets the kernel wake this process as exactly as it can: by default it may delay a timer by 50 us
/// (`man 2 prctl`, PR_SET_TIMERSLACK).
pub fn set_least_timer_slack() {
    const NANOSECOND: libc::c_ulong = 1;
    // SAFETY: PR_SET_TIMERSLACK takes one unsigned long and changes nothing but the slack.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, NANOSECOND) };
}

/// Standard output, for a caller that does its own buffering: std's looks for newlines.
///
/// # Errors
/// EBADF when it is closed.
pub fn raw_stdout() -> io::Result<OwnedFd> {
    io::stdout().as_fd().try_clone_to_owned()
}

/// Standard error, to be compared with other descriptors.
///
/// # Errors
/// EBADF when it is closed.
pub fn raw_stderr() -> io::Result<OwnedFd> {
    io::stderr().as_fd().try_clone_to_owned()
}

/// Standard input, for a caller that does its own buffering: std's reads 8 KiB at a time.
///
/// # Errors
/// EBADF when it is closed.
pub fn raw_stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// A program's arguments, its name first, as its `main` got them.
#[derive(Debug)]
pub struct Arguments {
    /// Ends with a null pointer, and lives as long as the process (C17 5.1.2.2.1).
    rest: *const *const c_char,
}

impl Arguments {
    /// Takes what the C runtime hands to `main`.
    ///
    /// # Safety
    /// `argv` is the second parameter of `main`.
    pub unsafe fn new(argv: *const *const c_char) -> Self {
        Self { rest: argv }
    }
}

impl Iterator for Arguments {
    type Item = OsString;

    fn next(&mut self) -> Option<OsString> {
        // SAFETY: `rest` points into argv, at most to the null pointer at its end, which is never passed.
        let argument = unsafe { *self.rest };
        if argument.is_null() {
            return None;
        }
        // SAFETY: there is at least the null pointer behind this one.
        self.rest = unsafe { self.rest.add(1) };
        // SAFETY: each argument is a NUL-terminated string that lives as long as the process.
        let argument = unsafe { CStr::from_ptr(argument) };
        Some(OsStr::from_bytes(argument.to_bytes()).to_owned())
    }
}

/// Defines the C function `main` that calls `$run`, a `fn(impl Iterator<Item = OsString>) -> u8`, with the
/// arguments and exits with what it returns.
///
/// Rust's own `main` makes 23 system calls before the first line of the program runs (`std::rt`: a
/// signal stack, handlers for SIGSEGV and SIGBUS, a poll of descriptors 0 to 2, a look at
/// /proc/self/maps). A producer of a handful of records would be mostly that. `#![no_main]` leaves
/// it out, and with it `std::env::args`, which works all the same only where the C library hands the
/// arguments to `.init_array`: glibc does, musl does not.
#[macro_export]
macro_rules! quiet_main {
    ($run:path) => {
        /// The program's entry, called by the C runtime.
        // SAFETY of the attribute: the C runtime calls the one `main` of a program with this
        // signature (C17 5.1.2.2.1), and `#![no_main]` sees to it that there is no other.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _argc: ::std::ffi::c_int,
            argv: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: it is what `main` got.
            let arguments = unsafe { $crate::sys::Arguments::new(argv) };
            ::std::ffi::c_int::from($run(arguments))
        }
    };
}

//! Signals as a descriptor.

use super::cvt;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: to stop.
    Stop,
    /// SIGHUP: to open the output anew.
    Reopen,
}

/// The signals that the daemon obeys (SIGTERM, SIGINT, SIGHUP), readable like any other source.
///
/// No handler ever runs: the signals are blocked and taken from a `signalfd(2)`. One that we were
/// started to ignore (by `nohup`, or as a script's background job) stays ignored.
pub struct Signals {
    file: File,
    /// Those that we obey.
    set: libc::sigset_t,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

impl Signals {
    /// Blocks the signals and opens the descriptor that tells of them.
    ///
    /// # Errors
    /// EMFILE, ENFILE and ENOMEM (`man 2 signalfd`).
    pub fn new() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` outlives the calls; sigemptyset fills it before anything reads it, and all
        // three are valid signal numbers, the only thing that sigaddset can refuse.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                // A blocked signal would reach the descriptor even if it is ignored
                // (`sig_ignored` in the kernel's signal.c).
                if !is_ignored(signal) {
                    libc::sigaddset(set.as_mut_ptr(), signal);
                }
            }
            set.assume_init()
        };
        // SAFETY: `set` is initialised and only read; the old mask is not asked for.
        cvt(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) })?;
        // SAFETY: `set` is initialised and only read; -1 asks for a new descriptor.
        let fd = cvt(unsafe {
            libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
        })?;
        // SAFETY: signalfd has just returned this descriptor, and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            file: File::from(fd),
            set,
        })
    }

    /// Takes one pending signal, if there is one. Never blocks. Where the descriptor cannot be read (a sandbox without
    /// read(2)), the signal is taken by sigtimedwait(2).
    ///
    /// # Errors
    /// What sigtimedwait(2) gives then.
    pub fn take(&mut self) -> io::Result<Option<Request>> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        let number = match (&self.file).read(&mut info) {
            // It is whole or nothing, and its first field is the signal's number.
            Ok(_) => i32::from_ne_bytes([info[0], info[1], info[2], info[3]]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(_) => match self.take_without_descriptor()? {
                Some(number) => number,
                None => return Ok(None),
            },
        };
        Ok(Some(match number {
            libc::SIGHUP => Request::Reopen,
            _ => Request::Stop,
        }))
    }

    /// The number of a pending signal.
    fn take_without_descriptor(&self) -> io::Result<Option<i32>> {
        let no_time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the set and the time outlive the call, which only reads them; no details are asked for.
        let number =
            cvt(unsafe { libc::sigtimedwait(&raw const self.set, null_mut(), &raw const no_time) });
        match number {
            Ok(number) => Ok(Some(number)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Tells whether a signal's disposition is to be ignored.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action changes nothing, and `action` has the type that the call fills.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: it is only read when sigaction returned 0, so has filled it.
    result == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

//! Signals as a descriptor, and the wait that only a signal or the output can end.

use super::cvt;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

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
#[derive(Debug)]
pub struct Signals {
    file: File,
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
        })
    }

    /// Takes one pending signal, if there is one. Never blocks.
    ///
    /// # Errors
    /// None that the kernel documents (`man 2 signalfd`).
    pub fn take(&mut self) -> io::Result<Option<Request>> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        match self.file.read(&mut info) {
            Ok(_) => {
                // Its first field is the signal's number.
                let number = i32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
                Ok(Some(match number {
                    libc::SIGHUP => Request::Reopen,
                    _ => Request::Stop,
                }))
            }
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

/// Waits until a signal is pending or, if there is one, `output` takes bytes again, at most `timeout`.
/// What sources have to say does not end this wait: while the output takes nothing they are not read.
///
/// # Errors
/// ENOMEM; an interrupted wait is a wait that ended.
pub fn wait_for_signal_or_output(
    signals: &Signals,
    output: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    let mut waited_for = [
        libc::pollfd {
            fd: signals.as_fd().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        },
        libc::pollfd {
            fd: output.map_or(-1, |output| output.as_raw_fd()), // a negative one is passed over
            events: libc::POLLOUT,
            revents: 0,
        },
    ];
    let milliseconds = timeout.map_or(-1, |t| {
        // Rounded up: rounded down, the last millisecond before a deadline would be a busy loop.
        libc::c_int::try_from(t.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: `waited_for` outlives the call and has as many entries as it says.
    match cvt(unsafe { libc::poll(waited_for.as_mut_ptr(), 2, milliseconds) }) {
        Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
        _ => Ok(()),
    }
}

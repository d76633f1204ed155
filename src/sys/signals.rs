//! Signals as a descriptor.

use super::cvt;
use std::fs::File;
use std::io::{self, Read};
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// The last signal of the kernel's (_NSIG in its arch/*/include/uapi/asm/signal.h).
const LAST: libc::c_int = 64;

/// What has another effect by default than to end the process, and keeps it (`man 7 signal`), or cannot be
/// caught.
const LEFT_ALONE: [libc::c_int; 9] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
    libc::SIGCHLD,
    libc::SIGURG,
    libc::SIGWINCH,
];

/// What would end the process, and must not: a reader that is gone (the write fails with EPIPE), a file at its
/// size limit (EFBIG), and a signal that has no meaning yet.
const IGNORED: [libc::c_int; 3] = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGUSR2];

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To stop.
    Stop,
    /// To stop, says the kernel by itself: a timer that has run out, or a limit of processor time (SIGXCPU), of
    /// which it tells again each second. However often it comes, it is one wish.
    StopInTime,
    /// SIGHUP or SIGUSR1: to open the output anew.
    Reopen,
}

/// Every signal that ends a process and can be caught, real-time ones and those of faults included, readable
/// like any other source.
///
/// No handler ever runs: the signals are blocked and taken from a `signalfd(2)`. One that we were
/// started to ignore (by `nohup`, or as a script's background job) stays ignored. A fault of our own still
/// ends the process at once: the kernel lets a blocked SIGSEGV through (`force_sig_info_to_task` in its
/// kernel/signal.c), and abort(3) unblocks SIGABRT.
#[derive(Debug)]
pub struct Signals {
    file: File,
    /// Those that we obey.
    set: Set,
}

impl Signals {
    /// Blocks the signals and opens the descriptor that tells of them.
    ///
    /// # Errors
    /// EMFILE, ENFILE and ENOMEM (`man 2 signalfd`).
    pub fn new() -> io::Result<Self> {
        for signal in IGNORED {
            // SAFETY: SIG_IGN is a valid disposition, and no handler of ours is replaced.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        let mut set = Set::default();
        let others = [&LEFT_ALONE[..], &IGNORED].concat();
        for signal in (1..=LAST).filter(|signal| !others.contains(signal)) {
            // A blocked signal would reach the descriptor even if it is ignored
            // (`sig_ignored` in the kernel's signal.c).
            if !is_ignored(signal) {
                set.add(signal);
            }
        }
        set.block()?;
        Ok(Self {
            file: File::from(set.open()?),
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
        // It is whole or nothing.
        match self.file.read(&mut info) {
            Ok(bytes) if bytes == info.len() => {
                let field = |at| i32::from_ne_bytes(std::array::from_fn(|index| info[at + index]));
                Ok(Some(meaning(
                    field(offset_of!(libc::signalfd_siginfo, ssi_signo)),
                    field(offset_of!(libc::signalfd_siginfo, ssi_code)),
                )))
            }
            // Whatever the descriptor says.
            _ => self.set.take(),
        }
    }
}

/// What a signal asks for that came with this code.
fn meaning(signal: libc::c_int, code: libc::c_int) -> Request {
    match signal {
        libc::SIGHUP | libc::SIGUSR1 => Request::Reopen,
        // The terminal's keys: the kernel tells, but somebody has pressed.
        libc::SIGINT | libc::SIGQUIT => Request::Stop,
        // Above 0, the code says that the kernel has sent it (`man 2 sigaction`).
        _ if code > 0 => Request::StopInTime,
        _ => Request::Stop,
    }
}

/// A set of signals in the kernel's form. The C libraries' own functions refuse the real-time signals that
/// they use between threads (32 and 33, with musl 34), which end a process as well when they are sent.
#[derive(Debug, Default)]
struct Set([libc::c_ulong; Self::WORDS]);

impl Set {
    const WORD_BITS: usize = libc::c_ulong::BITS as usize;
    const WORDS: usize = LAST as usize / Self::WORD_BITS;

    fn add(&mut self, signal: libc::c_int) {
        let bit = usize::try_from(signal).expect("signals begin at 1") - 1;
        self.0[bit / Self::WORD_BITS] |= 1 << (bit % Self::WORD_BITS);
    }

    /// Blocks its signals in this thread.
    fn block(&self) -> io::Result<()> {
        // SAFETY: the set outlives the call, which reads as many bytes of it as it is told; the old mask is
        // not asked for.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_BLOCK,
                self.0.as_ptr(),
                std::ptr::null_mut::<libc::c_ulong>(),
                size_of_val(&self.0),
            )
        };
        descriptor(result).map(drop)
    }

    /// Takes one of its signals that is pending.
    fn take(&self) -> io::Result<Option<Request>> {
        let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
        let no_time = [0 as libc::c_long; 2];
        // SAFETY: the set and the time, two longs as in the kernel's timespec, are only read; the call fills `info`,
        // which outlives it, if it returns a signal's number.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                self.0.as_ptr(),
                info.as_mut_ptr(),
                no_time.as_ptr(),
                size_of_val(&self.0),
            )
        };
        match descriptor(result) {
            // SAFETY: it has been filled.
            Ok(signal) => Ok(Some(meaning(signal, unsafe { info.assume_init() }.si_code))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Opens a descriptor that tells of its signals.
    fn open(&self) -> io::Result<OwnedFd> {
        const NEW: libc::c_int = -1;
        // SAFETY: as above.
        let result = unsafe {
            libc::syscall(
                libc::SYS_signalfd4,
                NEW,
                self.0.as_ptr(),
                size_of_val(&self.0),
                libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
            )
        };
        let fd = descriptor(result)?;
        // SAFETY: signalfd has just returned this descriptor, and nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The result of a system call that is a small number.
fn descriptor(result: libc::c_long) -> io::Result<libc::c_int> {
    cvt(libc::c_int::try_from(result).unwrap_or(-1))
}

/// Tells whether a signal's disposition is to be ignored. Of the kernel itself, for the same reason.
fn is_ignored(signal: libc::c_int) -> bool {
    /// What the kernel fills, and room to spare: the handler comes first in its `struct sigaction`, and flags,
    /// restorer and mask follow (include/linux/signal_types.h).
    #[repr(C)]
    struct Action {
        handler: libc::sighandler_t,
        others: [libc::c_ulong; 7],
    }
    let mut action = Action {
        handler: libc::SIG_DFL,
        others: [0; 7],
    };
    // SAFETY: a null new action changes nothing, and `action` has more room than the call fills.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            std::ptr::null::<Action>(),
            &raw mut action,
            size_of::<Set>(),
        );
    }
    // An error leaves it as it was.
    action.handler == libc::SIG_IGN
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const FAULT: &str = "LOG_AGGREGATOR_TEST_FAULT";

    /// Faults that a program may have, each with the signal that it dies of.
    const FAULTS: [(&str, libc::c_int); 4] = [
        ("address", libc::SIGSEGV),
        ("mapping", libc::SIGBUS),
        ("instruction", libc::SIGILL),
        ("abort", libc::SIGABRT),
    ];

    /// Not a test by itself: what the next one starts.
    #[test]
    fn fault() {
        let Ok(fault) = std::env::var(FAULT) else {
            return;
        };
        let _signals = Signals::new().unwrap();
        match fault.as_str() {
            // SAFETY: it is a fault, and meant to be one: nothing is at the first page.
            "address" => unsafe {
                std::ptr::with_exposed_provenance::<u8>(8).read_volatile();
            },
            "mapping" => touch_behind_the_end(),
            "instruction" => illegal_instruction(),
            _ => std::process::abort(),
        }
    }

    fn touch_behind_the_end() {
        use std::os::fd::AsRawFd;
        let empty = tempfile::tempfile().unwrap();
        // SAFETY: a new mapping of a page of an empty file, to which no reference is made; to touch it is a
        // fault (`man 2 mmap`), and meant to be one.
        unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ,
                libc::MAP_SHARED,
                empty.as_raw_fd(),
                0,
            );
            page.cast::<u8>().read_volatile();
        }
    }

    fn illegal_instruction() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: it is a fault, and meant to be one.
        unsafe {
            std::arch::asm!("ud2");
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: it is a fault, and meant to be one.
        unsafe {
            std::arch::asm!("udf #0");
        }
    }

    #[test]
    fn a_fault_of_our_own_ends_the_process_at_once_though_its_signal_is_blocked() {
        for (fault, signal) in FAULTS {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sys::signals::tests::fault", "--nocapture"])
                .env(FAULT, fault)
                .output()
                .unwrap();
            assert_eq!(output.status.signal(), Some(signal), "{fault}: {output:?}");
        }
    }

    #[test]
    fn what_the_kernel_repeats_by_itself_is_one_wish_and_what_a_key_says_is_not() {
        const BY_THE_KERNEL: libc::c_int = 0x80; // SI_KERNEL
        const BY_A_PROCESS: libc::c_int = 0; // SI_USER
        for signal in [libc::SIGXCPU, libc::SIGALRM, libc::SIGPROF, libc::SIGIO] {
            assert_eq!(meaning(signal, BY_THE_KERNEL), Request::StopInTime);
            assert_eq!(meaning(signal, BY_A_PROCESS), Request::Stop);
        }
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            assert_eq!(meaning(signal, BY_THE_KERNEL), Request::Stop);
        }
        for signal in [libc::SIGHUP, libc::SIGUSR1] {
            assert_eq!(meaning(signal, BY_THE_KERNEL), Request::Reopen);
            assert_eq!(meaning(signal, BY_A_PROCESS), Request::Reopen);
        }
    }
}

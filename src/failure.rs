//! One answer for every call of the event loop that fails.
//!
//! Pure. An error that may last is never a reason to try again at once, nor to give up what can be kept: it is
//! logged once, counted, and tried again after a growing pause. The exceptions are the short lists below: errors
//! that the kernel reports once and forgets, and outputs that cannot come back.

use crate::sys::errno as e;
use std::io;
use std::time::{Duration, Instant};

/// A call that the event loop makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// accept(2) on a listening socket.
    Accept,
    /// accept(2) on a listening socket that we have shut down.
    LastAccept,
    /// read(2) from a connection.
    Read,
    /// read(2) from a FIFO.
    ReadFifo,
    /// recvmmsg(2) or recvmsg(2) from a datagram socket.
    Receive,
    /// open(2) of a FIFO whose last writer has left.
    ReopenFifo,
    /// write(2) to a regular file.
    WriteFile,
    /// write(2) or send(2) to a pipe, socket, terminal or device.
    WriteStream,
    /// fsync(2) of the output.
    Sync,
    /// rename(2) and unlink(2) of output files.
    Rotate,
    /// open(2) of the output's path.
    Reopen,
    /// read(2) from inotify.
    Watch,
    /// epoll_ctl(2).
    Register,
    /// epoll_wait(2), or poll(2) while the output takes nothing.
    Wait,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Accept,
        Self::LastAccept,
        Self::Read,
        Self::ReadFifo,
        Self::Receive,
        Self::ReopenFifo,
        Self::WriteFile,
        Self::WriteStream,
        Self::Sync,
        Self::Rotate,
        Self::Reopen,
        Self::Watch,
        Self::Register,
        Self::Wait,
    ];

    /// What it was to do, in words that follow "cannot".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Accept | Self::LastAccept => "accept connections",
            Self::Read => "read from a connection",
            Self::ReadFifo => "read from the FIFO",
            Self::Receive => "receive datagrams",
            Self::ReopenFifo => "open the FIFO anew",
            Self::WriteFile | Self::WriteStream => "write",
            Self::Sync => "sync",
            Self::Rotate => "rotate",
            Self::Reopen => "open the output anew",
            Self::Watch => "read what inotify reports",
            Self::Register => "have epoll watch it",
            Self::Wait => "wait for events",
        }
    }
}

/// What a failed call is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The same call once more: it was interrupted.
    Again,
    /// Wait until the kernel reports readiness.
    NotReady,
    /// Go on: the report has consumed the error, which says nothing of what is queued.
    Consumed,
    /// The source has ended.
    Ended,
    /// Log it once, count it, and try again after a growing pause.
    Pause,
    /// It will never work again: end the daemon, with the reason.
    GiveUp,
}

/// What this call's failure with this error number (0: none) is followed by.
pub fn answer(call: Call, errno: i32) -> Answer {
    use Call as C;
    match (call, errno) {
        // A signal arrived first (`man 7 signal`). A few times in a row; see [`Tries`].
        (_, e::EINTR) => Answer::Again,
        // Nothing there, or no room (`man 2 accept`, `man 2 read`). A regular file never says so and means it.
        (C::Accept | C::Read | C::ReadFifo | C::Receive, e::EAGAIN)
        | (C::WriteStream | C::Watch, e::EAGAIN) => Answer::NotReady,
        // `man 2 accept`, "Error handling": errors that wait on the new connection, which is gone with them.
        (
            C::Accept | C::LastAccept,
            e::ECONNABORTED
            | e::ECONNRESET
            | e::ETIMEDOUT
            | e::ENETDOWN
            | e::EPROTO
            | e::ENOPROTOOPT
            | e::EHOSTDOWN
            | e::ENONET
            | e::EHOSTUNREACH
            | e::EOPNOTSUPP
            | e::ENETUNREACH,
        ) => Answer::Consumed,
        // The listener has been shut down, and its backlog is empty (`unix_accept` in net/unix/af_unix.c: EINVAL, but
        // for one that does not block EAGAIN).
        (C::LastAccept, e::EAGAIN | e::EINVAL) => Answer::Ended,
        // The connection's own end: `tcp_reset`, `tcp_write_err` (net/ipv4), `icmp_err_convert` (net/ipv4/icmp.c),
        // `unix_release_sock`.
        (
            C::Read,
            e::ECONNRESET
            | e::ETIMEDOUT
            | e::EPIPE
            | e::ENOTCONN
            | e::ECONNABORTED
            | e::ECONNREFUSED
            | e::EHOSTUNREACH
            | e::ENETUNREACH
            | e::EHOSTDOWN
            | e::ENETDOWN
            | e::ENONET
            | e::EPROTO
            | e::ENOPROTOOPT
            | e::EOPNOTSUPP
            | e::EMSGSIZE,
        ) => Answer::Ended,
        // What became of an earlier datagram (`man 7 udp`, `man 7 ip`; ICMP as above; `unix_dgram_disconnected`).
        (
            C::Receive,
            e::ECONNREFUSED
            | e::ECONNRESET
            | e::EHOSTUNREACH
            | e::ENETUNREACH
            | e::EHOSTDOWN
            | e::ENETDOWN
            | e::ENONET
            | e::EPROTO
            | e::ENOPROTOOPT
            | e::EOPNOTSUPP
            | e::EMSGSIZE
            | e::EACCES,
        ) => Answer::Consumed,
        // fsync reports a failed write-back once, and the kernel has dropped the pages (`man 2 fsync`): what that means
        // is said, and a next one cures nothing.
        (C::Sync, _) => Answer::Consumed,
        // The reader or the terminal has gone (`pipe_write`, `tty_write`, `man 2 send`).
        (
            C::WriteStream,
            e::EPIPE
            | e::EIO
            | e::ECONNRESET
            | e::ENOTCONN
            | e::ECONNREFUSED
            | e::ESHUTDOWN
            | e::ENXIO
            | e::ENODEV
            | e::EDESTADDRREQ,
        ) => Answer::GiveUp,
        // Everything else may pass: no descriptors, no memory, a full disk, a sandbox, a mount that comes back.
        _ => Answer::Pause,
    }
}

/// The error number of an error; 0 if it has none.
pub fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// A call that failed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The call.
    pub call: Call,
    /// The error number.
    pub errno: i32,
}

impl Failure {
    /// The failure of this call with this error.
    pub fn new(call: Call, error: &io::Error) -> Self {
        Self {
            call,
            errno: errno(error),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = io::Error::from_raw_os_error(self.errno);
        write!(f, "cannot {}: {reason}", self.call.verb())
    }
}

/// How often in a row a call is made again at once, when each failure by itself asks for that: a connection that was
/// reset before it was accepted, a signal. More in a row are one that lasts.
#[derive(Debug, Default)]
pub struct Tries(u8);

impl Tries {
    const MAX: u8 = 3;

    /// For a call that is tried again: one failure more is one that lasts.
    pub fn spent() -> Self {
        Self(Self::MAX)
    }

    /// What a failure is followed by, after those before it.
    pub fn answer(&mut self, call: Call, error: &io::Error) -> Answer {
        match answer(call, errno(error)) {
            Answer::Again | Answer::Consumed if self.0 == Self::MAX => Answer::Pause,
            answer @ (Answer::Again | Answer::Consumed) => {
                self.0 += 1;
                answer
            }
            answer => answer,
        }
    }

    /// Notes that a call has succeeded.
    pub fn succeed(&mut self) {
        self.0 = 0;
    }
}

/// Growing pauses between the tries of what keeps failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// When it began to fail.
    pub since: Instant,
    /// When it is tried again.
    pub due: Instant,
    pause: Duration,
}

impl Backoff {
    /// The first pause. Each is three times the one before.
    pub const FIRST: Duration = Duration::from_millis(100);
    /// The longest pause.
    pub const MAX: Duration = Duration::from_secs(5);

    /// The first pause begins.
    pub fn begin(now: Instant) -> Self {
        Self::begin_with(Self::FIRST, now)
    }

    /// The first pause begins, of this length.
    pub fn begin_with(pause: Duration, now: Instant) -> Self {
        Self {
            since: now,
            due: now + pause,
            pause,
        }
    }

    /// The next pause, after a try that failed.
    #[must_use]
    pub fn next(self, now: Instant) -> Self {
        let pause = (self.pause * 3).min(Self::MAX);
        Self {
            due: now + pause,
            pause,
            ..self
        }
    }

    /// The first pause again, after a try that got somewhere and then failed.
    #[must_use]
    pub fn restart(self, now: Instant) -> Self {
        Self {
            since: self.since,
            ..Self::begin(now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No error number, whatever the call, is answered by another try at once without a bound, and none ends the
    /// daemon but those by which an output says that it has gone.
    #[test]
    fn every_error_of_every_call_has_an_answer_that_neither_spins_nor_dies() {
        for call in Call::ALL {
            for errno in 0..4096 {
                let error = io::Error::from_raw_os_error(errno);
                let mut tries = Tries::default();
                let answers: Vec<_> = (0..20).map(|_| tries.answer(call, &error)).collect();
                let last = answers[19];
                assert!(
                    !matches!(last, Answer::Again | Answer::Consumed),
                    "{call:?} {errno}: {answers:?}"
                );
                assert!(
                    last != Answer::GiveUp || call == Call::WriteStream,
                    "{call:?} {errno}"
                );
                let may_end = matches!(call, Call::Read | Call::LastAccept);
                assert!(last != Answer::Ended || may_end, "{call:?} {errno}");
                let waits_for_readiness = !matches!(
                    call,
                    Call::WriteFile | Call::Sync | Call::Rotate | Call::Reopen | Call::ReopenFifo
                );
                assert!(
                    last != Answer::NotReady || (waits_for_readiness && errno == e::EAGAIN),
                    "{call:?} {errno}"
                );
            }
        }
    }

    #[test]
    fn a_success_between_failures_makes_them_single_ones() {
        let mut tries = Tries::default();
        let interrupted = io::Error::from_raw_os_error(e::EINTR);
        for _ in 0..100 {
            for _ in 0..Tries::MAX {
                assert_eq!(tries.answer(Call::Read, &interrupted), Answer::Again);
            }
            tries.succeed();
        }
    }

    #[test]
    fn pauses_grow_to_five_seconds_and_no_further() {
        let begin = Instant::now();
        let mut backoff = Backoff::begin(begin);
        let mut pauses = Vec::new();
        let mut now = begin;
        for _ in 0..10 {
            pauses.push((backoff.due - now).as_millis());
            now = backoff.due;
            backoff = backoff.next(now);
        }
        assert_eq!(
            pauses,
            [100, 300, 900, 2700, 5000, 5000, 5000, 5000, 5000, 5000]
        );
        assert_eq!(backoff.since, begin);
        assert_eq!(backoff.restart(now).due, now + Backoff::FIRST);
    }
}

//! What a token of the event loop stands for, and one turn of it.

use super::datagram::DatagramSource;
use super::endpoint::Endpoint;
use super::fifo::FifoSource;
use super::hints::Hints;
use super::listener::Listener;
use super::stream::Connection;
use crate::failure::{Answer, Call, Failure, Tries};
use crate::framing::Hint;
use crate::record::Recorder;
use crate::sys;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Bytes that one source may read in a turn, or make of what it reads where that is more: so a fast
/// producer does not starve the others, nor does one whose every byte becomes a record fill the memory.
pub(super) const TURN_BYTES_MAX: usize = 256 << 10;

/// How one source's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The kernel seems to hold nothing more for now. If it does, it reports that at the next wait.
    Drained,
    /// The budget ran out first, and there may be more.
    Unfinished,
    /// Nothing more will come; forget the source.
    Closed,
    /// Connections wait that our own limit keeps from being accepted; it ends with a close of ours.
    Parked,
    /// A call fails in a way that may last.
    Failing(Failure),
}

/// What a source may use in its turn.
#[derive(Debug)]
pub struct TurnContext<'a> {
    /// Where it registers a descriptor that replaces its own.
    pub registry: &'a Registry,
    /// Under which token.
    pub token: Token,
    /// Room to read into.
    pub scratch: &'a mut [u8],
    /// Where its records go.
    pub recorder: Recorder<'a>,
    /// The endpoint that it belongs to.
    pub endpoint: &'a Endpoint,
    /// What has been said of that endpoint's senders.
    pub hints: &'a mut Hints,
    /// Where it puts connections that it has accepted.
    pub accepted: &'a mut Vec<Source>,
    /// How many it may put there.
    pub room: usize,
    /// Longest record, in bytes without the newline.
    pub record_bytes_max: usize,
    /// Whether the next look may be put off.
    pub is_waiting: bool,
    /// How full the fullest receive buffer was, from 0 to 1, of those that drop what does not fit. Only then it matters.
    pub fill: &'a mut f64,
    /// Whether to read until the kernel says that there is nothing more, and not only until it seems so.
    pub to_the_end: bool,
    /// Whether this is the last turn or near it: what ends now is not opened again.
    pub stopping: bool,
    /// Whether the source has failed in its last turn.
    pub is_retry: bool,
    /// Set when the turn has got anything from the kernel.
    pub found: bool,
    /// How many bytes that was.
    pub bytes: usize,
    /// How many calls have failed for another reason than that there was nothing, or an interruption.
    pub errors: u64,
}

impl TurnContext<'_> {
    /// How often a call may fail in this turn.
    pub(super) fn tries(&self) -> Tries {
        if self.is_retry {
            Tries::spent()
        } else {
            Tries::default()
        }
    }

    /// What a failed call is followed by, after the failures before it; counts it.
    pub(super) fn answer(&mut self, tries: &mut Tries, call: Call, error: &io::Error) -> Answer {
        let answer = tries.answer(call, error);
        if !matches!(answer, Answer::Again | Answer::NotReady | Answer::Ended) {
            self.errors += 1;
        }
        answer
    }

    /// Says what a sender should set.
    #[cold]
    pub(super) fn say(&mut self, hint: Hint) {
        self.hints.say(self.endpoint, hint, self.record_bytes_max);
    }

    /// How many bytes of records wait to be written.
    pub(super) fn made(&self) -> usize {
        self.recorder.lines.bytes.len()
    }
}

/// What a token stands for.
#[derive(Debug)]
pub enum Source {
    /// Accepts connections.
    Listener(Listener),
    /// One client of a stream socket.
    Connection(Connection),
    /// A datagram socket.
    Datagrams(DatagramSource),
    /// A FIFO, with all its writers.
    Fifo(FifoSource),
}

impl Source {
    /// Has the event loop watch it.
    ///
    /// # Errors
    /// What `man 2 epoll_ctl` lists.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Fifo(fifo) if fifo.reports_changes() => {
                watch_changes(registry, self.as_fd(), token)
            }
            _ => register(registry, self.as_fd(), token),
        }
    }

    /// Has the event loop watch it no more, as if it were closed.
    ///
    /// # Errors
    /// What `man 2 epoll_ctl` lists.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut SourceFd(&self.as_fd().as_raw_fd()))?;
        if let Self::Fifo(fifo) = self {
            fifo.forget_registration();
        }
        Ok(())
    }

    /// The call by which it gets what comes.
    pub fn call(&self) -> Call {
        match self {
            Self::Listener(_) => Call::Accept,
            Self::Connection(_) => Call::Read,
            Self::Datagrams(_) => Call::Receive,
            Self::Fifo(_) => Call::ReadFifo,
        }
    }

    /// Reads what there is, within the budget.
    pub fn turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        match self {
            Self::Listener(listener) => listener.turn(cx),
            Self::Connection(connection) => connection.turn(cx),
            Self::Datagrams(datagrams) => datagrams.turn(cx),
            Self::Fifo(fifo) => fifo.turn(cx),
        }
    }

    /// Goes on with what it has read already, and reads no more.
    pub fn use_up(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        match self {
            Self::Datagrams(datagrams) => datagrams.use_up(cx),
            Self::Listener(_) | Self::Connection(_) | Self::Fifo(_) => Turn::Drained,
        }
    }

    /// Lets no more in, where the mechanism knows how to; what is queued can still be read.
    pub fn stop(&mut self) {
        match self {
            Self::Listener(listener) => listener.stop(),
            Self::Connection(connection) => connection.stop(),
            Self::Datagrams(datagrams) => datagrams.stop(),
            // Writers learn of it when the last read end is closed.
            Self::Fifo(_) => {}
        }
    }

    /// Tells whether its sender may keep records back until [`release`](Self::release).
    pub fn may_keep_back(&self) -> bool {
        matches!(self, Self::Connection(connection) if connection.may_keep_back())
    }

    /// Has the sender send what it keeps back until we have acknowledged what was before.
    pub fn release(&self) {
        if let Self::Connection(connection) = self {
            connection.release();
        }
    }

    /// Makes way for another source at the same path: what is queued here is still read, and clients that
    /// are connected are served, but new ones are not let in. It ends by itself.
    pub fn retire(&mut self) {
        match self {
            Self::Listener(listener) => listener.stop(),
            Self::Datagrams(datagrams) => datagrams.retire(),
            Self::Fifo(fifo) => fifo.retire(),
            Self::Connection(_) => {}
        }
    }

    /// Ends the input where it stands: an unfinished line becomes a record.
    pub fn finish(&mut self, recorder: &mut Recorder<'_>) {
        match self {
            Self::Connection(connection) => connection.finish(recorder),
            Self::Fifo(fifo) => fifo.finish(recorder),
            Self::Listener(_) | Self::Datagrams(_) => {}
        }
    }

    /// Tells whether it holds half a line that no end may ever complete: only a FIFO's input has no end of its own.
    pub fn has_half_line(&self) -> bool {
        match self {
            Self::Fifo(fifo) => fifo.is_within_line(),
            Self::Listener(_) | Self::Connection(_) | Self::Datagrams(_) => false,
        }
    }

    /// Makes a record of that half line, if the last turn has brought nothing more of it. Tells whether it did.
    pub fn end_half_line(&mut self, recorder: &mut Recorder<'_>) -> bool {
        match self {
            Self::Fifo(fifo) => fifo.end_half_line(recorder),
            Self::Listener(_) | Self::Connection(_) | Self::Datagrams(_) => false,
        }
    }

    /// How many records it has taken from the kernel and not recorded yet, beyond an unfinished line.
    pub fn records_held(&self, record_bytes_max: usize) -> usize {
        match self {
            Self::Datagrams(datagrams) => datagrams.records_held(record_bytes_max),
            Self::Listener(_) | Self::Connection(_) | Self::Fifo(_) => 0,
        }
    }

    /// Sees how many datagrams the kernel has dropped, before its counter has gone round.
    pub fn look_at_drops(&mut self) {
        match self {
            Self::Datagrams(datagrams) => datagrams.look_at_drops(),
            Self::Listener(_) | Self::Connection(_) | Self::Fifo(_) => {}
        }
    }

    /// Datagrams that the kernel has dropped since the socket was bound.
    pub fn kernel_drops(&mut self) -> u64 {
        match self {
            Self::Datagrams(datagrams) => datagrams.kernel_drops(),
            Self::Listener(_) | Self::Connection(_) | Self::Fifo(_) => 0,
        }
    }

    /// Tells whether it brings connections, for which descriptors may be lacking.
    pub fn is_listener(&self) -> bool {
        matches!(self, Self::Listener(_))
    }

    /// Tells whether it is one of those that the connection limit counts.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connection(_))
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(listener) => listener.as_fd(),
            Self::Connection(connection) => connection.as_fd(),
            Self::Datagrams(datagrams) => datagrams.as_fd(),
            Self::Fifo(fifo) => fifo.as_fd(),
        }
    }
}

impl From<Listener> for Source {
    fn from(listener: Listener) -> Self {
        Self::Listener(listener)
    }
}

impl From<DatagramSource> for Source {
    fn from(datagrams: DatagramSource) -> Self {
        Self::Datagrams(datagrams)
    }
}

impl From<FifoSource> for Source {
    fn from(fifo: FifoSource) -> Self {
        Self::Fifo(fifo)
    }
}

/// Registers a descriptor for reading. It leaves the event loop when it is closed, since we never
/// duplicate one (`man 7 epoll`).
pub(super) fn register(registry: &Registry, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
    sys::watch_level(registry, fd, token)
}

/// Has a registered descriptor be reported only when something changes: for one whose other end has hung up, which
/// would be reported for ever.
pub(super) fn watch_changes(
    registry: &Registry,
    fd: BorrowedFd<'_>,
    token: Token,
) -> io::Result<()> {
    let fd = fd.as_raw_fd();
    match registry.reregister(&mut SourceFd(&fd), token, Interest::READABLE) {
        // It was not watched, since it had failed.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            registry.register(&mut SourceFd(&fd), token, Interest::READABLE)
        }
        result => result,
    }
}

//! The stream shape: bytes without boundaries, which newlines cut into records.

use super::Transport;
use super::source::{TURN_BYTES_MAX, Turn, TurnContext};
use super::tcp;
use crate::failure::{Answer, Call, Failure};
use crate::framing::LineFramer;
use crate::record::Recorder;
use crate::sys;
use log::debug;
use socket2::SockRef;
use std::fs::File;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a read costs at least, in bytes of the budget: a sender that trickles has its turn ended,
/// too.
const READ_COST: usize = 4096;

/// A stream and the line that it has begun.
#[derive(Debug)]
pub(super) struct StreamSource<R> {
    reader: R,
    /// The call by which it is read.
    call: Call,
    framer: LineFramer,
    /// Bytes read in the last turn.
    taken: usize,
}

impl<R: Read> StreamSource<R> {
    /// A FIFO, whose writers share it.
    pub(super) fn of_fifo(reader: R, record_bytes_max: usize) -> Self {
        Self {
            reader,
            call: Call::ReadFifo,
            taken: 0,
            framer: LineFramer::new(record_bytes_max),
        }
    }

    /// A connection, which one sender has for itself.
    fn of_connection(reader: R, record_bytes_max: usize) -> Self {
        Self {
            call: Call::Read,
            framer: LineFramer::of_connection(record_bytes_max),
            ..Self::of_fifo(reader, record_bytes_max)
        }
    }

    /// Reads within the budget. At the end of the input or at an error of the connection the
    /// unfinished line becomes a record, and the turn ends with `Closed`.
    ///
    /// With `to_the_end`, it reads until the kernel says that there is nothing more. Otherwise a short
    /// read is taken as saying so; where that is wrong, the next wait ends at once (`sys::watch_level`).
    pub(super) fn turn(&mut self, cx: &mut TurnContext<'_>, to_the_end: bool) -> Turn {
        self.taken = 0;
        let mut budget = TURN_BYTES_MAX;
        let mut tries = cx.tries();
        while budget > 0 {
            match self.reader.read(cx.scratch) {
                Ok(0) => {
                    cx.found = true;
                    return self.close(cx);
                }
                Ok(bytes) => {
                    tries.succeed();
                    cx.found = true;
                    self.taken += bytes;
                    cx.bytes += bytes;
                    let made_before = cx.made();
                    cx.recorder.arrived();
                    let max = cx.record_bytes_max;
                    let chunk = &cx.scratch[..bytes];
                    cx.recorder.chunk(&mut self.framer, chunk, max);
                    self.say_hint(cx);
                    // A stream that gives less than asked for is exhausted as a rule, but one that has been hung
                    // up has its end still to give.
                    if bytes < cx.scratch.len() && !to_the_end {
                        return Turn::Drained;
                    }
                    let made = cx.made() - made_before;
                    budget = budget.saturating_sub(bytes.max(made).max(READ_COST));
                }
                Err(e) => match cx.answer(&mut tries, self.call, &e) {
                    Answer::Again | Answer::Consumed => {}
                    Answer::NotReady => return Turn::Drained,
                    Answer::Ended => {
                        debug!("a connection ended: {e}");
                        return self.close(cx);
                    }
                    Answer::Pause | Answer::GiveUp => {
                        return Turn::Failing(Failure::new(self.call, &e));
                    }
                },
            }
        }
        Turn::Unfinished
    }

    fn close(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        self.finish(&mut cx.recorder);
        self.say_hint(cx);
        Turn::Closed
    }

    fn say_hint(&mut self, cx: &mut TurnContext<'_>) {
        if let Some(hint) = self.framer.take_hint() {
            cx.say(hint);
        }
    }

    /// Reads the rest of a line that has begun and not a byte more, as far as it has arrived and was written
    /// in one piece, which is up to PIPE_BUF bytes.
    pub(super) fn read_to_newline(&mut self, recorder: &mut Recorder<'_>) {
        let mut byte = [0];
        for _ in 0..sys::PIPE_BUF {
            if !self.framer.is_within_line() || !matches!(self.reader.read(&mut byte), Ok(1)) {
                break;
            }
            self.framer.feed(&byte, |frame| recorder.frame(frame));
        }
    }

    pub(super) fn finish(&mut self, recorder: &mut Recorder<'_>) {
        recorder.arrived(); // the end did, which makes a record of what came before
        self.framer.finish(|frame| recorder.frame(frame));
    }

    /// For reads that are not input.
    pub(super) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Goes on with another reader of the same bytes, or of others where no line is begun; returns the one before.
    pub(super) fn replace_reader(&mut self, reader: R) -> R {
        std::mem::replace(&mut self.reader, reader)
    }

    /// Bytes read in the last turn.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Tells whether a line has begun and not ended.
    pub(super) fn is_within_line(&self) -> bool {
        self.framer.is_within_line()
    }
}

impl<R: AsFd> AsFd for StreamSource<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// One client of a stream socket.
#[derive(Debug)]
pub struct Connection {
    /// A `File`, since from here on a socket is a descriptor to be read like any other.
    stream: StreamSource<File>,
    transport: Transport,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, transport: Transport, record_bytes_max: usize) -> Self {
        Self {
            stream: StreamSource::of_connection(File::from(socket), record_bytes_max),
            transport,
        }
    }

    pub(super) fn turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        // Where a wait may follow, read on: the first read acknowledges, and what the peer has kept back for that is there.
        let to_the_end = cx.to_the_end || (cx.is_waiting && self.may_keep_back());
        let turn = self.stream.turn(cx, to_the_end);
        if turn == Turn::Drained && cx.stopping && self.transport == Transport::Tcp {
            tcp::refuse_more(&self.stream);
            return self.stream.turn(cx, true);
        }
        turn
    }

    /// Tells whether the peer may keep records back until what was before is acknowledged.
    pub(super) fn may_keep_back(&self) -> bool {
        self.transport == Transport::Tcp
    }

    /// Has the peer send what it keeps back.
    pub(super) fn release(&self) {
        tcp::acknowledge(&self.stream);
    }

    pub(super) fn finish(&mut self, recorder: &mut Recorder<'_>) {
        self.stream.finish(recorder);
    }

    /// Makes the peer's sends fail, where the kernel knows how to.
    ///
    /// On a Unix socket they fail with EPIPE from now on, and what was sent can still be read
    /// (`unix_stream_sendmsg` looks at the receiver's shutdown under the lock under which it
    /// queues). On TCP it would cost the peer what waits in its send buffer: its connection is read until
    /// it is empty first, see [`tcp::refuse_more`].
    pub(super) fn stop(&self) {
        if self.transport == Transport::Unixsock {
            // It fails only when the peer is gone already.
            let _ = SockRef::from(&self.stream).shutdown(Shutdown::Read);
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::record::Clock;
    use crate::sys::errno;
    use crate::transports::Hints;
    use mio::{Poll, Token};
    use std::collections::VecDeque;
    use std::io::{self, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    /// A reader that stands in for the kernel: what each read returns, in order.
    struct Script(VecDeque<Result<Vec<u8>, i32>>);

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let answer = self.0.pop_front().expect("a read too many");
            let bytes = answer.map_err(io::Error::from_raw_os_error)?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    const SCRATCH: usize = 8; // a record is 3 bytes, two are less

    /// Gives one turn to a stream that answers as scripted; returns how it ended, the lines written
    /// and how many answers were left.
    fn turn(answers: Vec<Result<&str, i32>>, to_the_end: bool) -> (Turn, String, usize) {
        let script = answers
            .into_iter()
            .map(|r| r.map(|s| s.as_bytes().to_vec()));
        let mut stream = StreamSource::of_connection(Script(script.collect()), 1024);
        let (end, lines) = in_turn(false, |cx| stream.turn(cx, to_the_end));
        (end, lines, stream.reader.0.len())
    }

    /// Runs this as a turn; returns how it ended, and the lines written.
    fn in_turn(is_waiting: bool, run: impl FnOnce(&mut TurnContext<'_>) -> Turn) -> (Turn, String) {
        let mut batch = Batch::default();
        let poll = Poll::new().unwrap();
        let mut cx = TurnContext {
            registry: poll.registry(),
            token: Token(0),
            scratch: &mut [0; SCRATCH],
            recorder: Recorder {
                source: "tcp",
                stamping: false,
                stamp: None,
                clock: Clock::SYSTEM,
                lines: batch.lines_of(0),
            },
            endpoint: &"tcp".parse().unwrap(),
            hints: &mut Hints::default(),
            accepted: &mut Vec::new(),
            room: 0,
            record_bytes_max: 1024,
            is_waiting,
            fill: &mut 0.0,
            to_the_end: false,
            stopping: false,
            is_retry: false,
            found: false,
            bytes: 0,
            errors: 0,
        };
        let end = run(&mut cx);
        (end, String::from_utf8(batch.rest().to_vec()).unwrap())
    }

    /// How often, of many times, one turn brings two records of a sender with Nagle's algorithm.
    fn turns_with_both(is_waiting: bool) -> usize {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let receiver = listener.accept().unwrap().0;
        receiver.set_nonblocking(true).unwrap();
        let mut connection = Connection::new(receiver.into(), Transport::Tcp, 1024);
        let mut both = 0;
        for _ in 0..200 {
            sender.write_all(b"{}\n").unwrap();
            sender.write_all(b"{}\n").unwrap();
            let mut left = 2;
            while left > 0 {
                let (_, lines) = in_turn(is_waiting, |cx| connection.turn(cx));
                both += usize::from(lines.len() == 6);
                left -= lines.len() / 3;
            }
        }
        both
    }

    #[test]
    fn what_a_sender_keeps_back_until_the_read_comes_before_a_wait() {
        let (without, with) = (turns_with_both(false), turns_with_both(true));
        // Not always: the kernel acknowledges some at once, and may deliver late.
        assert!(with > without + 20, "{with} in place of {without}");
    }

    #[test]
    fn a_short_read_ends_the_turn_and_a_full_one_does_not() {
        let (end, lines, left) = turn(vec![Ok("{}\n{\"a\":"), Ok("1}\n"), Ok("{}\n")], false);
        assert_eq!((end, &*lines, left), (Turn::Drained, "{}\n{\"a\":1}\n", 1));
    }

    #[test]
    fn after_a_hang_up_a_short_read_is_not_the_end() {
        let (end, lines, left) = turn(vec![Ok("{}\n"), Ok("{}\n{}"), Ok("")], true);
        assert_eq!((end, &*lines, left), (Turn::Closed, "{}\n{}\n{}\n", 0));
    }

    #[test]
    fn an_interrupted_read_is_repeated_and_a_failed_one_ends_the_stream() {
        let (end, lines, left) = turn(
            vec![Err(errno::EINTR), Ok("{}\n{}"), Err(errno::ECONNRESET)],
            true,
        );
        assert_eq!((end, &*lines, left), (Turn::Closed, "{}\n{}\n", 0));
    }

    #[test]
    fn an_error_that_may_last_is_neither_the_end_nor_tried_again_at_once() {
        for error in [errno::EPERM, errno::EIO] {
            let (end, lines, left) = turn(vec![Ok("{}\n{}"), Err(error), Ok("")], true);
            let failure = Failure {
                call: Call::Read,
                errno: error,
            };
            assert_eq!((end, &*lines, left), (Turn::Failing(failure), "{}\n", 1));
        }
        let (end, _, left) = turn(vec![Err(errno::EINTR); 100], true);
        assert!(matches!(end, Turn::Failing(_)));
        assert!(left > 90, "{left}");
    }

    #[test]
    fn nothing_to_read_is_the_end_of_the_turn_and_not_of_the_stream() {
        let (end, lines, _) = turn(vec![Ok("{}\n{}"), Err(errno::EAGAIN)], true);
        assert_eq!((end, &*lines), (Turn::Drained, "{}\n"));
    }

    #[test]
    fn a_stream_that_never_ends_has_its_turn_ended() {
        let (end, _, left) = turn(vec![Ok("{}\n"); 100], true);
        assert_eq!(end, Turn::Unfinished);
        assert_eq!(left, 100 - TURN_BYTES_MAX / READ_COST);
    }
}

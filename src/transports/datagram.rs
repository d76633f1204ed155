//! The datagram shape: each message is whole, and holds whole records.

use super::source::{TURN_BYTES_MAX, Turn, TurnContext};
use super::{Transport, udp};
use crate::failure::{Answer, Call, Failure};
use crate::framing;
use crate::object::Scanner;
use crate::record;
use crate::sys::{self, DatagramRing, Stamp};
use log::{debug, warn};
use socket2::{SockRef, Socket};
use std::io;
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

/// What a datagram costs beyond its bytes, in bytes of the budget, so that empty ones end a turn, too.
const DATAGRAM_COST: usize = 256;

/// Calls between two looks at the kernel's count of drops: within them no load can make it go round.
const LOOK_CALLS: u32 = 1 << 16;

/// A datagram socket.
#[derive(Debug)]
pub struct DatagramSource {
    socket: Socket,
    ring: DatagramRing,
    /// recvmmsg(2) is refused here, and recvmsg(2) is not.
    is_one_by_one: bool,
    /// Which of those in the ring are still to be recorded: a few large ones can make more records than
    /// one turn may.
    held: Range<usize>,
    /// When those in the ring arrived.
    stamp: Option<Stamp>,
    transport: Transport,
    drops: Drops,
    /// Calls since the kernel's count of drops was looked at.
    unlooked: u32,
    /// Whether we have said that it cannot be read.
    has_warned: bool,
    /// Nothing more is let in; what is queued is read, and that is the end.
    is_retired: bool,
}

impl DatagramSource {
    pub(super) fn new(socket: Socket, transport: Transport) -> Self {
        Self {
            socket,
            drops: Drops::default(),
            unlooked: 0,
            has_warned: false,
            ring: DatagramRing::new(),
            is_one_by_one: false,
            held: 0..0,
            stamp: None,
            transport,
            is_retired: false,
        }
    }

    pub(super) fn turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        if self.transport == Transport::Udp
            && cx.is_waiting
            && let Ok(queue) = sys::receive_queue(self.socket.as_fd())
        {
            *cx.fill = cx.fill.max(queue.fill());
        }
        match self.receive(cx) {
            Turn::Drained if self.is_retired => Turn::Closed,
            turn => turn,
        }
    }

    fn receive(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        let mut budget = TURN_BYTES_MAX;
        let mut tries = cx.tries();
        // Of this turn, not of an earlier one: the event for what has come since may be the one that
        // has brought us here.
        let mut is_drained = false;
        loop {
            self.record_held(cx, &mut budget);
            if self.held.is_empty() && is_drained && !cx.to_the_end {
                return Turn::Drained;
            }
            if budget == 0 {
                return Turn::Unfinished;
            }
            match self.fill_ring() {
                Ok(count) => {
                    tries.succeed();
                    cx.found = true;
                    self.unlooked += 1;
                    if self.unlooked == LOOK_CALLS {
                        self.look_at_drops();
                    }
                    cx.recorder.arrived();
                    self.stamp = cx.recorder.stamp;
                    self.held = 0..count;
                    // `receive` goes on until it would block or is full.
                    is_drained = count < DatagramRing::CAPACITY;
                }
                Err(e) => match cx.answer(&mut tries, Call::Receive, &e) {
                    Answer::Again => {}
                    Answer::Consumed => debug!("{}: {e}", self.transport),
                    Answer::NotReady | Answer::Ended => return Turn::Drained,
                    Answer::Pause | Answer::GiveUp => {
                        return Turn::Failing(Failure::new(Call::Receive, &e));
                    }
                },
            }
        }
    }

    /// Receives what the ring has room for; where recvmmsg(2) is refused, one by one.
    fn fill_ring(&mut self) -> io::Result<usize> {
        let socket = self.socket.as_fd();
        if self.is_one_by_one {
            return self.ring.receive_one_by_one(socket);
        }
        match self.ring.receive(socket) {
            Err(refusal) if sys::is_lacking(&refusal) => {
                let one_by_one = self.ring.receive_one_by_one(socket);
                if one_by_one.as_ref().is_err_and(sys::is_lacking) {
                    return Err(refusal);
                }
                self.is_one_by_one = true;
                warn!(
                    "{}: recvmmsg is refused ({refusal}); recvmsg serves as well, one call a datagram",
                    self.transport
                );
                one_by_one
            }
            result => result,
        }
    }

    /// Records what it holds, within the budget, and receives nothing.
    pub(super) fn use_up(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        self.record_held(cx, &mut { TURN_BYTES_MAX });
        if self.held.is_empty() {
            Turn::Drained
        } else {
            Turn::Unfinished
        }
    }

    /// Records the datagrams in the ring, as many as the budget allows.
    fn record_held(&mut self, cx: &mut TurnContext<'_>, budget: &mut usize) {
        cx.recorder.stamp = self.stamp;
        let mut scanner = Scanner::new(&[]);
        while *budget > 0
            && let Some(index) = self.held.next()
        {
            let (bytes, cut) = self.ring.datagram(index);
            cx.bytes += bytes.len();
            let made_before = cx.made();
            let max = cx.record_bytes_max;
            cx.recorder.datagram(&mut scanner, bytes, cut, max);
            let cost = bytes.len().max(cx.made() - made_before) + DATAGRAM_COST;
            *budget = budget.saturating_sub(cost);
        }
    }

    /// How many records the datagrams hold that were received and not recorded.
    pub(super) fn records_held(&self, record_bytes_max: usize) -> usize {
        let mut records = 0;
        for index in self.held.clone() {
            let (bytes, cut) = self.ring.datagram(index);
            framing::datagram(bytes, cut, record_bytes_max, |frame| {
                records += usize::from(!record::is_skipped(frame));
            });
        }
        records
    }

    /// Makes sends fail from now on; what is queued can still be read.
    pub(super) fn stop(&self) {
        if self.transport == Transport::Udp {
            udp::refuse_more(&self.socket);
        } else {
            // EPIPE from now on (`unix_dgram_sendmsg` in the kernel's net/unix). It cannot fail on an open
            // socket.
            let _ = SockRef::from(&self.socket).shutdown(Shutdown::Read);
        }
    }

    /// Lets nothing more in, and ends when what is queued is read: the path names another socket, which
    /// those who send here are to find.
    pub(super) fn retire(&mut self) {
        self.stop();
        self.is_retired = true;
    }

    /// Datagrams that the kernel has dropped, but for those before [`forget_drops`](Self::forget_drops).
    pub(super) fn kernel_drops(&mut self) -> u64 {
        self.look_at_drops();
        self.drops.total
    }

    /// Leaves to those who had the socket before us what was dropped until now.
    pub(super) fn forget_drops(&mut self) {
        self.look_at_drops();
        self.drops.total = 0;
    }

    /// Sees how many datagrams the kernel has dropped, before its counter has gone round.
    pub(super) fn look_at_drops(&mut self) {
        // A full Unix datagram queue makes its senders wait.
        if self.transport != Transport::Udp {
            return;
        }
        self.unlooked = 0;
        match sys::receive_queue(self.socket.as_fd()) {
            Ok(queue) => self.drops.note(queue.drops),
            Err(e) if !std::mem::replace(&mut self.has_warned, true) => {
                warn!("udp: cannot read the kernel's count of dropped datagrams: {e}");
            }
            Err(_) => {}
        }
    }
}

/// A count that goes on where the kernel's, of 32 bits, begins at 0 again.
#[derive(Debug, Default)]
struct Drops {
    last: u32,
    total: u64,
}

impl Drops {
    fn note(&mut self, count: u32) {
        self.total += u64::from(count.wrapping_sub(self.last));
        self.last = count;
    }
}

impl AsFd for DatagramSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_drops_goes_on_where_the_kernels_goes_round() {
        let mut drops = Drops::default();
        for (count, total) in [
            (5, 5),
            (5, 5),
            (u32::MAX, u64::from(u32::MAX)),
            (2, u64::from(u32::MAX) + 3),
            (1, 2 * (u64::from(u32::MAX) + 1) + 1),
        ] {
            drops.note(count);
            assert_eq!(drops.total, total);
        }
    }
}

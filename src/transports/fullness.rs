//! How full a kernel buffer was that has just been emptied: what the wait between rounds is measured by.
//!
//! Estimates, made so as to rather say too much: each record is taken for a write of its own.

use super::Transport;
use crate::sys;

/// What the kernel charges a Unix socket's sender for a write beyond its bytes: two structures, and the
/// rounding of their allocation (`alloc_skb_with_frags`; 167 writes of 197 bytes fit into 212,992).
const UNIX_WRITE_COST: usize = 1078;

/// What a Unix stream's sender may have on its way (SO_SNDBUF, from `net.core.wmem_default`).
const UNIX_SEND_BUFFER: usize = 212_992;

/// Segments that may gather on a TCP connection. Many more would fit, but they are dearer for it: what comes while the
/// daemon reads waits on the socket's backlog and is received many at a time, by the daemon; what comes while it sleeps
/// is received segment by segment, in the sender's call. With TCP_NODELAY, where each record is a segment, it took its
/// sender 2.1 us instead of 1.2 where four times as many gathered (docs/performance.md).
const TCP_SEGMENTS: usize = 40;

/// What a TCP connection takes in at least before its sender waits: both buffers grow far beyond.
const TCP_BUFFERS: usize = 1 << 20;

/// More segments than that are no sign that a sender waits.
const TCP_SHARE_MAX: f64 = 0.8;

/// What the kernel charges a UDP socket's receive buffer for a datagram beyond its bytes.
const UDP_DATAGRAM_COST: usize = 1078;

/// `net.unix.max_dgram_qlen` where it cannot be read.
const QUEUE_LENGTH: usize = 10;

/// How much a socket or pipe can hold, in what its transport counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// What each byte, and each record, takes of it.
    byte: usize,
    record: usize,
    fits: usize,
    /// No share above this is reported.
    share_max: f64,
}

impl Capacity {
    pub(super) fn of_stream(transport: Transport) -> Self {
        match transport {
            Transport::Unixsock => Self::new(1, UNIX_WRITE_COST, UNIX_SEND_BUFFER),
            // Each record a segment, until more is known.
            _ => Self {
                share_max: TCP_SHARE_MAX,
                ..Self::new(0, 1, TCP_SEGMENTS)
            },
        }
    }

    /// A TCP connection whose segments have so many bytes.
    pub(super) fn of_segments(bytes: usize) -> Self {
        Self {
            share_max: TCP_SHARE_MAX,
            ..Self::new(1, 0, (TCP_SEGMENTS * bytes).min(TCP_BUFFERS))
        }
    }

    pub(super) fn of_pipe(bytes: usize) -> Self {
        Self::new(1, 0, bytes)
    }

    /// A Unix datagram socket takes one more than its queue's length says (`unix_recvq_full`), and with a place left
    /// nobody has waited: it counts as full one later.
    pub(super) fn of_datagram_queue() -> Self {
        let length = sys::number_in("/proc/sys/net/unix/max_dgram_qlen");
        Self::new(0, 1, length.unwrap_or(QUEUE_LENGTH) + 2)
    }

    pub(super) fn of_receive_buffer(bytes: usize) -> Self {
        Self::new(1, UDP_DATAGRAM_COST, bytes)
    }

    fn new(byte: usize, record: usize, fits: usize) -> Self {
        Self {
            byte,
            record,
            fits: fits.max(1),
            share_max: f64::INFINITY,
        }
    }

    /// The share of it, from 0, that was taken by what has been read.
    #[allow(clippy::cast_precision_loss)] // an estimate
    pub(super) fn share(&self, bytes: usize, records: usize) -> f64 {
        let taken = bytes * self.byte + records * self.record;
        (taken as f64 / self.fits as f64).min(self.share_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_to_fit_is_about_full() {
        for (capacity, records) in [
            (Capacity::of_stream(Transport::Unixsock), 167),
            (Capacity::of_pipe(65_536), 320),
            (Capacity::of_pipe(1 << 20), 5120),
        ] {
            let share = capacity.share(records * 197, records);
            assert!((0.95..1.05).contains(&share), "{capacity:?}: {share}");
        }
    }
}

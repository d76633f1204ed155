//! The load: threads that send numbered records, at a pace or flat out.
//!
//! A sender sends a record again only if its send failed, after connecting anew. So what is missing in
//! the output was taken by the kernel or the daemon, and lost there.

use crate::patience::Patience;
use crate::record::{Id, Marker};
use crate::transport::{Address, Transport};
use crate::wire::{Failure, Wire};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two attempts of a sender that the daemon has left.
pub const RETRY: Duration = Duration::from_millis(2);

/// Whom a load sends to.
#[derive(Debug, Clone)]
pub struct Target {
    pub transport: Transport,
    pub address: Address,
    pub marker: Marker,
}

/// What a load consists of.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The number of the first sender.
    pub first: u16,
    pub senders: u16,
    /// Records for each sender.
    pub records: u32,
    /// Records a second for each sender; flat out if none.
    pub rate: Option<f64>,
    /// Between two attempts to connect.
    pub retry: Duration,
    /// Whether to keep the connection, once all is sent, until the load is stopped.
    pub hold: bool,
}

impl Plan {
    fn due(&self, sequence: u32) -> Duration {
        let rate = self.rate.map(|rate| f64::from(sequence) / rate);
        rate.map_or(Duration::ZERO, Duration::from_secs_f64)
    }
}

/// A load on its way.
#[derive(Debug)]
pub struct Load {
    sent: Arc<[AtomicU64]>,
    patience: Patience,
    threads: Vec<JoinHandle<Part>>,
    plan: Plan,
    start: Instant,
}

/// How it went for one sender.
#[derive(Debug, Default, Clone, Copy)]
struct Part {
    resent: u64,
    told: u64,
    cut: u64,
    is_done: bool,
}

/// How it went for all.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Records that each sender got rid of, by the sender's number.
    pub sent: Vec<u64>,
    /// Records that were sent again because their send failed.
    pub resent: u64,
    /// UDP: how often a sender was told that the datagram before was refused.
    pub told: u64,
    /// Records of which a part was taken before their send failed.
    pub cut: u64,
    /// Senders that could not send all they had.
    pub stuck: u64,
    pub seconds: f64,
}

impl Load {
    pub fn start(target: &Target, plan: Plan, patience: &Patience) -> Self {
        let sent: Arc<[AtomicU64]> = (0..plan.senders).map(|_| AtomicU64::new(0)).collect();
        let patience = patience.own_flag();
        let start = Instant::now();
        let threads = (0..plan.senders)
            .map(|sender| {
                let (sent, target) = (Arc::clone(&sent), target.clone());
                let patience = patience.clone();
                thread::spawn(move || {
                    let mut sender = Sender {
                        number: plan.first + sender,
                        sent: &sent[usize::from(sender)],
                        target,
                        patience,
                        wire: None,
                        part: Part::default(),
                        retry: plan.retry,
                    };
                    sender.part.is_done = sender.send_all(plan, start).is_some();
                    if plan.hold {
                        sender.patience.wait_for(|| false);
                    }
                    sender.part
                })
            })
            .collect();
        Self {
            sent,
            patience,
            threads,
            plan,
            start,
        }
    }

    /// Records sent so far.
    pub fn sent(&self) -> u64 {
        let each = self.sent.iter();
        each.map(|sent| sent.load(Ordering::Relaxed)).sum()
    }

    /// What `sent` counts, for each sender.
    pub fn counter(&self) -> Arc<[AtomicU64]> {
        Arc::clone(&self.sent)
    }

    pub fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until this many records have been sent, or the load is over.
    pub fn wait_for(&self, records: u64, patience: &Patience) {
        patience.wait_for(|| self.sent() >= records || self.is_done());
    }

    /// Ends it where it is.
    pub fn stop(self) -> Report {
        self.patience.end();
        self.finish()
    }

    /// Waits until all is sent, or patience is over.
    pub fn finish(self) -> Report {
        let mut report = Report {
            sent: vec![0; usize::from(self.plan.first)],
            ..Report::default()
        };
        for (thread, sent) in self.threads.into_iter().zip(self.sent.iter()) {
            let part = thread.join().unwrap_or_default();
            report.sent.push(sent.load(Ordering::Relaxed));
            report.resent += part.resent;
            report.told += part.told;
            report.cut += part.cut;
            report.stuck += u64::from(!part.is_done);
        }
        report.seconds = self.start.elapsed().as_secs_f64();
        report
    }
}

struct Sender<'a> {
    number: u16,
    sent: &'a AtomicU64,
    target: Target,
    patience: Patience,
    wire: Option<Wire>,
    part: Part,
    retry: Duration,
}

impl Sender<'_> {
    fn send_all(&mut self, plan: Plan, start: Instant) -> Option<()> {
        for sequence in 0..plan.records {
            // By absolute time: what was held up is made up for.
            let due = start + plan.due(sequence);
            if plan.rate.is_some() {
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            if self.patience.is_over() {
                return None;
            }
            let id = Id {
                sender: self.number,
                sequence,
            };
            self.send_at_last(&self.target.marker.record(id))?;
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        Some(())
    }

    /// Sends a record, connecting as often as needed. None if patience was over first.
    fn send_at_last(&mut self, record: &[u8]) -> Option<()> {
        loop {
            let wire = match self.wire.take() {
                Some(wire) => wire,
                None => Wire::connect_at_last(
                    self.target.transport,
                    &self.target.address,
                    self.retry,
                    &self.patience,
                )?,
            };
            match wire.send(record, &self.patience) {
                Ok(()) => {
                    self.wire = Some(wire);
                    return Some(());
                }
                Err(Failure::Gone { .. }) if self.target.transport == Transport::Udp => {
                    // The kernel speaks of the datagram before; this one it has not taken.
                    self.part.told += 1;
                    self.wire = Some(wire);
                    thread::sleep(self.retry);
                }
                Err(Failure::Gone { taken }) => {
                    self.part.resent += 1;
                    self.part.cut += u64::from(taken > 0);
                    thread::sleep(self.retry);
                }
                Err(Failure::TooLong | Failure::Over) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::{Marks, Tally};
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    #[test]
    fn every_record_of_every_sender_is_sent_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let target = Target {
            transport: Transport::Unixsock,
            address: Address::Path(path),
            marker: Marker::fresh(),
        };
        let plan = Plan {
            first: 2,
            senders: 2,
            records: 100,
            rate: Some(10_000.0),
            retry: RETRY,
            hold: false,
        };
        let load = Load::start(&target, plan, &Patience::new(Duration::from_secs(20)));
        let mut tally = Tally::default();
        for _ in 0..2 {
            let mut bytes = Vec::new();
            listener
                .accept()
                .unwrap()
                .0
                .read_to_end(&mut bytes)
                .unwrap();
            tally.count(&bytes, &target.marker, &Marks::default(), None);
        }
        let report = load.finish();
        assert_eq!(report.sent, [0, 0, 100, 100]);
        assert_eq!(tally.lost(&report.sent), 0);
        assert_eq!((report.resent, report.stuck), (0, 0));
    }

    #[test]
    fn a_load_that_nobody_takes_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target {
            transport: Transport::Fifo,
            address: Address::Path(folder.path().join("nobody")),
            marker: Marker::fresh(),
        };
        let plan = Plan {
            first: 0,
            senders: 1,
            records: 1,
            rate: None,
            retry: RETRY,
            hold: false,
        };
        let load = Load::start(&target, plan, &Patience::new(Duration::from_secs(3600)));
        let report = load.stop();
        assert_eq!((report.sent.as_slice(), report.stuck), (&[0][..], 1));
    }
}

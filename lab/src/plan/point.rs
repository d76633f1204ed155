//! A load by itself: how many producers, how long, how many records.

use crate::trial::{Axis, Linger, Setting, Tracing};
use log_aggregator::transports::{Transport, write_bytes_max};

/// A load, whatever carries it.
#[derive(Clone, Debug)]
pub struct Point {
    /// What it is a point of.
    pub axis: Axis,
    /// Side by side.
    pub producers: u32,
    /// Message bytes of a record.
    pub message_bytes: u32,
    /// Records a second of each producer; 0 is flat out.
    pub rate: u32,
    /// What the daemon is told of lingering.
    pub linger: Linger,
    /// How long it shall take, if it is paced.
    pub seconds: f64,
    /// Records of all producers, if it is flat out.
    pub flat_out_records: u64,
    /// How many times the records that this makes.
    pub times: u64,
}

/// The longest that stands around the message of a stamped record.
pub const LONGEST_FRAME: &str = concat!(
    r#"{"source":"producer","timestamp":1700000000,"level":"INFO","message":"","pid":4194304,"#,
    r#""seq":18446744073709551615,"due_ns":18446744073709551615,"sent_ns":18446744073709551615}"#,
    "\n"
);

/// Whether this mechanism carries such a record in one write.
pub fn fits(transport: Transport, message_bytes: u32) -> bool {
    let record = message_bytes as usize + LONGEST_FRAME.len();
    write_bytes_max(transport).is_none_or(|max| record <= max)
}

impl Point {
    /// The same as a point of another axis.
    pub fn on(self, axis: Axis) -> Self {
        Self { axis, ..self }
    }

    /// The same with so many times the records.
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    /// The setting for this mechanism.
    pub fn setting(&self, transport: Transport, tracing: Tracing) -> Setting {
        Setting {
            axis: self.axis,
            transport,
            producers: self.producers,
            message_bytes: self.message_bytes,
            rate: self.rate,
            records: self.records(tracing) * self.times,
            linger: self.linger,
            nagle: false,
            pipe_bytes: None,
            qlen: None,
            tracing,
        }
    }

    /// Records of each producer.
    fn records(&self, tracing: Tracing) -> u64 {
        if self.rate > 0 {
            return paced_records(self.rate, self.seconds);
        }
        let record = u64::from(self.message_bytes) + LONGEST_FRAME.len() as u64;
        let records = match tracing {
            Tracing::Off | Tracing::Bpftrace => self.flat_out_records,
            Tracing::Strace => self.flat_out_records / STRACE_SLOWS_DOWN,
        };
        let records = records.min(FLAT_OUT_BYTES / record);
        (records / u64::from(self.producers)).max(1)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most a million a second for some seconds
fn paced_records(rate: u32, seconds: f64) -> u64 {
    ((f64::from(rate) * seconds) as u64).max(1)
}

/// A trial flat out makes no larger file than about this.
const FLAT_OUT_BYTES: u64 = 400_000_000;

/// It stops a process twice at each call.
const STRACE_SLOWS_DOWN: u64 = 20;

//! What a trial is, and what it found: the lines of `trials.jsonl`.
//!
//! A folder of results holds `environment.json` (one [`crate::environment::Environment`]), `trials.jsonl` (one
//! [`Trial`] a line, written before the next begins) and `journeys.jsonl` (one [`crate::journey::Journey`] a
//! line). Everything that a report says is computed from these three.

use crate::latency::Latencies;
use log_aggregator::transports::Transport;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a trial is made: the line of a figure, or the row of a table, that it is a point of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// The middle of everything; a point of all the other axes, too.
    Centre,
    /// Another number of producers.
    Producers,
    /// Another length of the message, paced and flat out (whose records a second are "throughput by size").
    Size,
    /// Another rate.
    Rate,
    /// The load of the original: 5 producers, 10 records a second, 50 records each, 100 bytes.
    Seed,
    /// The prime workload of `self-check`.
    SelfCheck,
    /// `net.unix.max_dgram_qlen` of a network namespace of its own.
    Qlen,
    /// The size of the pipe.
    Pipe,
    /// Nagle's algorithm in the producers, or not.
    Nagle,
    /// How long the daemon lingers, paced and flat out.
    Linger,
}

/// Who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracing {
    /// Nobody: its times count.
    Off,
    /// bpftrace: its counts count.
    Bpftrace,
    /// strace: its counts count, as far as slowing the processes down does not change them.
    Strace,
}

/// How long the daemon waits between rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linger {
    /// As the load suggests (`--linger auto`).
    Auto,
    /// This many microseconds; 0 shows the bare mechanism.
    Microseconds(u32),
}

/// What is done in a trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Setting {
    /// What it is a point of.
    pub axis: Axis,
    /// The mechanism.
    #[serde(with = "transport_name")]
    pub transport: Transport,
    /// Producers, side by side.
    pub producers: u32,
    /// Message bytes of a record.
    pub message_bytes: u32,
    /// Records a second of each producer; 0 is as fast as it can. From 100 on, producers are a thousandth apart,
    /// around this rate.
    pub rate: u32,
    /// Records of each producer.
    pub records: u64,
    /// What the daemon is told of lingering.
    pub linger: Linger,
    /// Whether the producers leave Nagle's algorithm on (TCP).
    pub nagle: bool,
    /// Bytes that the pipe holds, if not what the kernel makes it (FIFO).
    pub pipe_bytes: Option<u32>,
    /// `net.unix.max_dgram_qlen`, if not the machine's (unixgram).
    pub qlen: Option<u32>,
    /// Who watches.
    pub tracing: Tracing,
}

impl Setting {
    /// The records of all producers.
    pub fn sent(&self) -> u64 {
        u64::from(self.producers) * self.records
    }
}

/// A setting, and what came of it once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Its place in the run, from 0.
    pub index: u32,
    /// The how manieth time that this setting was tried, from 0.
    pub repetition: u32,
    /// What was done.
    pub setting: Setting,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// From the first record's being sent to the last one's being in the file, in seconds.
    pub seconds: f64,
    /// The records, by three witnesses.
    pub delivery: Delivery,
    /// What the daemon used while the load ran.
    pub daemon: Usage,
    /// What the producers used from start to end, all together.
    pub producers: Usage,
    /// What one producer uses that starts, connects and ends without a record, times their number; so that it can
    /// be told from what records cost. `None` where it was not measured.
    pub producers_base: Option<Usage>,
    /// Processor time of the whole machine while the load ran, in nanoseconds, from /proc/stat: what interrupts did
    /// is in it, wherever it was charged.
    pub machine_cpu_ns: u64,
    /// One-way latency, if records were stamped for it: not flat out, where it is the length of a queue.
    pub latencies: Option<Latencies>,
    /// What was counted, if it was traced.
    pub counts: Option<Counts>,
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Records that the producers say they have sent.
    pub sent: u64,
    /// Lines in the file.
    pub written: u64,
    /// Bytes in the file.
    pub bytes: u64,
    /// Sequence numbers that are missing in it: the first proof of loss.
    pub missing: u64,
    /// Drops of the socket's own counter, from the daemon's summary: the second.
    pub socket_drops: u64,
    /// What the kernel's counter for the whole namespace grew by (`RcvbufErrors` of UDP): the third.
    pub kernel_drops: u64,
    /// Sequence numbers that came twice.
    pub duplicates: u64,
    /// Records that came after a later one of the same producer.
    pub reordered: u64,
}

/// What a process, or several, used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Time on a processor, in nanoseconds (/proc/PID/schedstat).
    pub cpu_ns: u64,
    /// Time ready to run but waiting for a processor, in nanoseconds (the same file).
    pub run_queue_wait_ns: u64,
    /// Times that it went to sleep (/proc/PID/status).
    pub voluntary_switches: u64,
    /// Times that it was made to let another run (the same file).
    pub involuntary_switches: u64,
    /// Read calls of any kind through the file layer (`syscr` of /proc/PID/io; not recvmmsg).
    pub read_calls: u64,
    /// Write calls of any kind through the file layer (`syscw`).
    pub write_calls: u64,
    /// The most memory that was resident, in KiB; of several processes, that of the largest. 0 where they ended
    /// before anybody could look.
    pub memory_peak_kib: u64,
}

/// What a tracer counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// System calls of the daemon while the load ran, by name.
    pub daemon_calls: BTreeMap<String, u64>,
    /// System calls of all producers from start to end, by name.
    pub producer_calls: BTreeMap<String, u64>,
    /// Times that the daemon was woken up; `None` if the tracer cannot tell.
    pub daemon_wakeups: Option<u64>,
    /// Times that producers were woken up.
    pub producer_wakeups: Option<u64>,
    /// Times that the daemon went to sleep, by the switches away from it. Unlike a wake-up, a switch never comes
    /// in the midst of another tracing program, which would hide it, so that this is exact.
    #[serde(default)]
    pub daemon_sleeps: Option<u64>,
    /// From a wake-up of the daemon to its running, in nanoseconds: how often, and all together.
    pub daemon_wake_to_run: Option<(u64, u64)>,
}

mod transport_name {
    use log_aggregator::transports::Transport;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's way
    pub fn serialize<S: Serializer>(transport: &Transport, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(transport.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Transport, D::Error> {
        let name = String::deserialize(from)?;
        let known = Transport::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| D::Error::custom(format!("'{name}' is no transport")))
    }
}

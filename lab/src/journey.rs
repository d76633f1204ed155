//! The way of one record from its due time into the file, on one clock: the lines of `journeys.jsonl`.

use log_aggregator::transports::Transport;
use serde::{Deserialize, Serialize};

/// A moment on the way of a record, in the order in which they usually come. (The daemon may be awake before the send
/// call is left, since on loopback that call delivers.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The plan's time for it (`due_ns`).
    Due,
    /// The producer stamped it (`sent_ns`).
    Stamped,
    /// The send call was entered.
    SendEntered,
    /// The daemon was made ready to run, in the context of whoever did that.
    DaemonWoken,
    /// The send call returned.
    SendLeft,
    /// The daemon ran on a processor.
    DaemonRunning,
    /// Its wait returned.
    WaitReturned,
    /// The read was entered.
    ReadEntered,
    /// The read that brought the record returned.
    ReadReturned,
    /// The write to the file was entered.
    WriteEntered,
    /// The write that carried it to the file returned.
    Written,
}

/// The way of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    /// The mechanism, by name.
    pub transport: String,
    /// Which of the repetitions, from 0.
    pub number: u32,
    /// The moments, in the order of their times, in nanoseconds on CLOCK_MONOTONIC. A step that did not happen (the
    /// daemon was awake already) is not there.
    pub steps: Vec<(Step, u64)>,
    /// Whether the send call ran on the processor on which the daemon then ran.
    pub same_cpu: bool,
}

impl Journey {
    /// When this step was, if it was.
    pub fn at(&self, step: Step) -> Option<u64> {
        self.steps
            .iter()
            .find(|(known, _)| *known == step)
            .map(|(_, ns)| *ns)
    }

    /// Whether it is a journey over this mechanism.
    pub fn is_over(&self, transport: Transport) -> bool {
        self.transport == transport.name()
    }
}

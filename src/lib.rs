//! `aggregator` collects log records from local processes over five IPC mechanisms into one JSONL
//! file; `producer` loads it.
//!
//! To read the crate, follow a record:
//!
//! 1. [`transports`] reads bytes from the kernel, in one bounded *turn* of one *source*.
//! 2. [`framing`] cuts them into *frames*: lines, whole or not.
//! 3. [`record`] makes one JSON object of each: as it came ([`object`] decides), or wrapped.
//! 4. [`batch`] holds what one *round* completed.
//! 5. [`sink`] writes it; it opens the output, mends what a crash left at its end, and rotates it.
//!
//! [`reactor`] drives it all, on one thread. Steps 2 to 4 are pure. [`sys`] is the only module with
//! libc and `unsafe`. The rest: [`cli`] and [`config`] read command lines, [`claim`] tells of a second
//! daemon, [`failure`] has the answers to calls that fail, [`counters`] makes the summary, [`diagnostics`],
//! [`voice`] and [`error`] are what a person reads, [`producer`] is the other side.

pub mod batch;
pub mod claim;
pub mod cli;
pub mod config;
pub mod counters;
pub mod diagnostics;
pub mod error;
pub mod failure;
pub mod framing;
pub mod object;
pub mod producer;
pub mod reactor;
pub mod record;
pub mod sink;
pub mod start;
#[allow(unsafe_code)]
pub mod sys;
pub mod transports;
pub mod voice;

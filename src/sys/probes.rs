//! Places where a tracer may look on: USDT probes, provider `aggregator`.
//!
//! Each is one `nop` in the code and a note in the ELF file that says where it is and which registers
//! hold its arguments; bpftrace lists them with `bpftrace -l 'usdt:target/release/aggregator:*'`, gdb with
//! `info probes`. They fire for each round, turn and batch, never for each record: traced, each costs a
//! trap.
//!
//! The functions are always inlined, since a call would cost more than the probe.

use probe::probe;

/// A round begins: the wait is over, and so many descriptors are ready, signals and watched paths among
/// them.
#[inline(always)]
pub fn round_start(ready: usize) {
    probe!(aggregator, round_start, ready);
}

/// A turn of one source has read and made so many records: lines of so many bytes, newlines included,
/// as they will be written. A line of which only a part has come counts when the rest does.
#[inline(always)]
pub fn batch_read(bytes: usize, records: u64) {
    probe!(aggregator, batch_read, bytes, records);
}

/// The output has taken a whole batch, in one write as a rule.
#[inline(always)]
pub fn batch_flushed(bytes: u64, records: u64) {
    probe!(aggregator, batch_flushed, bytes, records);
}

//! The bpftrace scripts against a live load. They count by process name, so this is a test program
//! of its own: cargo runs it when the others have ended, and its tests run one after the other.

mod form;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod load;
mod numbers;
mod syscalls;
mod trace;

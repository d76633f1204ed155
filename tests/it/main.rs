//! Black-box tests of the two programs and the scripts: real sockets, real FIFOs, real files.
//!
//! Each test has a folder and addresses of its own and waits for facts, never for time to pass. A
//! test that needs what a machine may lack says `skipped` and why; under CI it fails instead.

mod commands;
mod delivery;
mod edges;
mod fairness;
mod faults;
mod fifo;
mod generators;
mod harness;
mod inherited;
mod injections;
mod launch;
mod limits;
mod memcheck;
mod memory;
mod output;
mod ownership;
mod paths;
mod peers;
mod producer;
mod quiet;
mod readers;
mod records;
mod restart;
mod rotation;
mod stop;
mod tidy;
mod watch;

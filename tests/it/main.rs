//! Black-box tests of the two programs and the scripts: real sockets, real FIFOs, real files.
//!
//! Each test has a folder and addresses of its own and waits for facts, never for time to pass. A
//! test that needs what a machine may lack says `skipped` and why; under CI it fails instead.

mod anew;
mod checkout;
mod commands;
mod delivery;
mod edges;
mod elsewhere;
mod ending;
mod fairness;
mod faults;
mod fifo;
mod fifo_holders;
mod generators;
mod half_line;
mod harness;
mod inherited;
mod injections;
mod lasting;
mod launch;
mod likeness;
mod limits;
mod linger;
mod locks;
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
mod rehearsal;
mod removed;
mod restart;
mod rotation;
mod short_reads;
mod signals;
mod standard;
mod stop;
mod telling;
mod tidy;
mod unmended;
mod watch;

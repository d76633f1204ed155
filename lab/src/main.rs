//! Measures what each of the five IPC mechanisms costs, and shows it.

mod environment;
mod journey;
mod latency;
mod programs;
mod results;
mod trial;

fn main() {}

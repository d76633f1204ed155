//! Many connections at one total rate, all held by this process: how cost grows, for `bench/growth`.
//!
//! Usage: crowd KIND=ADDRESS CONNECTIONS RATE RECORDS [half]
//!
//! Connects so many times, says `connected` on standard output and waits for a line on standard input.
//! Then it sends RECORDS records, RATE a second in all by absolute time, on one connection after the
//! other, says `sent`, and holds the connections until its standard input ends. With `half`, a part of
//! another record follows on each connection.

use log_aggregator::sys;
use log_aggregator::transports::{self, Endpoint};
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};

/// The producer's record of 100 message bytes.
const RECORD: &[u8] = b"{\"source\":\"producer\",\"timestamp\":1763800000,\"level\":\"INFO\",\"message\":\"\
ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUV\"}\n";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, endpoint, connections, rate, records, half @ ..] = args.as_slice() else {
        return Err("usage: crowd KIND=ADDRESS CONNECTIONS RATE RECORDS [half]".into());
    };
    sys::raise_descriptor_limit()?;
    let endpoint: Endpoint = endpoint.parse()?;
    let mut connections = (0..connections.parse()?)
        .map(|_| transports::connect(&endpoint, false).map(File::from))
        .collect::<io::Result<Vec<File>>>()?;
    println!("connected");
    io::stdin().read_line(&mut String::new())?;
    send(&mut connections, rate.parse()?, records.parse()?)?;
    if !half.is_empty() {
        for connection in &mut connections {
            connection.write_all(&RECORD[..RECORD.len() / 2])?;
        }
    }
    println!("sent");
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn send(connections: &mut [File], rate: u64, records: u64) -> io::Result<()> {
    sys::set_least_timer_slack();
    let start = sys::monotonic_ns();
    let turns = (0..connections.len()).cycle();
    for (number, index) in (0..records).zip(turns) {
        let due = start + number * 1_000_000_000 / rate;
        if sys::monotonic_ns() < due {
            sys::sleep_until(due);
        }
        connections[index].write_all(RECORD)?;
    }
    Ok(())
}

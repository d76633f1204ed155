//! A sender: a process of its own, one write(2) a record, until its time is up.
//!
//! It says `connected`, reads from when to when it shall send (nanoseconds of CLOCK_MONOTONIC), does so, and says
//! what came of it.

use super::record::Records;
use log_aggregator::error::Error;
use log_aggregator::sys::{monotonic_ns, set_least_timer_slack, sleep_until};
use log_aggregator::transports::{self, Endpoint};
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, ErrorKind, Write};

/// What a sender says first.
pub const CONNECTED: &str = "connected";

/// What a sender is told by its argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// Where the daemon is: KIND=ADDRESS.
    pub endpoint: String,
    /// The letter of its group.
    pub group: u8,
    /// Which of all senders it is, from 0.
    pub sender: u32,
    /// Bytes of a record.
    pub size: usize,
    /// Its own records a second; 0 is as fast as it can.
    pub rate: f64,
    /// The part of the time between two records that its first one is late by.
    pub phase: f64,
    /// For SO_SNDBUF.
    pub sndbuf: Option<usize>,
    /// Nagle's algorithm.
    pub nagle: bool,
    /// TCP's congestion control.
    pub congestion: Option<String>,
}

/// What a sender says last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Records that the kernel took.
    pub sent: u64,
    /// When the last write had returned and the time was up.
    pub end_ns: u64,
}

/// Carries its orders out.
///
/// # Errors
/// When it cannot connect, or a write fails.
pub fn run(orders: &Orders) -> Result<(), Error> {
    set_least_timer_slack();
    let endpoint: Endpoint = (orders.endpoint.parse())
        .map_err(|reason: String| Error::new("understand", &orders.endpoint, reason))?;
    let failed =
        |verb| move |e: io::Error| Error::new(verb, &orders.endpoint, e).advise("see the daemon");
    let connection = connect(&endpoint, orders).map_err(failed("connect to"))?;
    println!("{CONNECTED}");
    let Some((go_ns, stop_ns)) = times()? else {
        return Ok(());
    };
    let sent = send(&connection, orders, go_ns, stop_ns).map_err(failed("send to"))?;
    sleep_until(stop_ns);
    let end_ns = monotonic_ns();
    let report = serde_json::to_string(&Report { sent, end_ns });
    println!("{}", report.expect("numbers are JSON"));
    Ok(())
}

fn connect(endpoint: &Endpoint, orders: &Orders) -> io::Result<File> {
    let connection = transports::connect(endpoint, orders.nagle)?;
    let socket = SockRef::from(&connection);
    if let Some(bytes) = orders.sndbuf {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(name) = &orders.congestion {
        socket.set_tcp_congestion(name.as_bytes())?;
    }
    Ok(File::from(connection))
}

/// From when to when; nothing if whoever asked has gone.
fn times() -> Result<Option<(u64, u64)>, Error> {
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    read.map_err(|e| Error::new("read", "standard input", e))?;
    let mut numbers = line.split_whitespace().map_while(|word| word.parse().ok());
    Ok(numbers.next().zip(numbers.next()))
}

/// Sends until the time is up, and returns how many.
fn send(mut connection: &File, orders: &Orders, go_ns: u64, stop_ns: u64) -> io::Result<u64> {
    let mut records = Records::new(orders.group, orders.sender, orders.size);
    let mut sent = 0;
    sleep_until(go_ns);
    loop {
        let now_ns = monotonic_ns();
        let due_ns = go_ns + due(sent, orders);
        if now_ns.max(due_ns) >= stop_ns {
            return Ok(sent);
        }
        if due_ns > now_ns {
            sleep_until(due_ns);
        }
        let record = records.next();
        match connection.write(record) {
            Ok(taken) if taken == record.len() => {}
            // A stream may take a part; a datagram goes whole or not at all.
            Ok(taken) => connection.write_all(&record[taken..])?,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        }
        sent += 1;
    }
}

/// When a record is due, in nanoseconds from the start, by absolute time: one that was late shifts no other.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // seconds, to the nanosecond
fn due(number: u64, orders: &Orders) -> u64 {
    if orders.rate > 0.0 {
        ((number as f64 + orders.phase) / orders.rate * 1e9) as u64
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(rate: f64) -> Orders {
        Orders {
            endpoint: "fifo=/nowhere".to_owned(),
            group: b'a',
            sender: 0,
            size: 16,
            rate,
            phase: 0.5,
            sndbuf: None,
            nagle: true,
            congestion: None,
        }
    }

    #[test]
    fn a_record_is_due_by_its_number_alone() {
        assert_eq!(due(0, &orders(1000.0)), 500_000);
        assert_eq!(due(3, &orders(1000.0)), 3_500_000);
        assert_eq!(due(3, &orders(0.0)), 0);
    }

    /// A file takes everything, so that it is sent to the end and counted exactly.
    #[test]
    fn a_paced_sender_sends_its_share_and_stops_in_time() {
        let mut file = tempfile::tempfile().unwrap();
        let now = monotonic_ns();
        let sent = send(&file, &orders(500.0), now, now + 100_000_000).unwrap();
        assert!((1..=50).contains(&sent), "{sent}");
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text.lines().count() as u64, sent);
    }
}

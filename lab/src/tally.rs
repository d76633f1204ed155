//! Who sent which record, and what arrived of them: reads the daemon's file.

use crate::latency::Latencies;
use log_aggregator::error::Error;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The fields of a stamped record that tell something.
#[derive(Deserialize)]
struct Record {
    pid: u32,
    seq: u64,
    due_ns: u64,
    sent_ns: u64,
    #[serde(rename = "_received_mono_ns")]
    received_ns: Option<u64>,
}

/// What is in the file.
#[derive(Debug)]
pub struct Tally {
    /// Lines.
    pub written: u64,
    /// Bytes.
    pub bytes: u64,
    /// Sequence numbers that came twice.
    pub duplicates: u64,
    /// Records that came after a later one of the same producer.
    pub reordered: u64,
    /// When the first record was sent, by CLOCK_MONOTONIC.
    pub first_sent_ns: Option<u64>,
    /// One-way latencies of the records that the daemon stamped.
    pub latencies: Latencies,
    producers: HashMap<u32, Seen>,
}

/// The sequence numbers of one producer.
#[derive(Debug, Default)]
struct Seen {
    numbers: Vec<bool>,
    next: u64,
    distinct: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            written: 0,
            bytes: 0,
            duplicates: 0,
            reordered: 0,
            first_sent_ns: None,
            latencies: Latencies::new(),
            producers: HashMap::new(),
        }
    }

    /// Reads a daemon's file. `records` is what each producer sent.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path, records: u64) -> Result<Self, Error> {
        let failed = |e| Error::new("read", path.display(), e);
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
        let mut tally = Self::new();
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            tally.add(&line, records);
            line.clear();
        }
        Ok(tally)
    }

    /// A line that is no record of ours is written, and missing where it should have been.
    fn add(&mut self, line: &[u8], records: u64) {
        self.written += 1;
        self.bytes += line.len() as u64;
        let Ok(record) = serde_json::from_slice::<Record>(line) else {
            return;
        };
        let first = self.first_sent_ns.unwrap_or(u64::MAX);
        self.first_sent_ns = Some(first.min(record.sent_ns));
        if let Some(received) = record.received_ns {
            let since = |ns| received.saturating_sub(ns);
            // The histograms grow as needed; what they refuse would be a time of centuries.
            let _ = self.latencies.from_due.record(since(record.due_ns));
            let _ = self.latencies.from_sent.record(since(record.sent_ns));
        }
        self.see(record.pid, record.seq, records);
    }

    fn see(&mut self, pid: u32, seq: u64, records: u64) {
        let seen = self.producers.entry(pid).or_default();
        let Some(at) = usize::try_from(seq).ok().filter(|_| seq < records) else {
            return; // a number that nobody sent
        };
        if seen.numbers.len() <= at {
            seen.numbers.resize(at + 1, false);
        }
        if std::mem::replace(&mut seen.numbers[at], true) {
            self.duplicates += 1;
            return;
        }
        seen.distinct += 1;
        if seq < seen.next {
            self.reordered += 1;
        }
        seen.next = seen.next.max(seq + 1);
    }

    /// How many of the records are missing that these producers sent, `records` each.
    pub fn missing(&self, pids: &[u32], records: u64) -> u64 {
        let distinct = |pid| self.producers.get(pid).map_or(0, |seen| seen.distinct);
        pids.iter().map(|pid| records - distinct(pid)).sum()
    }
}

/// Counts the lines of a file that grows.
#[derive(Debug)]
pub struct LineCount {
    file: File,
    /// Lines so far.
    pub lines: u64,
}

impl LineCount {
    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| Error::new("read", path.display(), e))?;
        Ok(Self { file, lines: 0 })
    }

    /// Reads what is new; returns whether there was anything.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn update(&mut self) -> Result<bool, Error> {
        let mut file = BufReader::with_capacity(1 << 16, &self.file);
        let mut grew = false;
        loop {
            let new = file
                .fill_buf()
                .map_err(|e| Error::new("read", "the daemon's file", e))?;
            if new.is_empty() {
                return Ok(grew);
            }
            grew = true;
            self.lines += memchr::memchr_iter(b'\n', new).count() as u64;
            let length = new.len();
            file.consume(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(pid: u32, seq: u64) -> String {
        let (due, sent, received) = (1000 + seq, 1500 + seq, 3000 + seq);
        format!(
            "{{\"source\":\"producer\",\"message\":\"A\\\"B\",\"pid\":{pid},\"seq\":{seq},\"due_ns\":{due},\
             \"sent_ns\":{sent},\"_transport\":\"udp\",\"_received_ns\":1,\"_received_mono_ns\":{received}}}\n"
        )
    }

    fn tally(lines: &[String], records: u64) -> Tally {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.concat().as_bytes()).unwrap();
        Tally::of(file.path(), records).unwrap()
    }

    #[test]
    fn all_that_arrived_in_order_is_whole() {
        let lines: Vec<String> = (0..100)
            .flat_map(|seq| [line(7, seq), line(8, seq)])
            .collect();
        let tally = tally(&lines, 100);
        assert_eq!(
            (tally.written, tally.duplicates, tally.reordered),
            (200, 0, 0)
        );
        assert_eq!(tally.bytes, lines.concat().len() as u64);
        assert_eq!(tally.missing(&[7, 8], 100), 0);
        assert_eq!(tally.first_sent_ns, Some(1500));
        assert_eq!(tally.latencies.from_due.len(), 200);
        assert!(
            tally
                .latencies
                .from_due
                .equivalent(tally.latencies.from_due.max(), 2000)
        );
        assert!(
            tally
                .latencies
                .from_sent
                .equivalent(tally.latencies.from_sent.max(), 1500)
        );
    }

    #[test]
    fn gaps_duplicates_and_reordering_are_told_apart() {
        // 7: 3 is late, 5 comes twice, 6 and the last two never; 8 sends nothing that arrives.
        let lines: Vec<String> = [0, 1, 2, 4, 3, 5, 5, 7].map(|seq| line(7, seq)).into();
        let tally = tally(&lines, 10);
        assert_eq!((tally.duplicates, tally.reordered), (1, 1));
        assert_eq!(tally.missing(&[7], 10), 3);
        assert_eq!(tally.missing(&[7, 8], 10), 13);
    }

    #[test]
    fn what_is_no_record_is_written_and_not_found() {
        let lines = [line(7, 0), "{\"message\":\"x\"}\n".to_owned(), line(7, 99)];
        let tally = tally(&lines, 2);
        assert_eq!(tally.written, 3);
        assert_eq!(tally.missing(&[7], 2), 1);
    }

    #[test]
    fn lines_are_counted_as_they_come() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut count = LineCount::of(file.path()).unwrap();
        assert!(!count.update().unwrap());
        for (text, lines) in [("a\nb", 1), ("\n", 2), ("c\nd\n", 4)] {
            file.write_all(text.as_bytes()).unwrap();
            assert!(count.update().unwrap());
            assert_eq!(count.lines, lines);
        }
    }
}

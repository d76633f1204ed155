//! One run of a cell: a daemon, its senders, and what became of the records.

use super::cell::Cell;
use super::crew::{Crew, Sent};
use super::daemon::{self, Wait};
use super::record;
use crate::interrupt::Interrupt;
use crate::namespace;
use crate::proc::{self, Look};
use crate::programs::{Daemon, Programs};
use log_aggregator::error::Error;
use log_aggregator::transports::Transport;
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often we look at the file, once the senders have ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the file may stay as it is, with the daemon asleep, before nothing more is expected.
const QUIET: Duration = Duration::from_millis(100);

/// The same where nothing may be lost, and something still lacks: a kernel's timer may hold it (TCP).
const QUIET_WITHOUT_LOSS: Duration = Duration::from_secs(1);

/// What is the same for all runs.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The programs.
    pub programs: &'a Programs,
    /// How long senders send.
    pub time: Duration,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Records that the senders have sent, of each group.
    pub sent: Vec<u64>,
    /// Records in the file, of each group.
    pub written: Vec<u64>,
    /// From the start to the end of the last sender.
    pub seconds: f64,
    /// Processor time of the daemon, until it had written everything.
    pub cpu_ns: u64,
}

impl Bench<'_> {
    /// Makes a run; nothing if it was interrupted.
    ///
    /// # Errors
    /// When a program fails, or the file holds what nobody sent.
    pub fn run(&self, cell: &Cell, wait: Wait) -> Result<Option<Outcome>, Error> {
        let Some(qlen) = cell.qlen else {
            return self.run_here(cell, wait);
        };
        // What a thread starts is in its namespace.
        std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                namespace::enter()?;
                namespace::set_qlen(qlen)?;
                self.run_here(cell, wait)
            });
            run.join().expect("a run does not panic")
        })
    }

    fn run_here(&self, cell: &Cell, wait: Wait) -> Result<Option<Outcome>, Error> {
        let folder =
            tempfile::tempdir().map_err(|e| Error::new("create", "a temporary folder", e))?;
        let daemon = daemon::start(self.programs, cell, wait, folder.path())?;
        let crew = Crew::connect(cell, &daemon)?;
        let before = proc::usage(daemon.pid())?;
        let Some(sent) = crew.send(self.time, self.interrupt)? else {
            return Ok(None);
        };
        self.wait_until_written(cell, &daemon, &sent)?;
        let cpu_ns = proc::difference(&before, &proc::usage(daemon.pid())?).cpu_ns;
        let output = daemon.output.clone();
        daemon.stop()?;
        let mut written = count(&output)?;
        let mut sent_records = sent.records;
        written.truncate(cell.groups.len());
        sent_records.truncate(cell.groups.len());
        Ok(Some(Outcome {
            sent: sent_records,
            written,
            seconds: sent.seconds,
            cpu_ns,
        }))
    }

    /// Until the file holds all that was sent, or grows no more.
    fn wait_until_written(&self, cell: &Cell, daemon: &Daemon, sent: &Sent) -> Result<(), Error> {
        let sizes = cell.groups.iter().map(|group| u64::from(group.size));
        let expected: u64 = sizes
            .zip(&sent.records)
            .map(|(size, sent)| size * sent)
            .sum();
        let may_lose = cell.transports().contains(&Transport::Udp);
        let quiet = if may_lose { QUIET } else { QUIET_WITHOUT_LOSS };
        let (mut seen, mut since) = (0, Instant::now());
        while !self.interrupt.is_set() {
            let size = size_of(&daemon.output)?;
            if size != seen || !Look::at(daemon.pid()).is_asleep() {
                (seen, since) = (size, Instant::now());
            }
            if size >= expected || since.elapsed() > quiet {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

fn size_of(path: &Path) -> Result<u64, Error> {
    match path.metadata() {
        Ok(found) => Ok(found.len()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
        Err(e) => Err(Error::new("look at", path.display(), e)),
    }
}

/// The records of each group in a file.
///
/// # Errors
/// When it cannot be read, or holds a line that no sender made.
fn count(path: &Path) -> Result<Vec<u64>, Error> {
    let failed = |e| Error::new("read", path.display(), e);
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let mut counts = vec![0; record::GROUPS.len()];
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        let letter = line.get(record::GROUP_AT);
        let group = record::GROUPS.iter().position(|it| Some(it) == letter);
        let is_whole = line.ends_with(b"\"}\n") && line.get(record::GROUP_AT + 1) == Some(&b'"');
        match group.filter(|_| is_whole) {
            Some(group) => counts[group] += 1,
            None => {
                let start = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
                let found = format!("it holds a line that nobody sent: '{}'", start.trim_end());
                return Err(Error::new("count", "the records", found)
                    .advise("run the cell alone, and look at the daemon's file"));
            }
        }
        line.clear();
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::record::Records;

    #[test]
    fn records_are_counted_by_group_and_a_strange_line_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let (mut a, mut b) = (Records::new(b'a', 0, 16), Records::new(b'b', 1, 200));
        let mut text = [a.next(), b.next()].concat();
        text.extend(a.next());
        std::fs::write(&path, &text).unwrap();
        assert_eq!(count(&path).unwrap(), [2, 1]);
        text.extend(b"{\"source\":\"fifo\",\"message\":\"half\"}\n");
        std::fs::write(&path, &text).unwrap();
        let error = count(&path).unwrap_err().to_string();
        assert!(error.contains("nobody sent: '{\"source\""), "{error}");
    }
}

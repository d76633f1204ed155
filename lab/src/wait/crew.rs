//! The senders of a run: started side by side, let go together, heard when they have ended.

use super::cell::{Cell, Group};
use super::record;
use super::role;
use super::sender::{CONNECTED, Orders, Report};
use crate::interrupt::Interrupt;
use crate::programs::Daemon;
use log_aggregator::error::Error;
use log_aggregator::sys::{monotonic_ns, sleep_until};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

/// From the word to the first record: all have it by then.
const BEFORE_GO_NS: u64 = 30_000_000;

/// How often we look for Ctrl-C while they send: seldom enough that it costs the run nothing.
const GLANCE_EVERY_NS: u64 = 100_000_000;

/// How often we look whether senders have ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a write may take that had begun when the time was up.
const PATIENCE_NS: u64 = 20_000_000_000;

/// Senders that are connected. They are killed when this is dropped.
#[derive(Debug)]
pub struct Crew {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    group: usize,
    child: Child,
    said: BufReader<ChildStdout>,
}

/// What all have done.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Records of each group.
    pub records: Vec<u64>,
    /// From the start to the end of the last sender, in seconds.
    pub seconds: f64,
}

impl Crew {
    /// Starts the senders of a cell, and returns when all are connected.
    ///
    /// # Errors
    /// When one does not start or connect; it has said why.
    pub fn connect(cell: &Cell, daemon: &Daemon) -> Result<Self, Error> {
        let mut crew = Self {
            members: Vec::new(),
        };
        for (index, group) in cell.groups.iter().enumerate() {
            for place in 0..group.senders {
                let sender = u32::try_from(crew.members.len()).unwrap_or(u32::MAX);
                let orders = orders(
                    group,
                    index,
                    place,
                    sender,
                    daemon.endpoint_of(group.transport),
                );
                crew.members.push(Member::start(index, &orders)?);
            }
        }
        for member in &mut crew.members {
            if member.line()? != CONNECTED {
                return Err(failed("it did not connect"));
            }
        }
        Ok(crew)
    }

    /// Lets them send for so long. Returns when all have ended; nothing if it was interrupted.
    ///
    /// # Errors
    /// When one fails; it has said why.
    pub fn send(mut self, time: Duration, interrupt: &Interrupt) -> Result<Option<Sent>, Error> {
        let go_ns = monotonic_ns() + BEFORE_GO_NS;
        let stop_ns = go_ns + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        for member in &mut self.members {
            let stdin = member.child.stdin.take();
            let told = stdin.map(|mut stdin| writeln!(stdin, "{go_ns} {stop_ns}"));
            told.transpose().map_err(failed)?;
        }
        while monotonic_ns() < stop_ns && !interrupt.is_set() {
            sleep_until(stop_ns.min(monotonic_ns() + GLANCE_EVERY_NS));
        }
        let mut sent = Sent {
            records: vec![0; record::GROUPS.len()],
            seconds: 0.0,
        };
        let mut end_ns = stop_ns;
        for member in &mut self.members {
            if !member.wait(stop_ns + PATIENCE_NS, interrupt)? {
                return Ok(None);
            }
            let report: Report = serde_json::from_str(&member.line()?).map_err(failed)?;
            sent.records[member.group] += report.sent;
            end_ns = end_ns.max(report.end_ns);
        }
        sent.seconds = Duration::from_nanos(end_ns - go_ns).as_secs_f64();
        Ok((!interrupt.is_set()).then_some(sent))
    }
}

impl Member {
    fn start(group: usize, orders: &Orders) -> Result<Self, Error> {
        let mut command = role::sender(orders)?;
        command.process_group(0); // Ctrl-C is for lab alone
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Self { group, child, said })
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        self.said.read_line(&mut line).map_err(failed)?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits until it has ended; false if that was interrupted.
    fn wait(&mut self, deadline_ns: u64, interrupt: &Interrupt) -> Result<bool, Error> {
        loop {
            match self.child.try_wait().map_err(failed)? {
                Some(status) if status.success() => return Ok(true),
                Some(status) => return Err(failed(format_args!("it ended with {status}"))),
                None if interrupt.is_set() => return Ok(false),
                None if monotonic_ns() > deadline_ns => {
                    return Err(failed("the daemon does not read what it sends"));
                }
                None => std::thread::sleep(LOOK_EVERY),
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // They have ended already unless something went wrong.
        for member in &mut self.members {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

fn failed(reason: impl std::fmt::Display) -> Error {
    Error::new("use", "a sender", reason).advise("see what it says above")
}

/// What the sender at this place of its group does. Paced senders are a thousandth apart in their rates, and begin one
/// after the other: at one rate, those that happen to begin together would send together to the end.
fn orders(group: &Group, index: usize, place: u32, sender: u32, endpoint: &str) -> Orders {
    let senders = f64::from(group.senders);
    let from_middle = f64::from(place) - (senders - 1.0) / 2.0;
    let detuned = 1.0 + from_middle / 1000.0;
    Orders {
        endpoint: endpoint.to_owned(),
        group: record::GROUPS[index],
        sender,
        size: usize::try_from(group.size).unwrap_or(usize::MAX),
        rate: f64::from(group.rate) / senders * detuned,
        phase: (f64::from(place) + 0.5) / senders,
        sndbuf: group.sndbuf.and_then(|bytes| usize::try_from(bytes).ok()),
        nagle: group.nagle.unwrap_or(true),
        congestion: group.congestion.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log_aggregator::transports::Transport;

    #[test]
    fn paced_senders_share_the_rate_and_begin_apart() {
        let group = Group::new(Transport::Udp, 100).by(5).at(10_000);
        let all: Vec<Orders> = (0..5)
            .map(|place| orders(&group, 1, place, 7 + place, "udp=127.0.0.1:1"))
            .collect();
        let total: f64 = all.iter().map(|orders| orders.rate).sum();
        assert!((total - 10_000.0).abs() < 1e-6, "{total}");
        assert!(all.windows(2).all(|two| two[0].phase < two[1].phase));
        assert!(all.windows(2).all(|two| two[0].rate < two[1].rate));
        assert!(all.iter().all(|orders| orders.group == b'b'));
    }
}

//! Which events belong to which record.

use super::events::{Call, Event, What};
use crate::journey::{Journey, Step};
use log_aggregator::transports::Transport;
use serde_json::Value;

/// The stamps in a record, in nanoseconds on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// The producer's process.
    pub pid: u32,
    /// Its place in what that producer sent, from 0.
    pub seq: usize,
    pub due: i64,
    /// Right before the send call.
    pub sent: i64,
    /// Right after the read.
    pub received: i64,
}

impl Stamps {
    /// Those in a line of the daemon's file.
    pub fn read(line: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(line).ok()?;
        Some(Self {
            pid: u32::try_from(record["pid"].as_u64()?).ok()?,
            seq: usize::try_from(record["seq"].as_u64()?).ok()?,
            due: record["due_ns"].as_i64()?,
            sent: record["sent_ns"].as_i64()?,
            received: record["_received_mono_ns"].as_i64()?,
        })
    }
}

/// A journey, and who took part in it.
#[derive(Clone, Debug)]
pub struct Followed {
    pub journey: Journey,
    /// Whether the daemon was woken by the sender's own call.
    pub woken_by_sender: bool,
    /// Where the send call ran.
    pub send_cpu: u32,
    /// Where the daemon ran then.
    pub daemon_cpu: u32,
}

/// The events of a trace, those of each process apart, in order.
#[derive(Debug)]
pub struct Trace {
    producer: Vec<Event>,
    daemon: Vec<Event>,
}

impl Trace {
    /// Keeps what belongs to these two processes, and to what the scheduler did with the daemon.
    pub fn new(events: &[Event], producer: u32, daemon: u32) -> Self {
        let is_scheduling = |event: &Event| matches!(event.what, What::Woken | What::Running);
        let of = |wanted: &dyn Fn(&Event) -> bool| events.iter().copied().filter(wanted).collect();
        Self {
            producer: of(&|event| event.pid == producer && !is_scheduling(event)),
            daemon: of(&|event| event.pid == daemon || is_scheduling(event)),
        }
    }

    /// Follows the record of these stamps. Its events are found without the stamps, by their order, so that the
    /// stamps can say whether it is right: each must lie between the events around it.
    ///
    /// # Errors
    /// Why the journey cannot be believed.
    pub fn follow(&self, stamps: &Stamps, transport: Transport) -> Result<Followed, String> {
        let (entered, left, bytes) = self.send(stamps.seq)?;
        let path = self.daemon_path(entered.ns, bytes)?;
        let (read_entered, read_returned, write_entered, written) = path;
        let way = self.wake_up(entered.ns, read_entered.ns);
        let mut steps = vec![
            (Step::Due, stamps.due),
            (Step::Stamped, stamps.sent),
            (Step::SendEntered, entered.ns),
            (Step::SendLeft, left.ns),
        ];
        let scheduled = [
            (Step::DaemonWoken, way.woken),
            (Step::DaemonRunning, way.running),
            (Step::WaitReturned, way.wait_returned),
        ];
        steps.extend(
            scheduled
                .into_iter()
                .filter_map(|(step, event)| Some((step, event?.ns))),
        );
        steps.extend([
            (Step::ReadEntered, read_entered.ns),
            (Step::ReadReturned, read_returned.ns),
            (Step::WriteEntered, write_entered.ns),
            (Step::Written, written.ns),
        ]);
        let before_send = self.send_before(stamps.seq);
        in_order("the sent stamp", before_send, stamps.sent, entered.ns)?;
        in_order("the due time", i64::MIN, stamps.due, stamps.sent)?;
        in_order(
            "the received stamp",
            read_returned.ns,
            stamps.received,
            write_entered.ns,
        )?;
        let waker = way.woken.map(|event| event.pid);
        let daemon_cpu = way.running.unwrap_or(read_entered).cpu;
        Ok(Followed {
            journey: journey(transport, steps, daemon_cpu == entered.cpu),
            woken_by_sender: waker == Some(stamps.pid),
            send_cpu: entered.cpu,
            daemon_cpu,
        })
    }

    /// The send call of the record of this number: a producer writes nothing but its records. With what it returned.
    fn send(&self, seq: usize) -> Result<(Event, Event, i64), String> {
        let (entered, left) = calls(&self.producer, Call::Write)
            .nth(seq)
            .ok_or("its send call was not traced")?;
        match left.what {
            What::Left(_, bytes) if bytes > 0 => Ok((entered, left, bytes)),
            _ => Err("its send call failed".to_owned()),
        }
    }

    /// When the send call of the record before this one was left.
    fn send_before(&self, seq: usize) -> i64 {
        let before = seq.checked_sub(1);
        let call = before.and_then(|seq| calls(&self.producer, Call::Write).nth(seq));
        call.map_or(i64::MIN, |(_, left)| left.ns)
    }

    /// The daemon's first read that brought something after a send call was entered, and its next write.
    fn daemon_path(&self, sent: i64, bytes: i64) -> Result<(Event, Event, Event, Event), String> {
        let (read_entered, read_returned, got) = calls(&self.daemon, Call::Read)
            .filter(|(entered, _)| entered.ns >= sent)
            .find_map(|(entered, left)| match left.what {
                What::Left(_, got) if got > 0 => Some((entered, left, got)),
                _ => None,
            })
            .ok_or("no read of the daemon brought it")?;
        // recvmmsg counts datagrams, read counts bytes.
        if got != bytes && got != 1 {
            return Err(format!(
                "the read brought {got} bytes of the {bytes} that were sent, so not it alone"
            ));
        }
        let (write_entered, written) = calls(&self.daemon, Call::Write)
            .find(|(entered, _)| entered.ns >= read_returned.ns)
            .ok_or("no write of the daemon followed")?;
        Ok((read_entered, read_returned, write_entered, written))
    }

    /// How the daemon came to run between the send and the read. What is missing did not happen: it was awake.
    fn wake_up(&self, sent: i64, read: i64) -> WakeUp {
        let on_the_way = || {
            let is_between = move |event: &&Event| (sent..=read).contains(&event.ns);
            self.daemon.iter().filter(is_between).copied()
        };
        let woken = on_the_way().find(|event| event.what == What::Woken);
        let running = woken.and_then(|woken| {
            on_the_way().find(|event| event.what == What::Running && event.ns >= woken.ns)
        });
        let is_wait = |event: &Event| matches!(event.what, What::Left(Call::Wait, _));
        WakeUp {
            woken,
            running,
            wait_returned: on_the_way().rfind(is_wait),
        }
    }
}

struct WakeUp {
    woken: Option<Event>,
    running: Option<Event>,
    wait_returned: Option<Event>,
}

/// The calls of this kind that are there from entry to return.
fn calls(events: &[Event], call: Call) -> impl Iterator<Item = (Event, Event)> {
    let own = events
        .iter()
        .copied()
        .filter(move |event| match event.what {
            What::Entered(known) | What::Left(known, _) => known == call,
            What::Woken | What::Running => false,
        });
    let mut entered = None;
    own.filter_map(move |event| match event.what {
        What::Entered(_) => {
            entered = Some(event);
            None
        }
        _ => entered.take().map(|entered| (entered, event)),
    })
}

fn in_order(what: &str, before: i64, moment: i64, after: i64) -> Result<(), String> {
    if moment < before {
        return Err(format!("{what} is {} ns too early", before - moment));
    }
    if moment > after {
        return Err(format!("{what} is {} ns too late", moment - after));
    }
    Ok(())
}

/// A journey of these steps, numbered later.
pub fn journey(transport: Transport, steps: Vec<(Step, i64)>, same_cpu: bool) -> Journey {
    let mut steps: Vec<(Step, u64)> = steps
        .into_iter()
        .map(|(step, ns)| (step, u64::try_from(ns).unwrap_or(0)))
        .collect();
    steps.sort_by_key(|(step, ns)| (*ns, *step));
    Journey {
        transport: transport.name().to_owned(),
        number: 0,
        steps,
        same_cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: u32 = 7;
    const DAEMON: u32 = 9;

    fn event(ns: i64, cpu: u32, pid: u32, what: What) -> Event {
        Event { ns, cpu, pid, what }
    }

    /// Two records, 1000 ns apart, each as it usually goes; with what the first reads of the daemon bring.
    fn events(read: i64) -> Vec<Event> {
        use Call::{Read, Wait, Write};
        use What::{Entered, Left, Running, Woken};
        let one = |start: i64| {
            [
                event(start + 110, 1, PRODUCER, Entered(Write)),
                event(start + 130, 1, PRODUCER, Woken),
                event(start + 150, 1, PRODUCER, Left(Write, 240)),
                event(start + 170, 0, DAEMON, Running),
                event(start + 180, 0, DAEMON, Left(Wait, 1)),
                event(start + 190, 0, DAEMON, Entered(Read)),
                event(start + 200, 0, DAEMON, Left(Read, read)),
                event(start + 220, 0, DAEMON, Entered(Write)),
                event(start + 240, 0, DAEMON, Left(Write, 300)),
                event(start + 250, 0, DAEMON, Entered(Wait)),
                event(start + 260, 1, 55, Entered(Write)), // somebody else
            ]
        };
        [one(0), one(1000)].concat()
    }

    fn stamps(seq: usize) -> Stamps {
        let start = if seq == 0 { 0 } else { 1000 };
        Stamps {
            pid: PRODUCER,
            seq,
            due: start + 50,
            sent: start + 100,
            received: start + 210,
        }
    }

    fn follow(events: &[Event], stamps: Stamps) -> Result<Followed, String> {
        Trace::new(events, PRODUCER, DAEMON).follow(&stamps, Transport::Unixsock)
    }

    #[test]
    fn each_record_gets_its_own_events() {
        for (seq, start) in [(0, 0), (1, 1000)] {
            let followed = follow(&events(240), stamps(seq)).unwrap();
            assert_eq!(
                followed.journey.steps,
                [
                    (Step::Due, start + 50),
                    (Step::Stamped, start + 100),
                    (Step::SendEntered, start + 110),
                    (Step::DaemonWoken, start + 130),
                    (Step::SendLeft, start + 150),
                    (Step::DaemonRunning, start + 170),
                    (Step::WaitReturned, start + 180),
                    (Step::ReadEntered, start + 190),
                    (Step::ReadReturned, start + 200),
                    (Step::WriteEntered, start + 220),
                    (Step::Written, start + 240),
                ]
            );
            assert!(followed.woken_by_sender && !followed.journey.same_cpu);
            assert_eq!((followed.send_cpu, followed.daemon_cpu), (1, 0));
        }
    }

    #[test]
    fn a_daemon_that_was_awake_has_no_wake_up() {
        let mut awake = events(240);
        awake.retain(|event| {
            !matches!(
                event.what,
                What::Woken | What::Running | What::Left(Call::Wait, _)
            )
        });
        let journey = follow(&awake, stamps(1)).unwrap().journey;
        assert_eq!(journey.at(Step::DaemonWoken), None);
        assert_eq!(journey.at(Step::WaitReturned), None);
        assert_eq!(journey.steps.len(), 8);
    }

    #[test]
    fn stamps_outside_of_their_events_are_refused() {
        let follow = |change: &dyn Fn(&mut Stamps)| {
            let mut stamps = stamps(1);
            change(&mut stamps);
            follow(&events(240), stamps).unwrap_err()
        };
        assert_eq!(
            follow(&|stamps| stamps.sent = 1111),
            "the sent stamp is 1 ns too late"
        );
        assert_eq!(
            follow(&|stamps| (stamps.sent, stamps.due) = (149, 50)),
            "the sent stamp is 1 ns too early"
        );
        assert_eq!(
            follow(&|stamps| stamps.due = 1101),
            "the due time is 1 ns too late"
        );
        assert_eq!(
            follow(&|stamps| stamps.received = 1199),
            "the received stamp is 1 ns too early"
        );
        assert_eq!(
            follow(&|stamps| stamps.received = 1221),
            "the received stamp is 1 ns too late"
        );
    }

    #[test]
    fn a_journey_with_a_hole_is_refused() {
        let missing = follow(&events(240)[..5], stamps(0)).unwrap_err();
        assert_eq!(missing, "no read of the daemon brought it");
        let unwritten = follow(&events(240)[..7], stamps(0)).unwrap_err();
        assert_eq!(unwritten, "no write of the daemon followed");
        let unsent = follow(
            &events(240),
            Stamps {
                seq: 2,
                ..stamps(1)
            },
        )
        .unwrap_err();
        assert_eq!(unsent, "its send call was not traced");
    }

    #[test]
    fn a_read_that_brought_several_records_is_nobodys() {
        let several = follow(&events(480), stamps(0)).unwrap_err();
        assert!(several.contains("480 bytes of the 240"), "{several}");
        assert!(follow(&events(1), stamps(0)).is_ok(), "one datagram");
    }

    #[test]
    fn stamps_are_read_from_the_daemons_line() {
        let line =
            r#"{"message":"","pid":7,"seq":1,"due_ns":50,"sent_ns":100,"_received_mono_ns":210}"#;
        let read = Stamps::read(line).unwrap();
        assert_eq!((read.pid, read.seq, read.due), (7, 1, 50));
        assert_eq!((read.sent, read.received), (100, 210));
        assert_eq!(Stamps::read(r#"{"pid":7,"seq":1}"#), None);
        assert_eq!(Stamps::read("torn"), None);
    }
}

//! What each step of a record's way is, in plain words.

use crate::journey::Step;
use log_aggregator::transports::Transport;

/// In the order in which they usually come.
pub const STEPS: [Step; 11] = [
    Step::Due,
    Step::Stamped,
    Step::SendEntered,
    Step::DaemonWoken,
    Step::SendLeft,
    Step::DaemonRunning,
    Step::WaitReturned,
    Step::ReadEntered,
    Step::ReadReturned,
    Step::WriteEntered,
    Step::Written,
];

/// The step whose end is this one's beginning.
pub fn before(step: Step) -> Option<Step> {
    match step {
        Step::Due => None,
        Step::Stamped => Some(Step::Due),
        Step::SendEntered => Some(Step::Stamped),
        Step::DaemonWoken | Step::SendLeft => Some(Step::SendEntered),
        Step::DaemonRunning => Some(Step::DaemonWoken),
        Step::WaitReturned => Some(Step::DaemonRunning),
        Step::ReadEntered => Some(Step::WaitReturned),
        Step::ReadReturned => Some(Step::ReadEntered),
        Step::WriteEntered => Some(Step::ReadReturned),
        Step::Written => Some(Step::WriteEntered),
    }
}

/// At most 19 columns.
pub fn name(step: Step) -> &'static str {
    match step {
        Step::Due => "due",
        Step::Stamped => "stamped",
        Step::SendEntered => "send call entered",
        Step::DaemonWoken => "daemon woken",
        Step::SendLeft => "send call left",
        Step::DaemonRunning => "daemon running",
        Step::WaitReturned => "wait returned",
        Step::ReadEntered => "read entered",
        Step::ReadReturned => "read returned",
        Step::WriteEntered => "write entered",
        Step::Written => "write returned",
    }
}

/// Who worked until then.
pub fn who(step: Step) -> &'static str {
    match step {
        Step::Due => "",
        Step::Stamped | Step::SendEntered | Step::SendLeft | Step::DaemonWoken => "producer",
        Step::DaemonRunning => "(waits)",
        Step::WaitReturned
        | Step::ReadEntered
        | Step::ReadReturned
        | Step::WriteEntered
        | Step::Written => "daemon",
    }
}

/// What has happened by then.
pub fn meaning(step: Step, transport: Transport) -> String {
    let text = match step {
        Step::Due => "by the plan of --rate, the record should leave now",
        Step::Stamped => {
            "the producer's sleep ended, late by a timer and a wake-up; it read the clock"
        }
        Step::SendEntered => "it put the stamp into the record, and called write(2)",
        Step::DaemonWoken => return format!("inside of that call, {}", delivery(transport)),
        Step::SendLeft => "the call returned; the producer's part is over",
        Step::DaemonRunning => {
            "a processor took the daemon on; until then it was ready, and waited for one"
        }
        Step::WaitReturned => {
            "its epoll_wait(2) returned: the kernel had looked up which source it is"
        }
        Step::ReadEntered => return format!("it found the source, and called {}", read(transport)),
        Step::ReadReturned => {
            "the record had been copied into the daemon's buffer; here it is stamped"
        }
        Step::WriteEntered => {
            "the daemon had split off the record, checked its JSON, and called write(2)"
        }
        Step::Written => "the record was in the file's page cache, where every reader sees it",
    };
    text.to_owned()
}

/// What the kernel does in the sender's call for the receiver.
fn delivery(transport: Transport) -> &'static str {
    match transport {
        Transport::Unixsock => "the kernel queued a copy at the daemon and woke it",
        Transport::Tcp => "it went down TCP/IP, over lo and up, and woke the daemon",
        Transport::Unixgram => "the kernel queued a datagram at the daemon and woke it",
        Transport::Udp => "it went down UDP/IP, over lo and up, and woke the daemon",
        Transport::Fifo => "the kernel put a copy into the pipe and woke the daemon",
    }
}

/// What of the receiver's work the sender does, in two lines.
pub fn work_of_the_sender(transport: Transport) -> &'static str {
    match transport {
        Transport::Unixsock | Transport::Unixgram => {
            "There is no carrier: the sender's own call makes the buffer, copies the record into it, hangs it\n\
             into the daemon's queue and wakes the daemon. The daemon has only to copy it out."
        }
        Transport::Tcp | Transport::Udp => {
            "There is no wire and no other end: the sender's own call runs the stack down to lo and, in the\n\
             soft interrupt at its end, the receiver's stack up to the daemon's socket. The sender pays both."
        }
        Transport::Fifo => {
            "There is no carrier: the sender's own call copies the record into a page of the pipe and wakes\n\
             the daemon. No buffer is made for it, no address is looked up."
        }
    }
}

fn read(transport: Transport) -> &'static str {
    match transport {
        Transport::Unixgram | Transport::Udp => "recvmmsg(2)",
        Transport::Unixsock | Transport::Tcp | Transport::Fifo => "read(2)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_begins_at_an_earlier_one() {
        for (index, step) in STEPS.into_iter().enumerate() {
            let begins = before(step);
            let place = begins.map(|begin| STEPS.iter().position(|known| *known == begin).unwrap());
            assert!(place.is_none_or(|place| place < index), "{step:?}");
            assert!(name(step).len() <= 19);
        }
    }

    #[test]
    fn every_meaning_fits_beside_a_name() {
        for transport in Transport::ALL {
            assert!(
                work_of_the_sender(transport)
                    .lines()
                    .all(|line| line.len() <= 100)
            );
            for step in STEPS {
                let text = meaning(step, transport);
                assert!((10..=79).contains(&text.len()), "{} {text}", text.len());
            }
        }
    }
}

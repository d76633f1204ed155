//! What bpftrace tells of the two processes: when they made a call, and when the daemon was woken and ran.

use super::clock::Offset;
use crate::bpftrace::BANNER;
use log_aggregator::error::Error;
use nix::libc;

/// The calls on a record's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Write,
    Read,
    Wait,
}

/// The system calls that do it, by their number on this architecture.
const CALLS: &[(i64, Call)] = &[
    (libc::SYS_write, Call::Write),
    (libc::SYS_read, Call::Read),
    (libc::SYS_recvmmsg, Call::Read),
    (libc::SYS_epoll_pwait, Call::Wait),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, Call::Wait),
];

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A call was entered.
    Entered(Call),
    /// A call returned this.
    Left(Call, i64),
    /// The daemon was made ready to run, by the process in [`Event::pid`].
    Woken,
    /// The daemon was put on a processor.
    Running,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds on CLOCK_MONOTONIC.
    pub ns: i64,
    /// On which processor.
    pub cpu: u32,
    /// Whose it is.
    pub pid: u32,
    pub what: What,
}

/// Most events that a script keeps of one kind.
pub fn events_max(records: usize) -> usize {
    // Three calls of each record, some in vain, and other producers that run beside ours.
    records * 64 + 4096
}

/// The script: the calls of the daemon and of every process named "producer" (its number is not known before it
/// starts), and what the scheduler does with the daemon. It keeps the events in maps, by their times, and prints them
/// at its end: a printf for each would wake bpftrace up, beside what is measured, and makes the way twice as long.
pub fn script(daemon: u32) -> String {
    let wanted: Vec<String> = CALLS
        .iter()
        .map(|(number, _)| format!("args->id == {number}"))
        .collect();
    let whose = format!(
        "(pid == {daemon} || comm == \"producer\") && ({})",
        wanted.join(" || ")
    );
    format!(
        r#"BEGIN {{ printf("{BANNER}\n"); }}
tracepoint:raw_syscalls:sys_enter /{whose}/ {{ @entered[nsecs, cpu, pid, args->id] = 0; }}
tracepoint:raw_syscalls:sys_exit /{whose}/ {{ @left[nsecs, cpu, pid, args->id] = args->ret; }}
tracepoint:sched:sched_waking /args->pid == {daemon}/ {{ @woken[nsecs, cpu, pid, 0] = 0; }}
tracepoint:sched:sched_switch /args->next_pid == {daemon}/ {{ @running[nsecs, cpu, {daemon}, 0] = 0; }}
"#
    )
}

/// The events of a script's output, in the order of their times: bpftrace prints them in none.
///
/// # Errors
/// When a line is none of the script's.
pub fn parse(output: &str, offset: Offset) -> Result<Vec<Event>, Error> {
    let lines = output
        .lines()
        .filter(|line| !line.is_empty() && *line != BANNER && !line.starts_with("Attaching "));
    let events: Option<Vec<Event>> = lines.map(|line| event(line, offset)).collect();
    let mut events = events.ok_or_else(|| {
        Error::new("understand", "bpftrace", "it said what was not asked for")
            .advise("see what bpftrace --version says: 0.17 is known to work")
    })?;
    events.sort_by_key(|event| event.ns);
    Ok(events)
}

/// The event of a line as `@left[NS, CPU, PID, CALL]: VALUE`.
fn event(line: &str, offset: Offset) -> Option<Event> {
    let (key, value) = line.strip_prefix('@')?.split_once("]: ")?;
    let (kind, numbers) = key.split_once('[')?;
    let value: i64 = value.parse().ok()?;
    let numbers: Vec<i64> = numbers
        .split(", ")
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let &[ns, cpu, pid, number] = numbers.as_slice() else {
        return None;
    };
    let call = CALLS.iter().find(|(known, _)| *known == number);
    let what = match kind {
        "entered" => What::Entered(call?.1),
        "left" => What::Left(call?.1, value),
        "woken" => What::Woken,
        "running" => What::Running,
        _ => return None,
    };
    Some(Event {
        ns: offset.to_monotonic(ns),
        cpu: u32::try_from(cpu).ok()?,
        pid: u32::try_from(pid).ok()?,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_OFFSET: Offset = Offset {
        ns: 0,
        tolerance_ns: 0,
    };

    #[test]
    fn events_are_put_in_order_and_on_the_stamps_clock() {
        let offset = Offset {
            ns: 100,
            tolerance_ns: 1,
        };
        let write = libc::SYS_write;
        let output = format!(
            "Attaching 5 probes...\nAttached\n\n\n@entered[1200, 1, 7, {write}]: 0\n\
             @left[1350, 1, 7, {write}]: -11\n@running[1400, 0, 9, 0]: 0\n@woken[1300, 1, 7, 0]: 0\n\n"
        );
        let event = |ns, cpu, pid, what| Event { ns, cpu, pid, what };
        assert_eq!(
            parse(&output, offset).unwrap(),
            [
                event(1100, 1, 7, What::Entered(Call::Write)),
                event(1200, 1, 7, What::Woken),
                event(1250, 1, 7, What::Left(Call::Write, -11)),
                event(1300, 0, 9, What::Running),
            ]
        );
    }

    #[test]
    fn a_line_that_is_not_the_scripts_is_an_error() {
        for line in [
            "@entered[1, 2, 3]: 0",
            "@woken[x, 0, 0, 0]: 0",
            "@slept[1, 0, 0, 0]: 0",
            "@entered[1, 0, 1, 99999]: 0",
            "hello",
        ] {
            assert!(parse(line, NO_OFFSET).is_err(), "{line}");
        }
    }

    #[test]
    fn the_script_filters_by_what_it_is_told() {
        let script = script(4711);
        assert!(script.contains("args->next_pid == 4711"), "{script}");
        assert!(script.contains(&format!("args->id == {}", libc::SYS_recvmmsg)));
    }
}

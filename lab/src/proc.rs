//! What /proc says of processes and of the machine. None of it costs the processes anything.

use crate::trial::Usage;
use log_aggregator::error::Error;
use log_aggregator::sys::monotonic_ns;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// What a process has used so far; also of one that has ended and was not waited for, but for its memory.
///
/// # Errors
/// When there is no such process, or it is another user's.
pub fn usage(pid: u32) -> Result<Usage, Error> {
    let process = format!("/proc/{pid}");
    let failed = |path: &str, reason: &dyn std::fmt::Display| Error::new("read", path, reason);
    let tasks = format!("{process}/task");
    let mut usage = Usage::default();
    for task in fs::read_dir(&tasks).map_err(|e| failed(&tasks, &e))? {
        let task = task.map_err(|e| failed(&tasks, &e))?.path();
        let text = |name: &str| read(&task.join(name));
        add_schedule(&text("schedstat")?, &mut usage);
        add_status(&text("status")?, &mut usage);
    }
    let io = read(&Path::new(&process).join("io"))?;
    usage.read_calls = field(&io, "syscr:").unwrap_or(0);
    usage.write_calls = field(&io, "syscw:").unwrap_or(0);
    Ok(usage)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|e| Error::new("read", path.display(), e))
}

/// Time on a processor, time of waiting for one, time slices (Documentation/scheduler/sched-stats.rst).
fn add_schedule(schedstat: &str, usage: &mut Usage) {
    let mut numbers = schedstat
        .split_whitespace()
        .map_while(|text| text.parse::<u64>().ok());
    usage.cpu_ns += numbers.next().unwrap_or(0);
    usage.run_queue_wait_ns += numbers.next().unwrap_or(0);
}

fn add_status(status: &str, usage: &mut Usage) {
    let number = |name| field(status, name).unwrap_or(0);
    usage.voluntary_switches += number("voluntary_ctxt_switches:");
    usage.involuntary_switches += number("nonvoluntary_ctxt_switches:");
    usage.memory_peak_kib = usage.memory_peak_kib.max(number("VmHWM:"));
}

/// The first value behind a name that begins a line.
fn field<T: FromStr>(text: &str, name: &str) -> Option<T> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// The most memory that a process has had resident, in KiB, if it lives. (`ru_maxrss` of `wait4` is no help: it
/// begins with what our own process had when it started the other.)
pub fn memory_peak_kib(pid: u32) -> Option<u64> {
    field(
        &fs::read_to_string(format!("/proc/{pid}/status")).ok()?,
        "VmHWM:",
    )
}

/// What was used between two looks. The peak of memory is that of the later one.
pub fn difference(before: &Usage, after: &Usage) -> Usage {
    Usage {
        cpu_ns: after.cpu_ns.saturating_sub(before.cpu_ns),
        run_queue_wait_ns: after
            .run_queue_wait_ns
            .saturating_sub(before.run_queue_wait_ns),
        voluntary_switches: after
            .voluntary_switches
            .saturating_sub(before.voluntary_switches),
        involuntary_switches: after
            .involuntary_switches
            .saturating_sub(before.involuntary_switches),
        read_calls: after.read_calls.saturating_sub(before.read_calls),
        write_calls: after.write_calls.saturating_sub(before.write_calls),
        memory_peak_kib: after.memory_peak_kib,
    }
}

/// Adds what another process used; of the peaks of memory, the larger counts.
pub fn add(usage: &mut Usage, other: &Usage) {
    usage.cpu_ns += other.cpu_ns;
    usage.run_queue_wait_ns += other.run_queue_wait_ns;
    usage.voluntary_switches += other.voluntary_switches;
    usage.involuntary_switches += other.involuntary_switches;
    usage.read_calls += other.read_calls;
    usage.write_calls += other.write_calls;
    usage.memory_peak_kib = usage.memory_peak_kib.max(other.memory_peak_kib);
}

/// What a process looks like from outside; two equal looks at one that sleeps mean that it did nothing between.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    is_asleep: bool,
    slices: String,
    descriptors: usize,
}

impl Look {
    /// Looks at a process.
    pub fn at(pid: u32) -> Self {
        let read = |name| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        Self {
            // The name, in parentheses, may hold anything.
            is_asleep: read("stat")
                .rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('S')),
            slices: read("schedstat"),
            descriptors: descriptors.map_or(0, Iterator::count),
        }
    }

    /// Whether it slept.
    pub fn is_asleep(&self) -> bool {
        self.is_asleep
    }

    /// Descriptors that it had open: connections among them.
    pub fn descriptors(&self) -> usize {
        self.descriptors
    }
}

/// The machine's processors at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    at_ns: u64,
    processors: u64,
    unused_ns: u64,
}

impl Machine {
    /// Looks at /proc/stat.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn now() -> Result<Self, Error> {
        let text = read(Path::new("/proc/stat"))?;
        let at_ns = monotonic_ns();
        Ok(Self::of(&text, at_ns))
    }

    fn of(stat: &str, at_ns: u64) -> Self {
        let ticks: Vec<u64> = stat.lines().next().map_or_else(Vec::new, |line| {
            line.split_whitespace()
                .skip(1)
                .map_while(|text| text.parse().ok())
                .collect()
        });
        // user nice system idle iowait irq softirq steal (`man 5 proc_stat`)
        let unused: u64 = [3, 4, 7].iter().filter_map(|&at| ticks.get(at)).sum();
        let is_processor = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        Self {
            at_ns,
            processors: stat.lines().filter(is_processor).count() as u64,
            unused_ns: unused * NS_PER_TICK,
        }
    }

    /// Processor time that was used since an earlier look, in nanoseconds, to 10 ms a processor: the time that went
    /// by less what was idle. (The kernel takes its counts of used time from samples, but knows its idle time.)
    pub fn used_since(&self, before: &Self) -> u64 {
        let passed = self.at_ns.saturating_sub(before.at_ns) * self.processors;
        passed.saturating_sub(self.unused_ns.saturating_sub(before.unused_ns))
    }
}

/// USER_HZ is 100 on every Linux.
const NS_PER_TICK: u64 = 10_000_000;

/// UDP datagrams that were dropped for want of room in a receive buffer, in our network namespace, so far.
pub fn rcvbuf_errors() -> u64 {
    let snmp = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
    udp_counter(&snmp, "RcvbufErrors").unwrap_or(0)
}

/// A line of names, then one of values.
fn udp_counter(snmp: &str, name: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|known| known == name)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

/// Datagrams that the socket at this port has dropped so far.
pub fn udp_socket_drops(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/udp").unwrap_or_default();
    drops_in(&table, port)
}

fn drops_in(table: &str, port: u16) -> u64 {
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        (local == format!("{port:04X}")).then(|| fields.last()?.parse::<u64>().ok())?
    });
    rows.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn usage_is_read_from_what_the_kernel_writes() {
        let mut usage = Usage::default();
        add_schedule("1234567 89 17\n", &mut usage);
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nvoluntary_ctxt_switches:\t7\n\
                      nonvoluntary_ctxt_switches:\t3\n";
        add_status(status, &mut usage);
        let want = Usage {
            cpu_ns: 1_234_567,
            run_queue_wait_ns: 89,
            voluntary_switches: 7,
            involuntary_switches: 3,
            memory_peak_kib: 2048,
            ..Usage::default()
        };
        assert_eq!(usage, want);
        let mut both = want;
        add(&mut both, &want);
        assert_eq!(difference(&want, &both), want);
    }

    #[test]
    fn a_process_that_has_ended_has_its_usage_until_it_is_waited_for() {
        let mut child = Command::new("dd")
            .args([
                "if=/dev/zero",
                "of=/dev/null",
                "bs=1",
                "count=23",
                "status=none",
            ])
            .spawn()
            .unwrap();
        let id = nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(child.id().cast_signed()));
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(id, flags).unwrap();
        let used = usage(child.id()).unwrap();
        assert_eq!(used.write_calls, 23);
        assert!(used.read_calls >= 23 && used.cpu_ns > 0, "{used:?}");
        child.wait().unwrap();
        assert!(usage(child.id()).is_err());
    }

    #[test]
    fn used_time_is_what_was_not_idle() {
        let stat = |idle: u64| format!("cpu  1 2 3 {idle} 5 6 7 8 9 10\ncpu0 1\ncpu1 1\nintr 5\n");
        let before = Machine::of(&stat(100), 1_000_000_000);
        let after = Machine::of(&stat(150), 2_000_000_000);
        assert_eq!(after.used_since(&before), 1_500_000_000);
    }

    #[test]
    fn drops_are_found_by_name_and_by_port() {
        let snmp = "Ip: A\nIp: 1\nUdp: InDatagrams NoPorts RcvbufErrors\nUdp: 10 20 30\n";
        assert_eq!(udp_counter(snmp, "RcvbufErrors"), Some(30));
        assert_eq!(udp_counter(snmp, "Unknown"), None);
        let table = "  sl  local_address rem_address drops\n\
             100: 0100007F:4E20 00000000:0000 07 17\n";
        assert_eq!((drops_in(table, 20_000), drops_in(table, 20_001)), (17, 0));
    }
}

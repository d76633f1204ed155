//! The bpftrace scripts against a live load. They count by process name, so this is a test program
//! of its own: cargo runs it when the others have ended, and its tests run one after the other.

#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;

use harness::{Daemon, Folder, Setup, TRANSPORTS, has_program, producer, run, skip, wait_for};
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the test that traces.
static TRACING: Mutex<()> = Mutex::new(());

/// The right to trace, or why there is none.
fn tracing() -> Result<MutexGuard<'static, ()>, &'static str> {
    if !has_program("bpftrace") {
        return Err("bpftrace is not installed");
    }
    if fs::metadata("/sys/kernel/tracing/events/raw_syscalls").is_err() {
        return Err("tracefs is not mounted or not readable (tracing needs root)");
    }
    Ok(TRACING.lock().unwrap_or_else(PoisonError::into_inner))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("bpftrace")
        .join(name)
}

/// A running script.
struct Trace {
    bpftrace: Child,
    output: PathBuf,
}

impl Trace {
    /// Starts a script as its header says, by its own name, and returns when it counts.
    fn start(folder: &Folder, name: &str) -> Self {
        let output = folder.path(name);
        let bpftrace = Command::new(script(name))
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(folder.path("bpftrace.errors")).unwrap())
            .spawn()
            .unwrap();
        let trace = Self { bpftrace, output };
        wait_for("the script's banner", || {
            trace.text().contains("Ctrl-C to end")
        });
        trace
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Ends it and returns its counts: `@calls[NAME]` by name, and `@total`.
    fn stop(mut self) -> HashMap<String, u64> {
        harness::signal(self.bpftrace.id(), "INT");
        assert!(self.bpftrace.wait().unwrap().success());
        let text = self.text();
        let counts: HashMap<String, u64> = text
            .lines()
            .filter_map(|line| {
                let (key, count) = line.split_once(": ")?;
                let name = key
                    .strip_prefix("@calls[")
                    .and_then(|name| name.strip_suffix(']'));
                Some((
                    name.or(key.strip_prefix('@'))?.to_owned(),
                    count.parse().ok()?,
                ))
            })
            .collect();
        let sum: u64 = counts
            .iter()
            .filter(|(name, _)| *name != "total")
            .map(|(_, n)| n)
            .sum();
        assert_eq!(counts.get("total"), Some(&sum), "{text}");
        assert!(
            !counts.contains_key(""),
            "a system call without a name: {text}"
        );
        counts
    }
}

const PRIME: u64 = 23;

/// 23 producers x 23 records, 100 a second each.
fn prime_load(daemon: &Daemon, transport: &str) {
    let children: Vec<Child> = (0..PRIME)
        .map(|_| {
            producer()
                .args([
                    "--ipc",
                    daemon.endpoint(transport),
                    "--rate",
                    "100",
                    "--count",
                    "23",
                ])
                .env_remove("LD_LIBRARY_PATH")
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    // All of it has arrived, whatever the transport.
    daemon.wait_for_lines(usize::try_from(PRIME * PRIME).unwrap());
}

/// What a script counts for the prime load, every record of which arrives.
fn counts(script: &str, transport: &str) -> HashMap<String, u64> {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &[transport]).start();
    let trace = Trace::start(&folder, script);
    prime_load(&daemon, transport);
    let counts = trace.stop();
    assert_eq!(daemon.stop().count("records"), PRIME * PRIME);
    counts
}

#[test]
fn a_producer_makes_one_write_a_record_on_every_transport() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    for transport in TRANSPORTS {
        let counts = counts("producer_syscalls.bt", transport);
        assert_eq!(counts["write"], PRIME * PRIME, "{transport}: {counts:?}");
        let sleeps = counts["clock_nanosleep"];
        assert!(sleeps <= PRIME * (PRIME - 1), "{transport}: {counts:?}");
        let others = counts["total"] - counts["write"] - sleeps;
        assert!(others <= PRIME * 40, "{transport}: {counts:?}");
    }
}

#[test]
fn a_daemon_makes_at_most_one_wait_one_read_and_one_write_a_record() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    let records = PRIME * PRIME;
    for transport in TRANSPORTS {
        let counts = counts("aggregator_syscalls.bt", transport);
        let read = match transport {
            "unixgram" | "udp" => "recvmmsg",
            _ => "read",
        };
        assert!(
            (1..=records).contains(&counts["write"]),
            "{transport}: {counts:?}"
        );
        // A connection's end is one more read, and a FIFO's last writer may leave more than once.
        assert!(
            (1..=records + 2 * PRIME).contains(&counts[read]),
            "{transport}: {counts:?}"
        );
        let wakeups = records + 3 * PRIME;
        assert!(
            (1..=wakeups).contains(&counts["epoll_wait"]),
            "{transport}: {counts:?}"
        );
    }
}

#[test]
fn every_script_is_executable_and_understood() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    let mut count = 0;
    for entry in fs::read_dir(script("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bt") {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "{}", path.display());
            // Up to 0.21 the option is -d; it names a stage to show from then on.
            let parses = ["-d", "--dry-run"].iter().any(|option| {
                run(Command::new("bpftrace").arg(option).arg(&path))
                    .status
                    .success()
            });
            assert!(parses, "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 2);
}

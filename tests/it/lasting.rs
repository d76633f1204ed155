//! Calls of the event loop that keep failing, whatever the error: no spinning, one line, signals answered, and nothing
//! lost that the kernel keeps. strace makes the errors, and their end.
//!
//! One error of each class for each call; all of 1 to 133 with `LONG=1`.

use crate::harness::{
    Client, Daemon, EPOLL_WAIT, Folder, IS_STATIC, Setup, has_program, skip, wait_for,
};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// How long a call fails, and how many calls of all sorts the daemon may make in that time.
const TIME: Duration = Duration::from_secs(2);
const CALLS_MAX: usize = 50;

/// A call that fails, and what makes the daemon need it.
struct Case {
    /// Its names in strace.
    calls: &'static str,
    transport: &'static str,
    args: &'static [&'static str],
    /// What is done while it fails.
    act: Act,
    /// One of each class.
    errors: &'static [i32],
    /// Errors by which a connection ends: what is queued there is gone.
    ends: &'static [i32],
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    /// A record from a client that has connected before.
    Send,
    /// A client connects and sends a record.
    Connect,
    /// A writer of a FIFO comes and goes, and then another one.
    ComeAndGo,
    /// The path of the endpoint is removed, and then it is needed.
    Remove,
}

const EPERM: i32 = 1;
const EINTR: i32 = 4;
const EIO: i32 = 5;
const EBADF: i32 = 9;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EPIPE: i32 = 32;
const ENOSYS: i32 = 38;
const ECONNABORTED: i32 = 103;
const ECONNRESET: i32 = 104;
const ENOTCONN: i32 = 107;
const ECONNREFUSED: i32 = 111;
const ESTALE: i32 = 116;

const ACCEPT: &[i32] = &[
    EPERM,
    EINTR,
    EIO,
    EAGAIN,
    EINVAL,
    EMFILE,
    ENFILE,
    ECONNABORTED,
];
const READ: &[i32] = &[EPERM, EINTR, EIO, EAGAIN, ENOMEM, ENOSYS];
/// As `failure::answer` has them.
const READ_ENDS: &[i32] = &[
    EPIPE,
    64,
    71,
    90,
    92,
    95,
    100,
    101,
    ECONNABORTED,
    ECONNRESET,
    ENOTCONN,
    110,
    ECONNREFUSED,
    112,
    113,
];

const CASES: &[Case] = &[
    Case {
        calls: "accept4,accept",
        transport: "unixsock",
        args: &[],
        act: Act::Connect,
        errors: ACCEPT,
        ends: &[],
    },
    Case {
        calls: "accept4,accept",
        transport: "tcp",
        args: &[],
        act: Act::Connect,
        errors: ACCEPT,
        ends: &[],
    },
    Case {
        calls: "read",
        transport: "unixsock",
        args: &[],
        act: Act::Send,
        errors: READ,
        ends: READ_ENDS,
    },
    Case {
        calls: "read",
        transport: "tcp",
        args: &[],
        act: Act::Send,
        errors: READ,
        ends: READ_ENDS,
    },
    Case {
        calls: "read",
        transport: "fifo",
        args: &[],
        act: Act::Send,
        errors: &[EPERM, EINTR, EIO, EAGAIN, ECONNRESET],
        ends: &[],
    },
    Case {
        calls: "recvmmsg,recvmsg",
        transport: "unixgram",
        args: &[],
        act: Act::Send,
        errors: &[EPERM, EINTR, EAGAIN, ENOMEM, ENOSYS, ECONNREFUSED],
        ends: &[],
    },
    Case {
        calls: "recvmmsg,recvmsg",
        transport: "udp",
        args: &[],
        act: Act::Send,
        errors: &[EPERM, EINTR, EAGAIN, ENOMEM, ENOSYS, ECONNREFUSED],
        ends: &[],
    },
    Case {
        calls: EPOLL_WAIT,
        transport: "unixsock",
        args: &[],
        act: Act::Send,
        errors: &[EPERM, EINTR, EAGAIN, EBADF],
        ends: &[],
    },
    Case {
        calls: "epoll_ctl",
        transport: "tcp",
        args: &[],
        act: Act::Connect,
        errors: &[EPERM, ENOMEM, ENOSPC],
        ends: &[],
    },
    Case {
        calls: "open,openat",
        transport: "fifo",
        args: &[],
        act: Act::ComeAndGo,
        errors: &[EPERM, EINTR, EMFILE],
        ends: &[],
    },
    Case {
        calls: "epoll_ctl",
        transport: "fifo",
        args: &[],
        act: Act::ComeAndGo,
        errors: &[EPERM, ENOMEM],
        ends: &[],
    },
    Case {
        calls: "read",
        transport: "unixgram",
        args: &[],
        act: Act::Remove,
        errors: &[EPERM, EINTR, EAGAIN],
        ends: &[],
    },
    Case {
        calls: "bind",
        transport: "unixgram",
        args: &[],
        act: Act::Remove,
        errors: &[EPERM, ENOSPC],
        ends: &[],
    },
    Case {
        calls: "write",
        transport: "unixsock",
        args: &[],
        act: Act::Send,
        errors: &[
            EPERM, EINTR, EIO, EBADF, EAGAIN, ENOSPC, EPIPE, ENOTCONN, ESTALE,
        ],
        ends: &[],
    },
    Case {
        calls: "fsync",
        transport: "unixsock",
        args: &["--sync=batch"],
        act: Act::Send,
        errors: &[EPERM, EINTR, EIO, ENOSPC],
        ends: &[],
    },
    Case {
        calls: "rename,renameat,renameat2",
        transport: "unixsock",
        args: &["--rotate-size=4096"],
        act: Act::Send,
        errors: &[EPERM, EINTR, EBADF],
        ends: &[],
    },
    Case {
        calls: "open,openat",
        transport: "unixsock",
        args: &["--rotate-size=4096"],
        act: Act::Send,
        errors: &[EPERM, EINTR, EMFILE],
        ends: &[],
    },
];

/// What a C library does beside what it is asked for.
const BY_ITSELF: [&str; 3] = ["mmap(", "munmap(", "fcntl("];

/// A failure that lasts for as long as this lives.
struct Failure {
    strace: Child,
    trace: PathBuf,
}

impl Failure {
    fn begin(daemon: &Daemon, folder: &Folder, calls: &str, errno: i32) -> Self {
        let trace = folder.path("trace");
        let strace = Command::new("strace")
            .args(["-p", &daemon.pid.to_string(), "-o"])
            .arg(&trace)
            .args(["-e", "trace=all", "-e", "signal=none"])
            .args(["-e", &format!("inject={calls}:error={errno}")])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("strace", || daemon.status_line("TracerPid") != "0");
        Self { strace, trace }
    }

    /// How many calls the daemon has made so far.
    fn calls(&self) -> usize {
        let text = fs::read_to_string(&self.trace).unwrap();
        // Beside those that musl makes by itself: for memory, and for FD_CLOEXEC where open has seen to it.
        let is_by_itself = |call: &str| IS_STATIC && BY_ITSELF.iter().any(|c| call.starts_with(c));
        text.lines().filter(|call| !is_by_itself(call)).count()
    }

    fn end(mut self, daemon: &Daemon) {
        crate::harness::signal(self.strace.id(), "INT");
        self.strace.wait().unwrap();
        wait_for("strace's end", || daemon.status_line("TracerPid") == "0");
    }
}

/// A record that fills a file which is rotated at 4,096 bytes.
fn record(number: usize, args: &[&str]) -> String {
    let padding = if args.is_empty() { 0 } else { 5000 };
    format!("{{\"n\":{number},\"x\":\"{}\"}}\n", "x".repeat(padding))
}

/// Does what the case needs; returns how many records that is, and a client that stays.
fn act(case: &Case, daemon: &Daemon, client: Option<Client>) -> (usize, Option<Client>) {
    let connect = || daemon.connect(case.transport);
    let mut client = match case.act {
        Act::Send => client.unwrap(),
        Act::Connect => connect(),
        Act::ComeAndGo => {
            for number in 0..2 {
                connect().send(record(number, case.args));
                let come = || daemon.lines_written() > number;
                wait_for("a record of a writer that has gone", come);
            }
            return (2, None);
        }
        Act::Remove => {
            fs::remove_file(daemon.address(case.transport)).unwrap();
            return (0, None);
        }
    };
    for number in 0..3 {
        client.send(record(number, case.args));
    }
    (3, Some(client))
}

/// All lines of the output and of the files that were moved away.
fn lines_in(folder: &Folder) -> Vec<String> {
    let is_output = |name: &String| name.starts_with("records.jsonl");
    let mut lines = Vec::new();
    for name in folder.names().into_iter().filter(is_output) {
        let text = fs::read_to_string(folder.path(&name)).unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

/// Returns what is wrong, if anything is.
fn check(case: &Case, errno: i32, ends_by_signal: bool) -> Result<(), String> {
    let folder = Folder::new();
    let mut daemon = Setup::new(&folder, &[case.transport])
        .args(case.args)
        .start();
    let client = (case.act == Act::Send).then(|| daemon.connect(case.transport));
    if client.is_some() && daemon.endpoint(case.transport).starts_with(['u', 't']) {
        // It has to be accepted before accept or what follows fails.
        std::thread::sleep(Duration::from_millis(50));
    }
    let failure = Failure::begin(&daemon, &folder, case.calls, errno);
    let before = failure.calls();
    let (mut sent, mut client) = act(case, &daemon, client);
    std::thread::sleep(TIME); // in which it must do next to nothing
    let calls = failure.calls() - before;
    let said = daemon.stderr();
    let mut wrong = Vec::new();
    if calls >= CALLS_MAX {
        wrong.push(format!("{calls} calls in {TIME:?}"));
    }
    // That a path is made anew is another line.
    let lines = if case.act == Act::Remove { 2 } else { 1 };
    if said.lines().count() > lines {
        wrong.push(format!("too many lines:\n{said}"));
    }
    if ends_by_signal {
        daemon.signal("TERM");
        let status = daemon.wait_for_end();
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            wrong.push(status.to_string());
        }
        failure.strace.wait_with_output().unwrap();
    } else {
        failure.end(&daemon);
        if case.act == Act::Remove {
            wait_for("the path", || {
                Client::try_connect(case.transport, daemon.address(case.transport)).is_ok()
            });
            client = Some(daemon.connect(case.transport));
            client.as_mut().unwrap().send(record(0, case.args));
            sent = 1;
        }
        if case.ends.contains(&errno) {
            sent = 0;
        }
        wait_for(&format!("the records: {} {errno}", case.calls), || {
            lines_in(&folder).len() >= sent
        });
        daemon.signal("TERM");
        let stopped = daemon.wait_unread();
        // What a sync has lost is not mended by the next one.
        let want = if case.calls == "fsync" { 2 } else { 0 };
        if stopped.status.code() != Some(want) {
            wrong.push(format!("{}: {}", stopped.status, stopped.stderr));
        }
        if lines_in(&folder).len() != sent {
            wrong.push(format!("{:?} instead of {sent}", lines_in(&folder)));
        }
    }
    drop(client);
    if wrong.is_empty() {
        return Ok(());
    }
    let name = format!("{} {} {errno} {ends_by_signal}", case.calls, case.transport);
    Err(format!("{name}: {}", wrong.join("; ")))
}

/// Runs them side by side: they sleep most of the time.
fn check_all(cases: Vec<(&Case, i32, bool)>) {
    let cases = Mutex::new(cases.into_iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().next();
                    let Some((case, errno, ends_by_signal)) = next else {
                        return;
                    };
                    let checked = std::panic::catch_unwind(|| check(case, errno, ends_by_signal));
                    let panicked = format!("{} {} {errno}: see above", case.calls, case.transport);
                    if let Err(reason) = checked.unwrap_or(Err(panicked)) {
                        wrong.lock().unwrap().push(reason);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_call_that_keeps_failing_is_tried_again_after_growing_pauses_and_loses_nothing() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let is_long = std::env::var_os("LONG").is_some();
    let only = std::env::var("CALLS").ok();
    let mut cases = Vec::new();
    for case in CASES {
        if only.as_ref().is_some_and(|only| !case.calls.contains(only)) {
            continue;
        }
        let every: Vec<i32> = (1..=133).collect();
        for &errno in if is_long { &every[..] } else { case.errors } {
            cases.push((case, errno, false));
        }
        cases.push((case, case.errors[0], true));
    }
    check_all(cases);
}

/// Once it works again, a FIFO is served as ever: a record waits for no retry. A deadline that only a retry can miss.
#[test]
fn a_fifo_that_could_not_be_read_is_watched_again() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let failure = Failure::begin(&daemon, &folder, "read", EIO);
    daemon.connect("fifo").send("{\"n\":0}\n"); // comes and goes
    wait_for("the failure", || !daemon.stderr().is_empty());
    // Until the pauses are long.
    std::thread::sleep(TIME);
    failure.end(&daemon);
    daemon.wait_for_lines(1);
    for number in 1..5 {
        let begin = std::time::Instant::now();
        daemon.connect("fifo").send(format!("{{\"n\":{number}}}\n"));
        daemon.wait_for_lines(number + 1);
        assert!(
            begin.elapsed() < TIME,
            "record {number} after {:?}",
            begin.elapsed()
        );
    }
    assert_eq!(daemon.stop().count("records"), 5);
}

/// What has failed once and then waits for a place waits for nothing else.
#[test]
fn a_listener_that_has_failed_sleeps_at_the_connection_limit() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--max-connections=1"])
        .start();
    let failure = Failure::begin(&daemon, &folder, "accept4", ENFILE);
    let mut client = daemon.connect("unixsock");
    client.send("{}\n");
    wait_for("the failure", || !daemon.stderr().is_empty());
    failure.end(&daemon);
    daemon.wait_for_lines(1);
    let mut waiting = daemon.connect("unixsock");
    waiting.send("{}\n");
    wait_for("the limit", || daemon.stderr().contains("connection limit"));
    let before = daemon.cpu_ns();
    std::thread::sleep(Duration::from_secs(1)); // in which it must sleep
    let spent = daemon.cpu_ns() - before;
    assert!(
        spent < 50_000_000,
        "{spent} ns of processor time in a second"
    );
    drop(client);
    daemon.wait_for_lines(2);
    assert_eq!(daemon.stop().count("records"), 2);
}

//! Every signal, by its number: it drains, opens the output anew, or does nothing; and those that nobody can
//! keep from ending or stopping a process do that.

use crate::harness::{Daemon, Folder, Setup, has_program, skip, wait_for};
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// What fits into the queue of a Unix datagram socket where nobody has made it longer.
const QUEUED: usize = 8;

const LAST: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Drains,
    Reopens,
    Nothing,
    Stops,
    Kills,
}

/// What a signal is to do, by its number on x86-64 and ARM (`man 7 signal`).
fn effect(signal: u32) -> Effect {
    match signal {
        1 | 10 => Effect::Reopens,                           // HUP, USR1
        9 => Effect::Kills,                                  // KILL
        19..=22 => Effect::Stops,                            // STOP, TSTP, TTIN, TTOU
        12 | 13 | 17 | 18 | 23 | 25 | 28 => Effect::Nothing, // USR2, PIPE, CHLD, CONT, URG, XFSZ, WINCH
        _ => Effect::Drains,
    }
}

/// A daemon for which no signal is ignored, whatever the tests were started to ignore.
fn start(folder: &Folder, args: &[&str]) -> Daemon {
    Setup::new(folder, &["unixgram"])
        .wrapper(["env", "--default-signal"])
        .args(args)
        .start()
}

fn send_queue(daemon: &Daemon) {
    let mut client = daemon.connect("unixgram");
    for number in 0..QUEUED {
        client.send(format!("{{\"n\":{number}}}\n"));
    }
}

#[test]
fn every_signal_does_what_it_is_to_do() {
    std::thread::scope(|scope| {
        for share in 0..4 {
            scope.spawn(move || {
                for signal in (1..=LAST).filter(|signal| signal % 4 == share) {
                    check(signal);
                }
            });
        }
    });
}

/// What is queued when the signal comes is written, whichever it is.
fn check(signal: u32) {
    let folder = Folder::new();
    let daemon = start(&folder, &[]);
    let moved = folder.path("moved");
    let number = signal.to_string();
    daemon.freeze();
    send_queue(&daemon);
    match effect(signal) {
        Effect::Drains => {
            daemon.signal(&number);
            daemon.thaw();
            let stopped = daemon.wait();
            assert_eq!(
                stopped.status.code(),
                Some(0),
                "{signal}: {}",
                stopped.stderr
            );
            assert_eq!(stopped.lines.len(), QUEUED, "signal {signal}");
        }
        Effect::Reopens => {
            fs::rename(&daemon.output, &moved).unwrap();
            daemon.signal(&number);
            daemon.thaw();
            wait_for("the new file", || daemon.output.exists());
            daemon.wait_for_lines(QUEUED);
            assert_eq!(fs::read(&moved).unwrap(), b"", "signal {signal}");
            assert_eq!(daemon.stop().lines.len(), QUEUED, "signal {signal}");
        }
        // CONT takes back a stop that is pending.
        Effect::Nothing | Effect::Stops => {
            daemon.signal(&number);
            daemon.thaw();
            daemon.wait_for_lines(QUEUED);
            // Once more while it runs. One of the four may be ignored, if nobody could let it go on.
            daemon.signal(&number);
            daemon.thaw();
            send_queue(&daemon);
            daemon.wait_for_lines(2 * QUEUED);
            assert_eq!(daemon.stop().lines.len(), 2 * QUEUED, "signal {signal}");
        }
        Effect::Kills => {
            assert_eq!(daemon.kill(&number).signal(), Some(9));
        }
    }
}

/// As `nohup` has it for SIGHUP. (32 and 33 are the C library's; `env` cannot ignore them.)
#[test]
fn whatever_it_was_started_to_ignore_is_ignored() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixgram"])
        .wrapper(["env", "--ignore-signal"])
        .start();
    for signal in (1..=LAST).filter(|signal| !matches!(signal, 9 | 19 | 32 | 33)) {
        daemon.signal(&signal.to_string());
    }
    send_queue(&daemon);
    daemon.wait_for_lines(QUEUED);
    daemon.signal("34"); // and none has waited for the loop
    assert!(daemon.is_running());
    assert_eq!(daemon.status_line("SigPnd"), "0000000000000000");
    assert_eq!(daemon.status_line("ShdPnd"), "0000000000000000");
}

/// A limit of processor time is told of each second, and a timer that somebody has set before he started us as
/// often as he likes: that is one wish, and not a second signal that ends a stop.
#[test]
fn what_the_kernel_repeats_does_not_cut_a_stop_short() {
    if !has_program("perl") {
        return skip("perl is not installed");
    }
    let folder = Folder::new();
    let endpoint = folder.endpoint("unixsock");
    let script = "use Time::HiRes qw(setitimer ITIMER_REAL); $SIG{ALRM} = 'DEFAULT'; \
                  setitimer(ITIMER_REAL, 3, 0.01); exec @ARGV";
    let mut child = Command::new("perl")
        .args(["-e", script])
        .arg(env!("CARGO_BIN_EXE_aggregator"))
        .args(["--ipc", &endpoint, "--output", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let path = folder.path("unixsock");
    wait_for("the socket", || UnixStream::connect(&path).is_ok());
    // More than the pipe that is its output holds, so that the stop has to wait.
    let mut stream = UnixStream::connect(&path).unwrap();
    let timeout = std::time::Duration::from_millis(100);
    stream.set_write_timeout(Some(timeout)).unwrap();
    while std::io::Write::write_all(&mut stream, &[b"{}\n".repeat(1000)].concat()).is_ok() {}
    wait_for("the stop", || UnixStream::connect(&path).is_err());
    let wakes = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = wakes();
    wait_for("many repetitions", || wakes() > before + 10);
    let mut records = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut records)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("second signal"), "{said}");
    assert!(records.len() > 65_536, "{}", records.len());
}

/// Its limit of processor time is the end of a daemon, and no loss.
#[test]
fn a_limit_of_processor_time_drains() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"])
        .wrapper(["env", "--default-signal", "sh", "-c"])
        .wrapper(["ulimit -S -t 1; exec \"$@\"", "sh"])
        .start();
    let endpoint = daemon.endpoint("fifo").to_owned();
    let args = ["--rate", "0", "--duration", "600"];
    let mut producer = crate::harness::spawn_producer(&endpoint, args);
    let stopped = daemon.wait();
    assert!(!producer.wait().unwrap().success(), "it is told");
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
}

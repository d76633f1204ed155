//! What is said on standard output and standard error holds nobody up, whatever they are, and comes in whole
//! lines.

use crate::harness::{
    Client, Folder, aggregator, has_program, one_line, producer, run, signal, skip, wait_for,
};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_aggregator");

/// O_NONBLOCK, on all architectures that we run on.
const NON_BLOCKING: i32 = 0o4000;

/// Records that a daemon is to write, with a message before each.
const RECORDS: usize = 20;

/// What whoever reads a descriptor does not read, and the descriptor.
struct Stuck {
    name: &'static str,
    descriptor: OwnedFd,
    reader: Option<Box<dyn Read + Send>>,
}

impl Stuck {
    fn stdio(&self) -> Stdio {
        self.descriptor.try_clone().unwrap().into()
    }
}

/// Writes newlines until nothing goes any more.
fn fill(mut to: impl Write, at_a_time: usize) {
    loop {
        match to.write(&b"\n".repeat(at_a_time)) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) => panic!("{e}"),
        }
    }
}

fn full_pipe() -> (PipeReader, OwnedFd) {
    let (reader, writer) = io::pipe().unwrap();
    let descriptor = OwnedFd::from(writer);
    let own = OpenOptions::new()
        .write(true)
        .custom_flags(NON_BLOCKING)
        .open(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    fill(own.unwrap(), 4096);
    (reader, descriptor)
}

/// A reader that takes a datagram at a time.
struct Datagrams(UnixDatagram);

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }
}

fn full(name: &'static str) -> Stuck {
    let (descriptor, reader): (OwnedFd, Box<dyn Read + Send>) = match name {
        "pipe" => {
            let (reader, descriptor) = full_pipe();
            (descriptor, Box::new(reader))
        }
        "stream" => {
            let (ours, theirs) = UnixStream::pair().unwrap();
            theirs.set_nonblocking(true).unwrap();
            fill(&theirs, 4096);
            fill(&theirs, 1);
            theirs.set_nonblocking(false).unwrap();
            (theirs.into(), Box::new(ours))
        }
        _ => {
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            theirs.set_nonblocking(true).unwrap();
            while theirs.send(b"\n").is_ok() {}
            theirs.set_nonblocking(false).unwrap();
            (theirs.into(), Box::new(Datagrams(ours)))
        }
    };
    Stuck {
        name,
        descriptor,
        reader: Some(reader),
    }
}

const FULL: [&str; 3] = ["pipe", "stream", "datagrams"];

/// Those that will never take anything.
fn never() -> [Stuck; 4] {
    let gone = |name, descriptor| Stuck {
        name,
        descriptor,
        reader: None,
    };
    let device = OpenOptions::new().write(true).open("/dev/full").unwrap();
    [
        gone("pipe without a reader", io::pipe().unwrap().1.into()),
        gone(
            "stream without a reader",
            UnixStream::pair().unwrap().1.into(),
        ),
        gone(
            "datagrams without a reader",
            UnixDatagram::pair().unwrap().1.into(),
        ),
        gone("full device", device.into()),
    ]
}

/// A daemon that says much, which nobody may hear.
struct Talker {
    child: Child,
    pid: u32,
    folder: Folder,
}

impl Talker {
    fn start(stdout: Stdio, stderr: Stdio) -> Self {
        Self::start_as(&[PROGRAM], stdout, stderr)
    }

    fn start_as(words: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        let folder = Folder::new();
        let child = command(&folder, words)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let pid = child.id();
        let talker = Self { child, pid, folder };
        talker.wait_for_socket();
        talker
    }

    fn wait_for_socket(&self) {
        let path = self.folder.path("unixsock");
        wait_for("the socket", || UnixStream::connect(&path).is_ok());
    }

    fn output(&self) -> PathBuf {
        self.folder.path("out")
    }

    fn lines(&self) -> usize {
        fs::read_to_string(self.output()).unwrap().lines().count()
    }

    /// Has it say something and write a record, again and again.
    fn work(&self) {
        let address = self.folder.path("unixsock");
        let before = self.lines();
        for number in 0..RECORDS {
            // That the output is where it was.
            signal(self.pid, "HUP");
            wait_for("the signal to be taken", || {
                self.status_line("ShdPnd").ends_with("\t0000000000000000")
            });
            let mut client = Client::connect("unixsock", address.to_str().unwrap());
            client.send(format!("{{\"n\":{number}}}\n"));
            wait_for("the record", || self.lines() > before + number);
        }
    }

    fn status_line(&self, key: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with(key));
        line.unwrap().to_owned()
    }

    /// The flags of what it was given as this descriptor.
    fn flags(&self, descriptor: u32) -> i32 {
        let path = format!("/proc/{}/fdinfo/{descriptor}", self.pid);
        let info = fs::read_to_string(path).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        i32::from_str_radix(flags.unwrap().trim(), 8).unwrap()
    }

    /// Stops it, which must not take long.
    #[track_caller]
    fn stop(mut self, what: &str) {
        signal(self.pid, "TERM");
        let begin = Instant::now();
        wait_for(what, || self.child.try_wait().unwrap().is_some());
        let lasted = begin.elapsed();
        // Two that are waited for, a second each; the rest is for a slow machine.
        assert!(lasted < Duration::from_secs(8), "{what}: {lasted:?}");
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{what}");
        assert_eq!(self.folder.names(), ["out"], "{what}");
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What these words start, the last of which is the program or makes one of the arguments that follow.
fn command(folder: &Folder, words: &[&str]) -> Command {
    // Any user may be the daemon's.
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["--ipc", &folder.endpoint("unixsock"), "--output"])
        .arg(folder.path("out"))
        .env("RUST_LOG", "info");
    command
}

/// Collects what a reader brings.
fn listen(mut reader: Box<dyn Read + Send>) -> Arc<Mutex<Vec<u8>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
            to.lock().unwrap().extend_from_slice(&buffer[..bytes]);
        }
    });
    heard
}

fn text(heard: &Arc<Mutex<Vec<u8>>>) -> String {
    String::from_utf8(heard.lock().unwrap().clone()).unwrap()
}

/// Each line is one of the daemon's, from its beginning to its end.
#[track_caller]
fn assert_whole(text: &str) {
    assert!(text.ends_with('\n'), "{text}");
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let is_whole =
            line.starts_with("aggregator: ") && line.matches("aggregator: ").count() == 1;
        assert!(is_whole || line.starts_with("{\""), "{line:?}");
    }
}

const DROPPED: &str = "dropped, since standard error did not take them\n";

#[test]
fn what_takes_nothing_holds_nothing_up() {
    for stuck in FULL.map(full).into_iter().chain(never()) {
        for (on_stdout, on_stderr) in [(true, false), (false, true), (true, true)] {
            let stdio = |is_stuck| {
                if is_stuck {
                    stuck.stdio()
                } else {
                    Stdio::null()
                }
            };
            let talker = Talker::start(stdio(on_stdout), stdio(on_stderr));
            talker.work();
            for descriptor in [1, 2] {
                // Whoever shares it would not wait either.
                assert_eq!(talker.flags(descriptor) & NON_BLOCKING, 0);
            }
            talker.stop(&format!(
                "{} as stdout {on_stdout}, stderr {on_stderr}",
                stuck.name
            ));
        }
    }
}

/// Without another message, and while nothing else happens.
#[test]
fn what_was_dropped_is_counted_and_said_once_there_is_room() {
    for mut stuck in FULL.map(full) {
        let talker = Talker::start(Stdio::null(), stuck.stdio());
        talker.work();
        let heard = listen(stuck.reader.take().unwrap());
        wait_for("the count", || text(&heard).ends_with(DROPPED));
        let line = text(&heard);
        let line = line.lines().last().unwrap();
        let count = line.strip_prefix("aggregator: warning: ").unwrap();
        let count: usize = count.split(' ').next().unwrap().parse().unwrap();
        assert!(count >= RECORDS, "{}: {line}", stuck.name);
        talker.work();
        talker.stop(stuck.name);
        drop(stuck.descriptor);
        let text = text(&heard);
        assert_whole(&text);
        assert_eq!(text.matches(DROPPED).count(), 1, "{text}");
        let (_, after) = text.split_once(DROPPED).unwrap();
        assert!(after.lines().count() >= RECORDS, "{text}");
    }
}

/// What was dropped before the end is said at the end.
#[test]
fn what_was_dropped_is_said_at_the_end_if_not_before() {
    let (mut reader, descriptor) = full_pipe();
    let talker = Talker::start(Stdio::null(), descriptor.into());
    talker.work();
    signal(talker.pid, "STOP");
    let mut pipe = vec![0; 65_536];
    reader.read_exact(&mut pipe).unwrap();
    signal(talker.pid, "TERM");
    signal(talker.pid, "CONT");
    talker.stop("a pipe that has room again");
    let text = io::read_to_string(reader).unwrap();
    assert!(text.contains(DROPPED), "{text}");
    assert_whole(&text);
}

/// A terminal with Ctrl-S pressed, or whose window hangs.
const TERMINAL: &str = r"
import os, pty, subprocess, sys, termios
how, which, screen = sys.argv[1:4]
master, slave = pty.openpty()
if how == 'stopped':
    termios.tcflow(slave, termios.TCOOFF)
else:
    own = os.open(os.ttyname(slave), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    for size in (4096, 1):
        try:
            while True: os.write(own, b'\n' * size)
        except BlockingIOError: pass
    os.close(own)
stream = {name: slave if name in which else subprocess.DEVNULL for name in ('stdout', 'stderr')}
daemon = subprocess.Popen(sys.argv[4:], stdin=subprocess.DEVNULL, **stream)
print(daemon.pid, flush=True)
sys.stdin.read()
if how == 'stopped':
    termios.tcflow(slave, termios.TCOON)
os.close(slave)
with open(screen, 'wb', 0) as screen:
    try:
        while data := os.read(master, 4096): screen.write(data)
    except OSError: pass
sys.exit(daemon.wait())
";

/// Starts a daemon on a terminal that takes nothing until the child's standard input ends.
fn start_on_terminal(how: &str, which: &str, words: &[&str]) -> Talker {
    let folder = Folder::new();
    let daemon = command(&folder, words);
    let mut child = Command::new("python3")
        .args(["-c", TERMINAL, how, which])
        .arg(folder.path("screen"))
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .env("RUST_LOG", "info")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    let mut said = io::BufReader::new(child.stdout.take().unwrap());
    io::BufRead::read_line(&mut said, &mut pid).unwrap();
    let pid = pid.trim().parse().unwrap();
    let talker = Talker { child, pid, folder };
    talker.wait_for_socket();
    talker
}

#[test]
fn a_terminal_that_takes_nothing_holds_nothing_up() {
    if !has_program("python3") {
        return skip("python3 is not installed");
    }
    for how in ["stopped", "full"] {
        for which in ["stdout", "stderr", "stdout stderr"] {
            let what = format!("{which} is a terminal that is {how}");
            let mut talker = start_on_terminal(how, which, &[PROGRAM]);
            talker.work();
            signal(talker.pid, "TERM");
            wait_for(&what, || talker.status_line("State").contains('Z'));
            drop(talker.child.stdin.take());
            assert_eq!(talker.child.wait().unwrap().code(), Some(0), "{what}");
            assert_eq!(talker.folder.names(), ["out", "screen"], "{what}");
        }
        assert_counted_on_terminal(start_on_terminal(how, "stderr", &[PROGRAM]));
    }
}

/// Has the count of what was dropped shown on a terminal that goes on.
fn assert_counted_on_terminal(mut talker: Talker) {
    talker.work();
    drop(talker.child.stdin.take());
    let screen = talker.folder.path("screen");
    let seen = || {
        fs::read_to_string(&screen)
            .unwrap_or_default()
            .replace('\r', "")
    };
    wait_for("the count", || seen().contains(DROPPED));
    talker.work();
    signal(talker.pid, "TERM");
    assert_eq!(talker.child.wait().unwrap().code(), Some(0));
    assert_whole(&seen());
}

/// What another user has opened cannot be opened anew, and neither can anything where there is no /proc: so the
/// kernel is asked before each write.
#[test]
fn what_cannot_be_opened_anew_holds_nothing_up() {
    if !["setpriv", "unshare", "python3"]
        .into_iter()
        .all(has_program)
        || fs::metadata("/proc/self").unwrap().uid() != 0
    {
        return skip("setpriv, unshare or python3 is missing, or the tests are not run by root");
    }
    // Where that user may look, unlike this checkout perhaps.
    let folder = Folder::new();
    let program = folder.path("aggregator");
    fs::copy(PROGRAM, &program).unwrap();
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let anybody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        program.to_str().unwrap(),
    ];
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    let without_proc = ["unshare", "--mount", "sh", "-c", script, "sh", PROGRAM];
    for words in [&anybody[..], &without_proc] {
        for mut stuck in FULL.map(full) {
            let talker = Talker::start_as(words, Stdio::null(), stuck.stdio());
            talker.work();
            assert_eq!(talker.flags(2) & NON_BLOCKING, 0);
            let heard = listen(stuck.reader.take().unwrap());
            wait_for("the count", || text(&heard).contains(DROPPED));
            talker.work();
            talker.stop(stuck.name);
            assert_whole(&text(&heard));
            let stuck = full(stuck.name);
            let talker = Talker::start_as(words, stuck.stdio(), stuck.stdio());
            talker.work();
            talker.stop(stuck.name);
        }
        for how in ["stopped", "full"] {
            assert_counted_on_terminal(start_on_terminal(how, "stderr", words));
        }
    }
}

/// Nothing goes where we were not given leave to write.
#[test]
fn a_descriptor_that_is_open_for_reading_gets_nothing() {
    let (reader, mut writer) = io::pipe().unwrap();
    let reader = OwnedFd::from(reader);
    let stdio = || Stdio::from(reader.try_clone().unwrap());
    let talker = Talker::start(stdio(), stdio());
    talker.work();
    talker.stop("a pipe's end for reading");
    writer.write_all(b"ours").unwrap();
    drop(writer);
    assert_eq!(io::read_to_string(File::from(reader)).unwrap(), "ours");
}

#[test]
fn without_standard_descriptors_it_works_and_says_nothing_elsewhere() {
    for closed in ["1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"] {
        let script = format!("exec \"$@\" {closed}");
        let words = ["sh", "-c", &script, "sh", PROGRAM];
        let talker = Talker::start_as(&words, Stdio::null(), Stdio::null());
        talker.work();
        let out = talker.output();
        let copy = talker.folder.path("copy");
        fs::hard_link(&out, &copy).unwrap();
        talker.work();
        for line in fs::read_to_string(&out).unwrap().lines() {
            assert!(line.starts_with("{\"n\":"), "{closed}: {line}");
        }
        fs::remove_file(copy).unwrap();
        talker.stop(closed);
    }
}

/// A second signal is not kept waiting for somebody who reads nothing, and neither is a flood of messages.
#[test]
fn a_load_of_messages_that_nobody_reads_delays_no_record_and_no_signal() {
    let (out, err) = (full("pipe"), full("pipe"));
    let talker = Talker::start(out.stdio(), err.stdio());
    let endpoint = talker.folder.endpoint("unixsock");
    let args = ["--rate=0", "--count=20000"];
    let sent = run(producer().args(["--ipc", &endpoint]).args(args));
    assert!(sent.status.success());
    wait_for("the records", || talker.lines() == 20_000);
    talker.stop("two full pipes");
}

/// The writes of a program that writes nothing else than what it says, with strace.
fn writes(folder: &Folder, command: &mut Command) -> Vec<String> {
    let trace = folder.path("trace");
    let mut traced = Command::new("strace");
    traced
        .args([
            "-f",
            "-s",
            "99999",
            "-e",
            "trace=write,writev,pwritev2",
            "-o",
        ])
        .arg(&trace)
        .arg(command.get_program())
        .args(command.get_args());
    run(&mut traced);
    let trace = fs::read_to_string(&trace).unwrap();
    let calls = trace.lines().filter(|line| line.contains("write"));
    calls.map(str::to_owned).collect()
}

#[test]
fn each_line_is_one_write() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let missing = folder.endpoint("unixsock");
    let taken = folder.path("taken");
    fs::write(&taken, "").unwrap();
    let taken = format!("unixsock={}", taken.display());
    let out = format!("--output={}", folder.path("out").display());
    for (command, lines) in [
        (producer().args(["--ipc", &missing]), 1),
        (producer().arg("--nonsense"), 1),
        (producer().arg("--help"), 1),
        (producer().arg("--version"), 1),
        (aggregator().args(["--ipc", &taken, &out]), 1),
        (aggregator().arg("--nonsense"), 1),
        (aggregator().arg("--help"), 1),
        (aggregator().arg("--version"), 1),
        (aggregator().args(["--ipc", &missing, &out, "--check"]), 2),
    ] {
        let writes = writes(&folder, command);
        assert_eq!(writes.len(), lines, "{command:?}: {writes:?}");
        for call in writes {
            assert!(call.contains("\\n\", "), "{command:?}: {call}");
        }
    }
}

#[test]
fn a_message_is_cut_where_a_pipe_would_tear_it() {
    let long = format!("unixsock=/{}", "x".repeat(10_000));
    for mut program in [aggregator(), producer()] {
        let output = run(program.args(["--ipc", &long]));
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stderr.len(), 4096);
        assert!(one_line(&output).ends_with("..."));
    }
}

#[test]
fn a_filter_that_makes_no_sense_is_said_in_a_line_of_ours() {
    let folder = Folder::new();
    for filter in ["a=b", "a=b=c", "info/x/y"] {
        let daemon = crate::harness::Setup::new(&folder, &["unixsock"])
            .wrapper(["env", &format!("RUST_LOG={filter}")])
            .start();
        let stderr = daemon.stop().stderr;
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let begin = format!("aggregator: warning: cannot use RUST_LOG={filter}: ");
        assert!(stderr.starts_with(&begin), "{stderr}");
    }
}

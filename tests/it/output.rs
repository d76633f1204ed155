//! Where records go: files, pipes, sockets, and outputs that refuse.

use crate::harness::{Client, Folder, aggregator, has_program, one_line, run, skip, wait_for};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// A daemon whose records go to its standard output, and whose two lines to standard error.
struct ToStdout {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    address: String,
}

impl ToStdout {
    fn start(folder: &Folder, stdout: impl Into<Stdio>) -> Self {
        let endpoint = folder.endpoint("unixsock");
        let mut child = aggregator()
            .args(["--ipc", &endpoint, "--output", "-"])
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let ready = next_json(&mut said);
        assert_eq!(ready["ready"], true);
        assert_eq!(ready["output"], "-");
        Self {
            child,
            said,
            address: endpoint.split_once('=').unwrap().1.to_owned(),
        }
    }

    fn connect(&self) -> Client {
        Client::connect("unixsock", &self.address)
    }

    fn signal(&self) {
        crate::harness::signal(self.child.id(), "TERM");
    }

    /// Waits for its end; returns the exit status and the rest of what it said.
    fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }
}

fn next_json(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
}

/// Sends numbered records of 1 KiB until the daemon takes no more; returns how many it took.
fn send_until_full(daemon: &ToStdout) -> (UnixStream, usize) {
    let mut stream = UnixStream::connect(&daemon.address).unwrap();
    stream
        .set_write_timeout(Some(std::time::Duration::from_millis(300)))
        .unwrap();
    let mut sent = 0;
    while stream.write_all(record(sent).as_bytes()).is_ok() {
        sent += 1;
    }
    (stream, sent)
}

fn record(number: usize) -> String {
    format!(
        "{{\"number\":{number:0>10},\"pad\":\"{}\"}}\n",
        "p".repeat(994)
    )
    .replace(":0", ":1")
}

#[test]
fn a_pipe_that_nobody_reads_presses_back_and_nothing_is_lost() {
    let folder = Folder::new();
    let mut daemon = ToStdout::start(&folder, Stdio::piped());
    let (stream, sent) = send_until_full(&daemon);
    assert!(sent > 64, "the pipe alone holds 64 of them: {sent}");
    let mut stdout = daemon.child.stdout.take().unwrap();
    drop(stream);
    daemon.signal();
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    let (status, said) = daemon.wait();
    assert_eq!(status, Some(0), "{said}");
    for (number, line) in text.lines().take(sent).enumerate() {
        assert_eq!(line, record(number).trim_end(), "record {number}");
    }
    // What the last write could not place is there in part.
    assert!((sent..=sent + 1).contains(&text.lines().count()));
    let summary: Value = serde_json::from_str(said.trim_end()).unwrap();
    assert_eq!(summary["records"], text.lines().count());
    assert_eq!(summary["bytes"], text.len());
}

#[test]
fn a_socket_as_standard_output_works_and_presses_back() {
    let folder = Folder::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let daemon = ToStdout::start(&folder, Stdio::from(OwnedFd::from(theirs)));
    let (stream, sent) = send_until_full(&daemon);
    drop(stream);
    daemon.signal();
    let lines = BufReader::new(&ours).lines().map(Result::unwrap);
    let got = lines
        .take_while(|line| line.starts_with("{\"number\""))
        .count();
    assert_eq!(got, sent);
    assert_eq!(daemon.wait().0, Some(0));
}

#[test]
fn a_second_signal_ends_a_stop_that_waits_for_the_output() {
    let folder = Folder::new();
    let daemon = ToStdout::start(&folder, Stdio::piped());
    let (_stream, _) = send_until_full(&daemon);
    daemon.signal();
    // The first one is taken when it is no longer pending.
    let status = format!("/proc/{}/status", daemon.child.id());
    wait_for("the first signal", || {
        let status = fs::read_to_string(&status).unwrap();
        let pending = status
            .lines()
            .find(|line| line.starts_with("ShdPnd:"))
            .unwrap();
        pending.ends_with("0000000000000000")
    });
    daemon.signal();
    let (status, said) = daemon.wait();
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("a second signal"), "{said}");
    assert!(said.contains("could not be written"), "{said}");
}

#[test]
fn whoever_shares_our_standard_output_is_not_made_non_blocking() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let shared = OwnedFd::from(writer);
    let daemon = ToStdout::start(&folder, Stdio::from(shared.try_clone().unwrap()));
    assert_eq!(
        flags(&shared) & 0o4000,
        0,
        "O_NONBLOCK is set on the shared description"
    );
    daemon.connect().send("{}\n");
    daemon.signal();
    assert_eq!(daemon.wait().0, Some(0));
    drop(shared);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "{}\n");
}

#[test]
fn a_reader_that_leaves_is_a_failure_that_says_what_was_lost() {
    let folder = Folder::new();
    let mut daemon = ToStdout::start(&folder, Stdio::piped());
    drop(daemon.child.stdout.take());
    daemon.connect().send("{}\n{}\n");
    let (status, said) = daemon.wait();
    assert_eq!(status, Some(2));
    let error = said
        .lines()
        .find(|line| line.contains("cannot write"))
        .unwrap();
    assert!(
        error.contains("standard output") && error.contains("Broken pipe"),
        "{error}"
    );
    assert!(error.contains("2 records could not be written"), "{error}");
}

/// Starts a daemon on this output, sends one record, and stops it.
fn one_record(folder: &Folder, args: &[&str]) {
    let mut child = aggregator()
        .args(["--ipc", &folder.endpoint("unixsock")])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next_json(&mut stdout)["ready"], true);
    let path = folder.path("unixsock");
    Client::connect("unixsock", path.to_str().unwrap()).send("{\"new\":1}\n");
    crate::harness::signal(child.id(), "TERM");
    assert_eq!(next_json(&mut stdout)["summary"], true);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_file_is_created_appended_to_and_emptied_on_request() {
    let folder = Folder::new();
    let path = folder.path("out");
    let name = path.to_str().unwrap();
    one_record(&folder, &["--output", name]);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    one_record(&folder, &["--output", name]);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "{\"new\":1}\n{\"new\":1}\n"
    );
    one_record(&folder, &["--output", name, "--truncate"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"new\":1}\n");
}

#[test]
fn a_daemon_that_cannot_start_empties_nobodys_file() {
    let folder = Folder::new();
    fs::write(folder.path("out"), "precious").unwrap();
    fs::write(folder.path("unixsock"), "in the way").unwrap();
    let output = run(aggregator()
        .args([
            "--ipc",
            &folder.endpoint("unixsock"),
            "--truncate",
            "--output",
        ])
        .arg(folder.path("out")));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(folder.path("out")).unwrap(), b"precious");
}

#[test]
fn an_output_that_cannot_be_opened_is_refused() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    assert!(run(Command::new("mkfifo").arg(&fifo)).status.success());
    for (output, want) in [
        (folder.path("missing/out"), "No such file"),
        (folder.path(""), "Is a directory"),
        (fifo, "no process reads this FIFO"),
    ] {
        let output = run(aggregator()
            .args(["--ipc", &folder.endpoint("unixsock"), "--output"])
            .arg(output));
        assert_eq!(output.status.code(), Some(2));
        assert!(one_line(&output).contains(want), "{}", one_line(&output));
    }
}

#[test]
fn a_fifo_as_output_is_written_to() {
    let folder = Folder::new();
    let fifo = folder.path("out");
    assert!(run(Command::new("mkfifo").arg(&fifo)).status.success());
    let reader = File::options().read(true).write(true).open(&fifo).unwrap();
    one_record(&folder, &["--output", fifo.to_str().unwrap()]);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"new\":1}\n");
}

#[test]
fn nothing_is_glued_to_an_unfinished_last_line() {
    let folder = Folder::new();
    let path = folder.path("out");
    fs::write(&path, "{\"old\":1}\n{\"torn\":").unwrap();
    one_record(&folder, &["--output", path.to_str().unwrap()]);
    let lines = crate::harness::read_lines(&path);
    assert_eq!(lines.len(), 3);
    let torn: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(torn["message"], "{\"torn\":");
    assert_eq!(torn["unterminated"], true);
    assert_eq!(lines[2], "{\"new\":1}");
}

#[test]
fn a_second_daemon_on_the_same_output_is_refused() {
    let folder = Folder::new();
    let daemon = crate::harness::Setup::new(&folder, &["unixsock"]).start();
    for check in [&[][..], &["--check"]] {
        let output = run(aggregator()
            .args(["--ipc", &folder.endpoint("unixgram"), "--output"])
            .arg(&daemon.output)
            .args(check));
        assert_eq!(output.status.code(), Some(2));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("in use by another aggregator"), "{said}");
    }
    daemon.stop();
}

#[test]
fn standard_output_that_is_a_file_is_emptied_from_its_beginning() {
    let folder = Folder::new();
    let mut file = File::create(folder.path("out")).unwrap();
    file.write_all(b"header\n").unwrap();
    let mut child = aggregator()
        .args([
            "--ipc",
            &folder.endpoint("unixsock"),
            "--output",
            "-",
            "--truncate",
        ])
        .stdout(file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    next_json(&mut said);
    let address = folder.path("unixsock");
    Client::connect("unixsock", address.to_str().unwrap()).send("{}\n");
    crate::harness::signal(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read(folder.path("out")).unwrap(), b"{}\n");
}

#[test]
fn a_pipe_of_another_user_works_and_blocks_again_afterwards() {
    if !has_program("setpriv") || fs::metadata("/proc/self").unwrap().uid() != 0 {
        return skip("setpriv is not installed, or the tests are not run by root");
    }
    let name = format!("log-aggregator-test-{}-pipe", std::process::id());
    let (mut reader, writer) = std::io::pipe().unwrap();
    let shared = OwnedFd::from(writer);
    let folder = Folder::new();
    // Where that user may look, unlike this checkout perhaps.
    let program = folder.path("aggregator");
    fs::copy(aggregator().get_program(), &program).unwrap();
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--ipc", &format!("unixsock=@{name}"), "--output", "-"])
        .stdout(shared.try_clone().unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    assert_eq!(next_json(&mut said)["ready"], true);
    let args = ["--ipc", &format!("unixsock=@{name}"), "--count", "1"];
    assert!(run(crate::harness::producer().args(args)).status.success());
    crate::harness::signal(child.id(), "TERM");
    assert_eq!(next_json(&mut said)["records"], 1);
    assert!(child.wait().unwrap().success());
    assert_eq!(flags(&shared) & 0o4000, 0, "O_NONBLOCK is still set");
    drop(shared);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 1);
}

/// The flags of the open file description behind a descriptor.
fn flags(fd: &OwnedFd) -> u32 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap()
}

#[test]
fn on_a_terminal_a_newcomer_is_told_what_to_type_next() {
    if !has_program("script") {
        return skip("script (util-linux) is not installed");
    }
    let folder = Folder::new();
    let (endpoint, out) = (folder.endpoint("unixsock"), folder.path("out"));
    let command = format!(
        "{} --ipc {endpoint} --output {}",
        aggregator().get_program().to_str().unwrap(),
        out.display()
    );
    let mut child = Command::new("script")
        .args(["-qfec", &command, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut screen = BufReader::new(child.stdout.take().unwrap());
    let ready = next_json(&mut screen);
    let mut hint = String::new();
    screen.read_line(&mut hint).unwrap();
    assert!(
        hint.contains(&format!("./launch-producers.sh {endpoint}")),
        "{hint}"
    );
    assert!(hint.contains(out.to_str().unwrap()), "{hint}");
    crate::harness::signal(
        u32::try_from(ready["pid"].as_u64().unwrap()).unwrap(),
        "INT",
    );
    assert!(child.wait().unwrap().success());
}

//! Whatever ends a read early, what is behind it is read too, without anything more being sent.

use crate::harness::{Daemon, Folder, Setup, has_program, skip, wait_for};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

/// Sends records, each apart from the one before it by something that ends a read, says so, and keeps the connection
/// until its standard input ends.
const SENDER: &str = r#"
import array, fcntl, os, socket, sys
how, kind, address, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
if kind == 'fifo':
    f = os.open(address, os.O_WRONLY)
    if how == 'packets': fcntl.fcntl(f, fcntl.F_SETFL, os.O_DIRECT)
    for n in range(count): os.write(f, b'{"n":%d}\n' % n)
else:
    if kind == 'tcp':
        host, port = address.rsplit(':', 1)
        s = socket.create_connection((host, int(port)))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        s = socket.socket(socket.AF_UNIX); s.connect(address)
    null = os.open('/dev/null', os.O_RDONLY)
    children = []
    for n in range(count):
        record = b'{"n":%d}\n' % n
        if how == 'descriptors':
            s.sendmsg([record], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [null]))])
        elif how == 'urgent':
            s.sendall(record)
            if n == count // 2: s.send(b'!', socket.MSG_OOB)
        elif how == 'processes':
            pid = os.fork()
            if pid == 0:
                s.sendall(record); os._exit(0)
            os.waitpid(pid, 0)
        else:
            s.sendall(record)
print('sent', flush=True)
sys.stdin.read()
"#;

/// Sets an option on the socket that is its standard input, and passes that on as a service manager does.
const PASS_WITH_OPTION: &str = r#"
import os, socket, sys
s = socket.socket(fileno=os.dup(0))
try: s.setsockopt(socket.SOL_SOCKET, int(sys.argv[1]), 1)
except OSError as e: sys.stderr.write('no such option: %s\n' % e)
s.detach()
os.dup2(0, 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"#;

fn spawn_sender(how: &str, endpoint: &str, count: usize) -> Child {
    let (kind, address) = endpoint.split_once('=').unwrap();
    Command::new("python3")
        .args(["-c", SENDER, how, kind, address, &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a sender send while the daemon cannot run, and expects that it reads everything once it can.
#[track_caller]
fn check(daemon: Daemon, how: &str, endpoint: &str, count: usize) {
    daemon.freeze();
    let mut sender = spawn_sender(how, endpoint, count);
    let mut line = String::new();
    let mut said = BufReader::new(sender.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "sent\n", "{how} {endpoint}");
    daemon.thaw();
    wait_for(&format!("all records: {how} {endpoint}"), || {
        daemon.lines_written() >= count
    });
    drop(sender.stdin.take());
    sender.wait().unwrap();
    let stopped = daemon.stop();
    let numbers: Vec<u64> = (stopped.records().iter())
        .map(|record| record["n"].as_u64().unwrap_or_else(|| panic!("{record}")))
        .collect();
    assert!(numbers.into_iter().eq(0..count as u64), "{how} {endpoint}");
}

#[test]
fn a_read_that_ends_early_leaves_nothing_behind() {
    if !has_program("python3") {
        return skip("python3 is not installed");
    }
    for (how, transport) in [
        ("descriptors", "unixsock"),
        ("urgent", "unixsock"),
        ("urgent", "tcp"),
        ("processes", "unixsock"),
        ("processes", "tcp"),
        ("packets", "fifo"),
        ("plain", "fifo"),
    ] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let endpoint = daemon.endpoint(transport).to_owned();
        // As many as a pipe of 16 pages takes in packets.
        check(daemon, how, &endpoint, 16);
    }
}

/// SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD: the kernel ends a read where the sender changes. As a service manager sets
/// them (PassCredentials=, PassSecurity=).
#[test]
fn a_read_that_ends_where_the_sender_changes_leaves_nothing_behind() {
    if !has_program("python3") {
        return skip("python3 is not installed");
    }
    for option in ["16", "34", "76"] {
        for how in ["processes", "descriptors", "urgent"] {
            let folder = Folder::new();
            let path = folder.path("unixsock");
            let listener = OwnedFd::from(UnixListener::bind(&path).unwrap());
            let mut setup =
                Setup::new(&folder, &[]).wrapper(["python3", "-c", PASS_WITH_OPTION, option]);
            setup.stdin = listener.into();
            let daemon = setup.start();
            let endpoint = daemon.endpoint("unixsock").to_owned();
            check(daemon, how, &endpoint, 50);
        }
    }
}

//! Sockets and FIFOs that a service manager opened, as `man 3 sd_listen_fds` has it. The test is the manager:
//! it keeps what it passes, from one daemon to the next.

use crate::harness::{
    Client, Daemon, Folder, Setup, TRANSPORTS, aggregator, one_line, run, wait_for,
};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// As `man 2 open` has it on Linux.
const O_NONBLOCK: i32 = 0o4000;

/// What the manager opens and keeps.
enum Kept {
    Unixsock(UnixListener),
    Tcp(TcpListener),
    Unixgram(UnixDatagram),
    Udp(UdpSocket),
    Fifo(File),
}

impl Kept {
    fn open(transport: &str, path: &Path) -> Self {
        match transport {
            "unixsock" => Self::Unixsock(UnixListener::bind(path).unwrap()),
            "tcp" => Self::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()),
            "unixgram" => Self::Unixgram(UnixDatagram::bind(path).unwrap()),
            "udp" => Self::Udp(UdpSocket::bind("127.0.0.1:0").unwrap()),
            _ => {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
                let both = OpenOptions::new().read(true).write(true).open(path);
                Self::Fifo(both.unwrap())
            }
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unixsock(kept) => kept.as_fd(),
            Self::Tcp(kept) => kept.as_fd(),
            Self::Unixgram(kept) => kept.as_fd(),
            Self::Udp(kept) => kept.as_fd(),
            Self::Fifo(kept) => kept.as_fd(),
        }
    }

    fn stdio(&self) -> Stdio {
        self.fd().try_clone_to_owned().unwrap().into()
    }
}

/// Moves standard input to where the protocol has it.
const PASS: &str = "LISTEN_PID=$$ LISTEN_FDS=${FDS:-1} exec \"$0\" \"$@\" 3<&0 </dev/null";

/// Starts a daemon that is given what is kept, and nothing else.
fn start<'a>(folder: &'a Folder, kept: &Kept) -> Daemon {
    let mut setup: Setup<'a> = Setup::new(folder, &[]).wrapper(["sh", "-c", PASS]);
    setup.stdin = kept.stdio();
    setup.start()
}

fn numbers(lines: &[String]) -> Vec<u64> {
    let number = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["n"].as_u64().unwrap_or_else(|| panic!("{line}"))
    };
    lines.iter().map(number).collect()
}

#[test]
fn each_of_the_five_is_recognised_and_outlives_the_daemon() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let path = folder.path(transport);
        let kept = Kept::open(transport, &path);
        for times in 1..=2 {
            let daemon = start(&folder, &kept);
            assert_eq!(daemon.endpoints.len(), 1);
            let mut client = daemon.connect(transport);
            client.send("{\"n\":1}\n");
            daemon.wait_for_lines(times);
            daemon.signal("TERM");
            let stopped = daemon.wait_unchecked();
            assert_eq!(stopped.status.code(), Some(0));
            assert_eq!(stopped.lines.len(), times);
            assert_eq!(stopped.stderr, "");
            assert_eq!(path.exists(), !matches!(transport, "tcp" | "udp"));
        }
    }
}

/// Stopped while it cannot read, so that all of it waits in the kernel, and sent to while none runs.
#[test]
fn the_successor_gets_the_queue() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let kept = Kept::open(transport, &folder.path(transport));
        let daemon = start(&folder, &kept);
        let address = daemon.address(transport).to_owned();
        daemon.freeze();
        let mut clients: Vec<Client> = (0..2)
            .map(|_| Client::connect(transport, &address))
            .collect();
        clients[0].send("{\"n\":0}\n");
        daemon.signal("TERM");
        daemon.thaw();
        assert_eq!(daemon.wait_unchecked().status.code(), Some(0));
        clients[1].send("{\"n\":1}\n");
        clients.push(Client::connect(transport, &address));
        clients[2].send("{\"n\":2}\n");
        let daemon = start(&folder, &kept);
        daemon.wait_for_lines(3);
        daemon.signal("TERM");
        let mut got = numbers(&daemon.wait_unchecked().lines);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2], "{transport}");
    }
}

/// Clients that never stop lose nothing over a handful of daemons, and never see an error.
#[test]
fn restarts_are_not_noticed_by_senders_of_datagrams_or_to_a_fifo() {
    const RECORDS: u64 = 20_000;
    for transport in ["unixgram", "fifo"] {
        let folder = Folder::new();
        let kept = Kept::open(transport, &folder.path(transport));
        let mut daemon = start(&folder, &kept);
        let address = daemon.address(transport).to_owned();
        let sender = std::thread::spawn(move || {
            let mut client = Client::connect(transport, &address);
            for n in 0..RECORDS {
                client.send(format!("{{\"n\":{n}}}\n"));
            }
        });
        for restart in 1..=5 {
            daemon.wait_for_lines(restart * 2_000);
            daemon.signal("TERM");
            assert_eq!(daemon.wait_unchecked().status.code(), Some(0));
            daemon = start(&folder, &kept);
        }
        sender.join().unwrap();
        daemon.wait_for_lines(usize::try_from(RECORDS).unwrap());
        daemon.signal("TERM");
        let got = numbers(&daemon.wait_unchecked().lines);
        assert!(got.into_iter().eq(0..RECORDS), "{transport}");
    }
}

#[test]
fn what_is_connected_is_drained() {
    let folder = Folder::new();
    let kept = Kept::open("unixsock", &folder.path("unixsock"));
    let daemon = start(&folder, &kept);
    let mut client = daemon.connect("unixsock");
    client.send("{\"n\":0}\n");
    daemon.wait_for_lines(1);
    daemon.freeze();
    client.send("{\"n\":1}\n{\"n\":2}");
    daemon.signal("TERM");
    daemon.thaw();
    assert_eq!(numbers(&daemon.wait().lines), [0, 1, 2]);
}

#[test]
fn several_may_be_inherited_and_others_asked_for_beside_them() {
    let folder = Folder::new();
    let kept = Kept::open("unixgram", &folder.path("unixgram"));
    let fifo = folder.path("other");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let script = format!("exec 4<>'{}'; FDS=2; {PASS}", fifo.display());
    let mut setup = Setup::new(&folder, &["tcp"]).wrapper(["sh", "-c", &script]);
    setup.stdin = kept.stdio();
    let daemon = setup.start();
    assert_eq!(daemon.endpoints.len(), 3);
    for transport in ["unixgram", "fifo", "tcp"] {
        daemon.connect(transport).send("{}\n");
    }
    daemon.wait_for_lines(3);
    daemon.stop();
}

#[test]
fn what_cannot_be_served_is_refused_in_one_line() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let file = File::create(folder.path("file")).unwrap();
    let unnamed = UnixDatagram::unbound().unwrap();
    let fifo = folder.path("fifo");
    let _reader = Kept::open("fifo", &fifo);
    let writer = OpenOptions::new().write(true).open(&fifo).unwrap();
    let output = folder.path("records");
    for (fd, reason) in [
        (connected.as_fd(), "does not listen"),
        (unnamed.as_fd(), "it has no address"),
        (file.as_fd(), "none of unixsock"),
        (writer.as_fd(), "not open for reading"),
    ] {
        let started = Command::new("sh")
            .args(["-c", PASS])
            .arg(aggregator().get_program())
            .arg("--output")
            .arg(&output)
            .stdin(Stdio::from(fd.try_clone_to_owned().unwrap()))
            .output()
            .unwrap();
        assert_eq!(started.status.code(), Some(2));
        let said = one_line(&started);
        assert!(said.contains("inherited descriptor 3"), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_writer_that_never_ends_its_line_does_not_hold_a_stop_up() {
    let folder = Folder::new();
    let kept = Kept::open("fifo", &folder.path("fifo"));
    let daemon = start(&folder, &kept);
    let mut writer = OpenOptions::new()
        .write(true)
        .custom_flags(O_NONBLOCK)
        .open(daemon.address("fifo"))
        .unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = writer.write(b"xxxxxxxxxxxxxxxx");
            }
        });
        let before = daemon.cpu_ns();
        wait_for("bytes of a line", || daemon.cpu_ns() > before + 1_000_000);
        daemon.signal("TERM");
        let stopped = daemon.wait_unchecked();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(stopped.status.code(), Some(0));
    });
}

#[test]
fn what_was_dropped_before_is_not_counted_again() {
    let folder = Folder::new();
    let kept = Kept::open("udp", &folder.path("udp"));
    let Kept::Udp(socket) = &kept else {
        unreachable!()
    };
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3000 {
        let _ = sender.send_to(&[b' '; 1000], socket.local_addr().unwrap());
    }
    let daemon = start(&folder, &kept);
    daemon.connect("udp").send("{}\n");
    daemon.wait_for_lines(1);
    assert_eq!(daemon.stop().count("kernel_drops"), 0);
}

#[test]
fn descriptors_for_another_process_are_not_ours() {
    let folder = Folder::new();
    let started = run(aggregator()
        .args(["--check", "--ipc", "tcp=127.0.0.1:0", "--output"])
        .arg(folder.path("records"))
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "7"));
    assert_eq!(started.status.code(), Some(0));
    assert!(fs::read(folder.path("records")).is_err());
}

/// The output takes no more in the middle of what one call has brought.
#[test]
fn datagrams_that_were_read_before_a_stop_are_written_and_not_left_to_nobody() {
    const LINES: usize = 32_000;
    let folder = Folder::new();
    let kept = Kept::open("unixgram", &folder.path("unixgram"));
    let output = folder.path("output");
    assert!(run(Command::new("mkfifo").arg(&output)).status.success());
    let both = OpenOptions::new().read(true).write(true).open(&output);
    let both = both.unwrap(); // for as long as the daemon needs to open it
    let mut setup = Setup::new(&folder, &[]).wrapper(["sh", "-c", PASS]);
    setup.stdin = kept.stdio();
    let daemon = setup.output(&output).start();
    let mut lines = BufReader::new(File::open(&output).unwrap()).lines();
    drop(both);

    daemon.freeze();
    let mut client = daemon.connect("unixgram");
    for _ in 0..3 {
        client.send("x\n".repeat(LINES));
    }
    daemon.thaw();
    lines.next().unwrap().unwrap(); // so it has read, and written what the pipe holds
    daemon.signal("TERM");
    assert_eq!(lines.map(Result::unwrap).count(), 3 * LINES - 1);
    let stopped = daemon.wait_unchecked();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(stopped.count("records"), 3 * LINES as u64);
}

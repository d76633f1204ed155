//! The end of a file that the daemon goes on writing to, whatever a crash, a power cut or somebody else left there.

use crate::faults::SmallDisk;
use crate::harness::{Client, Daemon, Folder, Setup, Stopped, aggregator, skip, wait_for};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;

/// What README says for one connection and the default --max-record, which is 64 KiB.
const MEMORY_MAX: usize = 20 * (1 << 20) + 13 * (64 << 10) + 512;

/// One record, and the line that it becomes.
pub const RECORD: &str = "{\"new\":1}\n";

/// How a file ends: its bytes, so many NULs more that take no room, and what mending makes of the end.
pub struct End {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub hole: u64,
    /// The lines that stand there when it is mended; `None`: one that is wrapped.
    pub lines: Option<&'static str>,
}

pub fn ends() -> Vec<End> {
    let end = |name, bytes: &[u8], hole, lines| End {
        name,
        bytes: bytes.to_vec(),
        hole,
        lines,
    };
    // No newline, no UTF-8, a NUL now and then, and none at the end.
    let binary: Vec<u8> = (1..=3000_u32)
        .map(|number| number.wrapping_mul(number).to_le_bytes()[1] ^ 0x80)
        .map(|byte| if byte == b'\n' { 0xff } else { byte })
        .chain([1])
        .collect();
    let zeros = [&b"{}\n"[..], &vec![0; 20 << 20]].concat();
    let long = [&b"{}\n{\"long\":\""[..], &vec![b'x'; 10 << 20]].concat();
    let whole_and_long = [&b"{\"long\":\""[..], &vec![b'x'; 1 << 20], b"\"}"].concat();
    vec![
        end("empty", b"", 0, Some("")),
        end("a whole line", b"{}\n", 0, Some("{}\n")),
        end("an object", b"{}\n{\"a\":1}", 0, Some("{}\n{\"a\":1}\n")),
        end("half an object", b"{}\n{\"a\":", 0, None),
        end("nothing but half an object", b"{\"a\":", 0, None),
        end("a NUL", b"{}\n", 1, Some("{}\n")),
        end("NULs alone", b"", 4096, Some("")),
        end(
            "a page of NULs",
            b"{}\n{\"a\":1}",
            4096,
            Some("{}\n{\"a\":1}\n"),
        ),
        end("half an object and NULs", b"{}\n{\"a\":", 4096, None),
        end("NULs that take room", &zeros, 0, Some("{}\n")),
        end(
            "100 MiB of NULs",
            b"{\"a\":1}\n",
            100 * MIB,
            Some("{\"a\":1}\n"),
        ),
        end(
            "200 MiB of NULs",
            b"{\"a\":1}\n",
            200 * MIB,
            Some("{\"a\":1}\n"),
        ),
        end("1 GiB of NULs", b"{\"a\":", 1024 * MIB, None),
        end("1 TiB of NULs", b"{}\n", 1 << 40, Some("{}\n")),
        end("binary", &binary, 0, None),
        end("10 MiB without a newline", &long, 0, None),
        end("a long object", &whole_and_long, 0, None),
    ]
}

impl End {
    pub fn write(&self, path: &Path) {
        fs::write(path, &self.bytes).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(self.length()).unwrap();
    }

    pub fn length(&self) -> u64 {
        self.bytes.len() as u64 + self.hole
    }

    /// Whether the next record would stand on a line of its own.
    pub fn is_whole(&self) -> bool {
        self.hole == 0 && matches!(self.bytes.last(), None | Some(b'\n'))
    }
}

/// Sends one record, and stops the daemon, which must have kept within its memory.
pub fn one_record(daemon: Daemon, what: &str) -> Stopped {
    daemon.connect("unixsock").send(RECORD);
    let output = daemon.output.clone();
    wait_for("the record", || {
        tail(&output, RECORD.len()) == RECORD.as_bytes()
    });
    let peak = daemon.memory_peak();
    assert!(peak <= MEMORY_MAX, "{what}: {peak} bytes of memory");
    daemon.signal("TERM");
    let stopped = daemon.wait_unread();
    assert_eq!(stopped.status.code(), Some(0), "{what}: {}", stopped.stderr);
    assert_eq!(stopped.summary["records"], 1, "{what}");
    stopped
}

/// The last bytes of a file.
pub fn tail(path: &Path, bytes: usize) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let start = length.saturating_sub(bytes as u64);
    file.seek(SeekFrom::Start(start)).unwrap();
    let mut end = Vec::new();
    file.read_to_end(&mut end).unwrap();
    end
}

#[test]
fn whatever_a_file_ends_in_its_lines_are_objects_afterwards() {
    for end in ends() {
        let folder = Folder::new();
        let path = folder.path("records.jsonl");
        end.write(&path);
        let stopped = one_record(Setup::new(&folder, &["unixsock"]).start(), end.name);
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let is_object = serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object());
            assert!(is_object, "{}: {line:.80}", end.name);
        }
        match end.lines {
            Some(lines) => assert_eq!(text, format!("{lines}{RECORD}"), "{}", end.name),
            None => check_wrapped(&end, text.strip_suffix(RECORD).unwrap()),
        }
        let says = |what: &str| stopped.stderr.contains(what);
        assert_eq!(
            says("bytes of NULs"),
            end.hole > 0 || end.name.contains("NULs"),
            "{}",
            end.name
        );
        assert_eq!(stopped.stderr.is_empty(), end.is_whole(), "{}", end.name);
        // Once is enough.
        let again = one_record(Setup::new(&folder, &["unixsock"]).start(), end.name);
        assert_eq!(again.stderr, "", "{}", end.name);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{text}{RECORD}")
        );
    }
}

/// A last line that was no object stands as the message of one: whole, or its first 64 KiB.
#[track_caller]
fn check_wrapped(end: &End, text: &str) {
    let newline = memchr::memrchr(b'\n', &end.bytes);
    let start = newline.map_or(0, |newline| newline + 1);
    let (lines, tail) = end.bytes.split_at(start);
    let wrapped = text
        .strip_prefix(std::str::from_utf8(lines).unwrap())
        .unwrap();
    let record: Value = serde_json::from_str(wrapped).unwrap();
    if end.name == "a long object" {
        assert_eq!(record["long"].as_str().unwrap().len(), 1 << 20);
        return;
    }
    let is_cut = tail.len() > 64 << 10;
    let kept = &tail[..tail.len().min(64 << 10)];
    assert_eq!(
        record["message"],
        *String::from_utf8_lossy(kept),
        "{}",
        end.name
    );
    assert_eq!(record["unterminated"], true, "{}", end.name);
    assert_eq!(record["truncated"] == true, is_cut, "{}", end.name);
    assert_eq!(
        record["original_bytes"] == tail.len(),
        is_cut,
        "{}",
        end.name
    );
    let has_exact = std::str::from_utf8(kept).is_err();
    assert_eq!(record["raw_base64"].is_string(), has_exact, "{}", end.name);
}

/// A full disk is no reason not to start: it is mended when there is room, before anything is written.
#[test]
fn an_end_is_mended_as_soon_as_there_is_room() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path("disk"), "64k") else {
        return skip("mounting a tmpfs needs root");
    };
    let output = disk.0.join("records.jsonl");
    let half = format!("{{\"a\":\"{}", "x".repeat(4090));
    fs::write(&output, &half).unwrap();
    let filler = disk.0.join("filler");
    let mut full = File::create(&filler).unwrap();
    while full.write_all(&[0; 4096]).is_ok() {}
    let daemon = Setup::new(&folder, &["unixsock"]).output(&output).start();
    daemon.connect("unixsock").send(RECORD);
    wait_for("the refusal", || {
        daemon.stderr().contains("nothing is read")
    });
    assert_eq!(fs::read_to_string(&output).unwrap(), half);
    fs::remove_file(&filler).unwrap();
    drop(full);
    wait_for("the record", || {
        tail(&output, RECORD.len()) == RECORD.as_bytes()
    });
    daemon.signal("TERM");
    let lines = daemon.wait_unchecked().lines;
    let wrapped: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(wrapped["message"], half);
    assert_eq!(lines[1..], [RECORD.trim_end()]);
}

/// A file that others write to as well is theirs: no byte of it is changed, and a newline is put where ours begin.
#[test]
fn what_stands_in_our_standard_output_before_us_is_left_as_it_is() {
    let check = |before: &str, script: &str, want: &str| {
        let folder = Folder::new();
        fs::write(folder.path("all"), before).unwrap();
        let endpoint = folder.endpoint("unixsock");
        let mut child = Command::new("sh")
            .args(["-c", script, aggregator().get_program().to_str().unwrap()])
            .args(["--ipc", &endpoint, "--output"])
            .current_dir(folder.path(""))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let path = folder.path("unixsock");
        let connect = || std::os::unix::net::UnixStream::connect(&path);
        wait_for("the socket", || connect().is_ok());
        Client::connect("unixsock", path.to_str().unwrap()).send(RECORD);
        wait_for("the record", || {
            tail(&folder.path("all"), RECORD.len()) == RECORD.as_bytes()
        });
        crate::harness::signal(child.id(), "TERM");
        assert!(child.wait().unwrap().success());
        assert_eq!(
            fs::read_to_string(folder.path("all")).unwrap(),
            want,
            "{script}"
        );
    };
    for name in ["-", "/dev/stdout"] {
        let run = format!("exec \"$0\" \"$@\" {name}");
        check("half", &format!("{run} >> all"), &format!("half\n{RECORD}"));
        check(
            "whole\n",
            &format!("{run} >> all"),
            &format!("whole\n{RECORD}"),
        );
        check("old", &format!("{run} > all"), RECORD);
        let after_half = format!("exec > all; printf half; {run}");
        check("old", &after_half, &format!("half\n{RECORD}"));
        let after_line = format!("exec > all; echo whole; {run}");
        check("old", &after_line, &format!("whole\n{RECORD}"));
    }
}

/// The same care is taken of a file that is opened while the daemon runs.
#[test]
fn a_file_that_is_opened_anew_is_not_glued_to() {
    for end in ends() {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &["unixsock"])
            .wrapper(["env", "--default-signal=HUP"])
            .start();
        fs::rename(&daemon.output, folder.path("moved")).unwrap();
        end.write(&daemon.output);
        daemon.signal("HUP");
        let is_open = || {
            let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid)).unwrap();
            descriptors
                .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
                .any(|path| path == daemon.output)
        };
        wait_for("the new file", is_open);
        let path = daemon.output.clone();
        one_record(daemon, end.name);
        let text = fs::read_to_string(&path).unwrap();
        match end.lines {
            Some(lines) => assert_eq!(text, format!("{lines}{RECORD}"), "{}", end.name),
            None => check_wrapped(&end, text.strip_suffix(RECORD).unwrap()),
        }
    }
}

/// A line that may be an object is looked at as a whole only as far as the memory goes that README grants.
#[test]
fn a_very_long_line_stays_within_the_memory_whatever_max_record_is() {
    for (max_record, bytes) in [(16 << 20, 100 << 20), (1 << 20, 20 << 20), (1024, 20 << 20)] {
        let folder = Folder::new();
        let path = folder.path("records.jsonl");
        let mut half = vec![b'{'; bytes];
        half[bytes - 1] = b'}';
        fs::write(&path, half).unwrap();
        let daemon = Setup::new(&folder, &["unixsock"])
            .args([format!("--max-record={max_record}")])
            .start();
        let (peak, bound) = (daemon.memory_peak(), (20 << 20) + 12 * max_record);
        assert!(peak <= bound, "{peak} bytes of memory, bound {bound}");
        daemon.signal("TERM");
        assert_eq!(daemon.wait_unread().status.code(), Some(0));
        let text = fs::read_to_string(&path).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["message"].as_str().unwrap().len(), max_record);
        assert_eq!(record["original_bytes"], bytes);
    }
}

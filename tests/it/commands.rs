//! Command lines: help, wrong usage, exit status.

use crate::harness::{aggregator, one_line, producer, run};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

fn programs() -> [(&'static str, Command); 2] {
    [("aggregator", aggregator()), ("producer", producer())]
}

#[test]
fn help_has_an_example_and_every_exit_status() {
    for (name, mut program) in programs() {
        let output = run(program.arg("--help"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(text.starts_with(&format!("Usage: {name}")), "{text}");
        assert!(
            text.contains("Examples:") && text.contains("Wrong usage"),
            "{text}"
        );
    }
}

#[test]
fn the_version_is_the_packages() {
    for (name, mut program) in programs() {
        let output = run(program.arg("--version"));
        let want = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
    }
}

#[test]
fn wrong_usage_is_one_line_and_status_1() {
    let both = [
        &["--nonsense"][..],
        &["stray"],
        &["--ipc"],
        &["--ipc", "pipe"],
        &["--ipc", "tcp=localhost:9000"],
        &["--ipc=fifo="],
        &["--stamp=yes"],
        &["--ipc", "unixsock=/\u{1b}[31m\n/x", "--nonsense"],
    ];
    for args in both {
        for (name, mut program) in programs() {
            let output = run(program.args(args));
            assert_eq!(output.status.code(), Some(1), "{name} {args:?}");
            assert!(output.stdout.is_empty());
            let line = one_line(&output);
            assert!(line.starts_with(&format!("{name}: cannot use")), "{line}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
    let long = format!("unixsock=/{}", "x".repeat(200));
    assert!(one_line(&run(aggregator().args(["--ipc", &long]))).contains("at most 107"));
}

#[test]
fn an_argument_that_is_not_utf_8_is_refused() {
    for (_, mut program) in programs() {
        let output = run(program.arg(std::ffi::OsStr::from_bytes(b"--ipc=fifo=\xff")));
        assert_eq!(output.status.code(), Some(1));
        assert!(one_line(&output).contains("not UTF-8"));
    }
}

#[test]
fn diagnostics_from_the_environment_are_one_line_each() {
    let folder = crate::harness::Folder::new();
    let daemon = {
        let wrapper = ["env", "RUST_LOG=debug"];
        crate::harness::Setup::new(&folder, &["udp"])
            .wrapper(wrapper)
            .start()
    };
    let stopped = daemon.stop();
    assert!(
        stopped
            .stderr
            .contains("aggregator: info: udp: receive buffer of"),
        "{}",
        stopped.stderr
    );
    assert!(
        stopped
            .stderr
            .lines()
            .all(|line| line.starts_with("aggregator: "))
    );
}

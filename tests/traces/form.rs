//! What every script has in common, and where a tracer may look on.

use crate::harness::{aggregator, run, skip};
use crate::trace::{bpftrace, script, scripts, tracing};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn every_script_says_what_it_is_and_is_listed_and_run() {
    let runs = [include_str!("numbers.rs"), include_str!("syscalls.rs")].concat();
    let list = fs::read_to_string(script("README.md")).unwrap();
    for name in scripts() {
        let path = script(&name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{name}");
        let text = fs::read_to_string(&path).unwrap();
        let (header, code) = text.split_once("*/").unwrap();
        let parts = [
            &format!("{name} - "),
            "USAGE: ",
            "FIELDS",
            "EXAMPLE: ",
            "READING IT: ",
            "OVERHEAD: ",
            "NEEDS: ",
        ];
        let mut rest = header;
        for part in parts {
            let (_, after) = rest
                .split_once(part)
                .unwrap_or_else(|| panic!("{name} has no {part}, or not there"));
            rest = after;
        }
        assert!(code.contains("Ctrl-C to end.\\n\");"), "{name}");
        assert!(list.contains(&format!("`{name}`")), "{name} is not listed");
        assert!(runs.contains(&format!("\"{name}\"")), "no test runs {name}");
    }
}

#[test]
fn the_daemon_has_its_probes() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    let program = aggregator().get_program().to_owned();
    let program = program.to_str().unwrap();
    let output = run(Command::new(bpftrace()).args(["-l", &format!("usdt:{program}:*")]));
    let listed = String::from_utf8(output.stdout).unwrap();
    let begin = format!("usdt:{program}:aggregator:");
    let mut names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix(&begin))
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["batch_flushed", "batch_read", "round_start"]);
}

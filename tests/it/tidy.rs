//! What the project promises of its own text.

use crate::harness::{aggregator, producer, run};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file below a folder, relative to the root.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let path = path.strip_prefix(root()).unwrap();
        if root().join(path).is_dir() {
            found.extend(files(path.to_str().unwrap()));
        } else {
            found.push(path.to_owned());
        }
    }
    found
}

#[test]
fn libc_and_unsafe_are_in_one_module() {
    let sources = files("src");
    assert!(sources.len() > 20);
    for path in sources.iter().filter(|path| !path.starts_with("src/sys")) {
        for line in read(path).lines() {
            let code = line.split("//").next().unwrap();
            assert!(!code.contains("libc::"), "{}: {line}", path.display());
            let is_unsafe = ["unsafe {", "unsafe fn", "unsafe impl", "#[unsafe("];
            assert!(
                !is_unsafe.iter().any(|word| code.contains(word)),
                "{}: {line}",
                path.display()
            );
        }
    }
}

#[test]
fn no_file_holds_two_ideas() {
    for path in files("src") {
        let text = read(&path);
        let code = text.split("#[cfg(test)]").next().unwrap().lines().count();
        assert!(code <= 420, "{} has {code} lines", path.display());
    }
}

#[test]
fn the_architecture_names_every_source_file() {
    let text = read("ARCHITECTURE.md");
    assert!(text.lines().count() <= 120, "longer than two screens");
    for path in files("src") {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let folder = path
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let name = if stem == "mod" { folder } else { stem };
        assert!(
            text.contains(name),
            "{} is not in ARCHITECTURE.md",
            path.display()
        );
    }
}

#[test]
fn the_readme_names_every_option() {
    let readme = read("README.md");
    for mut program in [aggregator(), producer()] {
        let help = String::from_utf8(run(program.arg("--help")).stdout).unwrap();
        let options = help.lines().filter_map(|line| line.strip_prefix("  --"));
        let names: Vec<&str> = options
            .map(|rest| rest.split_whitespace().next().unwrap())
            .collect();
        assert!(names.len() > 5, "{help}");
        for name in names {
            assert!(
                readme.contains(&format!("`--{name}")),
                "README lacks --{name}"
            );
        }
    }
}

/// A promise whose test has another name by now is nobody's.
#[test]
fn every_test_that_the_guarantees_name_is_there() {
    let guarantees = read("docs/guarantees.md");
    let mut count = 0;
    for name in guarantees.split('`').filter(|part| part.contains("::")) {
        let Some((file, test)) = name.split_once("::").filter(|(file, _)| *file != "file") else {
            continue;
        };
        let tests = read(format!("tests/it/{file}.rs"));
        let is_there = tests.contains(&format!("fn {test}("));
        assert!(is_there, "there is no test {name}");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

/// The lines of a script that fill the table of names.
fn table(script: &str) -> Vec<(u32, String)> {
    let text = read(format!("bpftrace/{script}"));
    let statements = text.split(';').filter_map(|statement| {
        let (number, name) = statement.trim().split_once("] = \"")?;
        let number = number.rsplit_once("@name[")?.1.parse().ok()?;
        Some((number, name.trim_end_matches('"').to_owned()))
    });
    let mut entries: Vec<(u32, String)> = statements.collect();
    entries.sort();
    entries.dedup();
    entries
}

#[test]
fn the_scripts_name_system_calls_as_the_kernel_does() {
    let names = table("producer_syscalls.bt");
    assert!(names.len() > 300);
    assert_eq!(names, table("aggregator_syscalls.bt"));
    assert!(names.contains(&(1, "write".to_owned())));
    // Where the kernel's header is installed, every name is its name.
    let Ok(header) = fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h") else {
        return crate::harness::skip("linux-libc-dev for x86-64 is not installed");
    };
    let numbers: Vec<(u32, String)> = header
        .lines()
        .filter_map(|line| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((number.trim().parse().ok()?, name.to_owned()))
        })
        .collect();
    for entry in names
        .iter()
        .filter(|(number, _)| numbers.iter().any(|(n, _)| n == number))
    {
        assert!(numbers.contains(entry), "{entry:?}");
    }
}

#[test]
fn every_script_says_what_it_answers_and_how_to_read_it() {
    for path in files("bpftrace") {
        if path.extension().is_some_and(|extension| extension == "bt") {
            let text = read(&path);
            let header = text.split("*/").next().unwrap();
            assert!(
                text.starts_with("#!/usr/bin/env bpftrace\n"),
                "{}",
                path.display()
            );
            for part in [
                "USAGE",
                "FIELDS",
                "EXAMPLE",
                "READING IT",
                "OVERHEAD",
                "NEEDS",
            ] {
                assert!(header.contains(part), "{} lacks {part}", path.display());
            }
        }
    }
}

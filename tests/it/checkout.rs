//! The scripts of a checkout find what cargo has built, wherever it has been told to build.
//!
//! The checkout is a small one: its programs hand over to the real ones.

use crate::harness::{Folder, has_program, one_line, run, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

const NAMES: [&str; 2] = ["aggregator", "producer"];

/// What moves the programs, beside config.toml.
const VARIABLES: [&str; 4] = [
    "BIN_DIR",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

struct Checkout {
    folder: Folder,
    root: PathBuf,
}

impl Checkout {
    /// With a name that has to be quoted in a shell, and in JSON.
    fn new() -> Self {
        let folder = Folder::new();
        let root = folder.path("a \"b\" \\c");
        let checkout = Self { folder, root };
        let manifest = "[workspace]\n[package]\nname = \"checkout\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                        [[bin]]\nname = \"aggregator\"\npath = \"src/main.rs\"\n";
        checkout.write("Cargo.toml", manifest);
        let lock = "version = 4\n[[package]]\nname = \"checkout\"\nversion = \"0.0.0\"\n";
        checkout.write("Cargo.lock", lock);
        let real = [
            env!("CARGO_BIN_EXE_aggregator"),
            env!("CARGO_BIN_EXE_producer"),
        ];
        for (source, real) in ["src/main.rs", "src/bin/producer.rs"].into_iter().zip(real) {
            let code = format!(
                "use std::{{env, os::unix::process::CommandExt, process::Command}};\n\
                 fn main() {{ panic!(\"{{}}\", Command::new({real:?}).args(env::args_os().skip(1)).exec()) }}\n"
            );
            checkout.write(source, &code);
        }
        for name in ["crowd", "yardstick"] {
            checkout.write(&format!("examples/{name}.rs"), "fn main() {}\n");
        }
        for script in [
            "launch-producers.sh",
            "scripts/programs",
            "tests/soak.sh",
            "faults/adapters/aggregator",
            "bench/yardstick",
            "bench/measure/daemon.py",
        ] {
            checkout.copy(script);
        }
        checkout
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn copy(&self, path: &str) {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        self.write(path, "");
        // The permissions come along.
        fs::copy(original, self.root.join(path)).unwrap();
    }

    /// Old programs, which say so and fail, where cargo builds unless it is told otherwise.
    fn leave_stale_programs(&self) {
        for path in [
            "aggregator",
            "producer",
            "examples/crowd",
            "examples/yardstick",
        ] {
            let path = format!("target/release/{path}");
            self.write(&path, "#!/bin/sh\necho stale >&2\nexit 9\n");
            fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// A command in a folder that is not the checkout.
    fn command(&self, program: &str, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path(""));
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.envs(settings.iter().copied());
        command
    }

    fn script(&self, path: &str, settings: &[(&str, &str)]) -> Command {
        self.command(self.root.join(path).to_str().unwrap(), settings)
    }
}

#[track_caller]
fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn host() -> String {
    let said = text(&run(Command::new("rustc").arg("-vV")));
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

/// Runs every script, and has each find its program in this folder of the checkout.
#[track_caller]
fn expect_all_in(checkout: &Checkout, settings: &[(&str, &str)], folder: &str) {
    let folder = checkout.root.join(folder);
    let want = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let found = text(&run(checkout
        .script("scripts/programs", settings)
        .args(NAMES)));
    assert_eq!(found, NAMES.map(|name| want(name) + "\n").concat());

    let endpoint = checkout.folder.endpoint("fifo");
    let args = [&endpoint, "-n", "2", "--", "--rate", "0", "--count", "20"];
    let said = text(&run(checkout
        .script("launch-producers.sh", settings)
        .args(args)));
    assert!(said.contains("wrote 40 records of 40"), "{said}");

    for (adapter, program) in [
        ("faults/adapters/aggregator", "aggregator"),
        ("bench/yardstick", "examples/yardstick"),
    ] {
        let said = text(&run(checkout.script(adapter, settings).arg("describe")));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["program"], *want(program), "{adapter}");
    }
    if has_program("python3") {
        let mut python = checkout.command("python3", settings);
        let code = "from daemon import program; print(program('producer'), program('crowd'))";
        python.args(["-B", "-c", code]);
        python.env("PYTHONPATH", checkout.root.join("bench/measure"));
        let want = format!("{} {}\n", want("producer"), want("examples/crowd"));
        assert_eq!(text(&run(&mut python)), want);
    }
}

#[test]
fn the_usual_place() {
    expect_all_in(&Checkout::new(), &[], "target/release");
}

#[test]
fn a_variable_moves_the_target_folder() {
    let checkout = Checkout::new();
    checkout.leave_stale_programs();
    let absolute = checkout.root.join("absolute").display().to_string();
    for (settings, folder) in [
        (("CARGO_TARGET_DIR", &*absolute), "absolute"),
        (("CARGO_BUILD_TARGET_DIR", &absolute), "absolute"),
        // As for `cargo build` in the checkout.
        (("CARGO_TARGET_DIR", "relative"), "relative"),
        (("CARGO_BUILD_TARGET_DIR", "relative"), "relative"),
    ] {
        expect_all_in(&checkout, &[settings], &format!("{folder}/release"));
    }
}

#[test]
fn a_variable_names_the_target() {
    let checkout = Checkout::new();
    checkout.leave_stale_programs();
    let host = host();
    let settings = [("CARGO_BUILD_TARGET", &*host)];
    expect_all_in(&checkout, &settings, &format!("target/{host}/release"));
}

#[test]
fn a_config_moves_the_target_folder() {
    let checkout = Checkout::new();
    checkout.leave_stale_programs();
    checkout.write(".cargo/config.toml", "build.target-dir = \"else where\"\n");
    expect_all_in(&checkout, &[], "else where/release");
    // Variables come first.
    let settings = [("CARGO_TARGET_DIR", "variable")];
    expect_all_in(&checkout, &settings, "variable/release");
}

#[test]
fn a_config_above_the_checkout_names_folder_and_target() {
    let checkout = Checkout::new();
    checkout.leave_stale_programs();
    let host = host();
    let config =
        format!("[build]\ntarget = {host:?}\ntarget-dir = \"a \\\"b\\\" \\\\c/else where\"\n");
    checkout.write("../.cargo/config.toml", &config);
    expect_all_in(&checkout, &[], &format!("else where/{host}/release"));
}

#[test]
fn the_soak_loads_what_cargo_has_built() {
    let checkout = Checkout::new();
    checkout.leave_stale_programs();
    let settings = [("CARGO_BUILD_TARGET_DIR", "else where")];
    let mut soak = checkout.script("tests/soak.sh", &settings);
    let said = text(&run(soak.args(["3s", "--steady", "--rate", "100"])));
    assert!(
        said.contains("\n| fifo | 300 | 300 | 0 | 0 | 0 |"),
        "{said}"
    );
}

#[test]
fn a_folder_that_is_named_wins_and_nothing_is_built() {
    let checkout = Checkout::new();
    let real = Path::new(env!("CARGO_BIN_EXE_aggregator"));
    let folder = real.parent().unwrap().to_str().unwrap();
    let mut script = checkout.script("scripts/programs", &[("BIN_DIR", folder)]);
    let want = format!("{folder}/aggregator\n{folder}/producer\n");
    assert_eq!(text(&run(script.args(NAMES))), want);
    assert!(!checkout.root.join("target").exists());

    let mut script = checkout.script("scripts/programs", &[("BIN_DIR", "src")]);
    let refused = run(script.args(NAMES));
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn what_does_not_build_is_not_run_from_yesterday() {
    let checkout = Checkout::new();
    checkout.leave_stale_programs();
    checkout.write("src/bin/producer.rs", "fn main() { no }\n");
    let endpoint = checkout.folder.endpoint("fifo");
    for script in ["launch-producers.sh", "tests/soak.sh"] {
        let arg = if script.starts_with('t') {
            "1s"
        } else {
            &endpoint
        };
        let refused = run(checkout.script(script, &[]).arg(arg));
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{errors}");
        assert!(
            errors.contains("cannot build the programs: cargo failed"),
            "{errors}"
        );
        assert!(!errors.contains("stale"), "{errors}");
    }
}

#[test]
fn without_cargo_only_what_is_newer_than_its_source_will_do() {
    if !has_program("find") {
        return skip("find is not installed");
    }
    let checkout = Checkout::new();
    checkout.leave_stale_programs();
    // All that it needs but cargo.
    let tools = checkout.folder.path("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["dirname", "find", "head"] {
        let found = run(Command::new("sh").args(["-c", "command -v \"$0\"", tool]));
        std::os::unix::fs::symlink(text(&found).trim(), tools.join(tool)).unwrap();
    }
    for path in ["build.rs", "src/lib.rs"] {
        checkout.write(path, "");
    }
    let set_age = |path: &str, seconds| {
        let file = fs::File::options()
            .write(true)
            .open(checkout.root.join(path));
        let time = SystemTime::now() - Duration::from_secs(seconds);
        file.unwrap().set_modified(time).unwrap();
    };
    let ask = |name| {
        let mut command = checkout.command("env", &[]);
        command.arg(format!("PATH={}", tools.display()));
        command.arg(checkout.root.join("scripts/programs"));
        run(command.arg(name))
    };
    let sources = [
        ("build.rs", [true, true, true]),
        ("src/main.rs", [true, false, false]),
        ("src/lib.rs", [true, true, true]),
        ("src/bin/producer.rs", [false, true, false]),
        ("examples/crowd.rs", [false, false, true]),
    ];
    for (source, concerned) in sources {
        for (name, is_concerned) in ["aggregator", "producer", "examples/crowd"]
            .into_iter()
            .zip(concerned)
        {
            for (path, _) in sources {
                set_age(path, 200);
            }
            let program = format!("target/release/{name}");
            set_age(&program, 100);
            let found = checkout.root.join(program);
            assert_eq!(text(&ask(name)), format!("{}\n", found.display()));
            set_age(source, 0);
            let asked = ask(name);
            assert_eq!(asked.status.success(), !is_concerned, "{name}, {source}");
            if is_concerned {
                let said = one_line(&asked);
                assert!(said.contains(&format!("older than {source}")), "{said}");
            }
        }
    }
}

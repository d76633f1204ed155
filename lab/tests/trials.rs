//! The real program makes real trials, on all mechanisms.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// For what is sure to come, also where the programs have to be built first.
const PATIENCE: Duration = Duration::from_secs(300);

/// A place for results, and one for the temporary folders of a run.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    fn lab(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(words.split_whitespace());
        command
            .arg("--out")
            .arg(self.out())
            .env("TMPDIR", self.tmp());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn trials(&self) -> Vec<Value> {
        lines(&self.out().join("trials.jsonl"))
    }

    /// Nothing runs any more that was started for this place, and nothing lies about.
    #[track_caller]
    fn assert_tidy(&self) {
        let left: Vec<_> = fs::read_dir(self.tmp()).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        let place = self.tmp().display().to_string();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            assert!(!line.contains(&place), "still there: {line}");
        }
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn assert_whole(trial: &Value) {
    let (setting, delivery) = (&trial["setting"], &trial["delivery"]);
    let sent = number(&setting["producers"]) * number(&setting["records"]);
    let lost = number(&delivery["missing"]);
    assert_eq!(number(&delivery["sent"]), sent, "{delivery}");
    assert_eq!(number(&delivery["written"]) + lost, sent, "{delivery}");
    assert_eq!(number(&delivery["socket_drops"]), lost, "{delivery}");
    if setting["transport"] != "udp" {
        assert_eq!(lost, 0, "{delivery}");
    }
    let strays = number(&delivery["duplicates"]) + number(&delivery["reordered"]);
    assert_eq!(strays, 0, "{delivery}");
    assert!(trial["seconds"].as_f64().unwrap() > 0.0);
    assert!(trial["latencies"]["from_due"].is_string(), "{trial}");
    assert!(trial["counts"].is_null());
    for side in ["daemon", "producers", "producers_base"] {
        let usage = &trial[side];
        assert!(number(&usage["cpu_ns"]) > 0, "{side}: {usage}");
    }
    // By its own account, a producer writes once for a record, and nothing besides.
    assert_eq!(number(&trial["producers"]["write_calls"]), sent);
    assert!(number(&trial["daemon"]["write_calls"]) > 0);
    assert!(number(&trial["daemon"]["memory_peak_kib"]) > 0);
    assert!(number(&trial["producers"]["memory_peak_kib"]) > 0);
}

#[test]
fn all_five_are_tried_and_every_record_is_accounted_for() {
    let place = Place::new();
    let words = "run --producers 2 --sizes 20 --rates 200 --repeat 1 --trace off";
    let output = place.lab(words).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        !stderr(&output).contains(['\r', '\u{1b}']),
        "{}",
        stderr(&output)
    );
    let trials = place.trials();
    assert_eq!(trials.len(), 10, "five at the centre, five that linger");
    trials.iter().for_each(assert_whole);
    let tried = |linger: &str| -> BTreeSet<&str> {
        let trials = trials.iter().map(|trial| &trial["setting"]);
        let those = trials.filter(|setting| setting["linger"].is_string() == (linger == "auto"));
        those
            .map(|setting| setting["transport"].as_str().unwrap())
            .collect()
    };
    assert_eq!((tried("auto").len(), tried("0").len()), (5, 5));
    let environment = fs::read_to_string(place.out().join("environment.json")).unwrap();
    let environment: Value = serde_json::from_str(&environment).unwrap();
    assert!(
        environment["command"]
            .as_str()
            .unwrap()
            .contains("--rates 200")
    );
    assert!(environment["versions"]["aggregator"].is_string());
    place.assert_tidy();
}

/// A run of some minutes, of which one trial is finished.
fn run_with_one_trial(place: &Place) -> Child {
    let words = "run --ipc fifo,udp --producers 2 --sizes 20 --rates 100 --repeat 30 --trace off";
    let mut lab = place.lab(words).spawn().unwrap();
    wait_for("a trial", || !place.trials().is_empty());
    assert!(lab.try_wait().unwrap().is_none(), "it ended by itself");
    lab
}

fn interrupt(lab: &Child) {
    let pid = nix::unistd::Pid::from_raw(lab.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
}

#[test]
fn ctrl_c_leaves_what_is_finished_and_nothing_else() {
    let place = Place::new();
    let lab = run_with_one_trial(&place);
    interrupt(&lab);
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let trials = place.trials();
    trials.iter().for_each(assert_whole);
    let told = format!("lab: stopped: {} of 120 trials are in ", trials.len());
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    place.assert_tidy();
}

#[test]
fn a_folder_with_results_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.out()).unwrap();
    fs::write(place.out().join("trials.jsonl"), "mine\n").unwrap();
    let output = place
        .lab("run --ipc fifo --rates 10 --trace off")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("it holds the results of another run; name another folder"),
        "{said}"
    );
    let kept = fs::read_to_string(place.out().join("trials.jsonl")).unwrap();
    assert_eq!(kept, "mine\n");
}

#[test]
fn wrong_usage_is_one_line() {
    for words in [
        "run --rates x",
        "sweep sideways",
        "run --ipc shm",
        "seed --trace perf",
    ] {
        let output = Place::new().lab(words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert_eq!(
            stderr(&output).lines().count(),
            1,
            "{words}: {}",
            stderr(&output)
        );
    }
}

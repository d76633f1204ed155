//! The output is moved away and opened anew, again and again, under load.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::verdict::Finding;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Between two rotations.
const PAUSE: Duration = Duration::from_millis(20);

/// Longest time until the new file is there.
const REOPEN: Duration = Duration::from_secs(5);

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start()?;
    let load = bench.steady();
    load.wait_for(u64::from(bench.records) / 20, &bench.patience);
    let mut rotations = 0;
    let mut failure = None;
    while !load.is_done() && failure.is_none() {
        bench.check()?;
        rotations += 1;
        failure = rotate(bench, daemon.pid(), rotations).err();
        bench.patience.sleep(PAUSE);
    }
    let report = load.finish();
    let mut finding = bench.conclude(daemon, &report)?;
    finding.note(format!("{rotations} rotations"));
    finding.hangs = failure.or(finding.hangs);
    Ok(finding)
}

fn rotate(bench: &Bench<'_>, pid: u32, number: u32) -> Result<(), String> {
    let path = &bench.outputs.path;
    let mut aside: PathBuf = path.clone();
    aside.as_mut_os_string().push(format!(".{number}"));
    // It is made with the first record.
    let patience = bench.patience.at_most(REOPEN);
    if !patience.wait_for(|| path.exists()) {
        let seconds = REOPEN.as_secs();
        return Err(format!(
            "no new output {seconds} s after reopening the {number}th time"
        ));
    }
    fs::rename(path, &aside).map_err(|e| format!("move the output: {e}"))?;
    bench.adapter.reopen(pid, &bench.work())
}

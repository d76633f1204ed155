//! The output is on a small tmpfs, which is full for a while.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::tmpfs::Tmpfs;
use crate::verdict::Finding;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The size of the disk, and how much of it is left to the daemon.
const DISK: u64 = 64 << 20;
const ROOM: u64 = 512 << 10;

/// How long the disk stays full.
const FULL_FOR: Duration = Duration::from_secs(1);

/// A daemon that tries again every few seconds has settled only after that.
const SETTLED: Duration = Duration::from_secs(7);

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let folder = bench.outputs.path.parent().expect("a folder");
    let disk = Tmpfs::mount(folder, DISK).map_err(Trouble::Machine)?;
    let ballast = folder.join("ballast");
    fill(&ballast, DISK - ROOM).map_err(|e| Trouble::Machine(format!("fill the disk: {e}")))?;
    let mut daemon = bench.start()?;
    let load = bench.steady();
    let total = u64::from(bench.records);
    bench.patience.wait_for(|| disk.is_full() || load.is_done());
    let before = load.sent();
    let busy = daemon.load_over(FULL_FOR, &bench.patience)?;
    let during = load.sent() - before;
    bench.check()?;
    if let Some(status) = daemon.ended() {
        return Err(Trouble::Refuses(format!(
            "ended with {status} when the disk was full: {}",
            daemon.last_words()
        )));
    }
    let was_full = disk.is_full();
    fs::remove_file(&ballast).map_err(|e| Trouble::Machine(format!("free the disk: {e}")))?;
    let report = load.finish();
    bench.settle(&report, SETTLED)?;
    bench.end(&mut daemon)?;
    let mut finding = bench.judge(&report);
    finding.note(format!(
        "full after {before} of {total} for {} s, in which {during} were sent",
        FULL_FOR.as_secs()
    ));
    if !was_full {
        finding.note("the disk was not full to the last page");
    }
    finding.note_load(busy, "meanwhile");
    Ok(finding)
}

/// Makes a file of this size whose pages exist.
fn fill(path: &Path, size: u64) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    let page = vec![0; 1 << 16];
    for _ in 0..size >> 16 {
        file.write_all(&page)?;
    }
    Ok(())
}

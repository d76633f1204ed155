//! Does to log daemons what the world does to them, and counts what they kept.
//!
//! `docs/faults.md` says what each fault is, how to read the verdicts, and how to write an adapter.

mod adapter;
mod bench;
mod cases;
mod daemon;
mod expect;
mod load;
mod options;
mod patience;
mod proc;
mod record;
mod report;
mod tally;
mod tmpfs;
mod transport;
mod verdict;
mod wire;

use adapter::Adapter;
use bench::Bench;
use cases::Fault;
use daemon::Trouble;
use expect::Expectations;
use options::Options;
use report::{Circumstances, Outcome, Report, Row};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Duration;
use transport::Transport;
use verdict::Finding;

/// The adapters that come with the suite.
const OWN: [&str; 3] = ["aggregator", "rsyslog", "syslog-ng"];

fn main() -> ExitCode {
    let options: Options = argh::from_env();
    if let Err(e) = options.check() {
        eprintln!("faults: {e}");
        return ExitCode::from(1);
    }
    if options.list {
        list(&options);
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(e) => {
            eprintln!("faults: {e}");
            ExitCode::from(2)
        }
    }
}

fn list(options: &Options) {
    for fault in options.faults() {
        let transports = options.transports().into_iter();
        let names: Vec<&str> = transports
            .filter(|&it| fault.concerns(it))
            .map(Transport::name)
            .collect();
        println!(
            "{:16} {} ({})",
            fault.name(),
            fault.summary(),
            names.join(" ")
        );
    }
}

/// Measures, and writes what was found. Whether it was as expected.
fn run(options: &Options) -> Result<bool, String> {
    let expectations = match &options.expect {
        Some(path) => Expectations::parse(&read(path)?)
            .map_err(|e| format!("read {}: {e}", path.display()))?,
        None => Expectations::default(),
    };
    patience::listen_for_signals().map_err(|e| format!("listen for signals: {e}"))?;
    // Only the full disk needs it, and says so itself.
    let _ = tmpfs::private_mounts();
    let (adapters, absent) = open_adapters(options)?;
    let rows = measure_all(options, &adapters);
    if patience::interrupted() {
        return Err("interrupted; nothing is left behind".to_owned());
    }
    let report = Report {
        circumstances: circumstances(options),
        daemons: adapters.into_iter().map(|adapter| adapter.daemon).collect(),
        absent,
        rows,
    };
    write(options, &report)?;
    Ok(options.expect.is_none() || is_as_expected(&expectations, &report.rows))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("read {}: {e}", path.display()))
}

/// Those that were asked for must be there; of the suite's own, those that are.
fn open_adapters(options: &Options) -> Result<(Vec<Adapter>, Vec<String>), String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters");
    let folder = options.adapters.clone().unwrap_or(sources);
    if !options.daemon.is_empty() {
        let adapters = options
            .daemon
            .iter()
            .map(|name| Adapter::open(name, &folder));
        return Ok((adapters.collect::<Result<_, _>>()?, Vec::new()));
    }
    let (mut adapters, mut absent) = (Vec::new(), Vec::new());
    for name in OWN {
        match Adapter::open(name, &folder) {
            Ok(adapter) => adapters.push(adapter),
            Err(e) => {
                eprintln!("faults: left out: {e}");
                absent.push(e);
            }
        }
    }
    Ok((adapters, absent))
}

/// All measurements, in the order of the table.
fn measure_all(options: &Options, adapters: &[Adapter]) -> Vec<Row> {
    let mut cells = Vec::new();
    for fault in options.faults() {
        for transport in options.transports() {
            cells.extend(adapters.iter().map(|adapter| (fault, transport, adapter)));
        }
    }
    let cells: Vec<_> = cells.into_iter().enumerate().collect();
    let waiting = Mutex::new(cells.iter());
    let rows = Mutex::new(Vec::new());
    let work = || {
        while let Some(&(i, (fault, transport, adapter))) = next(&waiting) {
            let row = Row {
                daemon: adapter.daemon.name.clone(),
                fault,
                transport,
                outcome: outcome(options, adapter, fault, transport),
            };
            say(&row);
            lock(&rows).push((i, row));
        }
    };
    // The daemons die with the thread that started them, so these live as long as there is work.
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().unwrap_or_default();
    rows.sort_by_key(|(i, _)| *i);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn next<T>(waiting: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    if patience::interrupted() {
        return None;
    }
    lock(waiting).next()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn say(row: &Row) {
    if !matches!(row.outcome, Outcome::DoesNotApply) {
        let (fault, verdict) = (row.fault.name(), row.outcome.verdict());
        let evidence = row.outcome.evidence();
        eprintln!(
            "{fault:16} {:9} {:11} {verdict}: {evidence}",
            row.transport, row.daemon
        );
    }
}

fn outcome(options: &Options, adapter: &Adapter, fault: Fault, transport: Transport) -> Outcome {
    if !fault.concerns(transport) {
        return Outcome::DoesNotApply;
    }
    if !adapter.daemon.transports.contains(&transport) {
        return Outcome::NotServed;
    }
    if !fault.can_be_asked_of(&adapter.daemon) {
        return Outcome::NoSuchSetting;
    }
    let watch = Duration::from_secs(u64::from(options.watch));
    let found = Bench::new(adapter, transport, options.records, watch)
        .and_then(|bench| fault.measure(&bench));
    match found {
        Ok(finding) => Outcome::Found(finding),
        Err(Trouble::Refuses(reason)) => Outcome::Found(Finding {
            refuses: Some(reason),
            ..Finding::default()
        }),
        Err(Trouble::Hangs(reason)) => Outcome::Found(Finding {
            hangs: Some(reason),
            ..Finding::default()
        }),
        Err(Trouble::Floods(reason)) => Outcome::Found(Finding {
            floods: Some(reason),
            ..Finding::default()
        }),
        Err(Trouble::Machine(reason)) => Outcome::Skipped(reason),
        Err(Trouble::Interrupted) => Outcome::Skipped("interrupted".to_owned()),
    }
}

fn circumstances(options: &Options) -> Circumstances {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let text = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
        text.unwrap_or_else(|_| "?".to_owned())
    };
    Circumstances {
        date: said("date", "+%Y-%m-%d"),
        kernel: said("uname", "-r"),
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        records: options.records,
        watch: options.watch,
        jobs: options.jobs,
    }
}

fn write(options: &Options, report: &Report) -> Result<(), String> {
    let table = report.to_markdown();
    let save = |path: PathBuf, text: &str| {
        fs::write(&path, text).map_err(|e| format!("write {}: {e}", path.display()))
    };
    if let Some(folder) = &options.out {
        fs::create_dir_all(folder).map_err(|e| format!("make {}: {e}", folder.display()))?;
        save(folder.join("faults.md"), &table)?;
        save(
            folder.join("faults.json"),
            &format!("{:#}\n", report.to_json()),
        )?;
    }
    if let Some(path) = &options.update {
        let document = report::insert(&read(path)?, &table);
        let document = document.map_err(|e| format!("update {}: it {e}", path.display()))?;
        save(path.clone(), &document)?;
    }
    if options.out.is_none() && options.update.is_none() {
        print!("{table}");
    }
    Ok(())
}

/// Says what is worse than expected.
fn is_as_expected(expectations: &Expectations, rows: &[Row]) -> bool {
    let mut as_expected = true;
    for row in rows {
        let is_fine = match &row.outcome {
            Outcome::Found(finding) => expectations.allow(row.fault, row.transport, finding),
            Outcome::Skipped(_) => false,
            Outcome::NotServed | Outcome::DoesNotApply | Outcome::NoSuchSetting => true,
        };
        if !is_fine {
            as_expected = false;
            let (fault, verdict) = (row.fault.name(), row.outcome.verdict());
            eprintln!(
                "faults: worse than expected: {fault} {} {}: {verdict}",
                row.transport, row.daemon
            );
        }
    }
    as_expected
}

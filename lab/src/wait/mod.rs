//! Is `--linger auto` ever slower than `--linger 0`? The matrix of cells, each run in pairs.
//!
//! `parts` → `cell`s → pairs of `trial`s (a `daemon`, a `crew` of `sender`s) → `figures` → `summary`.

mod cell;
mod crew;
mod daemon;
mod document;
mod figures;
mod journal;
mod manager;
mod obstacle;
mod parts;
mod record;
mod role;
mod sender;
mod summary;
mod trial;

pub use parts::Part;
pub use role::perform as perform_role;

use crate::cli;
use crate::environment::Environment;
use crate::interrupt::Interrupt;
use crate::programs::Programs;
use cell::Cell;
use daemon::Wait;
use figures::{Figures, Pair};
use journal::Journal;
use log_aggregator::diagnostics::tell;
use log_aggregator::error::{Error, Exit};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};
use summary::Row;
use trial::Bench;

/// Runs the cells that were asked for, and says what came of them.
///
/// # Errors
/// When there is no such cell, a program fails, a file cannot be written, or a cell is below `--fail-below`.
pub fn run(options: &cli::Wait) -> Result<Exit, Error> {
    let cells = chosen(options)?;
    if options.list {
        // Who reads a part of it, as `head` does, wants no more.
        let mut out = io::stdout().lock();
        let _ = cells.iter().try_for_each(|cell| writeln!(out, "{cell}"));
        return Ok(Exit::Success);
    }
    if let Some(path) = &options.update {
        document::check(path)?;
    }
    let programs = Programs::find()?;
    let environment = Environment::here(&programs, Vec::new());
    let mut journal = Journal::create(options.json.as_deref(), &environment)?;
    let interrupt = Interrupt::by_signals()?;
    let bench = Bench {
        programs: &programs,
        time: Duration::from_secs_f64(options.seconds),
        interrupt: &interrupt,
    };
    tell(format_args!("lab: {}", announcement(cells.len(), options)));
    let mut rows = Vec::new();
    for cell in &cells {
        let Some(row) = row(&bench, cell, options.pairs, &mut journal)? else {
            break;
        };
        println!("{}", row.line());
        rows.push(row);
    }
    finish(options, &environment, &rows, cells.len())
}

/// The cells of the parts, as far as their names fit.
fn chosen(options: &cli::Wait) -> Result<Vec<Cell>, Error> {
    let parts = if options.part.is_empty() {
        Part::usual()
    } else {
        options.part.clone()
    };
    let mut cells: Vec<Cell> = parts.iter().flat_map(Part::cells).collect();
    if let Some(filter) = &options.cell {
        cells.retain(|cell| cell.to_string().contains(filter.as_str()));
        if cells.is_empty() {
            return Err(
                Error::usage("--cell", format!("no cell has '{filter}' in its name"))
                    .advise("see lab wait --list"),
            );
        }
    }
    Ok(cells)
}

/// About how long a run takes beside its load, in seconds.
const AROUND_A_RUN: f64 = 0.2;

fn announcement(cells: usize, options: &cli::Wait) -> String {
    let runs = 2.0 * f64::from(options.pairs);
    let count = f64::from(u32::try_from(cells).unwrap_or(u32::MAX));
    let minutes = count * runs * (options.seconds + AROUND_A_RUN) / 60.0;
    format!(
        "{cells} cells, {}: about {} min",
        pairs(options),
        minutes.ceil()
    )
}

fn pairs(options: &cli::Wait) -> String {
    let word = if options.pairs == 1 { "pair" } else { "pairs" };
    format!("{} {word} of runs of {} s", options.pairs, options.seconds)
}

/// Runs a cell; nothing if it was interrupted.
fn row(
    bench: &Bench,
    cell: &Cell,
    pairs: u32,
    journal: &mut Journal,
) -> Result<Option<Row>, Error> {
    let cell = cell.clone();
    if let Some(why) = obstacle::of(&cell, bench.programs) {
        journal.skipped(&cell, &why)?;
        let found = Err(why);
        return Ok(Some(Row { cell, found }));
    }
    let mut made = Vec::new();
    for number in 0..pairs {
        let Some(pair) = pair(bench, &cell, number % 2 == 1)? else {
            return Ok(None);
        };
        made.push(pair);
    }
    journal.made(&cell, &made)?;
    let found = Figures::of(&made).ok_or_else(|| "no pair was asked for".to_owned());
    Ok(Some(Row { cell, found }))
}

/// Two runs; in every other pair the other one first.
fn pair(bench: &Bench, cell: &Cell, zero_first: bool) -> Result<Option<Pair>, Error> {
    let mut order = [Wait::Auto, Wait::Zero];
    if zero_first {
        order.reverse();
    }
    let mut found = Vec::new();
    for wait in order {
        let Some(outcome) = bench.run(cell, wait)? else {
            return Ok(None);
        };
        found.push((wait, outcome));
    }
    let (zero, auto): (Vec<_>, Vec<_>) = found.into_iter().partition(|(it, _)| *it == Wait::Zero);
    let only = |mut of: Vec<(Wait, trial::Outcome)>| of.pop().map(|(_, outcome)| outcome);
    Ok(only(auto)
        .zip(only(zero))
        .map(|(auto, zero)| Pair { auto, zero }))
}

/// Tables, the document, the verdict.
fn finish(
    options: &cli::Wait,
    environment: &Environment,
    rows: &[Row],
    wanted: usize,
) -> Result<Exit, Error> {
    let text = format!(
        "{}\n\n{}{}\n",
        where_it_was(options, environment),
        summary::tables(rows),
        summary::conclusion(rows).unwrap_or_else(|| "No cell was run.".to_owned())
    );
    println!("\n{text}");
    if rows.len() < wanted {
        tell(format_args!(
            "lab: stopped: {} of {wanted} cells are done",
            rows.len()
        ));
        return Ok(Exit::Undrained);
    }
    if let Some(path) = &options.update {
        document::update(path, &text)?;
    }
    if let Some(factor) = options.fail_below {
        summary::judge(rows, factor)?;
    }
    Ok(Exit::Success)
}

/// The settings of a machine that matter most here.
const SYSCTLS: [&str; 5] = [
    "net.ipv4.tcp_congestion_control",
    "net.unix.max_dgram_qlen",
    "net.core.rmem_max",
    "net.core.wmem_default",
    "fs.pipe-max-size",
];

/// A sentence on when, where and how.
fn where_it_was(options: &cli::Wait, environment: &Environment) -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = now.split('T').next().unwrap_or_default();
    let settings = SYSCTLS.iter().filter_map(|name| {
        let value = environment.sysctls.get(*name)?;
        Some(format!(", `{name}` {value}"))
    });
    format!(
        "{date}: {}, {} processors ({}){}; load average {} before the first run; revision {}. {}.",
        environment.kernel,
        environment.cpus,
        environment.cpu,
        settings.collect::<String>(),
        environment.load_average,
        environment.git_revision,
        pairs(options),
    )
}

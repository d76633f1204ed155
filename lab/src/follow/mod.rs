//! The way of one record, on one clock.
//!
//! A real daemon, a real producer, one bpftrace that prints when their calls begin and end and when the daemon is
//! woken and runs. The stamps that both programs put into the record tell which events are its own, and whether
//! they can be believed.

mod clock;
mod events;
mod figures;
mod matching;
mod picture;
mod words;

use crate::bpftrace::Bpftrace;
use crate::cli::{self, TraceChoice};
use crate::environment::Environment;
use crate::interrupt::Interrupt;
use crate::journey::{Journey, Step};
use crate::load::Load;
use crate::programs::{Daemon, Programs};
use crate::results::Writer;
use crate::trace;
use crate::trial::{Axis, Linger, Setting, Tracing};
use clock::Offset;
use figures::Spread;
use log_aggregator::error::{Error, Exit};
use log_aggregator::transports::Transport;
use matching::{Followed, Stamps, Trace};
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Records before those that count: the first takes the daemon's first pages, the connection's accept, and more.
const WARM_UP: usize = 2;
/// Records after those that count: with the last, the producer ends, on a processor that the daemon may want.
const COOL_DOWN: usize = 1;
/// Records a second: slow enough that both sides sleep before each.
const RATE: u32 = 50;
/// At least so many records tell what an untraced one takes.
const UNTRACED: u32 = 10;
/// Longest wait for records that are sure to come, beyond what the rate takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What following some records has brought.
#[derive(Debug)]
struct Outcome {
    followed: Vec<Followed>,
    /// Why the others are not among them.
    refused: Vec<String>,
    offset: Offset,
    /// From stamp to stamp, traced.
    latency_ns: Option<Spread>,
}

/// Follows records over one mechanism, and shows what they met.
///
/// # Errors
/// When the programs do not work, or no journey can be believed.
pub fn run(options: &cli::Follow) -> Result<Exit, Error> {
    let transport = options.kind;
    let programs = Programs::find()?;
    let writer = options.out.as_deref().map(|folder| {
        let environment = Environment::here(&programs, Vec::new());
        Writer::open(folder, &environment)
    });
    let writer = writer.transpose()?;
    let stage = Stage::new(&programs, transport, Interrupt::by_signals()?)?;
    let untraced = stage.untraced(options.repeat.max(UNTRACED))?;
    let journeys = match trace::choose(TraceChoice::Bpftrace) {
        Ok(_) => {
            let outcome = stage.traced(options.repeat)?;
            show(&outcome, &untraced, transport);
            outcome.journeys()
        }
        Err(missing) => {
            let wanted = untraced.iter().take(options.repeat as usize);
            let known: Vec<Journey> = wanted
                .map(|stamps| from_stamps(stamps, transport))
                .collect();
            show_stamps(&known, transport, &missing);
            known
        }
    };
    stage.daemon.stop()?;
    if let Some(writer) = &writer {
        numbered(journeys)
            .iter()
            .try_for_each(|journey| writer.journey(journey))?;
    }
    Ok(Exit::Success)
}

/// Follows so many records. Without bpftrace, their steps are those that stamps tell of.
///
/// # Errors
/// When the programs do not work, no journey can be believed, or somebody interrupts.
pub fn journeys(
    programs: &Programs,
    transport: Transport,
    repeat: u32,
    interrupt: &Interrupt,
) -> Result<Vec<Journey>, Error> {
    let stage = Stage::new(programs, transport, interrupt.clone())?;
    let journeys = if trace::choose(TraceChoice::Bpftrace).is_ok() {
        stage.traced(repeat)?.journeys()
    } else {
        let stamps = stage.untraced(repeat)?;
        let known = stamps.iter().map(|stamps| from_stamps(stamps, transport));
        known.collect()
    };
    stage.daemon.stop()?;
    Ok(numbered(journeys))
}

fn numbered(mut journeys: Vec<Journey>) -> Vec<Journey> {
    for (number, journey) in (0..).zip(&mut journeys) {
        journey.number = number;
    }
    journeys
}

/// What is known without a tracer.
fn from_stamps(stamps: &Stamps, transport: Transport) -> Journey {
    let steps = vec![
        (Step::Due, stamps.due),
        (Step::Stamped, stamps.sent),
        (Step::ReadReturned, stamps.received),
    ];
    matching::journey(transport, steps, false)
}

/// A daemon that runs, and the way to send to it.
#[derive(Debug)]
struct Stage {
    programs: Programs,
    interrupt: Interrupt,
    setting: Setting,
    folder: TempDir,
    daemon: Daemon,
}

impl Stage {
    fn new(programs: &Programs, transport: Transport, interrupt: Interrupt) -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(|e| Error::new("create", "a folder", e))?;
        let setting = setting(transport);
        let daemon = programs.start_daemon(&setting, true, folder.path())?;
        Ok(Self {
            programs: programs.clone(),
            interrupt,
            setting,
            folder,
            daemon,
        })
    }

    /// Sends so many records over one connection, and some before and after them; returns the stamps of these and
    /// who sent them, when all are in the file.
    fn send(&self, repeat: u32) -> Result<(u32, Vec<Stamps>), Error> {
        let count = WARM_UP + repeat as usize + COOL_DOWN;
        let setting = Setting {
            records: count as u64,
            ..self.setting.clone()
        };
        let pid = self.load(&setting)?;
        let stamps = self.arrived(pid, count)?;
        Ok((pid, stamps[WARM_UP..WARM_UP + repeat as usize].to_vec()))
    }

    /// Lets a producer run to its end, and returns its process.
    fn load(&self, setting: &Setting) -> Result<u32, Error> {
        let load = Load::start(&self.programs, setting, &self.daemon.endpoint, None)?;
        let pids = load.pids();
        let has_finished = load.finish(&self.interrupt)?.is_some();
        match pids.first() {
            Some(pid) if has_finished => Ok(*pid),
            _ => Err(Error::new("follow", "records", "interrupted")),
        }
    }

    /// The stamps of this producer's records, when there are so many.
    fn arrived(&self, pid: u32, count: usize) -> Result<Vec<Stamps>, Error> {
        let deadline = Instant::now() + PATIENCE;
        let path = &self.daemon.output;
        loop {
            let text =
                fs::read_to_string(path).map_err(|e| Error::new("read", path.display(), e))?;
            let own = text.lines().filter_map(Stamps::read);
            let own: Vec<Stamps> = own.filter(|stamps| stamps.pid == pid).collect();
            if own.len() >= count {
                return Ok(own);
            }
            if Instant::now() > deadline {
                let arrived = format!("{} of {count} records have arrived", own.len());
                return Err(Error::new("follow", "records", arrived));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn untraced(&self, repeat: u32) -> Result<Vec<Stamps>, Error> {
        Ok(self.send(repeat)?.1)
    }

    fn traced(&self, repeat: u32) -> Result<Outcome, Error> {
        let transport = self.setting.transport;
        let daemon = self.daemon.pid();
        let offset = Offset::measure()?;
        let keys_max = events::events_max(WARM_UP + repeat as usize + COOL_DOWN);
        let bpftrace = Bpftrace::start(&events::script(daemon), keys_max, self.folder.path())?;
        let (producer, stamps) = self.send(repeat)?;
        let events = events::parse(&bpftrace.stop()?, offset)?;
        let trace = Trace::new(&events, producer, daemon);
        let (mut followed, mut refused) = (Vec::new(), Vec::new());
        for stamps in &stamps {
            match trace.follow(stamps, transport) {
                Ok(one) => followed.push(one),
                Err(reason) => refused.push(reason),
            }
        }
        if let (true, Some(reason)) = (followed.is_empty(), refused.first()) {
            let none = format!(
                "none of {} journeys can be believed: {reason}",
                stamps.len()
            );
            return Err(
                Error::new("follow", format!("a record over {transport}"), none)
                    .advise("try again when the machine has less to do"),
            );
        }
        Ok(Outcome {
            followed,
            refused,
            offset,
            latency_ns: latency(&stamps),
        })
    }
}

impl Outcome {
    fn journeys(&self) -> Vec<Journey> {
        self.followed
            .iter()
            .map(|followed| followed.journey.clone())
            .collect()
    }
}

/// From the stamp before the send call to that after the read.
fn latency(stamps: &[Stamps]) -> Option<Spread> {
    Spread::of(stamps.iter().map(|s| s.received - s.sent).collect())
}

fn setting(transport: Transport) -> Setting {
    Setting {
        axis: Axis::Centre,
        transport,
        producers: 1,
        message_bytes: 100,
        rate: RATE,
        records: 0,
        linger: Linger::Microseconds(0),
        nagle: false,
        pipe_bytes: None,
        qlen: None,
        tracing: Tracing::Bpftrace,
    }
}

fn show(outcome: &Outcome, untraced: &[Stamps], transport: Transport) {
    let journeys: Vec<&Journey> = outcome.followed.iter().map(|one| &one.journey).collect();
    title(transport, journeys.len());
    println!("{}", picture::timeline(&journeys));
    println!("What had happened by then");
    println!("{}", picture::explanation(&journeys, transport));
    println!("Who worked, from the stamp to the file");
    println!("{}", picture::who_worked(&outcome.followed, transport));
    notes(outcome, untraced);
}

fn title(transport: Transport, count: usize) {
    let what = match count {
        1 => "one record".to_owned(),
        _ => format!("the medians of {count} records"),
    };
    println!("The way over {transport}: {what}, in nanoseconds after the producer's stamp.\n");
}

/// What to know before one believes the picture.
fn notes(outcome: &Outcome, untraced: &[Stamps]) {
    let Offset { ns, tolerance_ns } = outcome.offset;
    println!(
        "One clock: bpftrace's (CLOCK_BOOTTIME) is {} ns ahead of the stamps' (CLOCK_MONOTONIC),\n\
         give or take {} ns.",
        picture::grouped(ns),
        picture::grouped(tolerance_ns)
    );
    let all = outcome.followed.len() + outcome.refused.len();
    println!(
        "Checked: the stamps lie where they must between the traced calls in {} of {all}.",
        outcome.followed.len()
    );
    if let Some(reason) = outcome.refused.first() {
        println!(
            "Refused: {} of {all}; the first since {reason}.",
            outcome.refused.len()
        );
    }
    if let (Some(traced), Some(bare)) = (outcome.latency_ns, latency(untraced)) {
        println!(
            "Tracing takes time, too: from the stamp to the read, {} ns (median of {}) without it,\n\
             and {} ns with it. Compare steps with each other; for latency, look at untraced runs.",
            picture::grouped(bare.median),
            untraced.len(),
            picture::grouped(traced.median)
        );
    }
}

/// What can be shown without a tracer.
fn show_stamps(journeys: &[Journey], transport: Transport, missing: &Error) {
    let journeys: Vec<&Journey> = journeys.iter().collect();
    title(transport, journeys.len());
    println!("{}", picture::timeline(&journeys));
    println!(
        "These are the moments that the two programs stamp. The others need bpftrace:\n{missing}"
    );
}

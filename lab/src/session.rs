//! Makes the trials of a plan, writes each down before the next begins, and reports.

use crate::environment::Environment;
use crate::interrupt::Interrupt;
use crate::load;
use crate::measure::Bench;
use crate::plan::{Plan, Planned};
use crate::proc;
use crate::programs::Programs;
use crate::progress::Progress;
use crate::results::Writer;
use crate::trial::{Setting, Tracing, Trial, Usage};
use crate::{follow, report};
use log_aggregator::diagnostics::tell;
use log_aggregator::error::{Error, Exit};
use log_aggregator::transports::Transport;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// About how long it takes to follow records over one mechanism, in seconds, and for each record more.
const JOURNEYS_SECONDS: (f64, f64) = (3.0, 0.2);

/// What a session does beside its trials.
#[derive(Debug)]
pub struct Session {
    /// The trials.
    pub plan: Plan,
    /// How many records are followed over each mechanism.
    pub journeys: u32,
    /// What cannot be done here, and how to get it.
    pub missing: Vec<String>,
    /// The folder for the results, if one was named.
    pub out: Option<PathBuf>,
}

impl Session {
    /// Does it all. Interrupted, it reports what is finished.
    ///
    /// # Errors
    /// When the folder holds results already, or a trial fails.
    pub fn perform(self, programs: &Programs) -> Result<Exit, Error> {
        let folder = self.out.clone().unwrap_or_else(default_folder);
        let interrupt = Interrupt::by_signals()?;
        let missing = [&self.missing[..], &self.plan.left_out].concat();
        for line in &missing {
            tell(format_args!("lab: {line}"));
        }
        let writer = Writer::create(&folder, &Environment::here(programs, missing))?;
        let bench = Bench {
            programs,
            interrupt: &interrupt,
        };
        let mut progress = Progress::new(self.estimate());
        let made = self.make_all(&bench, &writer, &mut progress);
        progress.clear();
        if writer.has_trials() {
            report::write(&folder)?;
        }
        let made = made?;
        if made == self.plan.trials.len() && !interrupt.is_set() {
            return Ok(Exit::Success);
        }
        tell(format_args!(
            "lab: stopped: {made} of {} trials are in {}",
            self.plan.trials.len(),
            folder.display()
        ));
        Ok(Exit::Undrained)
    }

    /// How long it takes, in seconds, about.
    fn estimate(&self) -> f64 {
        let trials: f64 = self.plan.trials.iter().map(Planned::estimate).sum();
        trials
            + self
                .mechanisms()
                .iter()
                .map(|_| self.following())
                .sum::<f64>()
    }

    /// How long records are followed over one mechanism.
    fn following(&self) -> f64 {
        match self.journeys {
            0 => 0.0,
            records => JOURNEYS_SECONDS.0 + f64::from(records) * JOURNEYS_SECONDS.1,
        }
    }

    /// Returns how many trials were made.
    fn make_all(
        &self,
        bench: &Bench,
        writer: &Writer,
        progress: &mut Progress,
    ) -> Result<usize, Error> {
        let bases = bases(&self.plan, bench)?;
        for (at, planned) in self.plan.trials.iter().enumerate() {
            let place = format!("{} of {}", at + 1, self.plan.trials.len());
            progress.show(&format!("trial {place}, {}", words(&planned.setting)));
            let Some(trial) = made(at, planned, bench, &bases)? else {
                return Ok(at);
            };
            writer.trial(&trial)?;
            progress.done(planned.estimate());
        }
        self.follow(bench, writer, progress)?;
        Ok(self.plan.trials.len())
    }

    fn follow(&self, bench: &Bench, writer: &Writer, progress: &mut Progress) -> Result<(), Error> {
        for transport in self.mechanisms() {
            if self.journeys == 0 || bench.interrupt.is_set() {
                break;
            }
            let records = self.journeys;
            progress.show(&format!("following {records} records over {transport}"));
            let journeys = follow::journeys(bench.programs, transport, records, bench.interrupt);
            if bench.interrupt.is_set() {
                break; // whatever came of them
            }
            for journey in journeys? {
                writer.journey(&journey)?;
            }
            progress.done(self.following());
        }
        Ok(())
    }

    fn mechanisms(&self) -> Vec<Transport> {
        let is_used = |transport: &Transport| {
            let mut trials = self.plan.trials.iter();
            trials.any(|planned| planned.setting.transport == *transport)
        };
        Transport::ALL.into_iter().filter(is_used).collect()
    }
}

fn made(
    at: usize,
    planned: &Planned,
    bench: &Bench,
    bases: &BTreeMap<Transport, Usage>,
) -> Result<Option<Trial>, Error> {
    if bench.interrupt.is_set() {
        return Ok(None);
    }
    let setting = &planned.setting;
    let base = bases.get(&setting.transport);
    let base = base.filter(|_| setting.tracing == Tracing::Off);
    Ok(bench.trial(setting)?.map(|trial| Trial {
        index: u32::try_from(at).unwrap_or(u32::MAX),
        repetition: planned.repetition,
        producers_base: base.map(|one| times(one, setting.producers)),
        ..trial
    }))
}

/// What so many producers use that one uses of this.
fn times(one: &Usage, producers: u32) -> Usage {
    let mut all = Usage::default();
    for _ in 0..producers {
        proc::add(&mut all, one);
    }
    all
}

/// What a producer without records uses on each mechanism.
fn bases(plan: &Plan, bench: &Bench) -> Result<BTreeMap<Transport, Usage>, Error> {
    let mut bases = BTreeMap::new();
    for Planned { setting, .. } in &plan.trials {
        if bases.contains_key(&setting.transport) || bench.interrupt.is_set() {
            continue;
        }
        let folder =
            tempfile::tempdir().map_err(|e| Error::new("create", "a temporary folder", e))?;
        let plain = Setting {
            qlen: None,
            pipe_bytes: None,
            ..setting.clone()
        };
        let daemon = bench.programs.start_daemon(&plain, false, folder.path())?;
        let base =
            load::without_records(bench.programs, &plain, &daemon.endpoint, bench.interrupt)?;
        daemon.stop()?;
        bases.insert(setting.transport, base);
    }
    Ok(bases)
}

/// A setting in a few words.
fn words(setting: &Setting) -> String {
    let rate = match setting.rate {
        0 => "flat out".to_owned(),
        rate => format!("{rate} records/s each"),
    };
    let counting = match setting.tracing {
        Tracing::Off => "",
        Tracing::Bpftrace | Tracing::Strace => ", counting",
    };
    format!(
        "{}: {} producers, {} bytes, {rate}{counting}",
        setting.transport, setting.producers, setting.message_bytes
    )
}

/// Where results go unless told otherwise: named by the time, so that names sort by it.
fn default_folder() -> PathBuf {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    Path::new("lab-results").join(now.replace(':', "-"))
}

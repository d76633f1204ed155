//! The end of a run: what is synced, removed and summed up.

use super::stop::Stop;
use super::{OutputCounters, Reactor};
use crate::counters::Counters;
use crate::error::{Error, Exit};
use crate::sink::Standard;
use log::warn;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What each endpoint has brought.
    pub endpoints: Vec<(String, Counters)>,
    /// How the output has got on.
    pub output: OutputCounters,
    /// Which of standard output and standard error are the output, or have been.
    pub standard: Standard,
    /// The exit status.
    pub exit: Exit,
    /// What went wrong, if something did.
    pub error: Option<Error>,
}

impl Reactor {
    /// Syncs the output, removes the paths and sums up.
    pub(super) fn end(mut self, result: Result<(), Error>) -> Outcome {
        let may_sync = self.stop != Stop::Now; // at once means at once
        let intakes = &mut self.intakes;
        let (mut left, sync_failure) = self.outlet.end(may_sync, |intake, tally| {
            intakes[intake].counters.written += tally;
        });
        let mut error = result.err().or(sync_failure);
        let exit = match (&error, self.stop) {
            (Some(error), _) => error.exit(),
            (None, Stop::Undrained | Stop::Now) => Exit::Undrained,
            (None, Stop::No | Stop::Draining { .. }) if self.is_undrained => Exit::Undrained,
            (None, Stop::No | Stop::Draining { .. }) => Exit::Success,
        };
        for entry in self.table.iter() {
            left += entry
                .source
                .records_held(self.settings.bind.record_bytes_max);
        }
        if left > 0 {
            let records = if left == 1 { "record" } else { "records" };
            let lost = format!("{left} {records} could not be written");
            match error.take() {
                Some(e) => error = Some(e.advise(lost)),
                None => warn!("{lost}: the output took no more"),
            }
        }
        for entry in self.table.iter_mut() {
            self.intakes[entry.intake].counters.kernel_drops += entry.source.kernel_drops();
        }
        let endpoints = self
            .intakes
            .drain(..) // and with each its path
            .map(|intake| (intake.endpoint.to_string(), intake.counters))
            .collect();
        Outcome {
            endpoints,
            output: self.outlet.counters(),
            standard: self.outlet.standard(),
            exit,
            error,
        }
    }
}

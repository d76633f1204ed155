//! A line on standard error that says how far we are.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a line is written where lines stay: not on a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What is told, and when it was told last.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
    started: Instant,
    told: Option<Instant>,
    width: usize,
    estimate: f64,
    done: f64,
}

impl Progress {
    /// Of work that is estimated to take so many seconds.
    pub fn new(estimate: f64) -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            started: Instant::now(),
            told: None,
            width: 0,
            estimate,
            done: 0.0,
        }
    }

    /// Begins this; on a terminal in the place of what was said before.
    pub fn show(&mut self, what: &str) {
        let is_early = self.told.is_some_and(|told| told.elapsed() < LINE_EVERY);
        if !self.is_terminal && is_early {
            return;
        }
        self.told = Some(Instant::now());
        let left = time_left(
            self.estimate,
            self.done,
            self.started.elapsed().as_secs_f64(),
        );
        let line = format!("{left} left: {what}");
        // Nobody is left to be told that standard error is gone.
        let _ = if self.is_terminal {
            let blanks = self.width.saturating_sub(line.len());
            write!(std::io::stderr(), "\r{line}{:blanks$}", "")
        } else {
            writeln!(std::io::stderr(), "{line}")
        };
        self.width = line.len();
    }

    /// What was estimated to take so many seconds is done.
    pub fn done(&mut self, estimate: f64) {
        self.done += estimate;
    }

    /// Removes the line from a terminal.
    pub fn clear(&mut self) {
        if self.is_terminal && self.width > 0 {
            let blanks = self.width;
            let _ = write!(std::io::stderr(), "\r{:blanks$}\r", "");
            self.width = 0;
        }
    }
}

/// The estimate of what is left, corrected by how wrong it was so far.
fn time_left(estimate: f64, done: f64, elapsed: f64) -> String {
    let factor = if done > 0.0 { elapsed / done } else { 1.0 };
    let left = Duration::try_from_secs_f64((estimate - done) * factor).unwrap_or_default();
    let seconds = left.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_learns_from_what_was_done() {
        assert_eq!(time_left(100.0, 0.0, 0.0), "1 min 40 s");
        assert_eq!(time_left(100.0, 50.0, 100.0), "1 min 40 s");
        assert_eq!(time_left(100.0, 90.0, 45.0), "5 s");
        assert_eq!(time_left(100.0, 101.0, 45.0), "0 s");
    }
}

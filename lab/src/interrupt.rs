//! Ctrl-C: the trial at hand is given up, what is finished stays.

use log_aggregator::error::Error;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody wants us to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// One that SIGINT, SIGTERM and SIGHUP set.
    ///
    /// # Errors
    /// When the signals cannot be handled.
    pub fn by_signals() -> Result<Self, Error> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))
                .map_err(|e| Error::new("handle", "signals", e))?;
        }
        Ok(interrupt)
    }

    /// Whether it came.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

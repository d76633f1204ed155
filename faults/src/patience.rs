//! How long to wait: every wait of the suite asks here, so that nothing can hang it, and Ctrl-C ends it.

use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at a fact that is waited for.
pub const LOOK: Duration = Duration::from_millis(5);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP end every wait; a second one ends the program.
pub fn listen_for_signals() -> io::Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        // In this order: the first signal only sets the flag.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))?;
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

pub fn interrupted() -> bool {
    let flag = INTERRUPTED.get();
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// A time until which something may take, and a flag that ends it sooner.
#[derive(Debug, Clone)]
pub struct Patience {
    until: Instant,
    stop: Arc<AtomicBool>,
}

impl Patience {
    pub fn new(limit: Duration) -> Self {
        Self {
            until: Instant::now() + limit,
            stop: Arc::default(),
        }
    }

    /// The same flag, and at most this long from now.
    pub fn at_most(&self, limit: Duration) -> Self {
        Self {
            until: self.until.min(Instant::now() + limit),
            stop: Arc::clone(&self.stop),
        }
    }

    /// The same time, and a flag of its own.
    pub fn own_flag(&self) -> Self {
        Self {
            until: self.until,
            stop: Arc::default(),
        }
    }

    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        interrupted() || self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    /// Waits until `fact` holds. False if patience was over first.
    pub fn wait_for(&self, mut fact: impl FnMut() -> bool) -> bool {
        loop {
            if fact() {
                return true;
            }
            if self.is_over() {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Sleeps this long, or until it is over.
    pub fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        self.wait_for(|| Instant::now() >= end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_its_time_or_by_its_flag() {
        let long = Patience::new(Duration::from_secs(3600));
        assert!(long.wait_for(|| true));
        assert!(!long.at_most(Duration::ZERO).wait_for(|| false));
        let other = long.own_flag();
        long.end();
        assert!(long.is_over() && long.at_most(Duration::from_secs(1)).is_over());
        assert!(!other.is_over());
    }
}

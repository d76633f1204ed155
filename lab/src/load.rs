//! The producers of a trial: started side by side, read when they have ended, then waited for.

use crate::interrupt::Interrupt;
use crate::proc;
use crate::programs::Programs;
use crate::trace::Tracer;
use crate::trial::{Setting, Usage};
use log_aggregator::error::Error;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::process::Child;
use std::time::Duration;

/// How often we look whether producers have ended: seldom enough that it costs the trial nothing.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Producers at work. They are killed when this is dropped.
#[derive(Debug)]
pub struct Load {
    producers: Vec<Child>,
    memory_peak_kib: u64,
}

impl Load {
    /// Starts the producers of this setting.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(
        programs: &Programs,
        setting: &Setting,
        endpoint: &str,
        mut tracer: Option<&mut Tracer>,
    ) -> Result<Self, Error> {
        let mut load = Self {
            producers: Vec::new(),
            memory_peak_kib: 0,
        };
        for number in 0..setting.producers {
            let mut command = programs.producer_at(detuned(setting, number), setting, endpoint);
            if let Some(tracer) = &mut tracer {
                command = tracer.producer(command);
            }
            let child = command.spawn();
            load.producers
                .push(child.map_err(|e| Error::new("start", "a producer", e))?);
        }
        Ok(load)
    }

    /// The processes.
    pub fn pids(&self) -> Vec<u32> {
        self.producers.iter().map(Child::id).collect()
    }

    /// Waits until all have ended, and returns what they used from start to end; nothing if it was interrupted.
    ///
    /// # Errors
    /// When one of them fails; it has said why.
    pub fn finish(mut self, interrupt: &Interrupt) -> Result<Option<Usage>, Error> {
        let mut looks = 0_u64;
        for at in 0..self.producers.len() {
            while !has_ended(self.producers[at].id())? {
                if interrupt.is_set() {
                    return Ok(None);
                }
                // What a producer has resident grows no more once it sends, and cannot be read when it has ended.
                looks += 1;
                if looks.is_power_of_two() {
                    self.look_at_memory();
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        let mut usage = Usage::default();
        for producer in &mut self.producers {
            proc::add(&mut usage, &proc::usage(producer.id())?);
            let status = producer
                .wait()
                .map_err(|e| Error::new("wait for", "a producer", e))?;
            if !status.success() {
                return Err(Error::new(
                    "load",
                    "the daemon",
                    format!("a producer ended with {status}"),
                ));
            }
        }
        usage.memory_peak_kib = self.memory_peak_kib;
        Ok(Some(usage))
    }

    fn look_at_memory(&mut self) {
        let peaks = self
            .producers
            .iter()
            .filter_map(|producer| proc::memory_peak_kib(producer.id()));
        self.memory_peak_kib = peaks.fold(self.memory_peak_kib, u64::max);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // They have ended already unless something went wrong.
        for producer in &mut self.producers {
            let _ = producer.kill();
            let _ = producer.wait();
        }
    }
}

/// The rate of this producer: a thousandth apart from the next one's. At one and the same rate, producers that
/// happen to begin together would send together to the end, and two trials would differ by that alone.
fn detuned(setting: &Setting, number: u32) -> f64 {
    let rate = f64::from(setting.rate);
    if setting.rate < DETUNED_RATE_MIN {
        return rate;
    }
    let from_middle = f64::from(number) - f64::from(setting.producers - 1) / 2.0;
    rate * (1.0 + from_middle / 1000.0)
}

/// Below, a trial is too short for two producers to drift past each other.
const DETUNED_RATE_MIN: u32 = 100;

/// Whether a child has ended. It stays what it is, so that /proc still tells of it.
fn has_ended(pid: u32) -> Result<bool, Error> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    let state = waitid(Id::Pid(Pid::from_raw(pid.cast_signed())), flags);
    let state = state.map_err(|e| Error::new("wait for", "a producer", e))?;
    Ok(state != WaitStatus::StillAlive)
}

/// What one producer uses that starts, connects and ends: the median of several, each value by itself.
///
/// # Errors
/// When daemon or producers do not start.
pub fn without_records(
    programs: &Programs,
    setting: &Setting,
    endpoint: &str,
    interrupt: &Interrupt,
) -> Result<Usage, Error> {
    let nothing = Setting {
        producers: 1,
        records: 0,
        ..setting.clone()
    };
    let mut runs = Vec::new();
    for _ in 0..RUNS_WITHOUT_RECORDS {
        let load = Load::start(programs, &nothing, endpoint, None)?;
        runs.extend(load.finish(interrupt)?);
    }
    let median = |value: fn(&Usage) -> u64| {
        let mut values: Vec<u64> = runs.iter().map(value).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    Ok(Usage {
        cpu_ns: median(|usage| usage.cpu_ns),
        run_queue_wait_ns: median(|usage| usage.run_queue_wait_ns),
        voluntary_switches: median(|usage| usage.voluntary_switches),
        involuntary_switches: median(|usage| usage.involuntary_switches),
        read_calls: median(|usage| usage.read_calls),
        write_calls: median(|usage| usage.write_calls),
        memory_peak_kib: median(|usage| usage.memory_peak_kib),
    })
}

const RUNS_WITHOUT_RECORDS: u32 = 11;

//! Clocks and the pacing sleep.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// When bytes arrived, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since 1970 by the wall clock (CLOCK_REALTIME).
    pub wall_ns: u64,
    /// Nanoseconds of CLOCK_MONOTONIC, comparable between processes of one machine.
    pub mono_ns: u64,
}

impl Stamp {
    /// Reads both clocks, through the vDSO: no system call where the clock source is the TSC.
    pub fn now() -> Self {
        Self {
            wall_ns: read(libc::CLOCK_REALTIME),
            mono_ns: monotonic_ns(),
        }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC, comparable between processes of one machine.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Seconds since 1970 by the wall clock.
pub fn unix_seconds() -> u64 {
    read(libc::CLOCK_REALTIME) / 1_000_000_000
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` outlives the call and has the type that it fills.
    let result = unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) };
    assert_eq!(result, 0, "every Linux has both clocks");
    // SAFETY: clock_gettime returned 0, so it has filled `time`.
    let time = unsafe { time.assume_init() };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Sleeps this long, or less: a signal ends it, and so does a sandbox without the call, where std would end the process.
pub fn pause(time: Duration) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: `time` outlives the call, which only reads it; the remaining time is not asked for.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            0,
            &raw const time,
            std::ptr::null_mut(),
        )
    };
}

/// Sleeps until CLOCK_MONOTONIC shows `due_ns`; returns at once when that is past.
///
/// One `clock_nanosleep` on the absolute time, so that a late wake-up shifts nothing after it.
///
/// # Panics
/// Never: the only errors of the call are EINTR, which is retried, and wrong arguments.
pub fn sleep_until(due_ns: u64) {
    #[allow(deprecated)] // musl's bindings are about to widen it where it has 32 bits
    let due = libc::timespec {
        tv_sec: libc::time_t::try_from(due_ns / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::try_from(due_ns % 1_000_000_000).unwrap_or(0),
    };
    loop {
        // SAFETY: `due` outlives the call; with TIMER_ABSTIME the remaining time is not written,
        // so it may be null (`man 2 clock_nanosleep`).
        let result = unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const due,
                std::ptr::null_mut(),
            )
        };
        match result {
            0 => return,
            libc::EINTR => {}
            errno => unreachable!("clock_nanosleep: {}", io::Error::from_raw_os_error(errno)),
        }
    }
}

//! Records that the producer makes, and when each is due.

use super::options::{End, Load};
use super::sender::Sender;
use crate::error::{Error, Exit};
use crate::sys;
use std::io::Write;

/// Sends the load.
///
/// # Errors
/// When the transport cannot carry the record, or the daemon is gone.
pub(super) fn send(load: &Load, sender: &mut Sender) -> Result<Exit, Error> {
    let mut template = Template::new(load.message_bytes, load.stamping);
    let is_paced = load.rate > 0.0;
    if is_paced {
        sys::set_least_timer_slack();
    }
    let start = sys::monotonic_ns();
    for seq in 0.. {
        let mut now = sys::monotonic_ns();
        let is_over = match load.end {
            End::Count(count) => seq >= count,
            End::Nanoseconds(duration) => now - start >= duration,
        };
        if is_over {
            break;
        }
        let mut due = now;
        if is_paced {
            due = start.saturating_add(nanoseconds_before(seq, load.rate));
            if due > now {
                sys::sleep_until(due);
                now = sys::monotonic_ns();
            }
        }
        let record = template.record(sys::unix_seconds(), seq, due, now);
        sender
            .send(record)
            .map_err(|failure| sender.error(&failure))?;
    }
    Ok(Exit::Success)
}

/// How long after the start this record is due, by the plan alone: a late one shifts nothing.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)] // exact to the nanosecond for 100 days
fn nanoseconds_before(seq: u64, rate: f64) -> u64 {
    (seq as f64 * 1e9 / rate).round() as u64
}

/// A record with the places that change. Its memory is reserved once.
struct Template {
    /// `{..."message":"..."` and, without stamps, `}` and the newline.
    bytes: Vec<u8>,
    message: Box<[u8]>,
    /// Where the fields of the stamp begin.
    fixed: usize,
    /// The timestamp that `bytes` hold.
    unix_seconds: Option<u64>,
    /// The process id, if records are stamped.
    pid: Option<u32>,
}

/// Room for what stands around the message: some 60 bytes of names and a timestamp, and at most 112
/// of stamp.
const FRAME_BYTES: usize = 256;

impl Template {
    fn new(message_bytes: usize, stamping: bool) -> Self {
        Self {
            bytes: Vec::with_capacity(message_bytes + FRAME_BYTES),
            message: (b'A'..=b'Z').cycle().take(message_bytes).collect(),
            fixed: 0,
            unix_seconds: None,
            pid: stamping.then(std::process::id),
        }
    }

    /// The record with these values, newline included.
    fn record(&mut self, unix_seconds: u64, seq: u64, due_ns: u64, sent_ns: u64) -> &[u8] {
        if self.unix_seconds != Some(unix_seconds) {
            self.set_timestamp(unix_seconds);
        }
        if let Some(pid) = self.pid {
            self.bytes.truncate(self.fixed);
            self.append(format_args!(
                ",\"pid\":{pid},\"seq\":{seq},\"due_ns\":{due_ns},\"sent_ns\":{sent_ns}}}\n"
            ));
        }
        &self.bytes
    }

    fn set_timestamp(&mut self, unix_seconds: u64) {
        self.unix_seconds = Some(unix_seconds);
        self.bytes.clear();
        self.append(format_args!(
            "{{\"source\":\"producer\",\"timestamp\":{unix_seconds},\"level\":\"INFO\",\"message\":\""
        ));
        self.bytes.extend_from_slice(&self.message);
        self.bytes.push(b'"');
        self.fixed = self.bytes.len();
        if self.pid.is_none() {
            self.bytes.extend_from_slice(b"}\n");
        }
    }

    fn append(&mut self, text: std::fmt::Arguments<'_>) {
        self.bytes.write_fmt(text).expect("a Vec takes every byte");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_four_fields_and_one_newline() {
        let mut template = Template::new(28, false);
        for second in [1_700_000_000, 1_700_000_000, 1_700_000_001] {
            assert_eq!(
                String::from_utf8_lossy(template.record(second, 0, 0, 0)),
                format!(
                    "{{\"source\":\"producer\",\"timestamp\":{second},\"level\":\"INFO\",\
                     \"message\":\"ABCDEFGHIJKLMNOPQRSTUVWXYZAB\"}}\n"
                )
            );
        }
    }

    #[test]
    fn a_stamped_record_says_who_sent_which_and_when() {
        let mut template = Template::new(0, true);
        let pid = std::process::id();
        for (seq, second) in [(0, 5), (1, 5), (2, 6)] {
            assert_eq!(
                String::from_utf8_lossy(template.record(second, seq, 10 + seq, 20 + seq)),
                format!(
                    "{{\"source\":\"producer\",\"timestamp\":{second},\"level\":\"INFO\",\
                     \"message\":\"\",\"pid\":{pid},\"seq\":{seq},\"due_ns\":{},\"sent_ns\":{}}}\n",
                    10 + seq,
                    20 + seq
                )
            );
        }
    }

    #[test]
    fn no_record_allocates() {
        let mut template = Template::new(1000, true);
        let before = template.bytes.capacity();
        template.record(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(template.bytes.capacity(), before);
    }

    #[test]
    fn due_times_are_a_grid() {
        assert_eq!(nanoseconds_before(0, 10.0), 0);
        assert_eq!(nanoseconds_before(3, 10.0), 300_000_000);
        assert_eq!(nanoseconds_before(1_000_003, 3.0), 333_334_333_333_333);
    }
}

//! What each endpoint has brought, and the summary line.

use crate::batch::Tally;
use crate::reactor::OutputCounters;
use std::fmt::Write;

/// What one endpoint has brought so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// What was written.
    pub written: Tally,
    /// Datagrams that the kernel dropped because the receive buffer was full (UDP only).
    pub kernel_drops: u64,
    /// Connections accepted (stream sockets only).
    pub connections: u64,
    /// Calls that failed in a way that may last, and were tried again.
    pub errors: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.written += other.written;
        self.kernel_drops += other.kernel_drops;
        self.connections += other.connections;
        self.errors += other.errors;
    }
}

impl Counters {
    /// The members of a JSON object, without its braces.
    fn members(&self) -> String {
        let Self {
            written:
                Tally {
                    records,
                    bytes,
                    wrapped,
                    truncated,
                },
            kernel_drops,
            connections,
            errors,
        } = self;
        format!(
            "\"records\":{records},\"bytes\":{bytes},\"wrapped\":{wrapped},\
             \"truncated\":{truncated},\"kernel_drops\":{kernel_drops},\
             \"connections\":{connections},\"errors\":{errors}"
        )
    }
}

/// The summary: one line of JSON with the totals, how the output got on, and each endpoint's part.
pub fn summary(endpoints: &[(String, Counters)], output: OutputCounters) -> String {
    let mut totals = Counters {
        errors: output.errors,
        ..Counters::default()
    };
    let mut parts = String::new();
    for (name, counters) in endpoints {
        totals += *counters;
        let comma = if parts.is_empty() { "" } else { "," };
        let name = serde_json::Value::from(name.as_str());
        write!(parts, "{comma}{name}:{{{}}}", counters.members()).expect("a String takes all");
    }
    format!(
        "{{\"summary\":true,{},\"paused_seconds\":{:.3},\"sync_errors\":{},\
         \"endpoints\":{{{parts}}}}}",
        totals.members(),
        output.paused.as_secs_f64(),
        output.sync_errors
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_summary_is_one_json_object_whose_totals_are_the_sums() {
        let counters = |n| Counters {
            written: Tally {
                records: n,
                bytes: 10 * n,
                wrapped: n / 2,
                truncated: n / 4,
            },
            kernel_drops: 3 * n,
            connections: n + 1,
            errors: 4 * n,
        };
        let part = |n: u64| {
            json!({"records": n, "bytes": 10 * n, "wrapped": n / 2, "truncated": n / 4,
                   "kernel_drops": 3 * n, "connections": n + 1, "errors": 4 * n})
        };
        let line = summary(
            &[
                ("fifo=/tmp/\"x\"".to_owned(), counters(8)),
                ("tcp=127.0.0.1:1".to_owned(), counters(4)),
            ],
            OutputCounters {
                paused: std::time::Duration::from_millis(1500),
                sync_errors: 2,
                errors: 7,
            },
        );
        assert!(!line.contains('\n'));
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({"summary": true, "records": 12, "bytes": 120, "wrapped": 6, "truncated": 3,
                   "kernel_drops": 36, "connections": 14, "errors": 55, "paused_seconds": 1.5, "sync_errors": 2,
                   "endpoints": {"fifo=/tmp/\"x\"": part(8), "tcp=127.0.0.1:1": part(4)}})
        );
    }
}

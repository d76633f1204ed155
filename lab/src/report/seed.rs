//! The original's own numbers for its load: 5 producers, 10 records a second, 50 records each.

use super::point::{Point, Work};
use super::summary::Key;
use super::value::Value;
use log_aggregator::transports::Transport;
use std::collections::BTreeMap;

/// Records of that load, all together.
const RECORDS: f64 = 250.0;

/// Its README's table of its producers' system calls, counted by bpftrace 0.23.5: all; `write`; `nanosleep`,
/// `epoll_pwait` and `futex`.
const CALLS: [(Transport, f64, f64, f64); 5] = [
    (Transport::Unixsock, 4042.0, 250.0, 2224.0),
    (Transport::Tcp, 3928.0, 250.0, 2097.0),
    (Transport::Unixgram, 3953.0, 250.0, 2145.0),
    (Transport::Udp, 3901.0, 250.0, 2107.0),
    (Transport::Fifo, 3598.0, 250.0, 1804.0),
];

/// As numbers of the report.
pub fn original() -> BTreeMap<Key, Value> {
    let mut values = BTreeMap::new();
    for (transport, all, write, wait) in CALLS {
        let measures = [
            ("original_calls", all),
            ("original_write", write),
            ("original_wait", wait),
            ("original_other", all - write - wait),
            ("original_each", all / RECORDS),
        ];
        for (measure, value) in measures {
            let key = Key {
                point: Point::named(Work::Seed),
                transport,
                measure: measure.to_owned(),
            };
            values.insert(
                key,
                Value {
                    value,
                    each: vec![value],
                },
            );
        }
    }
    values
}

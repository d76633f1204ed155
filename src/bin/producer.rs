//! The producer; see [`log_aggregator::producer`].
#![no_main]

log_aggregator::quiet_main!(log_aggregator::producer::main);

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| log_aggregator_fuzz::records(bytes));

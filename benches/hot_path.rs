//! What is done for each record, a record of the classic load at a time and with others: `cargo bench`.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use log_aggregator::batch::Batch;
use log_aggregator::framing::LineFramer;
use log_aggregator::object;
use log_aggregator::record::{Clock, Recorder};

fn main() {
    divan::main();
}

/// Records as they come: the classic one, one of many small members, one with blanks between them, one of escapes, one of Chinese, one that
/// is long.
const KINDS: [&str; 6] = ["classic", "numbers", "blanks", "escapes", "chinese", "long"];

fn record(kind: &str) -> String {
    let message = match kind {
        "classic" => "ABCDEFGHIJKLMNOPQRSTUVWXYZ".repeat(4),
        "escapes" => "a line\\nand \\\"another\\\" one\\t".repeat(4),
        "chinese" => "\u{65e5}\u{5fd7}\u{8bb0}\u{5f55}".repeat(10),
        "long" => "x".repeat(10_000),
        "blanks" => return format!("{{{}\"z\": null}}", "\"key\": \"value\", ".repeat(10)),
        _ => return format!("{{{}\"z\":null}}", "\"k\":-12.5e3,".repeat(15)),
    };
    format!(
        "{{\"source\":\"producer\",\"timestamp\":1763800000,\"level\":\"INFO\",\"message\":\"{message}\",\"pid\":4711,\"seq\":17}}"
    )
}

#[divan::bench(args = KINDS)]
fn object_check(bencher: Bencher<'_, '_>, kind: &str) {
    let record = record(kind);
    bencher
        .counter(BytesCount::new(record.len()))
        .bench(|| object::parse(divan::black_box(record.as_bytes())).is_some());
}

/// What serde_json takes for a part of that: grammar and UTF-8, without building a value.
#[divan::bench(args = KINDS)]
fn object_check_by_serde_json(bencher: Bencher<'_, '_>, kind: &str) {
    let record = record(kind);
    bencher.counter(BytesCount::new(record.len())).bench(|| {
        serde_json::from_slice::<&serde_json::value::RawValue>(divan::black_box(record.as_bytes()))
            .is_ok()
    });
}

#[divan::bench]
fn framing(bencher: Bencher<'_, '_>) {
    const RECORDS: usize = 300;
    let lines = format!("{}\n", record("classic")).repeat(RECORDS);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut count = 0;
        LineFramer::new(65_536).feed(divan::black_box(lines.as_bytes()), |_| count += 1);
        count
    });
}

/// As records come: many lines in a chunk.
#[divan::bench(args = KINDS)]
fn lines_of_objects(bencher: Bencher<'_, '_>, kind: &str) {
    const RECORDS: usize = 300;
    let lines = format!("{}\n", record(kind)).repeat(RECORDS);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut scanner = object::Scanner::new(divan::black_box(lines.as_bytes()));
        let mut at = 0;
        while let Some(end) = scanner.object(at) {
            at = end + 1;
        }
        at
    });
}

/// All that is pure in a round: a chunk becomes lines of a batch, which is written and counted.
#[divan::bench(args = KINDS)]
fn batch(bencher: Bencher<'_, '_>, kind: &str) {
    batch_of(bencher, &record(kind));
}

/// The same for lines that are wrapped.
#[divan::bench]
fn batch_of_text(bencher: Bencher<'_, '_>) {
    batch_of(bencher, "a line of text that some program has written");
}

fn batch_of(bencher: Bencher<'_, '_>, record: &str) {
    const RECORDS: usize = 300;
    const MAX: usize = 65_536;
    let lines = format!("{record}\n").repeat(RECORDS);
    let (mut batch, mut framer) = (Batch::default(), LineFramer::new(MAX));
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut recorder = Recorder {
            source: "fifo",
            stamping: false,
            stamp: None,
            clock: Clock::SYSTEM,
            lines: batch.lines_of(0),
        };
        recorder.chunk(&mut framer, divan::black_box(lines.as_bytes()), MAX);
        batch.take(batch.rest().len());
        let mut records = 0;
        batch.settle(|_, tally| records += tally.records);
        records
    });
}

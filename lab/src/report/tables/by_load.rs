//! Costs by mechanism and rate.

use super::{by_rate, load_name, rows};
use crate::report::Point;
use crate::report::point::Work;
use crate::report::summary::Summary;
use crate::report::table::Table;

const RATE: &str = "a producer's rate";

pub fn cpu(summary: &Summary) -> Table {
    let columns = [
        ("producers us", "producer_cpu"),
        ("daemon us", "daemon_cpu"),
        ("together us", "program_cpu"),
        ("min to max", "range_program_cpu"),
        ("whole machine us", "machine_cpu"),
        ("start of a producer us", "startup_cpu"),
        ("producers queued us", "producer_queue"),
        ("daemon queued us", "daemon_queue"),
        ("daemon MiB", "daemon_memory"),
        ("producer MiB", "producer_memory"),
    ];
    rows(
        summary,
        &by_rate(summary, "program_cpu"),
        RATE,
        load_name,
        &columns,
    )
}

pub fn latency(summary: &Summary) -> Table {
    let columns = [
        ("due p50", "due_p50"),
        ("p90", "due_p90"),
        ("p99", "due_p99"),
        ("p99.9", "due_p99.9"),
        ("max", "due_max"),
        ("sent p50", "sent_p50"),
        ("p90", "sent_p90"),
        ("p99", "sent_p99"),
        ("p99.9", "sent_p99.9"),
        ("max", "sent_max"),
    ];
    rows(
        summary,
        &by_rate(summary, "due_max"),
        RATE,
        load_name,
        &columns,
    )
}

pub fn calls(summary: &Summary) -> Table {
    let columns = [
        ("producer: write", "producer_write"),
        ("wait", "producer_wait"),
        ("pacing", "producer_pacing"),
        ("other", "producer_other"),
        ("all", "producer_calls"),
        ("a (fixed)", "producer_calls_fixed"),
        ("b (one more record)", "producer_calls_each"),
        ("daemon: wait", "daemon_wait"),
        ("read", "daemon_read"),
        ("write", "daemon_write"),
        ("other", "daemon_other"),
        ("all", "daemon_calls"),
    ];
    rows(summary, &traced(summary), RATE, load_name, &columns)
}

/// The loads whose calls were counted: the original's, and those of the centre at all rates.
fn traced(summary: &Summary) -> Vec<Point> {
    let seed = Point::named(Work::Seed);
    let seed = summary
        .points("producer_calls")
        .into_iter()
        .filter(|point| *point == seed);
    let mut points: Vec<Point> = by_rate(summary, "producer_calls");
    points.extend(seed);
    points.dedup();
    points
}

pub fn switches(summary: &Summary) -> Table {
    let columns = [
        ("records a round", "batch"),
        ("daemon: sleeps", "daemon_voluntary"),
        ("made to yield", "daemon_involuntary"),
        ("wake-ups", "daemon_wakeups"),
        ("woken to running us", "wake_to_run"),
        ("producers: sleeps", "producer_voluntary"),
        ("made to yield", "producer_involuntary"),
        ("wake-ups", "producer_wakeups"),
    ];
    rows(
        summary,
        &by_rate(summary, "batch"),
        RATE,
        load_name,
        &columns,
    )
}

pub fn loss(summary: &Summary) -> Table {
    let columns = [
        ("sent", "sent"),
        ("written", "written"),
        ("missing numbers", "missing"),
        ("socket's counter", "socket_drops"),
        ("kernel's counter", "kernel_drops"),
        ("lost %", "lost"),
        ("twice", "duplicates"),
        ("out of order", "reordered"),
    ];
    rows(
        summary,
        &by_rate(summary, "sent"),
        RATE,
        load_name,
        &columns,
    )
}

pub fn tracing(summary: &Summary) -> Table {
    let columns = [
        ("CPU, times", "tracing_cpu"),
        ("records/s, times", "tracing_throughput"),
    ];
    let points: Vec<Point> = summary
        .points("tracing_cpu")
        .into_iter()
        .filter(|point| point.work != Work::SelfCheck)
        .collect();
    rows(summary, &points, "load", |point| point.words(), &columns)
}

use super::point::LONGEST_FRAME;
use super::*;
use crate::cli::{List, TraceChoice};
use std::collections::BTreeSet;

fn options() -> Run {
    Run {
        ipc: List(Transport::ALL.to_vec()),
        producers: List(vec![1, 5, 20]),
        sizes: List(vec![50, 100, 1000, 3500]),
        rates: List(vec![10, 1000, 10_000, 0]),
        repeat: 3,
        trace: TraceChoice::Auto,
        reverse: false,
        out: None,
    }
}

fn seconds(plan: &Plan) -> f64 {
    plan.trials.iter().map(Planned::estimate).sum()
}

#[test]
fn the_longest_frame_is_what_the_producer_writes() {
    let record = LONGEST_FRAME.replace("\"message\":\"\"", "\"message\":\"A\"");
    let value: serde_json::Value = serde_json::from_str(&record).unwrap();
    let names: Vec<&String> = value.as_object().unwrap().keys().collect();
    let want = [
        "source",
        "timestamp",
        "level",
        "message",
        "pid",
        "seq",
        "due_ns",
        "sent_ns",
    ];
    assert_eq!(names, want);
}

#[test]
fn by_default_a_run_takes_less_than_thirteen_minutes_and_quick_less_than_two_minutes() {
    let run = Plan::run(&options(), Tracing::Bpftrace);
    assert!(seconds(&run) < 13.0 * 60.0, "{}", seconds(&run));
    let quick = Plan::quick(false, Tracing::Bpftrace);
    assert!(seconds(&quick) < 110.0, "{}", seconds(&quick));
}

#[test]
fn ten_a_second_a_thousand_and_flat_out_are_there_for_all() {
    for plan in [
        Plan::run(&options(), Tracing::Off),
        Plan::quick(false, Tracing::Off),
    ] {
        let loads: BTreeSet<(Transport, u32)> = plan
            .trials
            .iter()
            .filter(|planned| planned.setting.message_bytes == 100)
            .map(|planned| (planned.setting.transport, planned.setting.rate))
            .collect();
        for transport in Transport::ALL {
            assert!(
                [10, 1000, 0]
                    .iter()
                    .all(|&rate| loads.contains(&(transport, rate)))
            );
        }
    }
}

#[test]
fn one_axis_at_a_time() {
    let plan = Plan::run(&options(), Tracing::Off);
    for Planned { setting, .. } in &plan.trials {
        let moved = [
            setting.producers != 5,
            setting.message_bytes != 100,
            setting.linger != Linger::Microseconds(0),
        ];
        assert!(moved.iter().filter(|&&it| it).count() <= 1, "{setting:?}");
    }
    let settings: BTreeSet<String> = plan.trials.iter().map(|it| format!("{it:?}")).collect();
    assert_eq!(
        settings.len(),
        plan.trials.len(),
        "something is planned twice"
    );
}

#[test]
fn each_repetition_begins_with_another_mechanism_and_reverse_turns_all_around() {
    let mut options = options();
    let plan = Plan::run(&options, Tracing::Off);
    let first_of = |repetition| {
        let mut trials = plan.trials.iter();
        trials
            .find(|it| it.repetition == repetition)
            .unwrap()
            .setting
            .transport
    };
    assert_eq!([0, 1, 2].map(first_of), Transport::ALL[..3]);
    options.reverse = true;
    let mut reversed = Plan::run(&options, Tracing::Off).trials;
    reversed.reverse();
    assert_eq!(reversed, plan.trials);
}

#[test]
fn a_size_that_a_fifo_cannot_carry_is_left_out_and_said_once() {
    let mut options = options();
    options.sizes = List(vec![100, 4000]);
    let plan = Plan::run(&options, Tracing::Off);
    let fifo = |it: &&Planned| it.setting.transport == Transport::Fifo;
    assert!(
        plan.trials
            .iter()
            .filter(fifo)
            .all(|it| it.setting.message_bytes == 100)
    );
    assert_eq!(plan.left_out.len(), 1, "{:?}", plan.left_out);
    assert!(plan.left_out[0].starts_with("fifo is left out at 4000 message bytes"));
}

#[test]
fn a_list_without_the_centre_has_its_first_value_there() {
    let mut options = options();
    options.producers = List(vec![2, 2]);
    options.sizes = List(vec![200]);
    options.rates = List(vec![50]);
    options.repeat = 1;
    let plan = Plan::run(&options, Tracing::Off);
    let centre = plan
        .trials
        .iter()
        .filter(|it| it.setting.axis == Axis::Centre);
    assert_eq!(centre.count(), 5);
    assert!(
        plan.trials
            .iter()
            .all(|it| it.setting.rate == 50 && it.setting.producers == 2)
    );
}

#[test]
fn counts_come_in_two_lengths() {
    for plan in [
        Plan::run(&options(), Tracing::Bpftrace),
        Plan::quick(false, Tracing::Bpftrace),
        Plan::seed(Tracing::Bpftrace),
    ] {
        for transport in Transport::ALL {
            let traced = plan.trials.iter().filter(|it| {
                let setting = &it.setting;
                let is_two_long = matches!(setting.axis, Axis::Centre | Axis::Seed);
                setting.tracing != Tracing::Off && is_two_long && setting.transport == transport
            });
            let records: Vec<u64> = traced.map(|it| it.setting.records).collect();
            assert_eq!(records.len(), 2);
            assert_eq!(records[0] * 2, records[1]);
        }
    }
    let seed = Plan::seed(Tracing::Off);
    assert!(seed.trials.iter().all(|it| it.setting.records == 50));
}

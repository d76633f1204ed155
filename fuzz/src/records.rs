//! What comes out is lines of one JSON object each, one for each line that went in and is not blank, with
//! all that it held; and they are counted for what they are.

use super::delivery::Delivery;
use super::framer::{Line, naive};
use super::object::{expected, has_borderline_number, members, plain, with_renamed_keys};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use log_aggregator::batch::{Batch, Tally};
use log_aggregator::object::Scanner;
use log_aggregator::record::{Clock, Recorder};
use log_aggregator::sys::Stamp;
use serde_json::{Value, json};

const CLOCK: Clock = Clock {
    unix_seconds: || 7,
    stamp: || Stamp {
        wall_ns: 1,
        mono_ns: 2,
    },
};

/// Holds the property.
pub fn records(bytes: &[u8]) {
    let delivery = match Delivery::new(bytes) {
        Some(delivery) if !has_borderline_number(delivery.input) => delivery,
        _ => return,
    };
    let mut batch = Batch::default();
    let mut recorder = Recorder {
        source: "tcp",
        stamping: delivery.is_stamping,
        stamp: None,
        clock: CLOCK,
        lines: batch.lines_of(0),
    };
    recorder.arrived();
    if delivery.is_datagram {
        recorder.datagram(
            &mut Scanner::new(&[]),
            delivery.input,
            delivery.cut,
            delivery.max,
        );
    } else {
        let mut framer = delivery.framer();
        for chunk in delivery.chunks() {
            recorder.chunk(&mut framer, chunk, delivery.max);
        }
        framer.finish(|frame| recorder.frame(frame));
    }
    let output = String::from_utf8(batch.rest().to_vec()).expect("the output is UTF-8");

    let taken = output.len() * (delivery.taken + 1) / 256;
    let mut want = Tally {
        bytes: taken as u64,
        ..Tally::default()
    };
    let mut rest = &output[..];
    for line in naive(&delivery).iter().filter(|line| !is_blank(line)) {
        let (got, after) = rest.split_once('\n').expect("a line of output for each");
        rest = after;
        let object = expected(&line.kept).filter(|_| !line.is_oversize);
        match object {
            Some(object) => check_object(got, object, delivery.is_stamping),
            None => check_wrapped(got, line, delivery.is_stamping),
        }
        if output.len() - rest.len() <= taken {
            want.records += 1;
            want.wrapped += u64::from(object.is_none());
            want.truncated += u64::from(line.is_oversize);
        }
    }
    assert_eq!(rest, "", "more lines came out than went in");
    let mut counted = Tally::default();
    batch.take(taken);
    batch.settle(|_, tally| counted += tally);
    assert_eq!(counted, want, "{delivery:?}");
}

fn is_blank(line: &Line) -> bool {
    !line.is_oversize && line.kept.iter().all(|byte| b" \t".contains(byte))
}

fn check_object(got: &str, object: &str, is_stamping: bool) {
    serde_json::from_str::<Value>(got).unwrap_or_else(|e| panic!("{e}: {got}"));
    let object = &plain(object);
    if !is_stamping {
        return assert_eq!(got, object);
    }
    let mut want = with_renamed_keys(members(object));
    let stamp = [
        ("_transport", "\"tcp\""),
        ("_received_ns", "1"),
        ("_received_mono_ns", "2"),
    ];
    want.extend(stamp.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(members(got), want, "{object}");
    if want.iter().all(|(key, _)| !key.starts_with("producer_")) {
        let begin = object.strip_suffix('}').expect("an object");
        assert!(got.starts_with(begin), "{got} of {object}");
    }
}

fn check_wrapped(got: &str, line: &Line, is_stamping: bool) {
    let record: Value = serde_json::from_str(got).unwrap_or_else(|e| panic!("{e}: {got}"));
    assert!(
        !got.contains(['\r', '\u{85}', '\u{2028}', '\u{2029}']),
        "{got:?}"
    );
    // A character that the limit cuts is left out.
    let kept = match std::str::from_utf8(&line.kept) {
        Err(e) if line.is_oversize && e.error_len().is_none() => &line.kept[..e.valid_up_to()],
        _ => &line.kept,
    };
    let mut want = json!({"source": "tcp", "timestamp": 7, "level": "INFO"});
    want["message"] = String::from_utf8_lossy(kept).into();
    if std::str::from_utf8(kept).is_err() {
        let raw = record["raw_base64"].as_str().expect("the exact bytes");
        assert_eq!(BASE64.decode(raw).expect("base64"), kept);
        want["raw_base64"] = raw.into();
    }
    if line.is_oversize {
        want["truncated"] = true.into();
        want["original_bytes"] = line.original_bytes.into();
    }
    if line.is_unterminated {
        want["unterminated"] = true.into();
    }
    if is_stamping {
        want["_transport"] = "tcp".into();
        want["_received_ns"] = 1.into();
        want["_received_mono_ns"] = 2.into();
    }
    assert_eq!(record, want);
    assert_eq!(members(got).len(), want.as_object().expect("ours").len());
}

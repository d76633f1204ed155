//! The waterfall: for each mechanism two lanes on one clock, the sender's and the daemon's.

use super::bars::legend;
use super::scale::Scale;
use super::svg::{Anchor, Drawing};
use crate::journey::Step::{self, *};
use crate::report::point::Work;
use crate::report::summary::Summary;
use crate::report::value::number;
use crate::report::{Point, journeys};
use log_aggregator::transports::Transport;

const LEFT: f64 = 84.0;
const RIGHT: f64 = 366.0;
const LANE: f64 = 11.0;
const ROW: f64 = 38.0;

/// What a lane's segments are, from which step to which.
const SENDER: [(Step, Step); 1] = [(SendEntered, SendLeft)];
const DAEMON: [(Step, Step); 4] = [
    (DaemonWoken, DaemonRunning),
    (DaemonRunning, ReadEntered),
    (ReadEntered, ReadReturned),
    (ReadReturned, Written),
];
const PARTS: [&str; 5] = [
    "sender: in the send call",
    "daemon: woken, not yet running",
    "daemon: out of its wait",
    "daemon: in the read",
    "daemon: to the file",
];

/// Draws the ways over all mechanisms that were followed; returns how high it became.
pub fn draw(summary: &Summary, transports: &[Transport]) -> (Drawing, f64) {
    let mut drawing = Drawing::default();
    drawing.text(
        "strong",
        (4.0, 13.0),
        Anchor::Start,
        "From the send call to the file, median of each step",
    );
    let parts: Vec<(String, usize)> = PARTS
        .iter()
        .zip(1..)
        .map(|(part, shade)| ((*part).to_owned(), shade))
        .collect();
    let top = legend(&mut drawing, &parts, 24.0);
    let at = |transport: Transport, step: Step| {
        let measure = format!("step_{}", journeys::name(step));
        summary
            .get(&measure, transport, Point::named(Work::Follow))
            .map(|value| value.value)
    };
    let ends = transports
        .iter()
        .filter_map(|transport| at(*transport, Written));
    let scale = Scale::linear(ends);
    #[allow(clippy::cast_precision_loss)] // five rows
    let bottom = top + ROW * transports.len() as f64;
    for (place, label) in scale.ticks() {
        let x = LEFT + place * (RIGHT - LEFT);
        drawing.line("grid", (x, top), (x, bottom));
        drawing.text("soft", (x, bottom + 15.0), Anchor::Middle, &label);
    }
    let mut y = top + 6.0;
    for transport in transports {
        drawing.text(
            "",
            (LEFT - 6.0, y + LANE + 5.0),
            Anchor::End,
            transport.name(),
        );
        let of = |step| at(*transport, step);
        draw_lane(&mut drawing, &scale, y, &SENDER, 1, of);
        draw_lane(&mut drawing, &scale, y + LANE + 2.0, &DAEMON, 2, of);
        if let Some(end) = of(Written) {
            let x = LEFT + scale.place(end) * (RIGHT - LEFT);
            drawing.text(
                "strong",
                (x + 5.0, y + 2.0 * LANE + 1.0),
                Anchor::Start,
                &number(end),
            );
        }
        y += ROW;
    }
    drawing.line("axis", (LEFT, top), (LEFT, bottom));
    let label = "microseconds since the send call was entered";
    drawing.text(
        "",
        (f64::midpoint(LEFT, RIGHT), bottom + 35.0),
        Anchor::Middle,
        label,
    );
    (drawing, bottom + 42.0)
}

fn draw_lane(
    drawing: &mut Drawing,
    scale: &Scale,
    y: f64,
    segments: &[(Step, Step)],
    first_part: usize,
    at: impl Fn(Step) -> Option<f64>,
) {
    for (index, (from, to)) in segments.iter().enumerate() {
        // Where the daemon was awake already there was no wake-up.
        let (Some(from), Some(to)) = (at(*from), at(*to)) else {
            continue;
        };
        let [start, end] = [from, to].map(|time| LEFT + scale.place(time) * (RIGHT - LEFT));
        let part = first_part + index;
        let words = format!("{}: {} to {} us", PARTS[part - 1], number(from), number(to));
        drawing.rect(
            &format!("part p{part}"),
            (start, y),
            (end - start, LANE),
            &words,
        );
    }
}

//! The way of one record.

use super::{Figure, Panel};
use crate::report::Point;
use crate::report::chart::{bars, timeline};
use crate::report::point::Work;
use crate::report::summary::Summary;
use crate::report::tables;

pub fn waterfall(summary: &Summary) -> Figure {
    let transports = summary.transports("step_written", Point::named(Work::Follow));
    let (drawing, height) = timeline::draw(summary, &transports);
    let panel = Panel {
        drawing,
        title: "timeline".to_owned(),
        width: bars::WIDTH,
        height,
    };
    Figure {
        name: "waterfall",
        title: "The way of one record".to_owned(),
        reading: "Time runs to the right, on one clock. The upper lane of a pair is the sender, the lower one the daemon. \
                  The daemon's lane begins inside of the sender's call if that call itself delivers the record and wakes the \
                  daemon up. Where the lanes overlap, the daemon is ready to run: on a processor of its own it works \
                  meanwhile, on the sender's it waits until the sender sleeps. A tracer looked on, which makes every step longer: \
                  compare the mechanisms, and take the times themselves from the latencies above.",
        panels: vec![panel],
        table: tables::by_name(summary, "waterfall").unwrap_or_default(),
    }
}

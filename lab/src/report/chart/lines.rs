//! A chart of lines, one for each mechanism, with its name at its end.

use super::scale::Scale;
use super::svg::{Anchor, Drawing};
use log_aggregator::transports::Transport;

/// Of all charts of lines, in units of the drawing.
pub const SIZE: (f64, f64) = (420.0, 290.0);
const LEFT: f64 = 58.0;
const RIGHT: f64 = 338.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 238.0;
/// Between the names at the ends.
const NAME_GAP: f64 = 15.0;

/// What is drawn.
#[derive(Debug)]
pub struct Lines {
    /// Above it.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Places from 0 to 1, and what stands there.
    pub x_ticks: Vec<(f64, String)>,
    /// Beside the vertical axis.
    pub y_label: String,
    /// Whether it goes by decades.
    pub logarithmic: bool,
    /// Place from 0 to 1 and number of each point.
    pub series: Vec<(Transport, Vec<(f64, f64)>)>,
    /// Whether points have marks, or only the line's end.
    pub marks: bool,
}

impl Lines {
    /// Draws it.
    pub fn draw(&self) -> Drawing {
        let mut drawing = Drawing::default();
        let numbers = self
            .series
            .iter()
            .flat_map(|(_, points)| points.iter().map(|(_, y)| *y));
        let scale = if self.logarithmic {
            Scale::logarithmic(numbers)
        } else {
            Scale::linear(numbers)
        };
        self.draw_axes(&mut drawing, &scale);
        let place = |(x, y): &(f64, f64)| (across(*x), BOTTOM - scale.place(*y) * (BOTTOM - TOP));
        let mut ends = Vec::new();
        for (transport, points) in &self.series {
            let points: Vec<(f64, f64)> = points.iter().map(place).collect();
            drawing.polyline(&format!("series {}", transport.name()), &points);
            if self.marks {
                points
                    .iter()
                    .for_each(|point| drawing.mark(*transport, *point));
            }
            if let Some(end) = points.last() {
                ends.push((*transport, *end));
            }
        }
        draw_names(&mut drawing, ends);
        drawing
    }

    fn draw_axes(&self, drawing: &mut Drawing, scale: &Scale) {
        drawing.text("strong", (4.0, 13.0), Anchor::Start, &self.title);
        for (place, label) in scale.ticks() {
            let y = BOTTOM - place * (BOTTOM - TOP);
            drawing.line("grid", (LEFT, y), (RIGHT, y));
            drawing.text("soft", (LEFT - 6.0, y + 4.0), Anchor::End, &label);
        }
        drawing.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        for (place, label) in &self.x_ticks {
            let x = across(*place);
            drawing.line("axis", (x, BOTTOM), (x, BOTTOM + 4.0));
            drawing.text("soft", (x, BOTTOM + 18.0), Anchor::Middle, label);
        }
        drawing.text(
            "",
            (f64::midpoint(LEFT, RIGHT), BOTTOM + 40.0),
            Anchor::Middle,
            &self.x_label,
        );
        drawing.upright_text("", (12.0, f64::midpoint(TOP, BOTTOM)), &self.y_label);
    }
}

fn across(place: f64) -> f64 {
    LEFT + 8.0 + place * (RIGHT - LEFT - 16.0)
}

/// The names, pushed apart where they would lie on each other, each with its mark and a thread to its line's end.
fn draw_names(drawing: &mut Drawing, mut ends: Vec<(Transport, (f64, f64))>) {
    ends.sort_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b));
    let heights = spread(&ends.iter().map(|(_, (_, y))| *y).collect::<Vec<_>>());
    for ((transport, end), y) in ends.into_iter().zip(heights) {
        drawing.line("leader", end, (RIGHT + 8.0, y));
        drawing.mark(transport, (RIGHT + 13.0, y));
        drawing.text("", (RIGHT + 21.0, y + 4.0), Anchor::Start, transport.name());
    }
}

/// These heights, from top to bottom, at least a gap apart, inside of the chart, and moved as little as that takes.
fn spread(wanted: &[f64]) -> Vec<f64> {
    let mut heights = wanted.to_vec();
    for index in 1..heights.len() {
        heights[index] = heights[index].max(heights[index - 1] + NAME_GAP);
    }
    let mut limit = BOTTOM;
    for height in heights.iter_mut().rev() {
        *height = height.min(limit);
        limit = *height - NAME_GAP;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lie_on_each_other() {
        assert_eq!(spread(&[30.0, 31.0, 100.0]), [30.0, 45.0, 100.0]);
        assert_eq!(spread(&[236.0, 237.0, 238.0]), [208.0, 223.0, 238.0]);
        assert_eq!(spread(&[]), Vec::<f64>::new());
    }
}

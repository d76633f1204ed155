//! A chart of lying bars, each made of parts that add up.

use super::scale::Scale;
use super::svg::{Anchor, Drawing, width};
use crate::report::value::number;

/// How wide it is, in units of the drawing.
pub const WIDTH: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 368.0;
const ROW: f64 = 26.0;
const BAR: f64 = 18.0;

/// What is drawn.
#[derive(Debug)]
pub struct Bars {
    /// Above it.
    pub title: String,
    /// Below the axis.
    pub x_label: String,
    /// What the parts are, and the shade of each, from 1 to 5.
    pub parts: Vec<(String, usize)>,
    /// From top to bottom.
    pub rows: Vec<Bar>,
}

/// A bar.
#[derive(Debug)]
pub struct Bar {
    /// Before it.
    pub name: String,
    /// As many numbers as there are parts.
    pub parts: Vec<f64>,
    /// At its end. (A median of sums is not quite the sum of medians.)
    pub total: f64,
    /// From where to where the totals of the repetitions are.
    pub range: (f64, f64),
}

impl Bars {
    /// Draws it; returns how high it became.
    pub fn draw(&self) -> (Drawing, f64) {
        let mut drawing = Drawing::default();
        drawing.text("strong", (4.0, 13.0), Anchor::Start, &self.title);
        let top = legend(&mut drawing, &self.parts, 24.0);
        let scale = Scale::linear(self.rows.iter().map(|bar| bar.range.1.max(bar.total)));
        #[allow(clippy::cast_precision_loss)] // a handful of rows
        let bottom = top + ROW * self.rows.len() as f64 + 2.0;
        for (place, label) in scale.ticks() {
            let x = LEFT + place * (RIGHT - LEFT);
            drawing.line("grid", (x, top), (x, bottom));
            drawing.text("soft", (x, bottom + 15.0), Anchor::Middle, &label);
        }
        let mut y = top + 4.0;
        for bar in &self.rows {
            self.draw_row(&mut drawing, &scale, y, bar);
            y += ROW;
        }
        drawing.line("axis", (LEFT, top), (LEFT, bottom));
        drawing.text(
            "",
            (f64::midpoint(LEFT, RIGHT), bottom + 35.0),
            Anchor::Middle,
            &self.x_label,
        );
        (drawing, bottom + 42.0)
    }

    fn draw_row(&self, drawing: &mut Drawing, scale: &Scale, y: f64, bar: &Bar) {
        let baseline = y + BAR - 5.0;
        let at = |value: f64| LEFT + scale.place(value) * (RIGHT - LEFT);
        drawing.text("", (LEFT - 6.0, baseline), Anchor::End, &bar.name);
        let mut sum = 0.0;
        for (value, (part, shade)) in bar.parts.iter().zip(&self.parts) {
            let (start, end) = (at(sum), at(sum + value));
            sum += value;
            let text = number(*value);
            let words = format!("{}, {part}: {text}", bar.name);
            let class = format!("part p{shade}");
            drawing.rect(&class, (start, y), (end - start, BAR), &words);
            if end - start > width(&text) + 6.0 {
                let middle = f64::midpoint(start, end);
                drawing.text("inside", (middle, baseline), Anchor::Middle, &text);
            }
        }
        let (low, high) = (at(bar.range.0), at(bar.range.1));
        if high - low > 1.0 {
            draw_whisker(drawing, low, high, y + BAR + 2.0);
        }
        let end = at(sum.max(bar.total));
        drawing.text(
            "strong",
            (end + 5.0, baseline),
            Anchor::Start,
            &number(bar.total),
        );
    }
}

/// From the lowest to the highest repetition, right below a bar.
fn draw_whisker(drawing: &mut Drawing, low: f64, high: f64, y: f64) {
    drawing.line("whisker", (low, y), (high, y));
    for x in [low, high] {
        drawing.line("whisker", (x, y - 2.0), (x, y + 2.0));
    }
}

/// What each part is, in the order of the bars, from this height on; returns where it ends.
pub fn legend(drawing: &mut Drawing, parts: &[(String, usize)], top: f64) -> f64 {
    let (mut x, mut y) = (4.0, top);
    for (part, shade) in parts {
        let needed = width(part) + 30.0;
        if x + needed > WIDTH && x > 4.0 {
            (x, y) = (4.0, y + 18.0);
        }
        drawing.rect(&format!("part p{shade}"), (x, y), (12.0, 12.0), "");
        drawing.text("", (x + 16.0, y + 10.5), Anchor::Start, part);
        x += needed;
    }
    y + 20.0
}

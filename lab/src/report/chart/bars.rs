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
    /// Name of each bar, and as many numbers as there are parts.
    pub rows: Vec<(String, Vec<f64>)>,
}

impl Bars {
    /// Draws it; returns how high it became.
    pub fn draw(&self) -> (Drawing, f64) {
        let mut drawing = Drawing::default();
        drawing.text("strong", (4.0, 13.0), Anchor::Start, &self.title);
        let top = legend(&mut drawing, &self.parts, 24.0);
        let totals = self.rows.iter().map(|(_, parts)| parts.iter().sum());
        let scale = Scale::linear(totals);
        #[allow(clippy::cast_precision_loss)] // a handful of rows
        let bottom = top + ROW * self.rows.len() as f64 + 2.0;
        for (place, label) in scale.ticks() {
            let x = LEFT + place * (RIGHT - LEFT);
            drawing.line("grid", (x, top), (x, bottom));
            drawing.text("soft", (x, bottom + 15.0), Anchor::Middle, &label);
        }
        let mut y = top + 4.0;
        for (name, parts) in &self.rows {
            self.draw_row(&mut drawing, &scale, y, name, parts);
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

    fn draw_row(&self, drawing: &mut Drawing, scale: &Scale, y: f64, name: &str, parts: &[f64]) {
        let baseline = y + BAR - 5.0;
        drawing.text("", (LEFT - 6.0, baseline), Anchor::End, name);
        let mut sum = 0.0;
        for (index, value) in parts.iter().enumerate() {
            let at = |value: f64| LEFT + scale.place(value) * (RIGHT - LEFT);
            let (start, end) = (at(sum), at(sum + value));
            sum += value;
            let text = number(*value);
            let (part, shade) = &self.parts[index];
            let words = format!("{name}, {part}: {text}");
            drawing.rect(
                &format!("part p{shade}"),
                (start, y),
                (end - start, BAR),
                &words,
            );
            if end - start > width(&text) + 6.0 {
                drawing.text(
                    "inside",
                    (f64::midpoint(start, end), baseline),
                    Anchor::Middle,
                    &text,
                );
            }
        }
        let end = LEFT + scale.place(sum) * (RIGHT - LEFT);
        drawing.text("strong", (end + 5.0, baseline), Anchor::Start, &number(sum));
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

//! The figures: each with a title, how to read it, its drawings, and its numbers in a table.

mod by_load;
mod costs;
mod parts;
mod percentiles;
mod way;

use super::chart::svg::{self, Drawing};
use super::escape;
use super::summary::Summary;
use super::table::Table;
use by_load::{batch, latency, loss, throughput};
use costs::{calls, cpu};
use percentiles::{percentiles, percentiles_sent};
use way::waterfall;

/// A figure.
#[derive(Debug)]
pub struct Figure {
    /// By which documents ask for it.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// How to read it: for all readers, and for those who hear instead of see.
    pub reading: &'static str,
    /// Its drawings, side by side or below each other.
    pub panels: Vec<Panel>,
    /// Its numbers.
    pub table: Table,
}

/// A drawing and its size.
#[derive(Debug)]
pub struct Panel {
    drawing: Drawing,
    title: String,
    width: f64,
    height: f64,
}

type Maker = fn(&Summary) -> Figure;

const FIGURES: [Maker; 9] = [
    cpu,
    calls,
    percentiles,
    percentiles_sent,
    latency,
    batch,
    throughput,
    loss,
    waterfall,
];

/// All figures for which something was measured, in the order of the report.
pub fn all(summary: &Summary) -> Vec<Figure> {
    let figures = FIGURES.iter().map(|make| make(summary));
    figures.filter(|figure| !figure.table.is_empty()).collect()
}

/// A figure by its name.
///
/// # Errors
/// A line that says that there is none of that name, or that nothing was measured for it.
pub fn by_name(summary: &Summary, name: &str) -> Result<Figure, String> {
    let figures: Vec<Figure> = FIGURES.iter().map(|make| make(summary)).collect();
    let names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
    let unknown = format!("'{name}' is no figure: they are {}", names.join(", "));
    let figure = figures
        .into_iter()
        .find(|figure| figure.name == name)
        .ok_or(unknown)?;
    if figure.table.is_empty() {
        return Err(format!("nothing was measured for the figure '{name}'"));
    }
    Ok(figure)
}

impl Figure {
    /// For a page that has the style: the drawings, each with a title and a description.
    pub fn html(&self) -> String {
        let draw = |(index, panel): (usize, &Panel)| {
            let id = format!("{}-{index}", self.name);
            format!(
                "<svg role=\"img\" aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 {} {}\">\
                 <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n{}</svg>\n",
                panel.width,
                panel.height,
                escape(&format!("{}: {}", self.title, panel.title)),
                escape(self.reading),
                panel.drawing.body()
            )
        };
        self.panels.iter().enumerate().map(draw).collect()
    }

    /// A file of its own: the drawings in two columns on their own paper, in light or dark as the reader likes it.
    pub fn file(&self) -> String {
        let columns = if self.panels.len() > 1 { 2 } else { 1 };
        let (mut body, mut y, mut full_width) = (String::new(), 8.0, 0.0_f64);
        for row in self.panels.chunks(columns) {
            let mut x = 8.0;
            for panel in row {
                let (width, height) = (panel.width, panel.height);
                body += &format!(
                    "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">\n{}</svg>\n",
                    panel.drawing.body()
                );
                x += width + 16.0;
            }
            full_width = full_width.max(x - 8.0);
            y += row.iter().map(|panel| panel.height).fold(0.0, f64::max) + 12.0;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"t d\" width=\"{full_width}\" \
             height=\"{y}\" viewBox=\"0 0 {full_width} {y}\">\n<title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n\
             <style>\n{}</style>\n<rect class=\"paper\" width=\"{full_width}\" height=\"{y}\" rx=\"6\"/>\n{body}</svg>\n",
            escape(&self.title),
            escape(self.reading),
            svg::style("svg")
        )
    }
}

//! Drawings: a small SVG writer, and the three kinds of charts that it makes.

pub mod bars;
pub mod lines;
mod scale;
pub mod svg;
pub mod timeline;

//! Writes SVG: elements, texts, the marks of the mechanisms.
//!
//! Colours are classes, which the style of the page or of the file defines for light and dark. No colour stands
//! alone: each mechanism has a mark and a dash of its own, too.

use crate::report::escape;
use log_aggregator::transports::Transport;
use std::fmt::Write;

/// Height of a text, in units of the drawing; the style says the same.
pub const TEXT: f64 = 12.5;

/// A drawing that grows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    body: String,
}

/// Where a text is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing {
    /// The elements.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ = writeln!(
            self.body,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    /// A line through these points.
    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            self.body,
            r#"<polyline class="{class}" points="{}"/>"#,
            points.join(" ")
        );
    }

    /// A box. Its words are shown by a browser under the pointer.
    pub fn rect(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        words: &str,
    ) {
        let words = if words.is_empty() {
            String::new()
        } else {
            format!("<title>{}</title>", escape(words))
        };
        let _ = writeln!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}">{words}</rect>"#,
            width.max(0.0)
        );
    }

    /// A text, `y` is its baseline.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        );
    }

    /// A text that reads upwards, its middle here.
    pub fn upright_text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let _ = writeln!(
            self.body,
            r#"<text class="{class}" text-anchor="middle" transform="translate({x:.1} {y:.1}) rotate(-90)">{}</text>"#,
            escape(text)
        );
    }

    /// The mark of a mechanism.
    pub fn mark(&mut self, transport: Transport, (x, y): (f64, f64)) {
        let path = match transport {
            Transport::Unixsock => format!("M{x:.1} {y:.1}m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z"),
            Transport::Tcp => format!("M{x:.1} {y:.1}m-3.7 -3.7h7.4v7.4h-7.4z"),
            Transport::Unixgram => format!("M{x:.1} {y:.1}m0 -4.6l4.6 8h-9.2z"),
            Transport::Udp => format!("M{x:.1} {y:.1}m0 4.6l4.6 -8h-9.2z"),
            Transport::Fifo => format!("M{x:.1} {y:.1}m0 -5l5 5l-5 5l-5 -5z"),
        };
        let _ = writeln!(
            self.body,
            r#"<path class="mark {}" d="{path}"/>"#,
            transport.name()
        );
    }
}

/// About how wide a text is.
pub fn width(text: &str) -> f64 {
    let widths = text.chars().map(|c| match c {
        'i' | 'l' | 'j' | 't' | 'f' | 'r' | ' ' | '.' | ',' | ':' | '(' | ')' | '|' => 0.36,
        'm' | 'w' | 'M' | 'W' => 0.9,
        _ => 0.6,
    });
    widths.sum::<f64>() * TEXT
}

/// The classes, for light and dark: Okabe and Ito's colours, darkened or lightened where the paper needs it. The
/// drawing's own elements only; `scope` is what defines the colours (`:root` of a page, `svg` of a file).
pub fn style(scope: &str) -> String {
    STYLE.replace("SCOPE", scope)
}

const STYLE: &str = "\
SCOPE{--paper:#fff;--ink:#1a1c1e;--soft:#565c63;--grid:#e2e5e8;--unixsock:#0072b2;--tcp:#c24a00;--unixgram:#007f5f;\
--udp:#a8487f;--fifo:#1a1c1e;--p1:#56b4e9;--p2:#f0c25a;--p3:#7fd0b4;--p4:#d9a3c4;--p5:#c3c8cd}\n\
@media (prefers-color-scheme:dark){SCOPE{--paper:#14171a;--ink:#eceef0;--soft:#a9b1b9;--grid:#30363c;\
--unixsock:#56b4e9;--tcp:#ff8a4c;--unixgram:#2fc79b;--udp:#e79fc8;--fifo:#eceef0;--p1:#4a9fd0;--p2:#d3a544;\
--p3:#5fb89a;--p4:#c48bae;--p5:#8d959d}}\n\
svg text{font:12.5px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:var(--ink)}\n\
svg .strong{paint-order:stroke;stroke:var(--paper);stroke-width:3px}\n\
svg .soft{fill:var(--soft)}\nsvg .strong{font-weight:600}\nsvg .inside{fill:#101214}\n\
svg .paper{fill:var(--paper)}\n\
svg .grid{stroke:var(--grid);stroke-width:1}\nsvg .axis{stroke:var(--soft);stroke-width:1}\n\
svg .whisker{stroke:var(--ink);stroke-width:1.3}\n\
svg .leader{stroke:var(--soft);stroke-width:.7;stroke-dasharray:1.5 2}\n\
svg .series{fill:none;stroke-width:2;stroke-linejoin:round}\nsvg .mark{stroke:var(--paper);stroke-width:.8}\n\
svg .series.unixsock{stroke:var(--unixsock)}svg .mark.unixsock{fill:var(--unixsock)}\n\
svg .series.tcp{stroke:var(--tcp);stroke-dasharray:7 3}svg .mark.tcp{fill:var(--tcp)}\n\
svg .series.unixgram{stroke:var(--unixgram);stroke-dasharray:2 2.5}svg .mark.unixgram{fill:var(--unixgram)}\n\
svg .series.udp{stroke:var(--udp);stroke-dasharray:9 3 2 3}svg .mark.udp{fill:var(--udp)}\n\
svg .series.fifo{stroke:var(--fifo);stroke-dasharray:4 2}svg .mark.fifo{fill:var(--fifo)}\n\
svg .part{stroke:var(--paper);stroke-width:1}\n\
svg .p1{fill:var(--p1)}svg .p2{fill:var(--p2)}svg .p3{fill:var(--p3)}svg .p4{fill:var(--p4)}svg .p5{fill:var(--p5)}\n";

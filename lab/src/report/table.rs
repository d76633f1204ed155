//! A table: the same for Markdown, HTML and the terminal.

use super::summary::{Key, Summary};
use super::value::{Value, number, with_decimals};
use super::{escape, measure};
use log_aggregator::transports::Transport;

/// Columns with a title, rows of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The titles; the first column says what a row is.
    pub columns: Vec<String>,
    /// As many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A text, and the key of the number that it is, if it is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What is shown.
    pub text: String,
    /// Of the number that is shown.
    pub key: Option<Key>,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            key: None,
        }
    }

    /// A number of the summary, or, by `range_` and its name, from where to where its repetitions are; a dash if it was
    /// not measured.
    pub fn of(summary: &Summary, measure: &str, transport: Transport, point: super::Point) -> Self {
        if let Some(of) = measure.strip_prefix("range_") {
            let value = summary
                .get(of, transport, point)
                .filter(|value| value.each.len() > 1);
            let range = |value: &Value| format!("{}-{}", number(value.low()), number(value.high()));
            return Self::text(value.map_or_else(|| "-".to_owned(), range));
        }
        let measure = measure.to_owned();
        let key = Key {
            point,
            transport,
            measure,
        };
        match summary.find(&key) {
            Some(value) => Self {
                text: show(&key.measure, value),
                key: Some(key),
            },
            None => Self::text("-"),
        }
    }
}

/// A number as its measure is shown: what is counted has no decimals.
pub fn show(name: &str, value: &Value) -> String {
    let unit = measure::describe(name).map_or("", |measure| measure.unit);
    match unit {
        "records" if name != "batch" => with_decimals(value.value, 0),
        "calls" => with_decimals(value.value, 0),
        _ => number(value.value),
    }
}

impl Table {
    /// With these titles, and no rows so far.
    pub fn new(columns: &[&str]) -> Self {
        let columns = columns.iter().map(|title| (*title).to_owned()).collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Whether it has no numbers or other rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the columns away in which no row has a number.
    #[must_use]
    pub fn without_empty_columns(self) -> Self {
        let filled = |column: &usize| self.rows.iter().any(|row| row[*column].text != "-");
        let kept: Vec<usize> = (0..self.columns.len()).filter(filled).collect();
        let rows = self.rows.iter();
        Self {
            columns: kept
                .iter()
                .map(|column| self.columns[*column].clone())
                .collect(),
            rows: rows
                .map(|row| kept.iter().map(|c| row[*c].clone()).collect())
                .collect(),
        }
    }

    /// Whether a column holds numbers, and is set to the right: if its first filled cell begins like one.
    fn is_number(&self, column: usize) -> bool {
        let mut texts = self.rows.iter().map(|row| row[column].text.as_str());
        let first = texts.find(|text| *text != "-").unwrap_or("-");
        column > 0 && first.starts_with(|c: char| c.is_ascii_digit() || c == '-')
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let rules = (0..self.columns.len()).map(|c| if self.is_number(c) { "---:" } else { "---" });
        let mut text = line(self.columns.iter().map(String::as_str).collect());
        text += &line(rules.collect());
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| cell.text.replace('|', "\\|"))
                .collect();
            text += &line(cells.iter().map(String::as_str).collect());
        }
        text
    }

    /// As an HTML table in a box that scrolls; each number says which it is.
    pub fn html(&self, caption: &str) -> String {
        let class = |column: usize| {
            if self.is_number(column) {
                " class=\"number\""
            } else {
                ""
            }
        };
        let titles = self.columns.iter().enumerate();
        let titles: String = titles
            .map(|(c, title)| format!("<th scope=\"col\"{}>{}</th>", class(c), escape(title)))
            .collect();
        let mut rows = String::new();
        for row in &self.rows {
            rows += "<tr>";
            for (column, cell) in row.iter().enumerate() {
                let text = escape(&cell.text);
                let key = cell.key.as_ref();
                let key = key.map_or(String::new(), |key| format!(" data-key=\"{key}\""));
                rows += &match column {
                    0 => format!("<th scope=\"row\">{text}</th>"),
                    _ => format!("<td{}{key}>{text}</td>", class(column)),
                };
            }
            rows += "</tr>\n";
        }
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table>\n\
             <caption>{caption}</caption>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
            caption = escape(caption)
        )
    }

    /// As text, its columns under each other.
    pub fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].text.chars().count());
            cells
                .chain([self.columns[column].chars().count()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let padded = cells.iter().enumerate().map(|(column, text)| {
                let width = widths[column];
                if self.is_number(column) {
                    format!("{text:>width$}")
                } else {
                    format!("{text:<width$}")
                }
            });
            let line = padded.collect::<Vec<_>>().join("  ");
            line.trim_end().to_owned() + "\n"
        };
        let mut text = line(self.columns.iter().map(String::as_str).collect());
        for row in &self.rows {
            text += &line(row.iter().map(|cell| cell.text.as_str()).collect());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["transport", "us", "never"]);
        for (name, us) in [("tcp", "4.20"), ("a|b", "13.7")] {
            table.rows.push(["-"; 3].map(Cell::text).to_vec());
            let row = table.rows.last_mut().unwrap();
            row[0].text = name.to_owned();
            row[1].text = us.to_owned();
        }
        table
    }

    #[test]
    fn a_table_is_text_and_markdown() {
        let table = table().without_empty_columns();
        assert_eq!(
            table.text(),
            "transport    us\ntcp        4.20\na|b        13.7\n"
        );
        let markdown = "| transport | us |\n| --- | ---: |\n| tcp | 4.20 |\n| a\\|b | 13.7 |\n";
        assert_eq!(table.markdown(), markdown);
    }

    #[test]
    fn html_is_escaped() {
        let mut table = table();
        table.rows[0][1].text = "<1 & 2".to_owned();
        let html = table.html("a \"b\"");
        assert!(html.contains("<td>&lt;1 &amp; 2</td>"), "{html}");
        assert!(html.contains("aria-label=\"a &quot;b&quot;\""));
    }
}

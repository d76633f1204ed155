//! `report.md`: the tables, for those who read in a terminal or paste into an issue.

use super::glossary::GLOSSARY;
use super::summary::Summary;
use super::tables::{self, TABLES};
use super::warnings::Warning;

/// The document.
pub fn document(summary: &Summary, warnings: &[Warning]) -> String {
    let mut text = "# What five IPC mechanisms cost\n".to_owned();
    if !warnings.is_empty() {
        text += "\n## Before you believe it\n\n";
        for warning in warnings {
            text += &format!("- **{}**: {}\n", warning.name, warning.text);
        }
    }
    if let Some(point) = summary.centre() {
        text += &format!(
            "\nThe comparison is for {}; `relative` is by the cheapest, `~` says tied.\n",
            point.words()
        );
    }
    for (name, title, _) in TABLES {
        if let Ok(table) = tables::by_name(summary, name) {
            text += &format!("\n## {title}\n\n{}", table.markdown());
        }
    }
    text += "\n## What the words mean\n\n";
    for (term, words) in GLOSSARY {
        text += &format!("- **{term}**: {words}\n");
    }
    text
}

//! What folders of results say: in the terminal, as Markdown, as numbers for other programs, as a page, and in
//! documents.
//!
//! All of them show numbers of one [`summary::Summary`], each found by its key.

mod calls;
mod chart;
mod costs;
mod documents;
mod environment;
mod figures;
#[cfg(test)]
mod fixture;
mod glossary;
mod html;
mod journeys;
mod key;
mod markdown;
mod measure;
mod numbers;
mod point;
mod rank;
mod seed;
mod summary;
pub mod table;
mod tables;
mod terminal;
#[cfg(test)]
mod tests;
pub mod value;
mod warnings;

use crate::cli;
use crate::results::{ENVIRONMENT, Results};
use log_aggregator::error::{Error, Exit};
use point::Point;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use summary::{Part, Summary};

/// Makes the report of a folder; or, if documents are named, updates or checks those.
///
/// # Errors
/// When a file cannot be read or written, or a document asks for what was not measured.
pub fn run(options: &cli::Report) -> Result<Exit, Error> {
    if options.update.is_empty() && options.check.is_empty() {
        write(&options.folder)?;
        return Ok(Exit::Success);
    }
    let summary = read(&options.folder)?;
    for document in &options.update {
        documents::update(&summary, document)?;
    }
    let mut differences = Vec::new();
    for document in &options.check {
        differences.extend(documents::check(&summary, document)?);
    }
    print(
        &differences
            .iter()
            .map(|line| line.clone() + "\n")
            .collect::<String>(),
    );
    Ok(if differences.is_empty() {
        Exit::Success
    } else {
        Exit::Failure
    })
}

/// Writes `report.md`, `report.html` and `numbers.jsonl` into a folder of results, and prints the table and the
/// warnings.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(folder: &Path) -> Result<(), Error> {
    let summary = read(folder)?;
    let warnings = warnings::all(&summary);
    let files = [
        ("report.md", markdown::document(&summary, &warnings)),
        ("report.html", html::page(&summary, &warnings)),
        ("numbers.jsonl", numbers::lines(&summary)),
    ];
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|e| Error::new("write", path.display(), e))?;
    }
    print(&terminal::text(&summary, &warnings));
    let path = folder.join("report.html");
    print(&format!(
        "\nThe whole report, with pictures: {}\n",
        path.display()
    ));
    Ok(())
}

/// Reads a folder of results, or, if it is not one, all of its sub-folders that are, in the order of their names.
fn read(folder: &Path) -> Result<Summary, Error> {
    if folder.join(ENVIRONMENT).exists() {
        return Ok(Summary::new(vec![Part::new(
            String::new(),
            Results::read(folder)?,
        )]));
    }
    let entries = fs::read_dir(folder).map_err(|e| Error::new("read", folder.display(), e))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.retain(|path| path.join(ENVIRONMENT).exists());
    folders.sort();
    if folders.is_empty() {
        let empty = Error::new(
            "read",
            folder.display(),
            "neither it nor a folder in it has results",
        );
        return Err(empty.advise("name a folder that a run of lab has written"));
    }
    let part = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Part::new(name, Results::read(path)?))
    };
    folders
        .iter()
        .map(part)
        .collect::<Result<_, _>>()
        .map(Summary::new)
}

/// Prints; that nobody reads is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A text inside of HTML or SVG.
fn escape(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}

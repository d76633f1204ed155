//! The tables in a document, between two markers.

use log_aggregator::error::Error;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- wait-table: begin -->\n";
const END: &str = "<!-- wait-table: end -->";

/// Whether a document has the markers: asked before an hour is spent.
///
/// # Errors
/// When it cannot be read, or has not.
pub fn check(path: &Path) -> Result<(), Error> {
    read(path).and_then(|text| place(path, &text, "")).map(drop)
}

/// Puts a text between the markers of a document.
///
/// # Errors
/// As [`check`], and when it cannot be written.
pub fn update(path: &Path, text: &str) -> Result<(), Error> {
    let updated = place(path, &read(path)?, text)?;
    fs::write(path, updated).map_err(|e| Error::new("write", path.display(), e))
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|e| Error::new("read", path.display(), e))
}

fn place(path: &Path, document: &str, text: &str) -> Result<String, Error> {
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{BEGIN}{text}{END}{after}"))
    });
    parts.ok_or_else(|| {
        Error::new("update", path.display(), "it has no place for the table").advise(format!(
            "put '{}' and '{END}' there, on a line each",
            BEGIN.trim_end()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("document.md");
        fs::write(&path, format!("before\n{BEGIN}old\n{END}\nafter\n")).unwrap();
        check(&path).unwrap();
        update(&path, "new\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("before\n{BEGIN}new\n{END}\nafter\n"));
        fs::write(&path, "nothing\n").unwrap();
        let error = check(&path).unwrap_err().to_string();
        assert!(error.contains("wait-table: begin"), "{error}");
    }
}

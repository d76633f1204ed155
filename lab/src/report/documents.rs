//! Numbers in documents: between markers, written from the data.
//!
//! ```text
//! <!-- lab:table NAME: begin -->             a table, on lines of their own
//! <!-- lab:table NAME: end -->
//! <!-- lab:figure NAME FILE.svg: begin -->   a figure; its file is written beside the document
//! <!-- lab:figure NAME FILE.svg: end -->
//! <!--=EXPRESSION-->a number<!--/-->         in a sentence; for the language see [`super::key`]
//! ```

use super::summary::Summary;
use super::{figures, key, tables};
use log_aggregator::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const BLOCK: &str = "<!-- lab:";
const BEGIN: &str = ": begin -->";
const NUMBER: &str = "<!--=";
const NUMBER_OPENED: &str = "-->";
const NUMBER_END: &str = "<!--/-->";

/// A document as it should be, and the files that belong to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Files beside it: path from the document's folder, and content.
    pub files: Vec<(String, String)>,
}

/// Puts the numbers into a document.
///
/// # Errors
/// When it cannot be read or written, or asks for what there is not.
pub fn update(summary: &Summary, path: &Path) -> Result<(), Error> {
    let (_, written) = render(summary, path)?;
    for (name, content) in &written.files {
        write(&beside(path, name), content)?;
    }
    write(path, &written.text)
}

/// Says what in a document is not as the data have it, a line each.
///
/// # Errors
/// As [`update`].
pub fn check(summary: &Summary, path: &Path) -> Result<Vec<String>, Error> {
    let (text, written) = render(summary, path)?;
    let mut differences = differences(&path.display().to_string(), &text, &written.text);
    for (name, content) in &written.files {
        let file = beside(path, name);
        if fs::read_to_string(&file).is_ok_and(|found| found == *content) {
            continue;
        }
        differences.push(format!(
            "{}: it is not the figure that the data make",
            file.display()
        ));
    }
    Ok(differences)
}

fn render(summary: &Summary, path: &Path) -> Result<(String, Written), Error> {
    let text = fs::read_to_string(path).map_err(|e| Error::new("read", path.display(), e))?;
    let written = fill(summary, &text).map_err(|(line, reason)| {
        Error::new("fill", format!("{}:{line}", path.display()), reason)
            .advise("see lab/README.md for the markers")
    })?;
    Ok((text, written))
}

fn beside(document: &Path, name: &str) -> PathBuf {
    document.parent().unwrap_or(Path::new("")).join(name)
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    let failed = |e| Error::new("write", path.display(), e);
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, content).map_err(failed)
}

/// The document with everything between its markers made anew.
///
/// # Errors
/// The number of the line, and what is wrong with it.
pub fn fill(summary: &Summary, text: &str) -> Result<Written, (usize, String)> {
    let mut written = Written::default();
    let mut lines = text.split_inclusive('\n').enumerate();
    while let Some((index, line)) = lines.next() {
        let here = |reason: String| (index + 1, reason);
        let Some(what) = line
            .trim()
            .strip_prefix(BLOCK)
            .and_then(|rest| rest.strip_suffix(BEGIN))
        else {
            written.text += &fill_line(summary, line).map_err(here)?;
            continue;
        };
        let end = format!("{BLOCK}{what}: end -->");
        let content = block(summary, what, &mut written.files).map_err(here)?;
        let closing = lines.find(|(_, line)| line.trim() == end);
        let (_, closing) = closing.ok_or_else(|| here(format!("'{end}' is missing")))?;
        written.text += &format!("{line}{content}{closing}");
    }
    Ok(written)
}

/// What stands between the markers of a block.
fn block(
    summary: &Summary,
    what: &str,
    files: &mut Vec<(String, String)>,
) -> Result<String, String> {
    let words: Vec<&str> = what.split_whitespace().collect();
    match words.as_slice() {
        ["table", name] => Ok(tables::by_name(summary, name)?.markdown()),
        ["figure", name, file] => {
            let figure = figures::by_name(summary, name)?;
            files.push(((*file).to_owned(), figure.file()));
            Ok(format!("![{}]({file})\n", figure.title))
        }
        _ => Err(format!(
            "'{what}' is neither 'table NAME' nor 'figure NAME FILE.svg'"
        )),
    }
}

/// A line with its numbers made anew. A marker in `code` is text.
fn fill_line(summary: &Summary, line: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(NUMBER) {
        let (before, marked) = rest.split_at(start);
        filled += before;
        if filled.matches('`').count() % 2 == 1 {
            filled += NUMBER;
            rest = &marked[NUMBER.len()..];
            continue;
        }
        let opened = marked[NUMBER.len()..].split_once(NUMBER_OPENED);
        let (expression, shown) = opened.ok_or("a marker is not closed with -->")?;
        let end = shown
            .find(NUMBER_END)
            .ok_or_else(|| format!("'{expression}': <!--/--> is missing on the line"))?;
        let value = key::evaluate(summary, expression)?;
        filled += &format!("{NUMBER}{expression}{NUMBER_OPENED}{value}{NUMBER_END}");
        rest = &shown[end + NUMBER_END.len()..];
    }
    Ok(filled + rest)
}

/// A line for each line that is not as it should be.
fn differences(name: &str, found: &str, wanted: &str) -> Vec<String> {
    let (found, wanted): (Vec<&str>, Vec<&str>) =
        (found.lines().collect(), wanted.lines().collect());
    if found.len() != wanted.len() {
        // A table has grown or shrunk: what follows is only moved.
        let same = found
            .iter()
            .zip(&wanted)
            .take_while(|(a, b)| a == b)
            .count();
        let (has, wants) = (
            found.get(same).unwrap_or(&"nothing"),
            wanted.get(same).unwrap_or(&"nothing"),
        );
        return vec![format!(
            "{name}:{}: has '{has}', the data make '{wants}'; more may follow",
            same + 1
        )];
    }
    let pairs = found.iter().zip(&wanted).enumerate();
    pairs
        .filter(|(_, (found, wanted))| found != wanted)
        .map(|(index, (found, wanted))| {
            format!(
                "{name}:{}: has '{}', the data make '{}'",
                index + 1,
                found.trim(),
                wanted.trim()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::summary::Part;

    fn summary() -> Summary {
        Summary::new(vec![Part::new(String::new(), fixture::study())])
    }

    const DOCUMENT: &str = "\
# A study
TCP writes <!--=throughput/tcp/rate=0:0-->1<!--/--> a second, <!--=ratio(throughput/unixsock/rate=0, \
throughput/tcp/rate=0):1-->?<!--/--> times less than unixsock; `<!--=KEY-->` is a marker.
<!-- lab:table loss: begin -->
old
<!-- lab:table loss: end -->
<!-- lab:figure cpu figures/cpu.svg: begin -->
<!-- lab:figure cpu figures/cpu.svg: end -->
The end
";

    #[test]
    fn an_updated_document_is_checked_and_a_changed_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.md");
        fs::write(&path, DOCUMENT).unwrap();
        let summary = summary();
        update(&summary, &path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("rate=0:0-->200,000<!--/--> a second"),
            "{text}"
        );
        assert!(text.contains(":1-->2.0<!--/--> times less"), "{text}");
        assert!(text.contains("`<!--=KEY-->` is a marker"), "{text}");
        assert!(
            text.contains("| udp | flat out | 120,000 | 108,000 | 12,000 |"),
            "{text}"
        );
        assert!(text.contains(
            "begin -->\n![What a record costs in processor time](figures/cpu.svg)\n<!--"
        ));
        assert!(text.ends_with("end -->\nThe end\n") && !text.contains("old"));
        assert_eq!(check(&summary, &path).unwrap(), Vec::<String>::new());

        fs::write(
            &path,
            text.replace("200,000", "200,001")
                .replace("108,000", "108,001"),
        )
        .unwrap();
        let found = check(&summary, &path).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("study.md:2: has 'TCP writes") && found[0].contains("200,000"),
            "{found:?}"
        );
        fs::write(&path, text).unwrap();
        fs::write(folder.path().join("figures/cpu.svg"), "<svg/>").unwrap();
        let found = check(&summary, &path).unwrap();
        assert!(
            found.len() == 1 && found[0].contains("cpu.svg: it is not the figure"),
            "{found:?}"
        );
        let mut shorter = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        shorter.retain(|line| !line.starts_with("| udp"));
        update(&summary, &path).unwrap();
        fs::write(&path, shorter.join("\n")).unwrap();
        assert_eq!(check(&summary, &path).unwrap().len(), 1);
    }

    #[test]
    fn a_wrong_marker_is_named_with_its_line() {
        let cases = [
            (
                "a\n<!--=speed/tcp/rate=0-->1<!--/-->\n",
                2,
                "'speed' is no measure",
            ),
            ("<!--=throughput/tcp/rate=0-->1\n", 1, "<!--/--> is missing"),
            ("<!--=throughput/tcp/rate=0", 1, "not closed"),
            ("<!-- lab:table moon: begin -->\n", 1, "'moon' is no table"),
            (
                "<!-- lab:table pipe: begin -->\n",
                1,
                "nothing was measured for the table 'pipe'",
            ),
            ("<!-- lab:figure cpu: begin -->\n", 1, "neither"),
            (
                "<!-- lab:figure moon a.svg: begin -->\n",
                1,
                "'moon' is no figure",
            ),
            (
                "\n<!-- lab:table cpu: begin -->\n<!-- lab:table loss: end -->\n",
                2,
                "'<!-- lab:table cpu: end -->' is missing",
            ),
        ];
        for (text, line, want) in cases {
            let (at, reason) = fill(&summary(), text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(reason.contains(want), "{text}: {reason}");
        }
    }
}

//! `report.html`: one file that refers to nothing outside, without scripts.

use super::chart::svg;
use super::figures::{self, Figure};
use super::glossary::GLOSSARY;
use super::summary::Summary;
use super::tables::{self, TABLES};
use super::warnings::Warning;
use super::{environment, escape};

const STYLE: &str = include_str!("report.css");

/// The tables that stand among the rest, not at the top or at the end, and not beside a figure.
const MORE: [&str; 13] = [
    "seed",
    "cpu",
    "latency",
    "calls",
    "switches",
    "loss",
    "sizes",
    "producers",
    "qlen",
    "pipe",
    "nagle",
    "linger",
    "separable",
];

/// The page.
pub fn page(summary: &Summary, warnings: &[Warning]) -> String {
    let figures: String = figures::all(summary).iter().map(figure).collect();
    let more: String = MORE
        .iter()
        .chain(&["tracing"])
        .map(|name| table(summary, name))
        .collect();
    let body = [
        head(summary),
        warned(warnings),
        format!(
            "<section>\n<h2>In one table</h2>\n{}{}</section>\n",
            under_which_load(summary),
            table(summary, "comparison")
        ),
        format!(
            "<section>\n<h2>In pictures</h2>\n<div class=\"figures\">\n{figures}</div>\n</section>\n"
        ),
        format!(
            "<section>\n<h2>All numbers</h2>\n<p>Times are medians of the repetitions, percentiles are of all \
                 repetitions merged, counts of records are sums.</p>\n{more}</section>\n"
        ),
        glossary(),
        format!(
            "<section>\n<h2>Where it was measured</h2>\n{}</section>\n",
            table(summary, "environment")
        ),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>What five IPC mechanisms cost</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n\
         </body>\n</html>\n",
        svg::style(":root"),
        body.concat()
    )
}

fn head(summary: &Summary) -> String {
    let made = summary.environment().map_or(String::new(), |environment| {
        let when = environment::date(environment.started);
        let what = [&when, &environment.kernel, &environment.cpu].map(|text| escape(text));
        format!(
            "<p class=\"soft\">Measured on {}, {}, {} processors ({}).</p>\n",
            what[0], what[1], environment.cpus, what[2]
        )
    });
    format!(
        "<header>\n<h1>What five IPC mechanisms cost</h1>\n<p>Several producers hand log records to one daemon on the \
         same machine, over a Unix stream socket (unixsock), TCP, Unix datagrams (unixgram), UDP or a named pipe (fifo); \
         the daemon writes them to one file. Everything but the mechanism is the same. This page says what each costs \
         for a record, how long a record takes, and what is lost.</p>\n{made}</header>\n"
    )
}

fn warned(warnings: &[Warning]) -> String {
    if warnings.is_empty() {
        return "<section class=\"fine\"><p>No warnings.</p></section>\n".to_owned();
    }
    let item = |warning: &Warning| {
        format!(
            "<li><strong>{}</strong>: {}</li>\n",
            escape(warning.name),
            escape(&warning.text)
        )
    };
    let items: String = warnings.iter().map(item).collect();
    format!(
        "<section class=\"warnings\">\n<h2>Before you believe it</h2>\n<ul>\n{items}</ul>\n</section>\n"
    )
}

fn under_which_load(summary: &Summary) -> String {
    summary.centre().map_or(String::new(), |point| {
        format!(
            "<p>Load: {}. \u{201c}relative\u{201d} is how many times the cheapest; \u{201c}~\u{201d} says that the \
             repetitions overlap, so the two cannot be told apart.</p>\n",
            escape(&point.words())
        )
    })
}

fn figure(figure: &Figure) -> String {
    format!(
        "<figure id=\"{}\"{}>\n<h3>{}</h3>\n<p>{}</p>\n<div class=\"panels\">\n{}</div>\n<details>\n\
         <summary>The numbers</summary>\n{}</details>\n</figure>\n",
        figure.name,
        if figure.panels.len() > 1 {
            " class=\"wide\""
        } else {
            ""
        },
        escape(&figure.title),
        escape(figure.reading),
        figure.html(),
        figure.table.html(&figure.title)
    )
}

fn table(summary: &Summary, name: &str) -> String {
    let title = TABLES
        .iter()
        .find(|(known, _, _)| *known == name)
        .map_or("", |(_, title, _)| title);
    tables::by_name(summary, name).map_or(String::new(), |table| table.html(title))
}

fn glossary() -> String {
    let entry = |(term, words): &(&str, &str)| {
        format!("<dt>{}</dt><dd>{}</dd>\n", escape(term), escape(words))
    };
    let entries: String = GLOSSARY.iter().map(entry).collect();
    format!("<section>\n<h2>What the words mean</h2>\n<dl>\n{entries}</dl>\n</section>\n")
}

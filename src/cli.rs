//! What the command lines of both binaries have in common.

use crate::diagnostics;
use crate::error::{Error, Exit};
use argh::FromArgs;
use std::ffi::OsString;

/// What a command line asks for.
#[derive(Debug)]
pub enum Request<T> {
    /// To run with these options.
    Run(T),
    /// To print this text and exit.
    Print(String),
}

/// Reads a command line. `--option=value` is the same as `--option value`.
///
/// # Errors
/// Wrong usage, in one line that says where help is.
pub fn parse<T: FromArgs>(
    program: &str,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Request<T>, Error> {
    let mut words = Vec::new();
    for arg in args.into_iter().skip(1) {
        let arg = arg.into_string().map_err(|bytes| {
            Error::usage(format!("argument {}", bytes.display()), "it is not UTF-8")
        })?;
        if arg == "--version" {
            return Ok(Request::Print(format!(
                "{program} {}",
                env!("CARGO_PKG_VERSION")
            )));
        }
        words.push(arg);
    }
    let words = split_assignments(words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match T::from_args(&[program], &words) {
        Ok(options) => Ok(Request::Run(options)),
        Err(exit) if exit.status.is_ok() => Ok(Request::Print(exit.output.trim_end().to_owned())),
        Err(exit) => Err(wrong_usage(program, &exit.output)),
    }
}

/// Makes `--option value` of `--option=value`, which argh does not take.
fn split_assignments(words: Vec<String>) -> Vec<String> {
    words
        .into_iter()
        .flat_map(|word| match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") && option.len() > 2 => {
                vec![option.to_owned(), value.to_owned()]
            }
            _ => vec![word],
        })
        .collect()
}

/// Makes one line of argh's explanation: it takes several, the last of which points to the help, and
/// has words of its own around the reason why a value is refused.
fn wrong_usage(program: &str, explanation: &str) -> Error {
    let lines: Vec<&str> = explanation
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Run "))
        .collect();
    let reason = lines.join(" ");
    let reason = reason.trim_end_matches('.');
    let refused = ["option", "positional argument"]
        .iter()
        .find_map(|kind| reason.strip_prefix(&format!("Error parsing {kind} '")))
        .and_then(|rest| rest.split_once("' with value '"))
        .and_then(|(option, rest)| Some((option, rest.split_once("': ")?.1)));
    let error = match refused {
        Some((option, reason)) => Error::usage(option, reason),
        None => Error::usage("these arguments", reason),
    };
    error.advise(format!("see {program} --help"))
}

/// Turns how the body of a program ended into the last line on standard error, if there is to be one, and
/// the exit status.
pub fn report(program: &str, result: Result<Exit, Error>) -> Exit {
    let exit = result.unwrap_or_else(|error| {
        diagnostics::tell(format_args!("{program}: {error}"));
        error.exit()
    });
    diagnostics::finish();
    exit
}

/// Reads a whole number within bounds, for argh.
///
/// # Errors
/// One line that says what is expected.
pub fn number<const MIN: u64, const MAX: u64>(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|number| (MIN..=MAX).contains(number))
        .ok_or_else(|| {
            if MAX == u64::MAX {
                format!("'{text}' is not a whole number of at least {MIN}")
            } else {
                format!("'{text}' is not a whole number from {MIN} to {MAX}")
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// a program
    #[derive(FromArgs, Debug, PartialEq)]
    struct Options {
        /// an endpoint
        #[argh(option)]
        ipc: Vec<String>,
        /// a switch
        #[argh(switch)]
        stamp: bool,
        /// how many
        #[argh(positional)]
        count: Option<u8>,
    }

    fn parse_words(words: &[&str]) -> Result<Request<Options>, Error> {
        parse(
            "prog",
            std::iter::once("prog")
                .chain(words.iter().copied())
                .map(OsString::from),
        )
    }

    #[test]
    fn an_option_takes_its_value_after_a_blank_or_an_equals_sign() {
        let Ok(Request::Run(options)) = parse_words(&[
            "--ipc=fifo=/a=b",
            "--ipc",
            "tcp=[::1]:1",
            "--stamp",
            "--ipc",
            "-",
        ]) else {
            panic!("refused");
        };
        assert_eq!(options.ipc, ["fifo=/a=b", "tcp=[::1]:1", "-"]);
        assert!(options.stamp);
    }

    #[test]
    fn wrong_usage_is_one_line_that_points_to_the_help() {
        for words in [
            &["--nonsense"][..],
            &["stray"],
            &["--ipc"],
            &["--stamp=yes"],
        ] {
            let error = parse_words(words).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            let line = error.to_string();
            assert!(!line.contains('\n'), "{line}");
            assert!(line.ends_with("; see prog --help"), "{line}");
        }
    }

    #[test]
    fn an_argument_that_is_refused_is_named() {
        let error = parse_words(&["300"]).unwrap_err().to_string();
        assert!(error.contains("cannot use count: "), "{error}");
        assert!(!error.contains("Error parsing"), "{error}");
    }

    #[test]
    fn help_and_version_are_printed() {
        for word in ["--help", "help", "--version"] {
            let Ok(Request::Print(text)) = parse_words(&[word]) else {
                panic!("{word} refused");
            };
            assert!(text.contains("prog"), "{text}");
        }
    }

    #[test]
    fn a_number_has_bounds() {
        assert_eq!(number::<1, 10>("10"), Ok(10));
        for text in ["0", "11", "-1", "1.5", "x", ""] {
            assert!(number::<1, 10>(text).unwrap_err().contains("from 1 to 10"));
        }
    }
}

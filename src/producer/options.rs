//! The producer's command line, and what it comes to once it is checked.

use crate::cli;
use crate::error::Error;
use crate::transports::{Endpoint, Transport};
use argh::FromArgs;
use std::time::Duration;

/// Sends log records to an aggregator, one write(2) each. By default 10 a second for 5 seconds.
#[derive(FromArgs, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    example = "The classic load, over a FIFO:\n  {command_name} --ipc fifo",
    example = "As fast as it goes, and say how fast that was:\n  {command_name} --ipc tcp --rate 0 --count 100000 --report",
    example = "Every line of a program's output as a record:\n  make 2>&1 | {command_name} --ipc unixgram --stdin",
    note = "KIND: unixsock, tcp, unixgram, udp or fifo. Default addresses: /tmp/log.sock,\n127.0.0.1:9000, /tmp/log_dgram.sock, 127.0.0.1:9000, /tmp/log_fifo. Addresses are paths,\n@NAME (abstract Unix sockets), 127.0.0.1:PORT or [::1]:PORT.",
    error_code(0, "Every record was sent."),
    error_code(1, "Wrong usage."),
    error_code(2, "Something failed; the line on standard error says what.")
)]
pub struct Options {
    /// send over this transport, to this address (default: unixsock)
    #[argh(
        option,
        arg_name = "KIND[=ADDRESS]",
        default = "Transport::Unixsock.default_endpoint()",
        from_str_fn(one_endpoint)
    )]
    ipc: Endpoint,

    /// message bytes of a record, 0 to 16777216 (default: 100)
    #[argh(option, arg_name = "BYTES", from_str_fn(cli::number::<0, 16_777_216>))]
    size: Option<u64>,

    /// records a second; 0: as fast as it goes (default: 10)
    #[argh(option, arg_name = "PER_SECOND", from_str_fn(not_negative))]
    rate: Option<f64>,

    /// how long to send (default: 5)
    #[argh(option, arg_name = "SECONDS", from_str_fn(not_negative))]
    duration: Option<f64>,

    /// how many records to send, instead of how long
    #[argh(option, arg_name = "N", from_str_fn(cli::number::<0, {u64::MAX}>))]
    count: Option<u64>,

    /// add pid, seq (from 0), due_ns and sent_ns (CLOCK_MONOTONIC) to each record
    #[argh(switch)]
    stamp: bool,

    /// send each line of standard input: a JSON object as it is, anything else as a message
    #[argh(switch)]
    stdin: bool,

    /// leave TCP_NODELAY off
    #[argh(switch)]
    nagle: bool,

    /// how long to wait for a daemon to appear, at first and when it has gone: the record in hand is
    /// then sent again (default: 0)
    #[argh(
        option,
        arg_name = "SECONDS",
        default = "0.0",
        from_str_fn(not_negative)
    )]
    wait: f64,

    /// at the end print sent, bytes, errors, reconnects and seconds, as a line of JSON
    #[argh(switch)]
    report: bool,

    /// print the version and exit
    #[argh(switch)]
    #[allow(dead_code)] // seen to before argh reads the rest
    version: bool,
}

/// What the producer is to do.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    pub(super) endpoint: Endpoint,
    pub(super) input: Input,
    pub(super) nagle: bool,
    pub(super) wait: Duration,
    pub(super) report: bool,
}

/// Where records come from.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    /// The producer makes them.
    Load(Load),
    /// Standard input's lines.
    Stdin,
}

/// Which records are made, and when.
#[derive(Debug, PartialEq)]
pub(super) struct Load {
    pub(super) message_bytes: usize,
    /// Records a second; 0: no pacing.
    pub(super) rate: f64,
    pub(super) end: End,
    pub(super) stamping: bool,
}

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After this many records.
    Count(u64),
    /// After this many nanoseconds.
    Nanoseconds(u64),
}

const DEFAULT_RATE: f64 = 10.0;
const DEFAULT_DURATION: f64 = 5.0;
const DEFAULT_MESSAGE_BYTES: u64 = 100;

impl TryFrom<Options> for Config {
    type Error = Error;

    fn try_from(options: Options) -> Result<Self, Error> {
        let input = if options.stdin {
            refuse_load_options(&options)?;
            Input::Stdin
        } else {
            Input::Load(load(&options)?)
        };
        let wait = Duration::try_from_secs_f64(options.wait)
            .map_err(|e| Error::usage("--wait", e).advise("give fewer seconds"))?;
        Ok(Self {
            endpoint: options.ipc,
            input,
            nagle: options.nagle,
            wait,
            report: options.report,
        })
    }
}

fn refuse_load_options(options: &Options) -> Result<(), Error> {
    let given = [
        ("--size", options.size.is_some()),
        ("--rate", options.rate.is_some()),
        ("--duration", options.duration.is_some()),
        ("--count", options.count.is_some()),
        ("--stamp", options.stamp),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Error::usage(
            format!("{option} with --stdin"),
            "records come from standard input as they are",
        )
        .advise("leave one of the two out")),
        None => Ok(()),
    }
}

fn load(options: &Options) -> Result<Load, Error> {
    let rate = options.rate.unwrap_or(DEFAULT_RATE);
    let end = match (options.count, options.duration) {
        (Some(_), Some(_)) => {
            return Err(
                Error::usage("--count with --duration", "each says when to end")
                    .advise("leave one of the two out"),
            );
        }
        (Some(count), None) => End::Count(count),
        (None, duration) => {
            let seconds = duration.unwrap_or(DEFAULT_DURATION);
            if rate > 0.0 {
                End::Count(whole(rate * seconds))
            } else {
                End::Nanoseconds(whole(seconds * 1e9))
            }
        }
    };
    let message_bytes = options.size.unwrap_or(DEFAULT_MESSAGE_BYTES);
    Ok(Load {
        message_bytes: usize::try_from(message_bytes).unwrap_or(usize::MAX),
        rate,
        end,
        stamping: options.stamp,
    })
}

/// The nearest whole number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it saturates
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn not_negative(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| format!("'{text}' is not a number of at least 0"))
}

fn one_endpoint(text: &str) -> Result<Endpoint, String> {
    match text {
        "all" => Err(
            "a producer sends over one transport; start several, or ./launch-producers.sh all"
                .to_owned(),
        ),
        _ => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Request;
    use crate::error::Exit;

    fn config(words: &str) -> Result<Config, Error> {
        let words = std::iter::once("producer").chain(words.split_whitespace());
        match cli::parse::<Options>("producer", words.map(Into::into))? {
            Request::Run(options) => options.try_into(),
            Request::Print(text) => panic!("printed {text}"),
        }
    }

    #[track_caller]
    fn check_load(words: &str, rate: f64, end: End) {
        let Input::Load(load) = config(words).unwrap().input else {
            panic!("not a load");
        };
        assert_eq!((load.rate, load.end), (rate, end), "{words}");
    }

    #[test]
    fn the_default_is_the_classic_load() {
        assert_eq!(
            config("").unwrap(),
            Config {
                endpoint: "unixsock".parse().unwrap(),
                input: Input::Load(Load {
                    message_bytes: 100,
                    rate: 10.0,
                    end: End::Count(50),
                    stamping: false,
                }),
                nagle: false,
                wait: Duration::ZERO,
                report: false,
            }
        );
    }

    #[test]
    fn rate_duration_and_count_say_when_to_end() {
        check_load("--rate 100", 100.0, End::Count(500));
        check_load("--rate=0.5 --duration 4", 0.5, End::Count(2));
        check_load("--count 7", 10.0, End::Count(7));
        check_load("--rate 0 --count 7", 0.0, End::Count(7));
        check_load("--rate 0", 0.0, End::Nanoseconds(5_000_000_000));
        check_load(
            "--rate 0 --duration 0.25",
            0.0,
            End::Nanoseconds(250_000_000),
        );
    }

    #[test]
    fn standard_input_takes_the_place_of_a_load() {
        assert_eq!(config("--stdin --ipc fifo=/x").unwrap().input, Input::Stdin);
    }

    #[test]
    fn wrong_usage_is_refused_with_the_reason() {
        for (words, want) in [
            ("--ipc all", "launch-producers.sh all"),
            ("--ipc pipe", "none of unixsock"),
            ("--size -1", "from 0"),
            ("--rate fast", "at least 0"),
            ("--rate -1", "at least 0"),
            ("--duration inf", "at least 0"),
            ("--count 1 --duration 1", "when to end"),
            ("--stdin --stamp", "--stamp with --stdin"),
            ("--stdin --rate=5", "--rate with --stdin"),
        ] {
            let error = config(words).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{words}");
            assert!(error.to_string().contains(want), "{words}: {error}");
        }
    }
}

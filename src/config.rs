//! The aggregator's command line, and what it comes to once it is checked.

use crate::cli;
use crate::error::Error;
use crate::reactor::LingerPolicy;
use crate::sink::{Output, Rotation, SyncPolicy};
use crate::sys;
use crate::transports::{BindOptions, BufferSize, Endpoint, Transport};
use argh::FromArgs;
use std::time::Duration;

/// Descriptors kept back for everything that is not a connection: the standard ones, the event
/// loop, signals, the output, listeners, lock files, a FIFO being reopened.
const DESCRIPTORS_KEPT: usize = 32;

/// Collects log records from local processes and writes each as one JSON object in one line.
///
/// A line that is a JSON object is written as it came; any other line becomes the message of one.
#[derive(FromArgs, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    example = "Collect over a FIFO; then, in another terminal, send a record to it:\n  {command_name} --ipc fifo\n  echo hello > /tmp/log_fifo",
    example = "Serve all five transports, on their default addresses:\n  {command_name} --ipc all --output /var/log/records.jsonl",
    note = "KIND: unixsock, tcp, unixgram, udp, fifo, or all. Default addresses: /tmp/log.sock,\n127.0.0.1:9000, /tmp/log_dgram.sock, 127.0.0.1:9000, /tmp/log_fifo. Addresses are paths,\n@NAME (abstract Unix sockets), 127.0.0.1:PORT or [::1]:PORT; port 0 lets the kernel choose.",
    note = "Stop with SIGTERM or Ctrl-C: what producers have sent is read and written first; so with any\nother signal that ends a process. SIGHUP and SIGUSR1 make it open its output anew, after\na rotation. SIGUSR2 is ignored.\nThe first line on standard output tells where it listens, the last one sums up, both in JSON.",
    error_code(0, "Stopped, and everything written."),
    error_code(1, "Wrong usage."),
    error_code(2, "Something failed; the line on standard error says what."),
    error_code(3, "Stopped before everything was drained.")
)]
pub struct Options {
    /// serve this transport, at this address; may be given several times (default: unixsock)
    #[argh(option, arg_name = "KIND[=ADDRESS]", from_str_fn(listen_on))]
    ipc: Vec<Vec<Endpoint>>,

    /// append records to this file; - is standard output (default: aggregated_logs.jsonl)
    #[argh(
        option,
        arg_name = "PATH",
        default = "\"aggregated_logs.jsonl\".to_owned()"
    )]
    output: String,

    /// empty the output file first, once everything is bound
    #[argh(switch)]
    truncate: bool,

    /// longest record in bytes, 1024 to 16777216; of a longer line the beginning is kept
    /// (default: 65536)
    #[argh(
        option,
        arg_name = "BYTES",
        default = "65536",
        from_str_fn(cli::number::<1024, 16_777_216>)
    )]
    max_record: u64,

    /// connections open at a time; more wait (default: the descriptor limit less 32)
    #[argh(option, arg_name = "N", from_str_fn(cli::number::<1, {u64::MAX}>))]
    max_connections: Option<u64>,

    /// permissions of the sockets and FIFOs that it makes (default: 0660)
    #[argh(option, arg_name = "OCTAL", from_str_fn(octal))]
    socket_mode: Option<u32>,

    /// user who shall own the sockets and FIFOs that it makes (default: who runs it)
    #[argh(option, arg_name = "USER", from_str_fn(user))]
    socket_owner: Option<u32>,

    /// group of the sockets and FIFOs that it makes (default: that of who runs it)
    #[argh(option, arg_name = "GROUP", from_str_fn(group))]
    socket_group: Option<u32>,

    /// size of the pipe and of the UDP receive buffer: BYTES, default (as the kernel makes them) or
    /// max (the most that the kernel allows) (default: max)
    #[argh(
        option,
        arg_name = "BYTES|default|max",
        default = "BufferSize::Max",
        from_str_fn(buffer_size)
    )]
    buffer: BufferSize,

    /// add _transport, _received_ns and _received_mono_ns to each record; its own keys that begin
    /// with _ are renamed
    #[argh(switch)]
    stamp: bool,

    /// how long to wait before the next look, so that one serves many records: MICROSECONDS, 0 (for those
    /// who study the mechanism itself) or auto (as the load suggests, up to 1000) (default: auto)
    #[argh(
        option,
        arg_name = "MICROSECONDS|auto",
        default = "LingerPolicy::Auto",
        from_str_fn(linger)
    )]
    linger: LingerPolicy,

    /// when what was written is made to survive a crash of the machine: never (when the kernel sees
    /// fit), exit, interval=SECONDS or batch (after each write) (default: exit)
    #[argh(
        option,
        arg_name = "WHEN",
        default = "SyncPolicy::Exit",
        from_str_fn(sync_policy)
    )]
    sync: SyncPolicy,

    /// move the output file to PATH.NANOSECONDS once it has this many bytes, at least 4096
    #[argh(
        option,
        arg_name = "BYTES",
        from_str_fn(cli::number::<4096, {u64::MAX}>)
    )]
    rotate_size: Option<u64>,

    /// keep this many moved files and remove older ones (default: all are kept)
    #[argh(option, arg_name = "N", from_str_fn(cli::number::<0, {u64::MAX}>))]
    rotate_keep: Option<u64>,

    /// after how long half a line on a FIFO becomes a record, counted from its last bytes; 0 is never (default: 5)
    #[argh(
        option,
        arg_name = "SECONDS",
        default = "Duration::from_secs(5)",
        from_str_fn(seconds)
    )]
    half_line: Duration,

    /// how long a stop may take to read and write what is queued (default: 10)
    #[argh(
        option,
        arg_name = "SECONDS",
        default = "Duration::from_secs(10)",
        from_str_fn(seconds)
    )]
    drain_timeout: Duration,

    /// rehearse the start: check that everything could be bound and opened, let nobody in, take it back, and exit
    #[argh(switch)]
    check: bool,

    /// print the version and exit
    #[argh(switch)]
    #[allow(dead_code)] // seen to before argh reads the rest
    version: bool,
}

/// What the aggregator is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub endpoints: Vec<Endpoint>,
    /// Where to write.
    pub output: Output,
    /// Whether the output is emptied first.
    pub truncate: bool,
    /// How endpoints are bound.
    pub bind: BindOptions,
    /// Connections open at a time; `None`: as many as descriptors allow.
    pub connections_max: Option<usize>,
    /// Whether records are stamped.
    pub stamping: bool,
    /// How long to wait between rounds.
    pub linger: LingerPolicy,
    /// When the output is synced.
    pub sync_policy: SyncPolicy,
    /// When the output file is full, if ever.
    pub rotation: Option<Rotation>,
    /// After how long half a line on a FIFO becomes a record; `None`: never.
    pub half_line: Option<Duration>,
    /// How long a stop may take.
    pub drain_time_max: Duration,
    /// Only check.
    pub check: bool,
}

impl Config {
    /// Checks what the options ask for. If nothing was opened for us already (`has_inherited`), we
    /// listen at the default address unless they name others.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn new(options: Options, has_inherited: bool) -> Result<Self, Error> {
        let rotation = rotation(&options)?;
        let mut endpoints: Vec<Endpoint> = options.ipc.into_iter().flatten().collect();
        if endpoints.is_empty() && !has_inherited {
            endpoints.push(Transport::Unixsock.default_endpoint());
        }
        for (index, endpoint) in endpoints.iter().enumerate() {
            if let Some(other) = endpoints[..index]
                .iter()
                .find(|e| e.collides_with(endpoint))
            {
                return Err(Error::usage(
                    format!("--ipc {endpoint}"),
                    format!("it collides with {other}"),
                )
                .advise("give each its own"));
            }
        }
        if options.output.is_empty() {
            return Err(Error::usage("--output", "it is empty").advise("name a file, or -"));
        }
        Ok(Self {
            endpoints,
            output: options.output.as_str().into(),
            truncate: options.truncate,
            bind: BindOptions {
                mode: options.socket_mode,
                owner: options.socket_owner,
                group: options.socket_group,
                buffer: options.buffer,
                record_bytes_max: in_memory(options.max_record),
                lock_tries: if options.check {
                    BindOptions::LOCK_TRIES_OF_A_CHECK
                } else {
                    BindOptions::LOCK_TRIES_AT_START
                },
                is_rehearsal: options.check,
            },
            connections_max: options.max_connections.map(in_memory),
            stamping: options.stamp,
            linger: options.linger,
            sync_policy: options.sync,
            rotation,
            half_line: Some(options.half_line).filter(|time| !time.is_zero()),
            drain_time_max: options.drain_timeout,
            check: options.check,
        })
    }

    /// How many connections may be open: what was asked for, or what the descriptor limit, which
    /// this raises, leaves room for.
    ///
    /// # Errors
    /// When the limit cannot be raised.
    pub fn raise_connections_max(&self) -> Result<usize, Error> {
        let descriptors = sys::raise_descriptor_limit()
            .map_err(|e| Error::new("raise", "the limit of open descriptors", e))?;
        Ok(self.connections_max.unwrap_or_else(|| {
            // Under a very low limit, half of it: the rest is enough for what we open ourselves.
            descriptors
                .saturating_sub(DESCRIPTORS_KEPT)
                .max(descriptors / 2)
        }))
    }
}

fn rotation(options: &Options) -> Result<Option<Rotation>, Error> {
    match (options.rotate_size, options.rotate_keep) {
        (None, Some(_)) => {
            Err(Error::usage("--rotate-keep", "nothing is rotated")
                .advise("say --rotate-size as well"))
        }
        (Some(_), _) if options.output == "-" => Err(Error::usage(
            "--rotate-size",
            "standard output cannot be moved",
        )
        .advise("name a file with --output")),
        (bytes, keep) => Ok(bytes.map(|bytes| Rotation {
            bytes,
            keep: keep.map(in_memory),
        })),
    }
}

fn in_memory(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn listen_on(text: &str) -> Result<Vec<Endpoint>, String> {
    match text {
        "all" => Ok(Transport::ALL.map(Transport::default_endpoint).into()),
        _ if text.starts_with("all=") => Err("all takes no address".to_owned()),
        _ => text.parse().map(|endpoint| vec![endpoint]),
    }
}

fn octal(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.trim_start_matches("0o"), 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("'{text}' is not an octal mode from 0 to 0777, as in 0660"))
}

fn user(text: &str) -> Result<u32, String> {
    let by_name = || uzers::get_user_by_name(text).map(|user| user.uid());
    (text.parse().ok().or_else(by_name))
        .ok_or_else(|| format!("'{text}': there is no user of this name"))
}

fn group(text: &str) -> Result<u32, String> {
    let by_name = || uzers::get_group_by_name(text).map(|group| group.gid());
    (text.parse().ok().or_else(by_name))
        .ok_or_else(|| format!("'{text}': there is no group of this name"))
}

fn buffer_size(text: &str) -> Result<BufferSize, String> {
    match text {
        "default" => Ok(BufferSize::Default),
        "max" => Ok(BufferSize::Max),
        _ => cli::number::<1, 0x4000_0000>(text)
            .map(|bytes| BufferSize::Bytes(in_memory(bytes)))
            .map_err(|reason| format!("{reason}, and neither default nor max")),
    }
}

fn linger(text: &str) -> Result<LingerPolicy, String> {
    match text {
        "auto" => Ok(LingerPolicy::Auto),
        _ => cli::number::<0, 100_000>(text)
            .map(|us| LingerPolicy::Fixed(Duration::from_micros(us)))
            .map_err(|reason| format!("{reason}, and not auto")),
    }
}

fn sync_policy(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "never" => Ok(SyncPolicy::Never),
        "exit" => Ok(SyncPolicy::Exit),
        "batch" => Ok(SyncPolicy::Batch),
        _ => match text.strip_prefix("interval=") {
            Some(interval) => seconds(interval).map(SyncPolicy::Interval),
            None => Err(format!(
                "'{text}' is none of never, exit, interval=SECONDS, batch"
            )),
        },
    }
}

/// Reads a number of seconds, up to a year of them.
fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: f64 = 365.0 * 24.0 * 3600.0;
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=YEAR).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("'{text}' is not a number of seconds of at least 0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Request;
    use crate::error::Exit;

    fn config(words: &str) -> Result<Config, Error> {
        let words = std::iter::once("aggregator").chain(words.split_whitespace());
        match cli::parse::<Options>("aggregator", words.map(Into::into))? {
            Request::Run(options) => Config::new(options, false),
            Request::Print(text) => panic!("printed {text}"),
        }
    }

    #[test]
    fn the_defaults() {
        assert_eq!(
            config("").unwrap(),
            Config {
                endpoints: vec!["unixsock=/tmp/log.sock".parse().unwrap()],
                output: Output::Path("aggregated_logs.jsonl".into()),
                truncate: false,
                bind: BindOptions {
                    mode: None,
                    owner: None,
                    group: None,
                    buffer: BufferSize::Max,
                    record_bytes_max: 65_536,
                    lock_tries: BindOptions::LOCK_TRIES_AT_START,
                    is_rehearsal: false,
                },
                connections_max: None,
                stamping: false,
                linger: LingerPolicy::Auto,
                sync_policy: SyncPolicy::Exit,
                rotation: None,
                half_line: Some(Duration::from_secs(5)),
                drain_time_max: Duration::from_secs(10),
                check: false,
            }
        );
    }

    #[test]
    fn every_option_is_taken_in_both_forms() {
        let spaced = config(
            "--ipc fifo --ipc tcp=[::1]:0 --output - --truncate --max-record 1024 \
             --max-connections 7 --socket-mode 0600 --socket-owner 7 --socket-group root --buffer 4096 --stamp --sync interval=0.5 \
             --linger 250 --half-line 0.25 --drain-timeout 3 --check",
        )
        .unwrap();
        let joined = config(
            "--ipc=fifo --ipc=tcp=[::1]:0 --output=- --truncate --max-record=1024 \
             --max-connections=7 --socket-mode=600 --socket-owner=7 --socket-group=0 --buffer=4096 --stamp --sync=interval=0.5 \
             --linger=250 --half-line=0.25 --drain-timeout=3 --check",
        )
        .unwrap();
        assert_eq!(spaced, joined);
        assert_eq!(spaced.endpoints.len(), 2);
        assert_eq!(spaced.output, Output::Stdout);
        assert_eq!(spaced.bind.mode, Some(0o600));
        assert_eq!(spaced.bind.owner, Some(7));
        assert_eq!(spaced.bind.group, Some(0));
        let wait = Duration::from_micros(250);
        assert_eq!(spaced.linger, LingerPolicy::Fixed(wait));
        assert_eq!(spaced.bind.buffer, BufferSize::Bytes(4096));
        let half_a_second = Duration::from_millis(500);
        assert_eq!(spaced.sync_policy, SyncPolicy::Interval(half_a_second));
        assert_eq!(spaced.half_line, Some(Duration::from_millis(250)));
        assert_eq!(config("--half-line 0").unwrap().half_line, None);
        assert_eq!(spaced.drain_time_max, Duration::from_secs(3));
    }

    #[test]
    fn all_is_the_five_and_may_stand_beside_others() {
        assert_eq!(
            config("--ipc all --ipc udp=127.0.0.1:1")
                .unwrap()
                .endpoints
                .len(),
            6
        );
    }

    #[test]
    fn wrong_usage_is_refused_with_the_reason() {
        for (words, want) in [
            ("--ipc pipe", "none of unixsock"),
            ("--ipc all=/x", "all takes no address"),
            ("--ipc tcp --ipc tcp", "it collides with tcp=127.0.0.1:9000"),
            (
                "--ipc unixsock=/x --ipc fifo=/x",
                "it collides with unixsock=/x",
            ),
            ("--max-record 1023", "from 1024 to 16777216"),
            ("--max-record 16777217", "from 1024 to 16777216"),
            ("--max-connections 0", "at least 1"),
            ("--socket-mode 888", "octal"),
            ("--socket-mode 1777", "octal"),
            ("--socket-owner nobody-of-this-name", "no user of this name"),
            ("--socket-group -1", "no group of this name"),
            ("--buffer most", "neither default nor max"),
            ("--buffer 0", "from 1"),
            ("--output=", "it is empty"),
            ("--rotate-size 4095", "at least 4096"),
            ("--rotate-keep 3", "--rotate-size"),
            ("--rotate-size 4096 --output -", "cannot be moved"),
            (
                "--sync always",
                "none of never, exit, interval=SECONDS, batch",
            ),
            ("--linger soon", "and not auto"),
            ("--linger 100001", "from 0 to 100000"),
            ("--sync interval=soon", "number of seconds"),
            ("--half-line soon", "number of seconds"),
            ("--half-line -1", "number of seconds"),
            ("--half-line nan", "number of seconds"),
            ("--drain-timeout -1", "number of seconds"),
            ("--drain-timeout inf", "number of seconds"),
        ] {
            let error = config(words).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{words}");
            assert!(error.to_string().contains(want), "{words}: {error}");
        }
    }
}

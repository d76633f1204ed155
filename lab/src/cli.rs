//! The command line.

use crate::wait::Part;
use argh::FromArgs;
use log_aggregator::cli::number;
use log_aggregator::transports::Transport;
use std::path::PathBuf;

/// Measure what each of five IPC mechanisms costs, and show it. Without a command: quick.
#[derive(Debug, FromArgs)]
pub struct Options {
    #[argh(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub enum Command {
    Quick(Quick),
    Seed(Seed),
    Run(Run),
    Sweep(Sweep),
    Follow(Follow),
    Report(Report),
    SelfCheck(SelfCheck),
    Wait(Wait),
}

/// All five mechanisms in under two minutes: cost, latency and calls of a record, and the way of some.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "quick")]
pub struct Quick {
    /// the folder for the results (default: lab-results/ and the time)
    #[argh(option)]
    pub out: Option<PathBuf>,
    /// run the trials in the reverse order
    #[argh(switch)]
    pub reverse: bool,
}

/// The original's workload, and its tables side by side with ours: 5 producers, 10 records a second, 50 records each.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "seed")]
pub struct Seed {
    /// the folder for the results (default: lab-results/ and the time)
    #[argh(option)]
    pub out: Option<PathBuf>,
    /// who counts system calls: auto, bpftrace or strace (default: auto, the first of them that works)
    #[argh(option, default = "TraceChoice::Auto")]
    pub trace: TraceChoice,
}

/// The study: each axis by itself, around a centre of 5 producers, messages of 100 bytes and 1000 records a second.
/// Where a list leaves the centre's value out, the first of that list takes its place.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// mechanisms, separated by commas (default: all five)
    #[argh(
        option,
        default = "List(Transport::ALL.to_vec())",
        from_str_fn(transports)
    )]
    pub ipc: List<Transport>,
    /// numbers of producers (default: 1,5,20)
    #[argh(option, default = "List(vec![1, 5, 20])", from_str_fn(counts))]
    pub producers: List<u32>,
    /// message bytes (default: 50,100,1000,3500)
    #[argh(
        option,
        default = "List(vec![50, 100, 1000, 3500])",
        from_str_fn(sizes)
    )]
    pub sizes: List<u32>,
    /// records a second of each producer, 0 for as fast as it can (default: 10,1000,10000,0)
    #[argh(
        option,
        default = "List(vec![10, 1000, 10_000, 0])",
        from_str_fn(rates)
    )]
    pub rates: List<u32>,
    /// how often each trial is made (default: 3)
    #[argh(option, default = "3", from_str_fn(repetitions))]
    pub repeat: u32,
    /// who counts system calls: auto, bpftrace, strace or off (default: auto, the first of them that works)
    #[argh(option, default = "TraceChoice::Auto")]
    pub trace: TraceChoice,
    /// run the trials in the reverse order: does the order matter?
    #[argh(switch)]
    pub reverse: bool,
    /// the folder for the results (default: lab-results/ and the time)
    #[argh(option)]
    pub out: Option<PathBuf>,
}

/// One knob, turned: qlen (net.unix.max_dgram_qlen 10, 64, 512; unixgram), pipe (64 KiB, 1 MiB; fifo), nagle (tcp),
/// linger (0, auto; all).
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "sweep")]
pub struct Sweep {
    /// qlen, pipe, nagle or linger
    #[argh(positional)]
    pub knob: Knob,
    /// how often each trial is made (default: 3)
    #[argh(option, default = "3", from_str_fn(repetitions))]
    pub repeat: u32,
    /// the folder for the results (default: lab-results/ and the time)
    #[argh(option)]
    pub out: Option<PathBuf>,
}

/// Send one record and print its way on one clock.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "follow")]
pub struct Follow {
    /// unixsock, tcp, unixgram, udp or fifo
    #[argh(positional, from_str_fn(transport))]
    pub kind: Transport,
    /// follow so many records, and print the median of each step (default: 1)
    #[argh(option, default = "1", from_str_fn(repetitions))]
    pub repeat: u32,
    /// also write them to this folder of results
    #[argh(option)]
    pub out: Option<PathBuf>,
}

/// Make the report of a folder of results anew; or, with --update or --check, put its numbers into documents.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "report")]
pub struct Report {
    /// the folder of a run, or one that holds several
    #[argh(positional)]
    pub folder: PathBuf,
    /// put the numbers between the markers of this document; may be given several times
    #[argh(option)]
    pub update: Vec<PathBuf>,
    /// say whether the numbers between the markers of this document are those of the folder; may be given several
    /// times
    #[argh(option)]
    pub check: Vec<PathBuf>,
}

/// Do all witnesses agree? Counts a workload of 23 producers and 23 records by our own counters, /proc, strace and
/// bpftrace; status 2 if they differ.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "self-check")]
pub struct SelfCheck {
    /// mechanisms, separated by commas (default: all five)
    #[argh(
        option,
        default = "List(Transport::ALL.to_vec())",
        from_str_fn(transports)
    )]
    pub ipc: List<Transport>,
}

/// Is `--linger auto` ever slower than `--linger 0`? Runs both in pairs, cell by cell, in about an hour; or some parts of
/// that.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "wait")]
pub struct Wait {
    /// only this part: sizes, senders, sndbuf, tcp, pipes, qlen, udpbuf, rates, mixed or ci; may be given several times
    /// (default: all but ci)
    #[argh(option)]
    pub part: Vec<Part>,
    /// only cells with this in their name
    #[argh(option)]
    pub cell: Option<String>,
    /// say which cells there are, and run none
    #[argh(switch)]
    pub list: bool,
    /// how many pairs of runs a cell has (default: 5)
    #[argh(option, default = "5", from_str_fn(repetitions))]
    pub pairs: u32,
    /// how long senders send in a run (default: 1)
    #[argh(option, default = "1.0", from_str_fn(seconds))]
    pub seconds: f64,
    /// write every single run to this file, a line of JSON a cell
    #[argh(option)]
    pub json: Option<PathBuf>,
    /// put the tables between the markers of this document
    #[argh(option)]
    pub update: Option<PathBuf>,
    /// end with status 2 if auto writes less than this share of what 0 writes in a cell, or loses half of what was sent
    /// beside what 0 loses
    #[argh(option, from_str_fn(factor))]
    pub fail_below: Option<f64>,
}

/// Who counts system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceChoice {
    /// bpftrace where it works, else strace, else nobody.
    Auto,
    Bpftrace,
    Strace,
    Off,
}

impl std::str::FromStr for TraceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "bpftrace" => Ok(Self::Bpftrace),
            "strace" => Ok(Self::Strace),
            "off" => Ok(Self::Off),
            _ => Err(format!(
                "'{text}' is none of auto, bpftrace, strace and off"
            )),
        }
    }
}

/// What a sweep turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    Qlen,
    Pipe,
    Nagle,
    Linger,
}

impl std::str::FromStr for Knob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "qlen" => Ok(Self::Qlen),
            "pipe" => Ok(Self::Pipe),
            "nagle" => Ok(Self::Nagle),
            "linger" => Ok(Self::Linger),
            _ => Err(format!("'{text}' is none of qlen, pipe, nagle and linger")),
        }
    }
}

/// Values that were separated by commas; in a type of its own, since argh takes a `Vec` for an option that may be
/// given several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<List<T>, String> {
    text.split(',')
        .map(parse)
        .collect::<Result<_, _>>()
        .map(List)
}

fn transport(text: &str) -> Result<Transport, String> {
    let known = Transport::ALL.into_iter().find(|kind| kind.name() == text);
    known.ok_or_else(|| format!("'{text}' is none of unixsock, tcp, unixgram, udp and fifo"))
}

fn transports(text: &str) -> Result<List<Transport>, String> {
    list(text, transport)
}

fn within<const MIN: u64, const MAX: u64>(text: &str) -> Result<u32, String> {
    Ok(u32::try_from(number::<MIN, MAX>(text)?).unwrap_or(u32::MAX))
}

fn counts(text: &str) -> Result<List<u32>, String> {
    list(text, within::<1, 1000>)
}

/// A FIFO's record must fit into PIPE_BUF with its other fields.
fn sizes(text: &str) -> Result<List<u32>, String> {
    list(text, within::<0, 60_000>)
}

fn rates(text: &str) -> Result<List<u32>, String> {
    list(text, within::<0, 1_000_000>)
}

fn between(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let parsed = text.parse().ok();
    parsed
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("'{text}' is not a number from {low} to {high}"))
}

fn seconds(text: &str) -> Result<f64, String> {
    between(text, 0.01, 3600.0)
}

fn factor(text: &str) -> Result<f64, String> {
    between(text, 0.0, 10.0)
}

fn repetitions(text: &str) -> Result<u32, String> {
    within::<1, 1000>(text)
}

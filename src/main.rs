//! The daemon: reads its command line, binds, says that it is ready, runs, sums up.

use log::warn;
use log_aggregator::cli::{self, Request};
use log_aggregator::config::{Config, Options};
use log_aggregator::counters;
use log_aggregator::diagnostics;
use log_aggregator::error::{Error, Exit};
use log_aggregator::reactor::{Reactor, Settings};
use log_aggregator::sink::{Output, Sink, Standard};
use log_aggregator::sys::{self, PathWatch, Signals};
use log_aggregator::transports::{self, Bound};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

const PROGRAM: &str = "aggregator";

fn main() -> ExitCode {
    cli::report(PROGRAM, run()).into()
}

fn run() -> Result<Exit, Error> {
    // First of all: they are told by their numbers.
    let inherited = sys::take_inherited()
        .map_err(|e| Error::new("take over", "the inherited descriptors", e))?;
    let config = match cli::parse::<Options>(PROGRAM, std::env::args_os())? {
        Request::Run(options) => Config::new(options, !inherited.is_empty())?,
        Request::Print(text) => {
            tell_starter(Told::OnStdout, &text);
            return Ok(Exit::Success);
        }
    };
    // Not before the inherited ones are taken, since it opens descriptors of its own.
    diagnostics::init(PROGRAM);
    if config.check {
        return Ok(check(&config, inherited));
    }
    collect(&config, inherited)
}

/// Binds everything and collects records until told to stop.
fn collect(config: &Config, inherited: Vec<OwnedFd>) -> Result<Exit, Error> {
    // First, so that a signal during the start waits for the loop instead of killing us half-way.
    let signals = Signals::new()
        .and_then(|signals| diagnostics::heed(signals.as_fd()).map(|()| signals))
        .map_err(|e| Error::new("take over", "signals", e))?;
    let settings = Settings {
        bind: config.bind,
        connections_max: config.raise_connections_max()?,
        stamping: config.stamping,
        half_line: config.half_line,
        drain_time_max: config.drain_time_max,
        linger: config.linger,
        sync_policy: config.sync_policy,
        rotation: config.rotation,
    };
    let sink = Sink::open(&config.output, config.bind.record_bytes_max)?;
    let standard = sink.standard();
    if standard.error {
        diagnostics::silence();
    }
    let result = serve(config, inherited, signals, sink, settings);
    // Said among records, it would be none; unsaid, it would be a riddle.
    if let (Err(error), true) = (&result, standard.error) {
        tell_starter(Told::beside(standard), &format!("{PROGRAM}: {error}"));
    }
    result
}

/// Binds everything, and collects records into this output.
fn serve(
    config: &Config,
    inherited: Vec<OwnedFd>,
    signals: Signals,
    mut sink: Sink,
    settings: Settings,
) -> Result<Exit, Error> {
    if config.rotation.is_some() {
        sink.check_can_rotate()?;
    }
    let told = Told::beside(sink.standard());
    // Before the sockets, so that the kernel lets go of those first when it ends a process that was killed:
    // to let go of this takes it some 15 ms, and what is sent meanwhile would be lost.
    let watch = PathWatch::new();
    let bound = bind(config, inherited)?;
    // Last, so that a daemon that cannot start empties nobody's file.
    sink.begin(config.truncate)?;
    let reactor = Reactor::new(bound, sink, signals, watch, settings)?;
    announce(&reactor, &config.output, told);

    let outcome = reactor.run();
    tell_starter(
        Told::beside(outcome.standard),
        &counters::summary(&outcome.endpoints, outcome.output),
    );
    match outcome.error {
        Some(error) => Err(error),
        None => Ok(outcome.exit),
    }
}

fn bind(config: &Config, inherited: Vec<OwnedFd>) -> Result<Vec<Bound>, Error> {
    let adopt = |fd| transports::adopt(fd, config.bind.record_bytes_max);
    let mut bound: Vec<Bound> = inherited.into_iter().map(adopt).collect::<Result<_, _>>()?;
    for endpoint in &config.endpoints {
        bound.push(transports::bind(endpoint, &config.bind)?);
    }
    for Bound { endpoint, .. } in bound.iter().filter(|bound| bound.endpoint.is_remote()) {
        warn!("{endpoint} can be reached from other machines, neither encrypted nor authenticated");
    }
    Ok(bound)
}

/// Says that everything is bound: one line of JSON for scripts and, on a terminal, one for a person.
fn announce(reactor: &Reactor, output: &Output, told: Told) {
    let endpoints: Vec<String> = reactor.endpoints().map(ToString::to_string).collect();
    tell_starter(
        told,
        &format!(
            "{{\"ready\":true,\"pid\":{},\"endpoints\":{},\"output\":{}}}",
            std::process::id(),
            serde_json::Value::from(endpoints.as_slice()),
            serde_json::Value::from(output.to_string())
        ),
    );
    if io::stderr().is_terminal()
        && let Some(endpoint) = endpoints.first()
    {
        diagnostics::tell(format_args!(
            "{PROGRAM}: records go to {output}; to send some, type in another terminal: \
             ./launch-producers.sh {endpoint} (Ctrl-C stops)"
        ));
    }
}

/// Says of each endpoint and of the output whether it could be had.
fn check(config: &Config, inherited: Vec<OwnedFd>) -> Exit {
    let mut exit = Exit::Success;
    let adopted = inherited.into_iter().map(|fd| {
        let bound = transports::adopt(fd, config.bind.record_bytes_max);
        match bound {
            Ok(bound) => (bound.endpoint.to_string(), Ok(())),
            Err(e) => ("inherited".to_owned(), Err(e)),
        }
    });
    let bound = (config.endpoints.iter()).map(|endpoint| {
        (
            endpoint.to_string(),
            transports::bind(endpoint, &config.bind).map(drop),
        )
    });
    let checks = adopted
        .chain(bound)
        .chain([(format!("output={}", config.output), config.output.check())]);
    for (name, result) in checks {
        let verdict = result.err().map_or("ok".to_owned(), |error| {
            exit = Exit::Failure;
            error.reason().to_owned()
        });
        tell_starter(Told::OnStdout, &format!("{name}: {verdict}"));
    }
    exit
}

/// Where whoever started us is told something.
#[derive(Clone, Copy)]
enum Told {
    OnStdout,
    OnStderr,
    /// Both are the output: a line would stand among records, or on top of them.
    Nowhere,
}

impl Told {
    /// On standard output, unless that is where records go; else on standard error.
    fn beside(records: Standard) -> Self {
        match (records.output, records.error) {
            (false, _) => Self::OnStdout,
            (true, false) => Self::OnStderr,
            (true, true) => Self::Nowhere,
        }
    }
}

/// Prints a line for whoever started us.
fn tell_starter(told: Told, line: &str) {
    match told {
        Told::OnStdout => {
            if let Err(e) = diagnostics::print(line) {
                warn!("cannot print a line for whoever started this process: {e}");
            }
        }
        Told::OnStderr => diagnostics::print_on_stderr(line),
        Told::Nowhere => {}
    }
}

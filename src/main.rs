//! The daemon: reads its command line, binds, says that it is ready, runs, sums up.

use log::warn;
use log_aggregator::cli::{self, Request};
use log_aggregator::config::{Config, Options};
use log_aggregator::counters;
use log_aggregator::diagnostics;
use log_aggregator::error::{Error, Exit};
use log_aggregator::reactor::Reactor;
use log_aggregator::sink::{Output, Sink, Standard};
use log_aggregator::start::Start;
use log_aggregator::sys;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
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
        return check(&config, inherited);
    }
    collect(&config, inherited)
}

/// Collects records until told to stop.
fn collect(config: &Config, inherited: Vec<OwnedFd>) -> Result<Exit, Error> {
    let start = Start::new(config)?;
    let sink = start.open_output()?;
    let standard = sink.standard();
    if standard.error {
        diagnostics::silence();
    }
    let result = serve(config, inherited, start, sink);
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
    mut start: Start<'_>,
    sink: Sink,
) -> Result<Exit, Error> {
    start.check_output(&sink)?;
    let told = Told::beside(sink.standard());
    for fd in inherited {
        start.adopt(fd)?;
    }
    for endpoint in &config.endpoints {
        start.bind(endpoint)?;
    }
    for endpoint in start.endpoints().filter(|endpoint| endpoint.is_remote()) {
        warn!("{endpoint} can be reached from other machines, neither encrypted nor authenticated");
    }
    let reactor = start.finish(sink)?;
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

/// Rehearses the start, and says of each endpoint and of the output whether it could be had.
fn check(config: &Config, inherited: Vec<OwnedFd>) -> Result<Exit, Error> {
    let mut start = Start::new(config)?;
    let sink = (start.open_output()).and_then(|sink| start.check_output(&sink).map(|()| sink));
    let mut exit = Exit::Success;
    let mut tell = |name: &dyn Display, verdict: Result<Option<String>, Error>| {
        let words = match verdict {
            Ok(None) => "ok".to_owned(),
            Ok(Some(caveat)) => format!("ok ({caveat})"),
            Err(error) => {
                exit = Exit::Failure;
                error.reason().to_owned()
            }
        };
        tell_starter(Told::OnStdout, &format!("{name}: {words}"));
    };
    for fd in inherited {
        match start.adopt(fd) {
            Ok(endpoint) => tell(endpoint, Ok(None)),
            Err(e) => tell(&"inherited", Err(e)),
        }
    }
    for endpoint in &config.endpoints {
        tell(endpoint, start.bind(endpoint).map(|()| None));
    }
    let output = format_args!("output={}", config.output).to_string();
    match sink {
        Ok(sink) => {
            tell(&output, Ok(sink.caveat()));
            if let Err(e) = start.finish(sink) {
                tell(&"event loop", Err(e));
            }
        }
        Err(e) => tell(&output, Err(e)),
    }
    Ok(exit)
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

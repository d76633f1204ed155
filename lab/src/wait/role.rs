//! What this program does when it was started by itself: as a sender, or as a service manager that becomes a daemon.
//! Nobody types these commands, so no help shows them.

use super::manager::{self, Handover};
use super::sender::{self, Orders};
use log_aggregator::error::{Error, Exit};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::process::{Command, Stdio};

const SENDER: &str = "@sender";
const MANAGER: &str = "@manager";

/// What it was started for by itself, if it was. To be asked before anything is opened.
pub fn perform() -> Option<Result<Exit, Error>> {
    let mut words = std::env::args().skip(1);
    let done = match (words.next()?.as_str(), words.next()?) {
        (SENDER, orders) => parsed::<Orders>(&orders).and_then(|orders| sender::run(&orders)),
        (MANAGER, order) => parsed::<Handover>(&order).and_then(|order| manager::run(&order)),
        _ => return None,
    };
    Some(done.map(|()| Exit::Success))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|e| Error::usage(text, e))
}

/// A sender with these orders.
///
/// # Errors
/// When our own program is not to be found.
pub fn sender(orders: &Orders) -> Result<Command, Error> {
    command(SENDER, orders)
}

/// A service manager that does this.
///
/// # Errors
/// As [`sender()`].
pub fn manager(order: &Handover) -> Result<Command, Error> {
    command(MANAGER, order)
}

fn command(role: &str, order: &impl Serialize) -> Result<Command, Error> {
    let own = std::env::current_exe().map_err(|e| Error::new("find", "our own program", e))?;
    let order = serde_json::to_string(order).expect("orders are JSON");
    let mut command = Command::new(own);
    command.arg(role).arg(order).stdin(Stdio::null());
    Ok(command)
}

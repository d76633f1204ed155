//! Which token stands for which source, and which sources are to have a turn.

use crate::failure::Backoff;
use crate::transports::Source;
use mio::Token;
use std::collections::HashMap;
use std::time::Instant;

/// A source and what the event loop knows of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    /// Index of the intake that its records count for.
    pub(super) intake: usize,
    /// It is not ours: a stop leaves it, and what is queued there, as they are.
    pub(super) is_inherited: bool,
    /// The other end has been hung up, so that the end of the input is still to be read.
    pub(super) hung_up: bool,
    /// Epoll watches it: not while it is parked or paused.
    pub(super) is_watched: bool,
    /// A call of it fails, and is tried again when this is due.
    pub(super) backoff: Option<Backoff>,
    /// How many turns in a row have found nothing.
    pub(super) fruitless: u8,
    /// How many turns in a row have failed since the stop began.
    pub(super) tries_at_stop: u8,
    /// It stands in `ready`.
    is_ready: bool,
}

/// The sources. Tokens grow and are never reused, so that an event for a source that was closed
/// earlier in the same round meets nobody.
#[derive(Debug)]
pub(super) struct SourceTable {
    entries: HashMap<Token, Entry>,
    next: usize,
    /// Sources that are to have a turn: an event named them, or their last turn was not finished.
    ready: Vec<Token>,
    /// Listeners with connections that wait for a close of ours.
    parked: Vec<Token>,
    /// Those with a backoff.
    paused: Vec<Token>,
    connections: usize,
}

impl SourceTable {
    /// An empty table; tokens below `first` are somebody else's.
    pub(super) fn new(first: usize) -> Self {
        Self {
            entries: HashMap::new(),
            next: first,
            ready: Vec::new(),
            parked: Vec::new(),
            paused: Vec::new(),
            connections: 0,
        }
    }

    pub(super) fn next_token(&self) -> Token {
        Token(self.next)
    }

    /// Adds a source under the next token.
    pub(super) fn insert(&mut self, source: Source, intake: usize) -> Token {
        self.insert_entry(source, intake, false)
    }

    /// Adds a source that is not ours.
    pub(super) fn insert_inherited(&mut self, source: Source, intake: usize) -> Token {
        self.insert_entry(source, intake, true)
    }

    fn insert_entry(&mut self, source: Source, intake: usize, is_inherited: bool) -> Token {
        let token = self.next_token();
        self.next += 1;
        self.connections += usize::from(source.is_connection());
        self.entries.insert(
            token,
            Entry {
                source,
                intake,
                is_inherited,
                hung_up: false,
                is_watched: true,
                backoff: None,
                fruitless: 0,
                tries_at_stop: 0,
                is_ready: false,
            },
        );
        token
    }

    /// Removes a source. Its descriptor is free then, so listeners that wait may try again.
    pub(super) fn remove(&mut self, token: Token) -> Option<Entry> {
        let entry = self.entries.remove(&token)?;
        self.connections -= usize::from(entry.source.is_connection());
        self.paused.retain(|paused| *paused != token);
        self.unpark();
        Some(entry)
    }

    /// Has a source make way for another; what it still holds is read at once.
    pub(super) fn retire(&mut self, token: Token) {
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.source.retire();
            self.wake(token, true);
        }
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Entry> {
        self.entries.get_mut(&token)
    }

    /// Notes that epoll does not watch a source.
    pub(super) fn set_unwatched(&mut self, token: Token) {
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.is_watched = false;
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Notes that a source is to have a turn, once.
    pub(super) fn wake(&mut self, token: Token, hung_up: bool) {
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.hung_up |= hung_up;
            if !std::mem::replace(&mut entry.is_ready, true) {
                self.ready.push(token);
            }
        }
    }

    /// Notes that every source is to have a turn, the oldest first: of a client that has connected
    /// anew, what it sent before comes before what it sent after.
    pub(super) fn wake_all(&mut self) {
        self.parked.clear();
        for entry in self.entries.values_mut() {
            entry.is_ready = true;
        }
        self.ready = self.entries.keys().copied().collect();
        self.ready.sort_unstable();
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the list of those that are to have a turn now; each begins its turn with
    /// [`begin_turn`](Self::begin_turn). Leaves `emptied` in its place, so that no round allocates.
    pub(super) fn take_ready(&mut self, mut emptied: Vec<Token>) -> Vec<Token> {
        emptied.clear();
        std::mem::replace(&mut self.ready, emptied)
    }

    /// Puts back those of a taken list that had no turn.
    pub(super) fn put_back(&mut self, rest: &[Token]) {
        self.ready.extend_from_slice(rest);
    }

    /// The source whose turn it is; `None` if it has been closed in this round.
    pub(super) fn begin_turn(&mut self, token: Token) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&token)?;
        entry.is_ready = false;
        Some(entry)
    }

    /// Keeps a listener from turns until one of our descriptors is closed.
    pub(super) fn park(&mut self, token: Token) {
        // It may be parked already: each client that comes meanwhile wakes it for another try.
        if !self.parked.contains(&token) {
            self.parked.push(token);
        }
    }

    /// Lets parked and paused listeners try again.
    fn unpark(&mut self) {
        let is_listener = |token: &Token| {
            let entry = self.entries.get(token);
            entry.is_some_and(|entry| entry.source.is_listener())
        };
        let paused: Vec<Token> = self.paused.iter().copied().filter(is_listener).collect();
        for token in std::mem::take(&mut self.parked).into_iter().chain(paused) {
            self.wake(token, false);
        }
    }

    /// Keeps a source from turns until its backoff is due.
    pub(super) fn pause(&mut self, token: Token, backoff: Backoff) {
        if let Some(entry) = self.entries.get_mut(&token)
            && entry.backoff.replace(backoff).is_none()
        {
            self.paused.push(token);
        }
    }

    /// Tells whether a source is kept from turns by its backoff.
    pub(super) fn is_paused(&self, token: Token) -> bool {
        !self.paused.is_empty() && self.paused.contains(&token)
    }

    /// Ends the backoff of a source, and returns it.
    pub(super) fn unpause(&mut self, token: Token) -> Option<Backoff> {
        let backoff = self.entries.get_mut(&token)?.backoff.take()?;
        self.paused.retain(|paused| *paused != token);
        Some(backoff)
    }

    /// When the next paused source is to be tried again.
    pub(super) fn retry_due(&self) -> Option<Instant> {
        let backoffs = self
            .paused
            .iter()
            .filter_map(|token| self.entries.get(token)?.backoff);
        backoffs.map(|backoff| backoff.due).min()
    }

    /// Gives those a turn whose backoff is due.
    pub(super) fn wake_due(&mut self, now: Instant) {
        for index in 0..self.paused.len() {
            let token = self.paused[index];
            let backoff = self.entries.get(&token).and_then(|entry| entry.backoff);
            if backoff.is_some_and(|backoff| backoff.due <= now) {
                self.wake(token, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_is_parked_again_and_again_stands_in_the_list_once() {
        let mut table = SourceTable::new(1);
        for _ in 0..3 {
            table.park(Token(1));
            table.park(Token(2));
        }
        assert_eq!(table.parked.len(), 2);
    }
}

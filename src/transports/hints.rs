//! What is said of a sender that seems to mean something else than what we understand.

use super::Endpoint;
use crate::framing::Hint;
use log::warn;

/// What has been said of an endpoint. Each hint is said once, however many senders give reason to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    counted: bool,
    too_long: bool,
}

impl Hints {
    /// Says what a sender should set, if that has not been said of this endpoint. `record_bytes_max` is the value of
    /// `--max-record`.
    pub(super) fn say(&mut self, endpoint: &Endpoint, hint: Hint, record_bytes_max: usize) {
        let said = match hint {
            Hint::Counted => &mut self.counted,
            Hint::TooLong => &mut self.too_long,
        };
        if std::mem::replace(said, true) {
            return;
        }
        match hint {
            Hint::Counted => warn!(
                "{endpoint}: a connection begins like a counted frame (RFC 6587), and counts are not \
                 understood, newlines end records; in HAProxy set 'log-proto legacy', in syslog-ng \
                 network() instead of syslog(), and leave out logger's --octet-count"
            ),
            Hint::TooLong => warn!(
                "{endpoint}: a record is longer than {record_bytes_max} bytes, and only its beginning is \
                 kept; let the sender end each record with a newline, or raise --max-record"
            ),
        }
    }
}

//! One-way latencies, kept as histograms so that they can be added, never averaged.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrDeserializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Two significant digits: no value is off by more than a hundredth.
const SIGNIFICANT_DIGITS: u8 = 2;

/// Latencies of the records of a trial, in nanoseconds, from two beginnings to the read that brought the record
/// (`_received_mono_ns`), all on CLOCK_MONOTONIC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latencies {
    /// From when the record was due by the plan: what a user waits for, free of coordinated omission.
    #[serde(with = "as_base64")]
    pub from_due: Histogram<u64>,
    /// From right before the call that sent it: the mechanism, and the daemon's wake-up.
    #[serde(with = "as_base64")]
    pub from_sent: Histogram<u64>,
}

impl Latencies {
    /// Of no record so far.
    pub fn new() -> Self {
        Self {
            from_due: histogram(),
            from_sent: histogram(),
        }
    }
}

/// What a histogram has room for from the start. One that begins small would grow for `record`, but
/// `saturating_record` does not let it: all values would become its highest, 2 ns.
const HOUR_NS: u64 = 3_600_000_000_000;

/// An empty histogram that grows as values come.
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, HOUR_NS, SIGNIFICANT_DIGITS)
        .expect("0 to 5 digits are possible");
    histogram.auto(true);
    histogram
}

/// The form that HdrHistogram's own tools read: V2, deflated, in base64.
mod as_base64 {
    use super::{HdrDeserializer, Histogram, V2DeflateSerializer, histogram};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use hdrhistogram::serialization::Serializer as _;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub fn serialize<S: Serializer>(histogram: &Histogram<u64>, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .map_err(|e| ser::Error::custom(format!("{e:?}")))?;
        to.serialize_str(&BASE64.encode(&bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Histogram<u64>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text).map_err(de::Error::custom)?;
        let read: Histogram<u64> = HdrDeserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| de::Error::custom(format!("{e:?}")))?;
        let mut whole = histogram(); // one that grows
        whole
            .add(read)
            .map_err(|e| de::Error::custom(format!("{e:?}")))?;
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_survive_the_file() {
        let mut latencies = Latencies::new();
        for value in [1, 999, 123_456, 40_000_000_000] {
            latencies.from_due.record(value).unwrap();
        }
        let text = serde_json::to_string(&latencies).unwrap();
        let mut read: Latencies = serde_json::from_str(&text).unwrap();
        assert_eq!(read.from_due, latencies.from_due);
        assert_eq!(read.from_sent.len(), 0);
        read.from_due.record(u64::MAX / 4).unwrap();
    }

    #[test]
    fn a_latency_is_not_cut_short() {
        let mut histogram = histogram();
        histogram.saturating_record(123_456);
        assert!(histogram.equivalent(histogram.value_at_quantile(0.5), 123_456));
        assert!(histogram.max() > 120_000);
    }
}

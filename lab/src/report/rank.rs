//! Which mechanisms can be told apart: two differ on a measure if all repetitions of one are below all of the other.

use super::Point;
use super::summary::{Key, Part};
use super::value::Value;
use log_aggregator::transports::Transport;
use std::fmt;

/// The mechanisms from the lowest to the highest, in groups that can be told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// The members of a group are tied: neither is surely below the other, or both overlap with a third.
    pub groups: Vec<Vec<Transport>>,
    /// Pairs that can be told apart.
    pub separable: Vec<(Transport, Transport)>,
    /// All pairs.
    pub pairs: usize,
}

/// `fifo < unixsock ~ unixgram < tcp`
impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |group: &Vec<Transport>| {
            let names: Vec<&str> = group.iter().map(|kind| kind.name()).collect();
            names.join(" ~ ")
        };
        let groups: Vec<String> = self.groups.iter().map(group).collect();
        f.write_str(&groups.join(" < "))
    }
}

/// Ranks the mechanisms by a measure, as the first folder found it that has any.
pub fn rank(parts: &[Part], measure: &str, point: Point) -> Ranking {
    parts
        .iter()
        .map(|part| rank_in(part, measure, point))
        .find(|ranking| !ranking.groups.is_empty())
        .unwrap_or_default()
}

/// Ranks the mechanisms by a measure, as one folder found it.
pub fn rank_in(part: &Part, measure: &str, point: Point) -> Ranking {
    let of = |transport: Transport| {
        let measure = measure.to_owned();
        let value = part.values.get(&Key {
            point,
            transport,
            measure,
        })?;
        Some((transport, value))
    };
    let mut sorted: Vec<(Transport, &Value)> = Transport::ALL.into_iter().filter_map(of).collect();
    sorted.sort_by(|(_, a), (_, b)| a.value.total_cmp(&b.value));
    let mut ranking = Ranking::default();
    for (index, (transport, value)) in sorted.iter().enumerate() {
        let (before, after) = sorted.split_at(index);
        for (lower, below) in before {
            ranking.pairs += 1;
            if below.is_below(value) {
                ranking.separable.push((*lower, *transport));
            }
        }
        let apart = before
            .iter()
            .all(|(_, below)| after.iter().all(|(_, above)| below.is_below(above)));
        match ranking.groups.last_mut() {
            Some(group) if !apart => group.push(*transport),
            _ => ranking.groups.push(vec![*transport]),
        }
    }
    ranking
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn what_overlaps_is_tied_and_the_rest_is_ranked() {
        let mut trials = Vec::new();
        let costs = [
            ("tcp", [90, 95, 99]),
            ("fifo", [10, 11, 12]),
            ("unixsock", [20, 22, 30]),
            ("unixgram", [25, 26, 27]),
            ("udp", [29, 41, 42]),
        ];
        for (transport, each) in costs {
            for us in each {
                let mut trial = fixture::timed(fixture::centre(transport), 1000);
                trial.daemon.cpu_ns = us * 1_000_000;
                trials.push(trial);
            }
        }
        let part = Part::new(String::new(), fixture::results(trials, Vec::new()));
        let ranking = rank(&[part], "daemon_cpu", "rate=1000".parse().unwrap());
        assert_eq!(
            ranking.to_string(),
            "fifo < unixsock ~ unixgram ~ udp < tcp"
        );
        assert_eq!((ranking.separable.len(), ranking.pairs), (8, 10));
        assert!(
            ranking
                .separable
                .contains(&(Transport::Unixgram, Transport::Udp))
        );
        assert!(
            !ranking
                .separable
                .contains(&(Transport::Unixsock, Transport::Unixgram))
        );
    }
}

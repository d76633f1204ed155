//! Under which load a number was measured, and how that is written in a key: `rate=1000/size=3500`.

use crate::trial::{Axis, Linger, Setting};
use std::fmt;
use std::str::FromStr;

/// Producers of a load that does not say how many.
const PRODUCERS: u32 = 5;
/// Message bytes of a load that does not say how many.
const MESSAGE_BYTES: u32 = 100;

/// What kind of work it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A load of its own: everything else of the point says which.
    Load,
    /// The load of the original.
    Seed,
    /// The prime workload of `self-check`.
    SelfCheck,
    /// Single records that were followed.
    Follow,
}

/// How fast each producer sends. Flat out is the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// So many records a second.
    PerSecond(u32),
    /// As fast as it can.
    FlatOut,
}

/// A setting without the transport, the tracer and the length: one place in a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// What kind of work; unless it is a load, nothing else counts.
    pub work: Work,
    /// `net.unix.max_dgram_qlen`, if it was set.
    pub qlen: Option<u32>,
    /// Bytes of the pipe, if they were set.
    pub pipe: Option<u32>,
    /// Whether Nagle's algorithm was on, where that is the question.
    pub nagle: Option<bool>,
    /// How long the daemon lingered, where that is the question or it did at all.
    pub linger: Option<Linger>,
    /// Producers, side by side.
    pub producers: u32,
    /// Message bytes of a record.
    pub size: u32,
    /// Of each producer.
    pub rate: Rate,
}

impl Point {
    /// Of work that has a name.
    pub fn named(work: Work) -> Self {
        Self {
            work,
            qlen: None,
            pipe: None,
            nagle: None,
            linger: None,
            producers: PRODUCERS,
            size: MESSAGE_BYTES,
            rate: Rate::FlatOut,
        }
    }

    /// Where a trial of this setting belongs.
    pub fn of(setting: &Setting) -> Self {
        match setting.axis {
            Axis::Seed => return Self::named(Work::Seed),
            Axis::SelfCheck => return Self::named(Work::SelfCheck),
            _ => {}
        }
        let asked = |axis: Axis| setting.axis == axis;
        let lingers = setting.linger != Linger::Microseconds(0);
        Self {
            work: Work::Load,
            qlen: setting.qlen,
            pipe: setting.pipe_bytes,
            nagle: (asked(Axis::Nagle) || setting.nagle).then_some(setting.nagle),
            linger: (asked(Axis::Linger) || lingers).then_some(setting.linger),
            producers: setting.producers,
            size: setting.message_bytes,
            rate: Rate::of(setting.rate),
        }
    }

    /// Whether it is a load at which no knob was turned.
    pub fn is_plain(&self) -> bool {
        let turned = self.qlen.is_some() || self.pipe.is_some();
        self.work == Work::Load && !turned && self.nagle.is_none() && self.linger.is_none()
    }

    /// In words, for people.
    pub fn words(&self) -> String {
        match self.work {
            Work::Seed => return "the original's load".to_owned(),
            Work::SelfCheck => return "the prime workload".to_owned(),
            Work::Follow => return "single records".to_owned(),
            Work::Load => {}
        }
        let mut words = format!(
            "{} producers x {}, {} bytes",
            self.producers,
            self.rate.words(),
            self.size
        );
        for knob in self.knobs() {
            words += &format!(", {knob}");
        }
        words
    }

    /// The knobs that were turned: `qlen=10`.
    fn knobs(&self) -> Vec<String> {
        let switch = |on: bool| if on { "on" } else { "off" };
        let linger = self.linger.map(|linger| match linger {
            Linger::Auto => "linger=auto".to_owned(),
            Linger::Microseconds(microseconds) => format!("linger={microseconds}"),
        });
        let knobs = [
            self.qlen.map(|qlen| format!("qlen={qlen}")),
            self.pipe.map(|bytes| format!("pipe={bytes}")),
            self.nagle.map(|on| format!("nagle={}", switch(on))),
            linger,
        ];
        knobs.into_iter().flatten().collect()
    }

    /// Reads one part of a key.
    fn set(&mut self, part: &str) -> Result<(), String> {
        let unknown = || {
            format!(
                "'{part}' is no load: it is seed, self-check, follow, or rate=, size=, producers=, qlen=, pipe=, \
                 nagle= or linger= with its value"
            )
        };
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let count = || value.parse::<u32>().map_err(|_| unknown());
        match (name, value) {
            ("seed", "") => *self = Self::named(Work::Seed),
            ("self-check", "") => *self = Self::named(Work::SelfCheck),
            ("follow", "") => *self = Self::named(Work::Follow),
            ("rate", _) => self.rate = Rate::of(count()?),
            ("size", _) => self.size = count()?,
            ("producers", _) => self.producers = count()?,
            ("qlen", _) => self.qlen = Some(count()?),
            ("pipe", _) => self.pipe = Some(count()?),
            ("nagle", "on") => self.nagle = Some(true),
            ("nagle", "off") => self.nagle = Some(false),
            ("linger", "auto") => self.linger = Some(Linger::Auto),
            ("linger", _) => self.linger = Some(Linger::Microseconds(count()?)),
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

impl Rate {
    /// Of the number of a setting, where 0 is flat out.
    pub fn of(per_second: u32) -> Self {
        match per_second {
            0 => Self::FlatOut,
            _ => Self::PerSecond(per_second),
        }
    }

    /// For an axis: short.
    pub fn label(self) -> String {
        match self {
            Self::PerSecond(rate) => super::value::whole(rate),
            Self::FlatOut => "flat out".to_owned(),
        }
    }

    /// After a number that it goes with: `at 1,000/s`.
    pub fn after(self) -> String {
        match self {
            Self::PerSecond(_) => format!("at {}/s", self.label()),
            Self::FlatOut => self.label(),
        }
    }

    /// In a sentence.
    pub fn words(self) -> String {
        match self {
            Self::PerSecond(_) => format!("{} a second", self.label()),
            Self::FlatOut => self.label(),
        }
    }
}

/// As in a key, in a fixed order; what is as usual is left out.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = match self.work {
            Work::Seed => return f.write_str("seed"),
            Work::SelfCheck => return f.write_str("self-check"),
            Work::Follow => return f.write_str("follow"),
            Work::Load => match self.rate {
                Rate::PerSecond(rate) => rate,
                Rate::FlatOut => 0,
            },
        };
        write!(f, "rate={rate}")?;
        if self.size != MESSAGE_BYTES {
            write!(f, "/size={}", self.size)?;
        }
        if self.producers != PRODUCERS {
            write!(f, "/producers={}", self.producers)?;
        }
        self.knobs()
            .iter()
            .try_for_each(|knob| write!(f, "/{knob}"))
    }
}

/// In any order; what is not said is as usual.
impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut point = Self::named(Work::Load);
        if !text.contains("rate=") {
            point.rate = Rate::PerSecond(1000);
        }
        text.split('/').try_for_each(|part| point.set(part))?;
        Ok(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, canonical: &str) {
        let point: Point = text.parse().unwrap();
        assert_eq!(point.to_string(), canonical);
        assert_eq!(canonical.parse(), Ok(point));
    }

    #[test]
    fn a_load_is_written_in_one_way_and_read_in_any() {
        check("seed", "seed");
        check("follow", "follow");
        check("self-check", "self-check");
        check("rate=0", "rate=0");
        check("producers=5/size=100/rate=10", "rate=10");
        check("producers=20/rate=0", "rate=0/producers=20");
        check("size=3500", "rate=1000/size=3500");
        check("qlen=64/rate=0", "rate=0/qlen=64");
        check("nagle=off", "rate=1000/nagle=off");
        check(
            "linger=auto/nagle=on/pipe=65536",
            "rate=1000/pipe=65536/nagle=on/linger=auto",
        );
    }

    #[test]
    fn what_is_no_load_is_refused_by_name() {
        for wrong in ["", "rate", "rate=fast", "speed=3", "nagle=maybe"] {
            let refused = wrong.parse::<Point>().unwrap_err();
            assert!(
                refused.starts_with(&format!("'{wrong}' is no load")),
                "{refused}"
            );
        }
    }

    #[test]
    fn flat_out_is_the_fastest() {
        assert!(Rate::of(0) > Rate::of(1_000_000));
    }
}

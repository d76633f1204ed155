//! Facts, what each witness says of them, and whether they agree.

use std::fmt::Write as _;

/// Who says it. No two have the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Our own programs: the producers' reports and the daemon's summary.
    Programs,
    /// The daemon's file, as we read it.
    File,
    /// The kernel's counters.
    Proc,
    Bpftrace,
    Strace,
}

/// The columns of the table, with their heads.
const WITNESSES: [(Witness, &str); 5] = [
    (Witness::Programs, "programs"),
    (Witness::File, "file"),
    (Witness::Proc, "/proc"),
    (Witness::Bpftrace, "bpftrace"),
    (Witness::Strace, "strace"),
];

/// A number that several witnesses know.
#[derive(Clone, Debug)]
pub struct Fact {
    name: &'static str,
    said: Vec<(Witness, u64)>,
}

/// What comes of a fact's witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agree,
    Differ,
    /// There is nobody to compare with.
    OneWitness,
}

impl Fact {
    /// A fact of at most 31 letters; a witness that is not here says nothing.
    pub fn new(name: &'static str, said: &[(Witness, Option<u64>)]) -> Self {
        let said = said.iter();
        Self {
            name,
            said: said
                .filter_map(|(witness, count)| Some((*witness, (*count)?)))
                .collect(),
        }
    }

    /// Whether all say the same.
    pub fn verdict(&self) -> Verdict {
        match self.said.as_slice() {
            [] | [_] => Verdict::OneWitness,
            [(_, first), rest @ ..] if rest.iter().all(|(_, count)| count == first) => {
                Verdict::Agree
            }
            _ => Verdict::Differ,
        }
    }

    /// Who says what, in a line.
    pub fn statement(&self) -> String {
        let say = |(witness, count): &(Witness, u64)| format!("{} {count}", head(*witness));
        let said: Vec<String> = self.said.iter().map(say).collect();
        format!("{}: {}", self.name, said.join(", "))
    }

    fn row(&self) -> String {
        let cell = |witness| {
            let said = self.said.iter().find(|(known, _)| *known == witness);
            said.map_or(String::new(), |(_, count)| count.to_string())
        };
        let verdict = match self.verdict() {
            Verdict::Agree => "agree",
            Verdict::Differ => "DIFFER",
            Verdict::OneWitness => "one witness",
        };
        line(
            self.name,
            WITNESSES.map(|(witness, _)| cell(witness)),
            verdict,
        )
    }
}

fn head(witness: Witness) -> &'static str {
    let found = WITNESSES.iter().find(|(known, _)| *known == witness);
    found.map_or("", |(_, head)| head)
}

fn line(name: &str, cells: [String; 5], verdict: &str) -> String {
    let [a, b, c, d, e] = cells;
    format!("  {name:<31} {a:>9} {b:>9} {c:>9} {d:>9} {e:>9}  {verdict}\n")
}

/// The heads of the columns.
pub fn heads() -> String {
    line("", WITNESSES.map(|(_, head)| head.to_owned()), "")
        .trim_end()
        .to_owned()
        + "\n"
}

/// A table of facts below a title, without heads; at most 100 columns.
pub fn table(title: &str, facts: &[Fact]) -> String {
    let mut text = format!("{title}\n");
    for fact in facts {
        let _ = write!(text, "{}", fact.row()); // a String takes all
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(counts: [Option<u64>; 5]) -> Fact {
        let said = WITNESSES
            .map(|(witness, _)| witness)
            .into_iter()
            .zip(counts);
        Fact::new("records sent", &said.collect::<Vec<_>>())
    }

    #[test]
    fn whoever_lies_by_one_is_found() {
        assert_eq!(fact([Some(529); 5]).verdict(), Verdict::Agree);
        for liar in 0..5 {
            for lie in [528, 530] {
                let mut counts = [Some(529); 5];
                counts[liar] = Some(lie);
                assert_eq!(fact(counts).verdict(), Verdict::Differ, "{liar}");
            }
        }
    }

    #[test]
    fn one_witness_proves_nothing() {
        let alone = fact([None, None, Some(3), None, None]);
        assert_eq!(alone.verdict(), Verdict::OneWitness);
        assert_eq!(fact([None; 5]).verdict(), Verdict::OneWitness);
        let two = fact([None, Some(3), Some(3), None, None]);
        assert_eq!(two.verdict(), Verdict::Agree);
    }

    #[test]
    fn the_table_has_a_place_for_each_witness() {
        let text = heads() + &table("udp", &[fact([Some(1), None, Some(2), None, Some(3)])]);
        let want = "                                   programs      file     /proc  bpftrace    strace\n\
                    udp\n  \
                      records sent                            1                   2                   3  DIFFER\n";
        assert_eq!(text, want);
        let statement = fact([Some(1), None, Some(2), None, None]).statement();
        assert_eq!(statement, "records sent: programs 1, /proc 2");
    }
}

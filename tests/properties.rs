//! The properties that `fuzz/` looks for exceptions of, held against its seeds and random changes of
//! them: a second's worth each time, without the fuzzer.

#[path = "../fuzz/src/lib.rs"]
mod properties;

use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

const CHANGED_INPUTS: usize = 20_000;

/// A generator of pseudo-random numbers (xorshift64*), the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % bound
    }
}

/// Changes one place: a byte, a piece that goes, or a piece of another input that comes.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(8)).min(bytes.len());
    let from = random.below(other.len() + 1);
    let to = (from + random.below(16)).min(other.len());
    match random.below(4) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 => bytes.insert(at, b"\n\r\"\\{}[]:,_e9\xff\xe2\0\x85\xa8"[random.below(18)]),
        2 => drop(bytes.drain(at..end)),
        _ => drop(bytes.splice(at..end, other[from..to].iter().copied())),
    }
}

/// Holds a property against each seed of its target, and changed ones.
fn hold(target: &str, property: impl Fn(&[u8]) + RefUnwindSafe) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut paths: Vec<_> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(seeds.len() >= 10, "{} seeds of {target}", seeds.len());
    let check = |input: &[u8]| {
        if let Err(panic) = catch_unwind(|| property(input)) {
            eprintln!("{target} fails for b\"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
    };
    for seed in &seeds {
        check(seed);
    }
    let random = &mut Random(1);
    for _ in 0..CHANGED_INPUTS {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            change(&mut input, &seeds[random.below(seeds.len())], random);
        }
        check(&input);
    }
}

#[test]
fn frames_are_those_of_a_naive_splitter() {
    hold("framer", properties::framer);
}

#[test]
fn records_are_valid_json_lines_that_lose_nothing() {
    hold("records", properties::records);
}

#[test]
fn an_object_is_what_another_parser_calls_one() {
    hold("object", properties::object);
}

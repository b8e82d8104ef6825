//! The laws of the fuzz targets, on their corpus and on inputs made from it:
//! pieces cut out, put elsewhere, overwritten.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/laws.rs"]
mod laws;

use std::{fs, path::Path};

use laws::LAWS;
use proptest::{prelude::*, sample::Index};

/// The corpus of a target, by name of the file.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files: Vec<_> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 3, "{target} has hardly a corpus");
    files
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

/// Texts that mean something to one of the readers.
const WORDS: &[&str] = &[
    "=",
    "\n",
    ",",
    " ",
    "-equals",
    "-gtVersion",
    "1.2",
    "0",
    "-1",
    "true",
    "poolName=",
    "poolID=",
    "capabilities=",
    "requires=",
    "demands=",
    "parent=",
    "strategy=accurate",
    "mode=job",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "1e999",
    "\\u0000",
    "\\ud800",
    "\"value\":",
    "\"requestId\":1",
    "https://",
    "@",
    "?",
    "#",
    "..",
    "\u{130}",
    "\u{feff}",
];

/// One step away from what is there.
#[derive(Clone, Debug)]
enum Step {
    Cut(Index, Index),
    Bytes(Index, Vec<u8>),
    Word(Index, Index),
    Copy(Index, Index, Index),
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<Index>;
    prop_oneof![
        (at(), at()).prop_map(|(from, to)| Step::Cut(from, to)),
        (at(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, new)| Step::Bytes(at, new)),
        (at(), at()).prop_map(|(at, word)| Step::Word(at, word)),
        (at(), at(), at()).prop_map(|(from, to, at)| Step::Copy(from, to, at)),
    ]
}

fn take(step: &Step, data: &mut Vec<u8>) {
    let place = |index: &Index| index.index(data.len() + 1);
    let range = |from: &Index, to: &Index| {
        let (from, to) = (place(from), place(to));
        from.min(to)..from.max(to)
    };
    match step {
        Step::Cut(from, to) => drop(data.drain(range(from, to))),
        Step::Bytes(at, new) => drop(data.splice(place(at)..place(at), new.iter().copied())),
        Step::Word(at, word) => {
            let at = place(at);
            drop(data.splice(at..at, word.get(WORDS).bytes()));
        }
        Step::Copy(from, to, at) => {
            let piece = data[range(from, to)].to_vec();
            let at = place(at);
            drop(data.splice(at..at, piece));
        }
    }
    // Enough for everything that is bounded by less.
    data.truncate(64 << 10);
}

#[test]
fn the_laws_hold_on_the_corpus() {
    for (target, law) in LAWS {
        for data in corpus(target) {
            law(&data);
        }
    }
}

#[test]
fn the_laws_hold_near_the_corpus() {
    for (target, law) in LAWS {
        let corpus = corpus(target);
        let inputs = (any::<Index>(), prop::collection::vec(step(), 0..8));
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        proptest!(config, |((start, steps) in inputs)| {
            let mut data = start.get(&corpus).clone();
            for step in &steps {
                take(step, &mut data);
            }
            law(&data);
        });
    }
}

#[test]
fn the_laws_hold_on_anything() {
    for (_, law) in LAWS {
        proptest!(|(data in prop::collection::vec(any::<u8>(), 0..200))| law(&data));
        proptest!(|(data in "\\PC{0,100}")| law(data.as_bytes()));
    }
}

/// A target that cargo-fuzz does not know of would never be run.
#[test]
fn each_law_has_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (target, _) in LAWS {
        let path = format!("fuzz_targets/{target}.rs");
        assert!(manifest.contains(&format!("name = \"{target}\"\npath = \"{path}\"")));
        let text = fs::read_to_string(root.join(path)).unwrap();
        assert!(text.contains(&format!("laws::{target}(data)")), "{target}");
    }
}

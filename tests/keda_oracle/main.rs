//! KEDA's own keys, held against KEDA's own code: the number, the activity and
//! the target of a trigger are those of KEDA 2.21's scaler package, which a Go
//! program calls (`tools/keda/oracle`), on the same emulated organization.
//!
//! The scaler is asked as its servers ask it, so that everything between the
//! organization's HTTP and the answer takes part. Where the two are meant to
//! differ, `differences` and `docs/keda-differences.md` say so, and how.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod case;
mod differences;
mod oddities;
mod oracle;
mod random;
mod service;
mod sides;

use std::{cell::RefCell, collections::BTreeSet, fs, path::Path};

use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};

use case::Case;
use differences::{DIFFERENCES, Difference, Here};
use oddities::ODDITIES;
use service::ODD_ANSWERS;
use sides::{Place, Sides, Told};

/// How many random cases there are.
const CASES: u32 = 3_000;

/// Where they begin; another one makes other cases.
const SEED: [u8; 32] = *b"the answer of KEDA 2.21 itself..";

/// How often what came about, so that cases which test nothing are noticed.
#[derive(Debug, Default)]
struct Seen {
    numbers: u32,
    above_zero: u32,
    refused: u32,
    /// Above zero because of these keys.
    by_demands: u32,
    by_parent: u32,
    differing: u32,
}

#[test]
fn random_queues_and_triggers_get_kedas_answer() {
    let sides = RefCell::new(Sides::start());
    let seen = RefCell::new(Seen::default());
    let config = Config {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let outcome = TestRunner::new_with_rng(config, rng).run(&random::case(), |case| {
        let told = check(&mut sides.borrow_mut(), &case).map_err(TestCaseError::fail)?;
        seen.borrow_mut().count(&case, &told);
        Ok(())
    });
    if let Err(TestError::Fail(why, case)) = &outcome {
        panic!("{why}\nseed {SEED:?}, the smallest case like it:\n{case:#?}");
    }
    outcome.unwrap();
    let seen = seen.into_inner();
    println!("{seen:?}");
    let enough = seen.above_zero > CASES / 3
        && seen.numbers - seen.above_zero > CASES / 10
        && seen.refused > CASES / 50
        && seen.by_demands > CASES / 10
        && seen.by_parent > CASES / 40
        && seen.differing > 10;
    assert!(enough, "the cases have become one-sided: {seen:?}");
}

/// Both answers to a case, or in which way they are not as they should be.
fn check(sides: &mut Sides, case: &Case) -> Result<(Told, Told), String> {
    let place = sides.place(case);
    let here = sides.scaler(case, &place);
    let keda = sides.keda(&case.trigger, &place);
    let rows: Vec<_> = DIFFERENCES
        .iter()
        .filter(|row| (row.applies)(case))
        .collect();
    let expected = expected(sides, case, &place, &rows, keda.clone());
    if here == expected {
        return Ok((here, keda));
    }
    let rows: Vec<_> = rows.iter().map(|row| row.name).collect();
    Err(format!(
        "here {here:?}, KEDA {keda:?}, by the differences {rows:?} it should be {expected:?}"
    ))
}

/// What the scaler should say: what KEDA says, but for the known differences.
fn expected(
    sides: &mut Sides,
    case: &Case,
    place: &Place,
    rows: &[&Difference],
    keda: Told,
) -> Told {
    if rows.iter().any(|row| matches!(row.here, Here::Refused)) {
        return Told::Refused("a known difference".to_owned());
    }
    let amended = rows.iter().fold(case.clone(), |case, row| match row.here {
        Here::AsToTrigger(amend) => amend(case),
        _ => case,
    });
    let told = if amended.trigger == case.trigger {
        keda
    } else {
        sides.keda(&amended.trigger, place)
    };
    match told {
        Told::Number { target, .. }
            if rows.iter().any(|row| matches!(row.here, Here::CountsNone)) =>
        {
            Told::Number {
                value: 0,
                active: false,
                target,
            }
        }
        told => told,
    }
}

// === impl Seen ===

impl Seen {
    fn count(&mut self, case: &Case, (here, keda): &(Told, Told)) {
        self.differing += u32::from(here != keda);
        match here {
            Told::Refused(_) => self.refused += 1,
            Told::Number { value, .. } => {
                self.numbers += 1;
                self.above_zero += u32::from(*value > 0);
                let parent = case.value("parent").is_some();
                let demands = case.value("demands").is_some();
                self.by_parent += u32::from(parent && *value > 0);
                self.by_demands += u32::from(demands && !parent && *value > 0);
            }
        }
    }
}

#[test]
fn every_difference_is_one() {
    let mut sides = Sides::start();
    for row in DIFFERENCES {
        let case = (row.shown_by)();
        let by: Vec<_> = DIFFERENCES
            .iter()
            .filter(|row| (row.applies)(&case))
            .collect();
        let names: Vec<_> = by.iter().map(|row| row.name).collect();
        assert_eq!(names, [row.name], "{case:?}");
        let (here, keda) = check(&mut sides, &case).unwrap_or_else(|why| panic!("{why}: {case:?}"));
        assert_ne!(here, keda, "{}: nothing differs in {case:?}", row.name);
    }
}

#[test]
fn kedas_oddities_are_kept() {
    let mut sides = Sides::start();
    for oddity in ODDITIES {
        for (case, number) in (oddity.cases)() {
            let told = check(&mut sides, &case);
            let (here, keda) =
                told.unwrap_or_else(|why| panic!("{}: {why}: {case:?}", oddity.name));
            let expected = Told::Number {
                value: number,
                active: number > 0,
                target: 1,
            };
            let both = (&expected, &expected);
            assert_eq!((&here, &keda), both, "{}: {case:?}", oddity.name);
        }
    }
}

#[test]
fn odd_answers_of_the_service_are_taken_as_the_page_says() {
    let mut sides = Sides::start();
    for odd in ODD_ANSWERS {
        let case = case::with_jobs(0, "").with(odd.trigger.0, odd.trigger.1);
        let place = sides.odd_place(odd.pages);
        let here = sides.scaler(&case, &place).value();
        let keda = sides.keda(&case.trigger, &place).value();
        assert_eq!((keda, here), (odd.keda, odd.here), "{}", odd.pages[0]);
        assert_eq!(odd.name.is_empty(), keda == here, "{}", odd.name);
    }
}

/// The names in the first column of the table under this heading.
fn rows(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, below) = page.split_once(heading).expect("the heading");
    let section = below.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect()
}

#[test]
fn the_page_has_every_difference_and_oddity_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keda-differences.md");
    let page = fs::read_to_string(path).unwrap();
    let differences = DIFFERENCES.iter().map(|row| row.name.to_owned());
    assert_eq!(rows(&page, "## What differs"), differences.collect());
    let answers = ODD_ANSWERS.iter().map(|odd| odd.name.to_owned());
    let answers = answers.filter(|name| !name.is_empty());
    assert_eq!(
        rows(&page, "## What the service may say"),
        answers.collect()
    );
    let oddities = ODDITIES.iter().map(|oddity| oddity.name.to_owned());
    assert_eq!(rows(&page, "## What stays"), oddities.collect());
}

//! Durations and sizes, as people write them.
//!
//! May import: nothing of ours. Invariant: a number without a unit is refused
//! rather than guessed at, and so is one outside its bounds.

use std::{ops::RangeInclusive, time::Duration};

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QuantityError {
    /// Not a whole number with a unit.
    #[error("{text:?} is no {what}; write a whole number and a unit, such as {examples}")]
    Form {
        text: String,
        what: &'static str,
        examples: &'static str,
    },
    /// Not a whole number.
    #[error("{0:?} is no whole number")]
    Number(String),
    /// Out of bounds.
    #[error("{text} is out of bounds; it may be from {least} to {most}")]
    Bounds {
        text: String,
        least: String,
        most: String,
    },
}

const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

const SIZES: [(&str, u64); 4] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("B", 1),
];

/// Such as `500ms`, `5s`, `5m`, `1h`.
pub(super) fn duration(
    text: &str,
    bounds: RangeInclusive<Duration>,
) -> Result<Duration, QuantityError> {
    let milliseconds = scaled(text, &DURATIONS).ok_or_else(|| QuantityError::Form {
        text: text.to_owned(),
        what: "duration",
        examples: "500ms, 5s, 5m or 1h",
    })?;
    let duration = Duration::from_millis(milliseconds);
    within(text, duration, bounds, |bound| format!("{bound:?}"))
}

/// Such as `256MiB`; in bytes.
pub(super) fn size(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, QuantityError> {
    let bytes = scaled(text, &SIZES).ok_or_else(|| QuantityError::Form {
        text: text.to_owned(),
        what: "size",
        examples: "512KiB, 256MiB or 1GiB",
    })?;
    within(text, bytes, bounds, |bound| format!("{bound}B"))
}

/// A whole number.
pub(super) fn count(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, QuantityError> {
    let count = text.trim().parse();
    let count = count.map_err(|_| QuantityError::Number(text.to_owned()))?;
    within(text, count, bounds, u64::to_string)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn within<T: PartialOrd>(
    text: &str,
    value: T,
    bounds: RangeInclusive<T>,
    print: impl Fn(&T) -> String,
) -> Result<T, QuantityError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    Err(QuantityError::Bounds {
        text: text.to_owned(),
        least: print(bounds.start()),
        most: print(bounds.end()),
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    fn check<T: fmt::Debug + PartialEq>(got: Result<T, QuantityError>, expected: Result<T, &str>) {
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn durations_have_a_unit_and_bounds() {
        let read = |text| duration(text, Duration::from_millis(100)..=Duration::from_secs(3600));
        check(read("500ms"), Ok(Duration::from_millis(500)));
        check(read(" 5s "), Ok(Duration::from_secs(5)));
        check(read("5m"), Ok(Duration::from_secs(300)));
        check(read("1h"), Ok(Duration::from_secs(3600)));
        for text in [
            "5",
            "",
            "s",
            "5 s",
            "1.5s",
            "-5s",
            "5d",
            "5S",
            "99999999999999999999s",
        ] {
            check(read(text), Err("write a whole number and a unit"));
        }
        check(read("18446744073709551615h"), Err("write a whole number"));
        check(read("99ms"), Err("it may be from 100ms to 3600s"));
        check(read("61m"), Err("it may be from 100ms to 3600s"));
    }

    #[test]
    fn sizes_have_a_unit_and_bounds() {
        let read = |text| size(text, 1024..=1 << 30);
        check(read("256MiB"), Ok(256 << 20));
        check(read("1GiB"), Ok(1 << 30));
        check(read("2048B"), Ok(2048));
        for text in ["256", "256MB", "MiB", "99999999999GiB"] {
            check(read(text), Err("512KiB, 256MiB or 1GiB"));
        }
        check(read("1B"), Err("it may be from 1024B to"));
    }

    #[test]
    fn counts_are_whole_and_have_bounds() {
        check(count("2000", 1..=5000), Ok(2000));
        check(count("many", 1..=5000), Err("is no whole number"));
        check(count("0", 1..=5000), Err("it may be from 1 to 5000"));
    }
}

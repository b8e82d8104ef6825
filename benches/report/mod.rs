//! How every bench prints: one row for each figure, with its goal beside it.

#![allow(dead_code, unreachable_pub, reason = "each bench uses its part of this")]

use std::time::{Duration, Instant};

/// Prints `name  figure  goal  ok`; tells whether the goal was reached.
pub fn row(name: &str, figure: &str, goal: &str, reached: bool) -> bool {
    let verdict = if reached { "ok" } else { "MISSED" };
    println!("{name:<58} {figure:>22}   {goal:<34} {verdict}");
    reached
}

/// Ends the bench; a goal that was missed is a failure.
pub fn finish(reached: &[bool]) {
    if reached.contains(&false) {
        std::process::exit(1);
    }
}

/// The median time of `runs` calls, after one that does not count.
pub fn median_time(runs: usize, mut call: impl FnMut()) -> Duration {
    call();
    let times = (0..runs).map(|_| {
        let started = Instant::now();
        call();
        started.elapsed()
    });
    median(times.collect())
}

/// The middle one.
pub fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("no figure is a NaN"));
    values[values.len() / 2]
}

/// The value at this share (0 to 1) of the sorted values.
pub fn quantile<T: PartialOrd + Copy>(mut values: Vec<T>, share: f64) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("no figure is a NaN"));
    let last = values.len() - 1;
    values[((last as f64) * share).round() as usize]
}

/// Milliseconds, for people.
pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

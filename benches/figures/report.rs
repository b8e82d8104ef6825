//! How every bench prints: one row for each figure, with its goal beside it.

use std::time::{Duration, Instant};

/// A figure, and what it should be.
pub struct Row {
    name: String,
    figure: String,
    goal: &'static str,
    reached: bool,
}

impl Row {
    /// A figure without a goal.
    pub fn new(name: impl Into<String>, figure: impl Into<String>) -> Self {
        let (name, figure) = (name.into(), figure.into());
        Self {
            name,
            figure,
            goal: "",
            reached: true,
        }
    }

    /// The same, with its goal.
    pub fn goal(self, goal: &'static str, reached: bool) -> Self {
        Self {
            goal,
            reached,
            ..self
        }
    }

    /// Prints it; tells whether the goal was reached.
    pub fn print(&self) -> bool {
        let verdict = match (self.goal, self.reached) {
            ("", _) => "",
            (_, true) => "ok",
            (_, false) => "MISSED",
        };
        println!(
            "{:<54} {:>26}   {:<24} {verdict}",
            self.name, self.figure, self.goal
        );
        self.reached
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
    quantile(times.collect(), 0.5)
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

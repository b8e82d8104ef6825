//! The figures of the README, each beside its goal: `make bench`.
//!
//! One program, so that it is linked once. `cargo bench -- hook memory` prints
//! only those. Times are compared within one run; a missed goal fails it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a bench is a program of its own, and fails by panicking"
)]

mod answer;
mod claim;
mod decode;
mod hook;
mod latency;
mod memory;
mod parts;
mod report;
mod requests;
mod start;

use std::process::ExitCode;

type Bench = fn() -> Vec<report::Row>;

const BENCHES: [(&str, Bench); 8] = [
    ("answer", answer::run),
    ("decode", decode::run),
    ("claim", claim::run),
    ("requests", requests::run),
    ("hook", hook::run),
    ("memory", memory::run),
    ("start", start::run),
    ("latency", latency::run),
];

fn main() -> ExitCode {
    azp_scaler::azure::install_crypto_provider();
    // cargo passes --bench; everything else names a bench.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let mut reached = true;
    for (name, run) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            for row in run() {
                reached &= row.print();
            }
        }
    }
    if reached {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

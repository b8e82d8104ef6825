//! The stand-in agent as real processes against the emulator: what is promised
//! of it is what tests of other programs lean on.
//!
//! Every wait is for something that happens; a time-out only ends what hangs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod capabilities;
mod configure;
mod crash;
mod jobs;
mod once;
mod sessions;
mod signals;
mod stage;
mod update;

//! What users of other tools suffer from, one test for each pain, named after
//! it. docs/pains.md is the same list for people.
//!
//! Each scenario drives the whole program: an emulated organization, the
//! scaler that reads it over HTTP, and KEDA's questions. Invariant: the
//! organization's clock stands still unless a test moves it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod account;
mod agents_killed;
mod credentials;
mod demands;
mod from_zero;
mod list;
mod parallel_jobs;
mod scaled_job;
mod set;
#[path = "../support/mod.rs"]
mod support;
mod too_few_agents;
mod too_many_agents;

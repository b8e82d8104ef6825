//! The domain: demands and capabilities, job requests, profiles, the claim and
//! the number, with a reason for each.
//!
//! May import: nothing of ours, and nothing that waits, reads, writes or tells
//! the time. Invariant: everything here is a pure function of its arguments, so
//! that every replica of the scaler decides the same.

pub mod capability;
pub mod claim;
pub mod decision;
pub mod declared;
pub mod demand;
pub mod drain;
pub mod job;
pub mod keeper;
pub mod leftover;
pub mod legacy;
pub mod notice;
pub mod number;
pub mod organization;
pub mod parallel_jobs;
pub mod placeholder;
pub mod pool;
pub mod profile;
pub mod registration;
pub mod tenancy;
pub mod trigger;
pub mod version;

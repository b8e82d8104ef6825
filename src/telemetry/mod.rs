//! Telemetry: what the process tells about itself, in metrics and logs.
//!
//! May import: domain, ports (for the kinds of its errors). Invariant: nothing
//! here is global but the log subscriber, so that tests can run side by side,
//! and no secret has a way in.

pub mod agent;
pub mod descriptions;
pub mod labels;
pub mod logs;
pub mod metrics;
pub mod scrape;
pub mod waits;

//! What the tests of the servers share: answers by script and a plain client.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its own part, and fails where something is not there"
)]

pub mod http;
pub mod program;
pub mod scrape;
pub mod scripted;

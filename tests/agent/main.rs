//! azp-agent as a real process, with real signals, around the stand-in agent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod draining;
mod first;
mod hostile;
mod identity;
mod killed;
mod life;
mod once;
mod placeholder;
mod secrets;
mod stage;
mod storm;

//! The first process of an agent's pod: it registers the agent, runs it, drains
//! it and takes its registration away.
//!
//! May import: ports, domain, telemetry. Invariant: no job is lost by anything
//! that is decided here. While a worker lives nothing is told to stop; see
//! [`crate::domain::drain`] for the rule.
//!
//! [`children`] starts and reaps, [`processes`] and [`observer`] see who lives;
//! [`folder`], [`environment`], [`software`] and [`aws`] make ready; [`life`] is
//! the whole, with [`register`], [`listener`] (and its [`words`]), [`after`],
//! [`between`], [`enabled`], [`leave`] and [`unregistered`] as its parts; [`session`]
//! asks how the server sees it; [`board`] tells, at the [`door`]; [`memory`] hides what
//! is held. [`clean`] and [`placeholder`] are commands of their own.

mod after;
pub mod aws;
mod between;
pub mod board;
pub mod children;
pub mod clean;
pub mod door;
mod enabled;
mod environment;
pub mod folder;
mod leave;
mod life;
mod listener;
pub mod memory;
mod observer;
pub mod placeholder;
mod processes;
mod register;
mod session;
mod software;
pub mod unpack;
mod unregistered;
mod words;

pub use self::{
    life::{Ending, LifeError, Surroundings, live},
    software::Software,
};

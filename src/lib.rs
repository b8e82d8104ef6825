//! azp-scaler: the right number of self-hosted Azure Pipelines agents, for KEDA.
//!
//! The crate is built in floors; imports run downwards only, and
//! `tests/floors.rs` keeps it so. From the bottom up: [`domain`] (pure
//! decisions), [`ports`], [`azure`] (the REST client) and [`kubernetes`],
//! [`pools`] (one watcher for each pool), [`scaler`] (answers) and [`guard`] (writes), [`grpc`] and
//! [`http`], [`app`] (the wiring), [`cli`]. [`emulator`] stands aside: an Azure DevOps organization in
//! memory that shares nothing with the client but the domain.

pub mod agent;
pub mod app;
pub mod azure;
pub mod bounded;
pub mod cli;
pub mod config;
pub mod connection;
pub mod domain;
pub mod emulator;
pub mod grpc;
pub mod guard;
pub mod http;
pub mod kubernetes;
pub mod pools;
pub mod ports;
pub mod scaler;
pub mod shutdown;
pub mod telemetry;

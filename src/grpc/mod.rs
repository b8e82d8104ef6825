//! The gRPC server: KEDA's protocol for external scalers, health, reflection.
//!
//! May import: scaler, telemetry, shutdown, connection, config (where the files
//! of TLS are). Invariant: it decides
//! nothing; a call becomes a question to [`Answers`], and what comes back becomes
//! a message or a status. Nothing outside knows tonic, but for the messages in
//! [`proto`]; [`health`] and the client are callers.
//!
//! [`Answers`]: crate::scaler::answers::Answers

mod client;
mod convert;
mod health;
mod incoming;
mod limits;
mod server;
mod service;
mod streams;
mod tls;

pub use client::{CallError, Client, Metric};
pub use health::{Unwell, probe};
pub use server::{GrpcError, serve};
pub use tls::{Tls, TlsError};

/// KEDA's protocol: messages, client and server, as generated.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::doc_markdown,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "generated code"
)]
pub mod proto {
    tonic::include_proto!("externalscaler");

    /// The protocol as a descriptor, for reflection.
    pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/externalscaler.bin"));
}

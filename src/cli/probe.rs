//! `azp-scaler probe`: does a scaler serve KEDA, as seen from here?
//!
//! May import: config, grpc. Invariant: exit code 0 is «yes», 1 «no», with what was
//! found and what to do about it.

use std::process::ExitCode;

use super::plain::Plain;
use crate::{config::ProbeConfig, grpc};

/// Asks, and tells what came of it.
pub(super) async fn probe(config: &ProbeConfig) -> ExitCode {
    let by = match &config.tls {
        Some(tls) => format!("by TLS, as {}", tls.server_name),
        None => "in clear text".to_owned(),
    };
    match grpc::probe(config).await {
        Ok(()) => {
            println!("{} serves KEDA's protocol ({by})", config.address);
            ExitCode::SUCCESS
        }
        Err(unwell) => {
            eprintln!("azp-scaler: {} ({by}): {}", config.address, Plain(&unwell));
            ExitCode::FAILURE
        }
    }
}

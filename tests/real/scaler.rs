//! The scaler as a program.

use std::time::Duration;

use azp_harness::{Cluster, Process, http};

use super::{Emulator, Failure};

const HOOK_SECRET: &str = "hook-secret";

/// A running `azp-scaler serve`.
#[derive(Debug)]
pub(crate) struct Scaler {
    /// What a trigger's `scalerAddress` says.
    pub(crate) address: String,
    http: String,
    process: Process,
}

impl Scaler {
    /// Starts it for the emulator's organization. `poll` is how often it looks
    /// while nothing calls for more.
    pub(crate) fn start(
        cluster: &Cluster,
        name: &str,
        emulator: &Emulator,
        poll: Duration,
    ) -> Result<Scaler, Failure> {
        let poll = format!("{}ms", poll.as_millis());
        let process = cluster.spawn(
            &format!("scaler-{name}"),
            env!("CARGO_BIN_EXE_azp-scaler").as_ref(),
            &[
                "serve",
                "--grpc-listen=127.0.0.1:0",
                "--http-listen=127.0.0.1:0",
                "--learn=0s",
                "--max-stale=5m",
                &format!("--poll-interval={poll}"),
                &format!("--idle-interval={poll}"),
                // So that a fault that never answers is met more than once.
                "--request-timeout=2s",
                // So that a body without end is soon too large.
                "--body-cap=16MiB",
            ],
            &[
                ("AZP_URL", &emulator.url()),
                ("AZP_TOKEN", "token"),
                ("AZP_HOOK_SECRET", HOOK_SECRET),
            ],
        )?;
        let within = Duration::from_secs(20);
        let address = process.line_after("grpc listening on ", within)?;
        let http = process.line_after("http listening on ", within)?;
        Ok(Scaler {
            address,
            http,
            process,
        })
    }

    /// Sends what an Azure DevOps service hook sends.
    pub(crate) fn hook(&self) -> Result<(), Failure> {
        let secret = [("x-azp-hook-secret", HOOK_SECRET)];
        let body = r#"{"eventType":"ms.vss-pipelines.job-state-changed-event"}"#;
        let answer = http::request("POST", &self.http, "/hooks/azure-devops", &secret, body)?;
        match answer.status {
            202 => Ok(()),
            _ => Err(format!("the hook was answered {} {}", answer.status, answer.body).into()),
        }
    }

    /// The end of its log, for the message of a failure.
    pub(crate) fn log(&self) -> String {
        self.process.log_tail()
    }
}

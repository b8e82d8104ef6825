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

/// What a scaler is started with beyond its organization.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup<'a> {
    /// How often it looks while nothing calls for more.
    pub(crate) poll: Duration,
    /// What a trigger's `scalerAddress` says; a free port where it is not given.
    pub(crate) address: Option<&'a str>,
    /// The namespace of the cluster that it watches, if any.
    pub(crate) watched: Option<&'a str>,
    /// More flags.
    pub(crate) flags: &'a [&'a str],
}

impl Scaler {
    /// Starts it for the emulator's organization and without a cluster, see
    /// [`Scaler::start_with`].
    pub(crate) fn start(
        cluster: &Cluster,
        name: &str,
        emulator: &Emulator,
        poll: Duration,
    ) -> Result<Scaler, Failure> {
        let setup = Setup {
            poll,
            flags: &["--learn=0s"],
            ..Setup::default()
        };
        Scaler::start_with(cluster, name, emulator, setup)
    }

    /// Starts it, by a name that no other has.
    pub(crate) fn start_with(
        cluster: &Cluster,
        name: &str,
        emulator: &Emulator,
        setup: Setup<'_>,
    ) -> Result<Scaler, Failure> {
        let poll = format!("{}ms", setup.poll.as_millis());
        let address = match setup.address {
            Some(address) => address.to_owned(),
            None => free_address()?,
        };
        let mut flags = vec![
            "serve".to_owned(),
            format!("--grpc-listen={address}"),
            "--http-listen=127.0.0.1:0".to_owned(),
            "--max-stale=5m".to_owned(),
            format!("--poll-interval={poll}"),
            format!("--idle-interval={poll}"),
            // So that a fault that never answers is met more than once.
            "--request-timeout=2s".to_owned(),
            // So that a body without end is soon too large.
            "--body-cap=16MiB".to_owned(),
        ];
        if let Some(namespace) = setup.watched {
            flags.push("--cluster=required".to_owned());
            flags.push(format!("--kubeconfig={}", cluster.kubeconfig().display()));
            flags.push(format!("--namespaces={namespace}"));
            // Without it a scaler has to learn which triggers are its own.
            flags.push(format!("--scaler-address={address}"));
        }
        flags.extend(setup.flags.iter().map(|&flag| flag.to_owned()));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let process = cluster.spawn(
            &format!("scaler-{name}"),
            env!("CARGO_BIN_EXE_azp-scaler").as_ref(),
            &flags,
            &[
                ("AZP_URL", &emulator.url()),
                ("AZP_TOKEN", "token"),
                ("AZP_HOOK_SECRET", HOOK_SECRET),
            ],
        )?;
        let within = Duration::from_secs(20);
        process.line_after("grpc listening on ", within)?;
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

/// An address of this machine at which nobody listens.
fn free_address() -> Result<String, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

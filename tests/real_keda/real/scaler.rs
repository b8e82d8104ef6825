//! The scaler as a program.

use std::time::Duration;

use azp_harness::{Cluster, Process, http};
use serde_json::Value;

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
    /// The `scalerAddress` of another scaler that is a replica of this one.
    pub(crate) replica: Option<&'a str>,
    /// More flags. Where the tenancy file is among them, nothing but that says
    /// which organization and credential there are.
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
            let replica = setup.replica.map(|address| format!(",{address}"));
            let replica = replica.unwrap_or_default();
            flags.push(format!("--scaler-address={address}{replica}"));
        }
        flags.extend(setup.flags.iter().map(|&flag| flag.to_owned()));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let url = emulator.url();
        let mut variables = vec![("AZP_HOOK_SECRET", HOOK_SECRET)];
        if !flags.iter().any(|flag| flag.starts_with("--tenancy=")) {
            variables.extend([("AZP_URL", url.as_str()), ("AZP_TOKEN", "token")]);
        }
        let process = cluster.spawn(
            &format!("scaler-{name}"),
            env!("CARGO_BIN_EXE_azp-scaler").as_ref(),
            &flags,
            &variables,
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

    /// The number that it tells of a scaling object, if it can.
    pub(crate) fn number(&self, namespace: &str, name: &str) -> Result<Option<u64>, Failure> {
        let path = format!("/status?object={namespace}%2F{name}");
        let status: Value = serde_json::from_str(&self.get(&path)?)?;
        let pools = status["pools"].as_array().cloned().unwrap_or_default();
        let mut profiles = pools.iter().filter_map(|pool| pool["profiles"].as_array());
        let profile = profiles.find_map(|profiles| {
            let is_it =
                |profile: &&Value| profile["namespace"] == namespace && profile["name"] == name;
            profiles.iter().find(is_it)
        });
        Ok(profile.and_then(|profile| profile["number"].as_u64()))
    }

    /// A metric, by its name with its labels; 0 where it is not there.
    pub(crate) fn metric(&self, name: &str) -> Result<f64, Failure> {
        let text = self.get("/metrics")?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }

    fn get(&self, path: &str) -> Result<String, Failure> {
        let answer = http::request("GET", &self.http, path, &[], "")?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(format!("GET {path}: {status} {}", answer.body).into()),
        }
    }

    /// Fails when it has ended.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        Ok(self.process.check()?)
    }

    /// The end of its log, for the message of a failure.
    pub(crate) fn log(&self) -> String {
        self.process.log_tail()
    }
}

/// An address of this machine at which nobody listens.
pub(crate) fn free_address() -> Result<String, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

//! What both charts are told: one profile of each kind, two replicas of the
//! scaler, TLS by a certificate that the chart makes.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::stage::{AGENTS, EMULATOR, POOL, SCALER, Stage, tree};

/// What an upgrade changes, beside nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// The pods of both charts are other ones.
    Upgraded,
}

/// The organization, as pods reach it.
fn organization() -> String {
    format!("{EMULATOR}/contoso")
}

pub(crate) fn path(release: &str) -> PathBuf {
    tree(match release {
        SCALER => "charts/azp-scaler",
        _ => "charts/azp-agent",
    })
}

pub(crate) fn scaler(stage: &Stage, change: Change) -> Value {
    let log = match change {
        Change::None => "info",
        Change::Upgraded => "azp_scaler=debug,info",
    };
    json!({
        "replicas": 2,
        "organization": {"url": organization()},
        "credentials": {"token": stage.token},
        "watch": {"namespaces": [AGENTS]},
        "writers": {"busyMarks": {"enabled": true}, "directScaleUp": {"enabled": true}},
        "tls": {"mode": "generate", "triggerAuthentication": {"namespaces": [AGENTS]}},
        "config": {
            // A reading that fails is to be seen within the test.
            "pollInterval": "1s", "idleInterval": "2s", "log": log,
        },
    })
}

pub(crate) fn agents(stage: &Stage, change: Change) -> Value {
    let variable = match change {
        Change::None => "before",
        Change::Upgraded => "after",
    };
    json!({
        "organization": {"url": organization()},
        "credentials": {"token": stage.token},
        "scaler": {
            "address": format!("{SCALER}-headless.{SCALER}.svc:9090"),
            "triggerAuthentication": {"name": format!("{SCALER}-tls")},
        },
        "extraEnv": [{"name": "UPGRADE", "value": variable}],
        "defaults": {"pool": POOL, "max": 10, "longestJob": "5m"},
        "profiles": {
            "linux": {
                "kind": "Deployment",
                "directScaleUp": true,
                "capabilities": "docker, java=17",
                "cooldownPeriod": 5,
                "hpa": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            },
            "gpu": {
                "kind": "ScaledJob",
                "capabilities": "docker, gpu, cuda",
                "requires": ["gpu"],
                "pollingInterval": 2,
                "scaledJob": {"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0},
            },
        },
    })
}

//! `make churn`: jobs come in bursts and lulls, nodes are drained, Deployments rolled
//! out, programs killed, Azure DevOps fails; no job may be lost. The same jobs go to
//! KEDA's own trigger with Microsoft's start.sh, in the same cluster at the same
//! moments, and both accounts are printed side by side.
//!
//! Real are kube-apiserver, kube-controller-manager, kube-scheduler, KEDA and two
//! replicas of the scaler as users get it. Azure DevOps is the emulator. Nodes are
//! kwok's, so that hundreds of agents have room; what is in their pods is played, see
//! `agents`. `AZP_CHURN=long` is the whole of it, which `make churn` runs; without it the
//! short form runs, as in `make test`. `AZP_CHURN_SEED` has a run again, `AZP_CHURN_JOBS` has
//! only so many jobs, in as much less time.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its parts take their real time"
)]

mod agents;
mod api;
mod chaos;
mod deeds;
mod diary;
#[path = "../support/failure.rs"]
mod failure;
mod ledger;
mod load;
mod objects;
mod oracle;
mod player;
mod report;
mod run;
mod scalers;
mod stage;
mod view;

use std::time::Duration;

use failure::Outcome;
use run::Form;

/// A few minutes: each kind of deed at least once.
const SHORT: Form = Form {
    shape: load::Shape {
        jobs: 400,
        within: Duration::from_secs(150),
        lasting: (1.0, 60.0),
        deploy: 100,
        cancelled: 40,
    },
    deeds: [2, 1, 2, 1, 1, 1, 6],
    // Jobs of seconds, and a fault in every half minute: what an agent waits for a
    // server that fails is much beside them. The promise is the long form's.
    most: 1.5,
};

/// Three quarters of an hour. Nine jobs of ten go to ScaledJobs, the charts' default
/// kind: an agent of a Deployment idles until the autoscaler looks, and a rollout
/// starts as many new ones as there were: 29 % above the oracle in a run of 2,500 jobs.
const LONG: Form = Form {
    shape: load::Shape {
        jobs: 10_000,
        within: Duration::from_secs(2100),
        lasting: (1.0, 300.0),
        deploy: 100,
        cancelled: 40,
    },
    deeds: [15, 7, 20, 8, 8, 6, 45],
    most: 1.05,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_lost() -> Outcome {
    let form = match std::env::var("AZP_CHURN").as_deref() {
        Ok("long") => LONG,
        Ok("short") | Err(_) => SHORT,
        Ok(other) => return Err(format!("AZP_CHURN is {other:?}; say short or long").into()),
    };
    let form = match std::env::var("AZP_CHURN_JOBS") {
        Ok(jobs) => {
            let number = jobs.parse();
            form.part(number.map_err(|_| format!("AZP_CHURN_JOBS is {jobs:?}, no number"))?)
        }
        Err(_) => form,
    };
    let seed = match std::env::var("AZP_CHURN_SEED") {
        Ok(seed) => seed
            .parse()
            .map_err(|_| format!("AZP_CHURN_SEED is {seed:?}, no number"))?,
        Err(_) => fastrand::u64(..1_000_000),
    };
    println!("seed {seed}; to have it again: AZP_CHURN_SEED={seed}");
    let report = run::run(form, seed).await?;
    println!("\n{}", report.table());
    let failures = report.failures(form.most);
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("; ").into()),
    }
}

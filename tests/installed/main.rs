//! What users touch first, as they touch it: both charts are installed by helm on
//! a whole Kubernetes with KEDA in pods, jobs come, charts are upgraded, a replica
//! is killed, alerts fire and clear, and after `helm uninstall` nothing is left.
//!
//! Needs the programs of `make tools`, `runc`, `nft` and Debian's `prometheus`, and
//! root; fails without them. One cluster and one test, since each chapter goes on
//! where the one before ended.

// The parts are real, and so is their time; there is no runtime to block.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod alerts;
#[path = "../support/built_images.rs"]
mod built_images;
mod charts;
#[path = "../support/emulator.rs"]
mod emulator;
#[path = "../support/failure.rs"]
mod failure;
mod jobs;
mod objects;
mod prometheus;
mod replica;
mod stage;

use std::time::{Duration, Instant};

use charts::Change;
use failure::{Failure, Outcome};
use jobs::Demand;
use stage::{AGENTS, POOL, SCALER, Stage, told};

/// What a fresh install may take until its first job runs.
const FIRST_JOB: Duration = Duration::from_secs(60);

/// For what takes a few of KEDA's intervals and a pod's start, on a busy machine.
const SOON: Duration = Duration::from_secs(180);

#[test]
fn both_charts_live_a_whole_life_on_a_real_cluster() -> Outcome {
    let began = Instant::now();
    let stage = Stage::start()?;
    told("the node, KEDA and the emulator are ready", began);
    let before = objects::all(&stage)?;

    first_job_after_a_fresh_install(&stage)?;
    each_job_runs_on_an_agent_that_can_do_it(&stage)?;
    restarting_keda_and_upgrading_both_charts_loses_no_job(&stage)?;
    a_killed_replica_fails_no_scaling(&stage)?;
    alerts::fire_and_clear(&stage)?;
    uninstalling_leaves_nothing(&stage, &before)
}

/// The pool is strict: without placeholders the job, which is queued when there is no
/// agent at all, would fail at once.
fn first_job_after_a_fresh_install(stage: &Stage) -> Outcome {
    let began = Instant::now();
    stage.install(Change::None)?;
    told("both charts are installed", began);
    stage.emulator.set_strict(POOL, true)?;
    stage.helm(&["test", SCALER, "--namespace", SCALER, "--logs"])?;

    let began_test = began.elapsed();
    let jobs = jobs::queue(stage, &[(1, Demand::Java)], 5)?;
    stage.until("the first job to run", SOON, || {
        Ok(jobs.states()?.iter().any(|job| job.state != "queued"))
    })?;
    told("the first job runs, after a fresh install", began);
    println!(
        "  (of which helm and its test took {:.1} s)",
        began_test.as_secs_f32()
    );
    assert!(began.elapsed() <= FIRST_JOB, "{:?}", began.elapsed());
    jobs.until_done(stage)
}

fn each_job_runs_on_an_agent_that_can_do_it(stage: &Stage) -> Outcome {
    let began = Instant::now();
    let jobs = jobs::queue(stage, &[(8, Demand::Java), (4, Demand::Gpu)], 10)?;
    jobs.until_done(stage)?;
    told("12 jobs with two kinds of demands are done", began);
    stage.until_no_agents()?;
    told("and their pods are gone", began);
    Ok(())
}

fn restarting_keda_and_upgrading_both_charts_loses_no_job(stage: &Stage) -> Outcome {
    let began = Instant::now();
    let jobs = jobs::queue_gated(stage, &[(7, Demand::Java), (3, Demand::Gpu)])?;
    stage.until("all ten jobs to run", SOON, || jobs.all_run())?;
    stage.until("the pods of busy agents to be marked", SOON, || {
        Ok(objects::marked(stage)?.len() == 10)
    })?;
    // KEDA's own restart is the other moment at which jobs of others have been lost.
    let operator = ["deployment/keda-operator", "--namespace=keda"];
    for verb in ["restart", "status"] {
        let arguments = [&["rollout", verb][..], &operator].concat();
        stage.cluster.kubectl(&arguments)?;
    }
    let generations = objects::templates(stage)?;
    stage.install(Change::Upgraded)?;
    assert!(
        jobs.all_run()?,
        "not all run any more: {:?}",
        jobs.states()?
    );
    assert!(
        generations
            .iter()
            .zip(objects::templates(stage)?)
            .all(|(old, new)| *old != new),
        "the upgrade changed nothing: {generations:?}"
    );
    jobs.let_end()?;
    jobs.until_done(stage)?;
    told(
        "10 jobs ran over a restart of KEDA and an upgrade of both charts",
        began,
    );
    stage.until_no_agents()
}

fn a_killed_replica_fails_no_scaling(stage: &Stage) -> Outcome {
    let began = Instant::now();
    let before = objects::failures(stage)?;
    let jobs = jobs::queue(stage, &[(9, Demand::Java), (3, Demand::Gpu)], 5)?;
    replica::kill_one(stage)?;
    jobs.until_done(stage)?;
    stage.until_no_agents()?;
    let after = objects::failures(stage)?;
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(new.is_empty(), "scaling failed: {new:#?}");
    told("12 jobs ran while one of two replicas was killed", began);
    Ok(())
}

fn uninstalling_leaves_nothing(stage: &Stage, before: &objects::Objects) -> Outcome {
    let began = Instant::now();
    let agents = stage.emulator.pool(POOL)?.agents;
    assert_eq!(
        agents, 2,
        "a placeholder for each profile is all that there is"
    );
    stage.helm(&["uninstall", AGENTS, "--namespace", AGENTS, "--wait"])?;
    assert_eq!(
        stage.emulator.pool(POOL)?.agents,
        0,
        "placeholders are left"
    );
    stage.helm(&["uninstall", SCALER, "--namespace", SCALER, "--wait"])?;
    stage
        .until("no object to be left", SOON, || {
            Ok(objects::all(stage)? == *before)
        })
        .map_err(|error| match objects::all(stage) {
            Ok(after) => format!(
                "{error:?}\nleft: {:?}",
                after.difference(before).collect::<Vec<_>>()
            )
            .into(),
            Err(error) => error,
        })?;
    told("uninstalling left nothing", began);
    Ok(())
}

//! Draining: SIGTERM in every state, and what the server's answers change.

use std::time::Duration;

use azp_scaler::{
    domain::job::{JobResult, JobState},
    emulator::{Fault, FaultKind, Order},
};

use crate::stage::{POOL, Stage, Start};

const SUCCEEDED: JobState = JobState::Finished(JobResult::Succeeded);

/// A step that lasts until the test says so.
const UNTIL_TOLD: &str = "until [ -e \"$HOME/go\" ]; do sleep 0.02; done; echo done";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_is_finished_and_no_other_is_taken() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let first = stage.queue(&[UNTIL_TOLD]);
    stage.until_state(first, JobState::Running).await;
    pod.terminate();
    let closed = |stage: &Stage| stage.agent("agent-1").filter(|agent| !agent.enabled);
    stage.until("it is disabled", closed).await;
    let second = stage.queue(&["echo second"]);
    std::fs::write(pod.path("go"), "").unwrap();
    pod.ends_with(0).await;
    assert_eq!(stage.job(first).state, SUCCEEDED, "{}", pod.story());
    assert_eq!(stage.job(second).state, JobState::Queued);
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
    assert!(pod.log().contains("a job runs here"), "{}", pod.story());
}

/// The job comes between the signal and the disabling: the server's first answers
/// are held back, and the job is queued meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_arrives_in_the_gap_is_finished_too() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    stage.organization.set_fault(Fault {
        method: Some("PATCH".into()),
        route: Some("/agents/".into()),
        ..Fault::new(FaultKind::Unavailable)
    });
    pod.terminate();
    let job = stage.queue(&[UNTIL_TOLD]);
    stage.until_state(job, JobState::Running).await;
    stage.organization.clear_faults();
    std::fs::write(pod.path("go"), "").unwrap();
    pod.ends_with(0).await;
    assert_eq!(stage.job(job).state, SUCCEEDED, "{}", pod.story());
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_want_of_rights_is_said_and_ends_it_after_the_job() {
    for kind in [
        FaultKind::Forbidden,
        FaultKind::Unauthorized,
        FaultKind::ExpiredToken,
    ] {
        let stage = Stage::new().await;
        let mut pod = stage.pod("agent-1", &Start::default());
        stage.until_online("agent-1").await;
        let job = stage.queue(&[UNTIL_TOLD]);
        stage.until_state(job, JobState::Running).await;
        stage.organization.set_fault(Fault {
            route: Some("/agents/".into()),
            ..Fault::new(kind)
        });
        pod.terminate();
        std::fs::write(pod.path("go"), "").unwrap();
        pod.ends_with(77).await;
        assert_eq!(stage.job(job).state, SUCCEEDED, "{kind:?}\n{}", pod.story());
        assert!(pod.log().contains("stays registered"), "{}", pod.story());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_given_up_after_the_time_that_was_set() {
    let stage = Stage::new().await;
    let start = Start::default().variable("AZP_LEAVE_WITHIN", "1s");
    let mut pod = stage.pod("agent-1", &start);
    stage.until_online("agent-1").await;
    stage.organization.set_fault(Fault {
        route: Some("/agents/".into()),
        ..Fault::new(FaultKind::Unavailable)
    });
    pod.terminate();
    pod.ends_with(69).await;
    assert!(
        pod.log().contains("did not answer in time"),
        "{}",
        pod.story()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_whose_answer_is_lost_is_no_failure() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    stage.organization.set_fault(Fault {
        method: Some("DELETE".into()),
        route: Some("/agents/".into()),
        count: Some(1),
        done: true,
        ..Fault::new(FaultKind::ServerError)
    });
    pod.terminate();
    pod.ends_with(0).await;
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

/// A listener that dies with its job's lock still held: the server says that the
/// agent has a job until the lock runs out. It is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_dies_while_draining_does_not_leave_the_agent_registered() {
    let stage = Stage::with(azp_scaler::emulator::Settings {
        lock: Duration::from_secs(3),
        agent_silence: Duration::from_secs(1),
        ..Default::default()
    })
    .await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let job = stage.queue(&[UNTIL_TOLD]);
    stage.until_state(job, JobState::Running).await;
    pod.terminate();
    stage
        .organization
        .order(POOL, "agent-1", Order::Kill)
        .unwrap();
    pod.ends_with(0).await;
    assert_eq!(
        stage.job(job).state,
        JobState::Finished(JobResult::Abandoned)
    );
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

//! Sessions: one at a time, made anew, lost with the agent.

use std::time::Duration;

use azp_scaler::{
    domain::job::JobResult,
    emulator::{Fault, FaultKind, Settings},
};
use rustix::process::Signal;

use crate::stage::{AGENT, POOL, Stage};

#[tokio::test]
async fn an_agent_that_is_not_configured_does_not_run() {
    let stage = Stage::start().await;
    let ended = stage.run(&[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.errors.contains("Agent is not configured."),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_second_listener_gives_up() {
    let stage = Stage::configured().await;
    let _first = stage.listening(&[]).await;
    let ended = stage.run(&[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let conflicts = ended
        .errors
        .matches("A session for this agent already exists.");
    assert_eq!(conflicts.count(), 8, "{ended:?}");
    let words = "Stop retry on SessionConflictException after retried for 240 seconds.";
    assert!(ended.errors.contains(words), "{ended:?}");
}

#[tokio::test]
async fn a_listener_waits_for_the_session_before_it() {
    let stage = Stage::configured().await;
    let first = stage.listening(&[]).await;
    let mut second = stage.listener(&[]);
    second.line("Connecting to the server.").await;
    first.signal(Signal::TERM);
    let ended = first.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    second.line("Listening for Jobs").await;
}

#[tokio::test]
async fn an_agent_that_was_deleted_ends() {
    let stage = Stage::configured().await;
    let listener = stage.listening(&[]).await;
    stage.emulator.remove_agent(POOL, AGENT).unwrap();
    let ended = listener.end().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.errors.contains("An error occurred: "), "{ended:?}");
}

#[tokio::test]
async fn failures_that_pass_are_waited_out() {
    let stage = Stage::configured().await;
    stage.emulator.set_fault(Fault {
        count: Some(4),
        ..Fault::new(FaultKind::ServerError)
    });
    let mut listener = stage.listener(&[]);
    listener.line("Agent reconnected.").await;
    let job = stage.queue(&["true"]);
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
    // While a job runs: its output and its end are told again and again.
    let job = stage.queue(&["echo begun; until [ -e go ]; do sleep 0.02; done; echo done"]);
    stage.said(job, "begun").await;
    stage.emulator.set_fault(Fault {
        count: Some(4),
        ..Fault::new(FaultKind::ServerError)
    });
    std::fs::write(stage.file("_work/2/s/go"), "").unwrap();
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
    assert!(stage.log(job).contains("done"), "{}", stage.log(job));
}

#[tokio::test]
async fn a_session_that_was_lost_is_made_anew() {
    let stage = Stage::with(Settings {
        poll: Duration::from_millis(50),
        agent_silence: Duration::from_millis(200),
        ..Settings::default()
    });
    let stage = stage.await;
    stage.configure().await;
    let listener = stage.listening(&[]).await;
    stage.agent(|agent| agent.online).await;
    listener.signal(Signal::STOP);
    stage.agent(|agent| !agent.online).await;
    listener.signal(Signal::CONT);
    stage.agent(|agent| agent.online).await;
    let job = stage.queue(&["true"]);
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
}

#[tokio::test]
async fn a_token_that_has_ended_is_replaced() {
    let stage = Stage::configured().await;
    let mut listener = stage.listening(&[]).await;
    // The listener's own clock has not moved, so that it learns it by a refusal.
    stage.emulator.advance(Duration::from_secs(3600));
    let job = stage.queue(&["true"]);
    listener.line("completed with result: Succeeded").await;
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
}

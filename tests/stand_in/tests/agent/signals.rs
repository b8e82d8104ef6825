//! Who ends whom.

use azp_scaler::domain::job::{JobResult, JobState};
use rustix::process::Signal;

use crate::stage::{POOL, Stage, gone};

/// A step that says its own number and its worker's, and goes on.
const LONG: &str = "echo \"step $$\"; echo \"worker $PPID\"; sleep 1000";

#[tokio::test]
async fn a_signal_to_the_listener_cancels_the_job() {
    for signal in [Signal::TERM, Signal::INT] {
        let stage = Stage::configured().await;
        let listener = stage.listening(&[]).await;
        let job = stage.queue(&[LONG, "echo never"]);
        let step = stage.said(job, "step ").await;
        listener.signal(signal);
        let ended = listener.end().await;
        assert_eq!(ended.code, Some(0), "{signal:?}: {ended:?}");
        let words = "completed with result: Canceled";
        assert!(ended.output.contains(words), "{signal:?}: {ended:?}");
        // Told by the listener before it ended, as is the end of its session.
        let state = stage.emulator.job(POOL, job).unwrap().state;
        assert_eq!(state, JobState::Finished(JobResult::Canceled));
        assert!(!stage.emulator.agents(POOL).unwrap()[0].online);
        let log = stage.log(job);
        assert!(
            log.contains("The agent has received a shutdown signal."),
            "{log}"
        );
        assert!(!log.contains("never"), "{log}");
        gone(&step).await;
    }
}

#[tokio::test]
async fn an_idle_listener_ends_at_once() {
    let stage = Stage::configured().await;
    let listener = stage.listening(&[]).await;
    listener.signal(Signal::TERM);
    let ended = listener.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!stage.emulator.agents(POOL).unwrap()[0].online);
}

#[tokio::test]
async fn a_listener_that_is_killed_takes_worker_and_step_along() {
    let stage = Stage::configured().await;
    let listener = stage.listening(&[]).await;
    let job = stage.queue(&[LONG]);
    let step = stage.said(job, "step ").await;
    let worker = stage.said(job, "worker ").await;
    listener.signal(Signal::KILL);
    gone(&worker).await;
    gone(&step).await;
    // Nobody told the server.
    let status = stage.emulator.job(POOL, job).unwrap();
    assert!(!matches!(status.state, JobState::Finished(_)), "{status:?}");
    assert!(stage.emulator.agents(POOL).unwrap()[0].online);
}

#[tokio::test]
async fn a_worker_takes_no_interrupt() {
    let stage = Stage::configured().await;
    let _listener = stage.listening(&[]).await;
    let job = stage.queue(&["kill -s INT $PPID; echo on", "true"]);
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
}

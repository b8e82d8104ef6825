//! `run --once`.

use azp_scaler::domain::job::{JobResult, JobState};

use crate::stage::{POOL, Stage};

#[tokio::test]
async fn one_job_is_run_and_a_second_one_left_to_the_next_session() {
    let stage = Stage::configured().await;
    let first = stage.queue(&["echo first"]);
    let second = stage.queue(&["echo second"]);
    let ended = stage.run(&["--once"]).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.output.matches("Running job: ").count(),
        1,
        "{ended:?}"
    );
    assert_eq!(stage.result(first).await, JobResult::Succeeded);
    // It was handed over when the first one was done, and nobody took it.
    let status = stage.emulator.job(POOL, second).unwrap();
    assert!(!matches!(status.state, JobState::Finished(_)), "{status:?}");
    let agent = stage.agent(|_| true).await;
    assert_eq!((agent.online, agent.assigned), (false, Some(second)));
    assert_eq!(stage.log(second), "");

    let ended = stage.run(&["--once"]).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(stage.result(second).await, JobResult::Succeeded);
    assert!(stage.log(second).contains("second"));
    let agent = stage.agent(|_| true).await;
    assert_eq!((agent.online, agent.assigned), (false, None));
}

#[tokio::test]
async fn a_failed_job_is_no_failure_of_the_agent() {
    let stage = Stage::configured().await;
    let job = stage.queue(&["exit 1"]);
    let ended = stage.run(&["--once"]).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(stage.result(job).await, JobResult::Failed);
}

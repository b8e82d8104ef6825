//! One job and go; one job, clean, again; and a surplus agent that leaves.

use azp_scaler::{
    domain::job::{JobResult, JobState},
    emulator::{Fault, FaultKind, Order},
};

use crate::{
    life::with_package,
    stage::{POOL, Stage, Start},
};

const SUCCEEDED: JobState = JobState::Finished(JobResult::Succeeded);

#[tokio::test(flavor = "multi_thread")]
async fn it_leaves_after_its_job_with_the_outcome_as_exit_code_when_asked() {
    // steps, asked for, the job's result, the exit code
    let rows = [
        ("echo well", false, JobResult::Succeeded, 0),
        ("echo well", true, JobResult::Succeeded, 0),
        ("exit 3", false, JobResult::Failed, 0),
        ("exit 3", true, JobResult::Failed, 102),
    ];
    for (step, asked, result, code) in rows {
        let stage = Stage::new().await;
        let mut start = Start::default().argument("--once");
        if asked {
            start = start.argument("--job-outcome");
        }
        let mut pod = stage.pod("agent-1", &start);
        let job = stage.queue(&[step]);
        pod.ends_with(code).await;
        let story = pod.story();
        assert_eq!(stage.job(job).state, JobState::Finished(result), "{story}");
        assert_eq!(stage.organization.agents(POOL).unwrap(), [], "{story}");
    }
}

/// The disabling after the first job fails, so that the server hands over another
/// while the listener leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_job_that_is_handed_over_while_leaving_is_finished() {
    let stage = Stage::new().await;
    stage.organization.set_fault(Fault {
        method: Some("PATCH".into()),
        route: Some("/agents/".into()),
        count: Some(1),
        ..Fault::new(FaultKind::ServerError)
    });
    let mut pod = stage.pod("agent-1", &Start::default().argument("--once"));
    let jobs = [stage.queue(&["sleep 0.3"]), stage.queue(&["echo second"])];
    pod.ends_with(0).await;
    let ran: Vec<_> = jobs.iter().map(|job| stage.job(*job).state).collect();
    assert_eq!(ran[0], SUCCEEDED, "{}", pod.story());
    // It was handed over as the first one ended, while the agent was not disabled.
    assert_eq!(ran[1], SUCCEEDED, "{}", pod.story());
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_of_a_loop_has_a_fresh_listener_and_a_clean_folder() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default().argument("--once-loop"));
    let work = pod.path("agent/_work");
    let look = format!(
        "find {work} -name left-behind; pgrep -f 'sleep 98765' || true; touch {work}/left-behind \
         left-behind; (setsid sleep 98765 >/dev/null 2>&1 &)",
        work = work.display()
    );
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let job = stage.queue(&[
            &look,
            "echo listener $(cat /proc/$PPID/stat | cut -d' ' -f4)",
        ]);
        stage.until_state(job, SUCCEEDED).await;
        let log = stage.organization.log(POOL, job).unwrap();
        assert!(!log.contains("left-behind"), "{log}\n{}", pod.story());
        let listener = log.lines().find_map(|line| line.split("listener ").nth(1));
        listeners.push(listener.unwrap_or_else(|| panic!("{log}")).to_owned());
    }
    listeners.dedup();
    assert_eq!(listeners.len(), 3, "{listeners:?}");
    pod.terminate();
    pod.ends_with(0).await;
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

/// Azure Pipelines agent: an update that is ordered while the one job runs is put
/// in place after it, and the listener then ends with 4. That is no reason for a
/// second job, nor for one in a folder that is not clean.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_ordered_in_a_job_changes_nothing_of_one_job_and_go_or_clean() {
    for mode in ["--once", "--once-loop"] {
        let folder = tempfile::tempdir().unwrap();
        let stage = with_package(&folder, "4.261.0").await;
        let mut pod = stage.pod("agent-1", &Start::default().argument(mode));
        let work = pod.path("agent/_work");
        let step = format!(
            "find {work} -name left-behind; touch {work}/left-behind; until [ -e \"$HOME/go\" ]; do \
             sleep 0.02; done",
            work = work.display()
        );
        let first = stage.queue(&[&step]);
        stage.until_state(first, JobState::Running).await;
        let version = "4.261.0".into();
        let update = Order::Update { version };
        stage.organization.order(POOL, "agent-1", update).unwrap();
        let second = stage.queue(&[&step]);
        if mode == "--once" {
            let closed = |stage: &Stage| stage.agent("agent-1").filter(|agent| !agent.enabled);
            stage.until("its one job disables it", closed).await;
        }
        pod.says("Waiting for current job").await;
        std::fs::write(pod.path("go"), "").unwrap();
        stage.until_state(first, SUCCEEDED).await;
        if mode == "--once" {
            pod.ends_with(0).await;
            let state = stage.job(second).state;
            assert_eq!(state, JobState::Queued, "{}", pod.story());
        } else {
            stage.until_state(second, SUCCEEDED).await;
            let log = stage.organization.log(POOL, second).unwrap();
            assert!(!log.contains("left-behind"), "{log}\n{}", pod.story());
            pod.terminate();
            pod.ends_with(0).await;
        }
        assert_eq!(stage.organization.agents(POOL).unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_gets_no_job_leaves_after_its_time_and_never_in_a_job() {
    let stage = Stage::new().await;
    for mode in ["", "--once"] {
        let mut start = Start::default().variable("AZP_IDLE_TIMEOUT", "1s");
        if !mode.is_empty() {
            start = start.argument(mode);
        }
        let mut pod = stage.pod("agent-1", &start);
        stage.until_online("agent-1").await;
        // Longer than its patience.
        let job = stage.queue(&["sleep 1.5"]);
        pod.ends_with(0).await;
        let log = stage.organization.log(POOL, job).unwrap();
        assert_eq!(stage.job(job).state, SUCCEEDED, "{log}\n{}", pod.story());
        assert_eq!(stage.organization.agents(POOL).unwrap(), []);
    }
    let mut surplus = stage.pod(
        "agent-1",
        &Start::default().variable("AZP_IDLE_TIMEOUT", "1s"),
    );
    surplus.ends_with(0).await;
    assert!(
        surplus.log().contains("there was no job"),
        "{}",
        surplus.story()
    );
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

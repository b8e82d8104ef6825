//! azp-agent as process 1 of a namespace of its own, as in a container: the kernel
//! sends it no signal that it does not listen to, and every orphan comes to it.

use azp_scaler::domain::job::{JobResult, JobState};

use crate::stage::{POOL, Stage, Start, descendants};

#[tokio::test(flavor = "multi_thread")]
async fn as_process_1_it_reaps_what_jobs_leave_and_drains_when_told() {
    let stage = Stage::new().await;
    let start = Start {
        first: true,
        ..Start::default()
    };
    let mut pod = stage.pod("agent-1", &start);
    stage.until_online("agent-1").await;
    let orphans = "for i in $(seq 200); do (sleep 0.2 >/dev/null 2>&1 &); done";
    let reaped = "until ! grep -lq '^State:.Z' /proc/[0-9]*/status; do sleep 0.1; done";
    let jobs = [
        stage.queue(&[
            "[ \"$(cat /proc/1/comm)\" = azp-agent ] && echo first",
            orphans,
        ]),
        stage.queue(&["sleep 0.5", reaped, "echo whole"]),
    ];
    stage.until_state(jobs[1], JobState::Running).await;
    pod.terminate();
    pod.ends_with(0).await;
    for (job, said) in jobs.into_iter().zip(["first", "whole"]) {
        let done = JobState::Finished(JobResult::Succeeded);
        let log = stage.organization.log(POOL, job).unwrap();
        assert_eq!(stage.job(job).state, done, "{log}\n{}", pod.story());
        assert!(log.contains(said), "{log}");
    }
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
    assert_eq!(descendants(pod.pid()), Vec::<u32>::new());
}

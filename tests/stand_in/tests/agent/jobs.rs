//! Jobs: real shells, their output at the server, what they get and how they end.

use std::time::Duration;

use azp_scaler::{domain::job::JobResult, emulator::NewJobs};

use crate::stage::{AGENT, POOL, Stage};

#[tokio::test]
async fn the_output_of_two_steps_can_be_read_back() {
    let stage = Stage::configured().await;
    let mut agent = stage.run(&[]);
    agent.line("Scanning for tool capabilities.").await;
    agent.line("Connecting to the server.").await;
    agent.line("Listening for Jobs").await;
    let job = stage.queue(&[
        "echo one\necho to-stderr >&2\nprintf 'no end of line'\n\
         echo; echo '##vso[task.setvariable variable=my.thing]a b'",
        "echo \"thing $MY_THING\"; pwd; echo \"$AGENT_NAME in $BUILD_SOURCESDIRECTORY\"",
    ]);
    agent.line("Running job: ").await;
    let ended = agent.line("completed with result: ").await;
    assert!(ended.ends_with("Succeeded"), "{ended}");
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
    let log = stage.log(job);
    let sources = stage.file("_work/1/s").display().to_string();
    for line in [
        "##[section]Starting: Step 1",
        "one",
        "to-stderr",
        "no end of line",
        "##[section]Finishing: Step 1",
        "thing a b",
        &sources,
        &format!("{AGENT} in {sources}"),
    ] {
        assert!(
            log.lines().any(|found| found == line),
            "{line:?} is not in {log}"
        );
    }
    assert!(!log.contains("##vso"), "{log}");
    let said = stage.emulator.job(POOL, job).unwrap().worker_said;
    assert_eq!(said.as_deref(), Some("succeeded"));
}

#[tokio::test]
async fn a_job_ends_as_its_steps_do() {
    let stage = Stage::configured().await;
    let _agent = stage.listening(&[]).await;
    let canceled = "trap 'echo trapped' INT; kill -s INT $$; echo and on";
    for (steps, result, words) in [
        (
            &["true", "exit 3", "echo never"][..],
            JobResult::Failed,
            "##[error]Bash exited with code '3'.",
        ),
        (
            &["false; echo never"],
            JobResult::Failed,
            "##[error]Bash exited with code '1'.",
        ),
        (
            &["kill -9 $$"],
            JobResult::Failed,
            "##[error]Bash exited with code '137'.",
        ),
        (
            &["echo '##vso[task.complete result=Failed;]'; echo on"],
            JobResult::Failed,
            "on",
        ),
        (
            &[
                "echo '##vso[task.complete result=SucceededWithIssues]'",
                "echo later",
            ],
            JobResult::SucceededWithIssues,
            "later",
        ),
        (
            &["echo '##vso[task.setsecret]hush'; echo say hush"],
            JobResult::Succeeded,
            "say ***",
        ),
        (
            &["echo '##vso[task.prependpath]/opt/x'", "echo ${PATH%%:*}"],
            JobResult::Succeeded,
            "/opt/x",
        ),
        (&[canceled], JobResult::Succeeded, "and on"),
    ] {
        let job = stage.queue(steps);
        assert_eq!(
            stage.result(job).await,
            result,
            "{steps:?}: {}",
            stage.log(job)
        );
        let log = stage.log(job);
        assert!(log.lines().any(|line| line == words), "{steps:?}: {log}");
        assert!(!log.lines().any(|line| line == "never"), "{steps:?}: {log}");
    }
    assert!(
        stage.file("_work/8/s").is_dir(),
        "each job has a fresh folder"
    );
}

#[tokio::test]
async fn a_job_without_steps_lasts_and_ends_as_it_was_queued() {
    let stage = Stage::configured().await;
    let _agent = stage.listening(&[]).await;
    for outcome in [JobResult::Succeeded, JobResult::Failed] {
        let job = stage.queue_jobs(&NewJobs {
            duration: Duration::from_millis(10),
            outcome,
            ..NewJobs::default()
        });
        assert_eq!(stage.result(job).await, outcome);
    }
}

#[tokio::test]
async fn a_job_that_the_server_cancels_ends() {
    let stage = Stage::configured().await;
    let mut agent = stage.listening(&[]).await;
    let job = stage.queue(&["trap 'echo interrupted; exit 1' INT; echo begun; sleep 1000"]);
    stage.said(job, "begun").await;
    stage.emulator.cancel_job(POOL, job).unwrap();
    assert_eq!(stage.result(job).await, JobResult::Canceled);
    agent.line("completed with result: Canceled").await;
    assert!(stage.log(job).contains("interrupted"), "{}", stage.log(job));
    // It goes on.
    let next = stage.queue(&["true"]);
    assert_eq!(stage.result(next).await, JobResult::Succeeded);
}

#[tokio::test]
async fn what_a_step_left_in_the_background_ends_with_the_job() {
    let stage = Stage::configured().await;
    let _agent = stage.listening(&[]).await;
    // Out of the step's group and session, and with no hold on its output.
    let job = stage.queue(&[
        "setsid sleep 1000 >/dev/null 2>&1 & echo \"left $!\"",
        "echo still there",
    ]);
    let pid = stage.said(job, "left ").await;
    assert_eq!(
        stage.result(job).await,
        JobResult::Succeeded,
        "{}",
        stage.log(job)
    );
    crate::stage::gone(&pid).await;
    let words = format!("Terminate orphan process: pid ({pid}) (");
    assert!(stage.log(job).contains(&words), "{}", stage.log(job));
}

#[tokio::test]
async fn much_output_arrives_whole() {
    let stage = Stage::configured().await;
    let _agent = stage.listening(&[]).await;
    let job = stage.queue(&["seq 1 5000"]);
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
    let log = stage.log(job);
    let numbers = log.lines().filter_map(|line| line.parse::<u32>().ok());
    assert!(numbers.eq(1..=5000), "{}", log.len());
}

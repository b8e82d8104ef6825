//! 20 lives that end by SIGKILL, which nothing can catch: what they leave behind is
//! repaired later, by the next process of that name or by `azp-agent clean`.

use std::{process::Command, time::Duration};

use azp_scaler::{
    domain::job::{JobResult, JobState},
    emulator::Settings,
};

use crate::stage::{POOL, Stage, Start};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_leaves_behind_is_repaired() {
    let mut lives = tokio::task::JoinSet::new();
    for number in 0..20u64 {
        lives.spawn(async move { life(number).await });
        if lives.len() >= 5 {
            lives.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(life) = lives.join_next().await {
        life.unwrap();
    }
}

/// A process that was killed while it drained leaves its agent disabled, and
/// `config.sh --replace` leaves it so.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_killed_while_draining_gets_jobs_again() {
    let stage = Stage::with(Settings {
        lock: Duration::from_secs(1),
        agent_silence: Duration::from_secs(1),
        ..Settings::default()
    })
    .await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let lost = stage.queue(&["sleep 60"]);
    stage.until_state(lost, JobState::Running).await;
    pod.terminate();
    let disabled = |stage: &Stage| stage.agent("agent-1").filter(|agent| !agent.enabled);
    stage.until("it is disabled", disabled).await;
    pod.kill_all();
    stage
        .until_state(lost, JobState::Finished(JobResult::Abandoned))
        .await;

    let mut again = stage.pod_in(pod.into_folder(), "agent-1", &Start::default());
    let job = stage.queue(&["echo again"]);
    stage
        .until_state(job, JobState::Finished(JobResult::Succeeded))
        .await;
    again.terminate();
    again.ends_with(0).await;
    assert!(
        again.log().contains("it is enabled again"),
        "{}",
        again.story()
    );
}

async fn life(number: u64) {
    let stage = Stage::with(Settings {
        lock: Duration::from_secs(2),
        agent_silence: Duration::from_secs(1),
        ..Settings::default()
    })
    .await;
    let name = format!("agent-{number}");
    let mut pod = stage.pod(&name, &Start::default());
    stage.until_online(&name).await;
    let busy = number.is_multiple_of(2);
    let job = stage.queue(&["sleep 5"]);
    if busy {
        stage.until_state(job, JobState::Running).await;
    }
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..300))).await;
    pod.kill_all();
    if number % 4 < 2 {
        clean(&stage, &name).await;
    } else {
        let mut again = stage.pod_in(pod.into_folder(), &name, &Start::default());
        let listens = |stage: &Stage| {
            let agent = stage.agent(&name)?;
            (agent.online && agent.assigned != Some(job)).then_some(())
        };
        stage.until("the next process listens", listens).await;
        again.terminate();
        again.ends_with(0).await;
    }
    assert_eq!(stage.organization.agents(POOL).unwrap(), [], "{name}");
    // The job of a killed agent is lost, and the server says so; one that it had
    // not been given yet waits for another.
    let state = stage.job(job).state;
    let known = if busy {
        state == JobState::Finished(JobResult::Abandoned)
    } else {
        // It may have been given away at the moment of the kill, or to the next.
        !matches!(
            state,
            JobState::Finished(JobResult::Failed | JobResult::Canceled)
        )
    };
    assert!(known, "{busy} {state:?}");
}

/// Removes what was left behind, once the server has seen that it is offline for
/// long enough.
async fn clean(stage: &Stage, name: &str) {
    let gone = async {
        while stage.agent(name).is_some() {
            let mut command = Command::new(env!("CARGO_BIN_EXE_azp-agent"));
            command
                .args([
                    "clean",
                    "--yes",
                    "--offline-for",
                    "1s",
                    "--name-prefix",
                    "agent-",
                ])
                .env_clear()
                .env("AZP_URL", stage.url())
                .env("AZP_TOKEN", &stage.token)
                .env("AZP_POOL", POOL);
            // The organization lives on this runtime's threads.
            let output = tokio::task::spawn_blocking(move || command.output());
            let output = output.await.unwrap().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{text}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::time::timeout(crate::stage::LONG, gone)
        .await
        .unwrap();
}

//! Hostile surroundings: jobs that meddle, scripts that break, a system that
//! says no.

use std::{fs, os::unix::fs::PermissionsExt as _};

use azp_scaler::{
    domain::job::{JobResult, JobState},
    emulator::{AgentPackage, Order, Settings},
};

use crate::stage::{POOL, Pod, Stage, Start};

const SUCCEEDED: JobState = JobState::Finished(JobResult::Succeeded);

fn script(pod_folder: &std::path::Path, name: &str, text: &str) {
    let path = pod_folder.join("agent").join(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder with the stand-in, for scripts to be changed before the start.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    azp_stand_in::install(&folder.path().join("agent")).unwrap();
    folder
}

async fn none_left(stage: &Stage, pod: &Pod) {
    assert_eq!(
        stage.organization.agents(POOL).unwrap(),
        [],
        "{}",
        pod.story()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_listener_a_job_removed_does_not_stay_registered() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default().argument("--once-loop"));
    stage.until_online("agent-1").await;
    let job = stage.queue(&[&format!(
        "rm {}",
        pod.path("agent/bin/Agent.Listener").display()
    )]);
    stage.until_state(job, SUCCEEDED).await;
    pod.ends_with(1).await;
    none_left(&stage, &pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_cannot_be_read_does_not_stay() {
    for (after, code) in [
        ("echo nonsense >.agent", 0),
        ("rm .agent", 0),
        ("rm .credentials", 1),
    ] {
        let stage = Stage::new().await;
        let folder = folder();
        let agent = folder.path().join("agent");
        fs::rename(agent.join("config.sh"), agent.join("real.sh")).unwrap();
        script(
            folder.path(),
            "config.sh",
            &format!("#!/bin/bash\n./real.sh \"$@\" || exit\n{after}\nexit {code}\n"),
        );
        let mut pod = stage.pod_in(folder, "agent-1", &Start::default());
        pod.ends_with(1).await;
        none_left(&stage, &pod).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_a_job_replaced_never_gets_the_token() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let config = pod.path("agent/config.sh").display().to_string();
    let got = pod.path("got");
    let job = stage.queue(&[&format!(
        "printf '#!/bin/bash\\nenv >{}\\n' >{config}",
        got.display()
    )]);
    stage.until_state(job, SUCCEEDED).await;
    stage.organization.remove_agent(POOL, "agent-1").unwrap();
    pod.ended().await;
    let text = fs::read_to_string(&got).unwrap_or_default();
    assert!(!text.contains(&stage.token), "{text}\n{}", pod.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_update_there_is_one_listener() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.tar.gz");
    azp_stand_in::package("4.261.0", &file).unwrap();
    let stage = Stage::with(Settings {
        packages: vec![AgentPackage {
            platform: "linux-x64".into(),
            version: "4.261.0".into(),
            file,
        }],
        ..Settings::default()
    })
    .await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let version = "4.261.0".into();
    stage
        .organization
        .order(POOL, "agent-1", Order::Update { version })
        .unwrap();
    let updated = |stage: &Stage| {
        let agent = stage.agent("agent-1")?;
        (agent.online && &*agent.version == "4.261.0").then_some(())
    };
    stage.until("it is updated", updated).await;
    let job = stage.queue(&["sleep 1; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -a \"^$HOME/agent.*Agent.Listener run\" && echo listener-$(basename $p); done; true"]);
    stage.until_state(job, SUCCEEDED).await;
    let log = stage.organization.log(POOL, job).unwrap();
    assert_eq!(
        log.matches("listener-").count(),
        1,
        "{log}\n{}",
        pod.story()
    );
    pod.terminate();
    pod.ends_with(0).await;
}

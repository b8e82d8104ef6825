//! Hostile surroundings: jobs that meddle, scripts that break, a system that
//! says no.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use azp_scaler::{
    domain::job::{JobResult, JobState},
    emulator::{Fault, FaultKind, Order, Settings},
};

use crate::{
    life::with_package,
    stage::{POOL, Pod, Stage, Start},
};

const SUCCEEDED: JobState = JobState::Finished(JobResult::Succeeded);
const UNTIL_TOLD: &str = "until [ -e \"$HOME/go\" ]; do sleep 0.02; done; echo done";

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
    let stage = with_package(&folder, "4.261.0").await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_nobody_reads_any_more_ends_nothing() {
    let stage = Stage::new().await;
    let start = Start {
        unheard: true,
        ..Start::default()
    };
    let mut pod = stage.pod("agent-1", &start);
    stage.until_online("agent-1").await;
    let job = stage.queue(&["echo well"]);
    stage.until_state(job, SUCCEEDED).await;
    pod.terminate();
    pod.ends_with(0).await;
    none_left(&stage, &pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_comes_with_the_one_job_does_not_keep_it_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let stage = with_package(&folder, "4.261.0").await;
    let mut pod = stage.pod("agent-1", &Start::default().argument("--once"));
    stage.until_online("agent-1").await;
    let job = stage.queue(&[UNTIL_TOLD]);
    stage.until_state(job, JobState::Running).await;
    let version = "4.261.0".into();
    stage
        .organization
        .order(POOL, "agent-1", Order::Update { version })
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::write(pod.path("go"), "").unwrap();
    pod.ends_with(0).await;
    assert_eq!(stage.job(job).state, SUCCEEDED, "{}", pod.story());
    none_left(&stage, &pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_is_clean_after_folders_without_rights_and_after_crashes() {
    let stage = Stage::with(Settings {
        lock: Duration::from_secs(1),
        agent_silence: Duration::from_secs(1),
        ..Settings::default()
    })
    .await;
    let start = Start {
        user: Some(65534),
        ..Start::default()
    };
    let mut pod = stage.pod("agent-1", &start.argument("--once-loop"));
    let work = pod.path("agent/_work").display().to_string();
    let shut = format!(
        "mkdir -p {work}/0shut/in {work}/1open; touch {work}/0shut/in/file {work}/1open/file; chmod \
         -R a-w {work}/0shut; echo planted=1 >>{work}/../.capabilities"
    );
    let job = stage.queue(&[&shut]);
    stage.until_state(job, SUCCEEDED).await;
    let look = format!("ls {work}; cat {work}/../.capabilities; touch {work}/crashed");
    let second = stage.queue(&[&look, UNTIL_TOLD]);
    stage.until_state(second, JobState::Running).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let log = stage.organization.log(POOL, second).unwrap();
    for left in ["0shut", "1open", "planted"] {
        assert!(!log.contains(left), "{log}\n{}", pod.story());
    }
    stage
        .organization
        .order(POOL, "agent-1", Order::Kill)
        .unwrap();
    let third = stage.queue(&[&look]);
    stage.until_state(third, SUCCEEDED).await;
    let log = stage.organization.log(POOL, third).unwrap();
    assert!(!log.contains("crashed"), "{log}\n{}", pod.story());
    pod.terminate();
    pod.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_after_a_job_has_emptied_the_folder_of_the_socket() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    fs::remove_file(pod.path("socket")).unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(15);
    while !pod.ask(&["probe"]).status.success() {
        assert!(tokio::time::Instant::now() < end, "{}", pod.story());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    pod.terminate();
    pod.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_that_ends_a_program_begins_a_drain() {
    for signal in ["HUP", "QUIT", "INT", "TERM"] {
        let stage = Stage::new().await;
        let mut pod = stage.pod("agent-1", &Start::default());
        stage.until_online("agent-1").await;
        let job = stage.queue(&["sleep 0.5; echo whole"]);
        stage.until_state(job, JobState::Running).await;
        pod.signal(signal);
        pod.ends_with(0).await;
        assert_eq!(stage.job(job).state, SUCCEEDED, "{signal}\n{}", pod.story());
        none_left(&stage, &pod).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_bears_a_workers_name_is_not_waited_for() {
    let stage = Stage::new().await;
    for mode in ["", "--once"] {
        let mut start = Start::default();
        if !mode.is_empty() {
            start = start.argument(mode);
        }
        let mut pod = stage.pod("agent-1", &start);
        stage.until_online("agent-1").await;
        let step = "mkdir -p $HOME/other/bin; cp $(command -v sleep) $HOME/other/bin/Agent.Worker; \
                    (env -u VSTS_PROCESS_LOOKUP_ID setsid $HOME/other/bin/Agent.Worker 600 >/dev/null 2>&1 &)";
        let job = stage.queue(&[step]);
        stage.until_state(job, SUCCEEDED).await;
        pod.terminate();
        pod.ends_with(0).await;
        none_left(&stage, &pod).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_variables_and_odd_names_hide_all_the_same() {
    let stage = Stage::new().await;
    let mut start = Start::default();
    for number in 0..4000 {
        let name = format!("SERVICE_OF_A_LONG_NAME_NUMBER_{number}_PORT_80_TCP_ADDR");
        start = start.variable(&name, "10.0.0.1");
    }
    start = start.variable("ODD,NAME", "hidden-value");
    let mut pod = stage.pod("agent-1", &start);
    stage.until_online("agent-1").await;
    let job = stage.queue(&["env | grep -c -e SERVICE_OF -e ODD,NAME || true; echo path $PATH"]);
    stage.until_state(job, SUCCEEDED).await;
    assert!(pod.log().contains("enableServiceLinks"), "{}", pod.story());
    pod.terminate();
    pod.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_behind_a_link_is_gone_for_jobs_too() {
    let stage = Stage::new().await;
    let folder = folder();
    let real = folder.path().join("real-token");
    let link = folder.path().join("token");
    fs::write(&real, &stage.token).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let start = Start::default()
        .variable("AZP_TOKEN", "")
        .variable("AZP_TOKEN_FILE", link.to_str().unwrap());
    let mut pod = stage.pod_in(folder, "agent-1", &start);
    stage.until_online("agent-1").await;
    assert!(
        !real.exists() || pod.log().contains("jobs can read the token"),
        "{}",
        pod.story()
    );
    pod.terminate();
    pod.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_hang_do_not_stretch_the_leaving() {
    let stage = Stage::new().await;
    let start = Start::default().variable("AZP_LEAVE_WITHIN", "1s");
    let mut pod = stage.pod("agent-1", &start);
    stage.until_online("agent-1").await;
    stage.organization.set_fault(Fault {
        route: Some("/agents/".into()),
        ..Fault::new(FaultKind::Hang)
    });
    let told = tokio::time::Instant::now();
    pod.terminate();
    pod.ends_with(69).await;
    assert!(
        told.elapsed() < Duration::from_secs(15),
        "{:?}\n{}",
        told.elapsed(),
        pod.story()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_never_empties_what_holds_more_than_work() {
    let stage = Stage::new().await;
    for work in [".", "..", "_work/../.."] {
        let start = Start::default()
            .argument("--once-loop")
            .variable("AZP_WORK", work);
        let mut pod = stage.pod("agent-1", &start);
        pod.ends_with(78).await;
        assert!(pod.log().contains("AZP_WORK: "), "{}", pod.story());
    }
}
#[tokio::test(flavor = "multi_thread")]
async fn a_given_job_that_no_listener_can_take_does_not_keep_it_for_ever() {
    let stage = Stage::with(Settings {
        lock: Duration::from_secs(4),
        agent_silence: Duration::from_secs(1),
        ..Settings::default()
    })
    .await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let job = stage.queue(&[UNTIL_TOLD]);
    stage.until_state(job, JobState::Running).await;
    fs::remove_dir_all(pod.path("agent/bin")).unwrap();
    pod.terminate();
    stage
        .organization
        .order(POOL, "agent-1", Order::Kill)
        .unwrap();
    pod.ends_with(0).await;
    none_left(&stage, &pod).await;
}

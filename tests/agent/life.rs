//! The common life: registered, listening, working, asked, and gone; crashes,
//! updates, a package from the server.

use std::time::Duration;

use azp_scaler::{
    domain::job::{JobResult, JobState},
    emulator::{AgentPackage, Order, Settings},
};

use crate::stage::{LONG, POOL, Stage, Start, descendants};

const SUCCEEDED: JobState = JobState::Finished(JobResult::Succeeded);

#[tokio::test(flavor = "multi_thread")]
async fn it_registers_runs_jobs_and_leaves_nothing_behind() {
    let stage = Stage::new().await;
    let start = Start::default().variable("AZP_CAPABILITIES", "docker, java=17");
    let mut pod = stage.pod("agent-1", &start);
    stage.until_online("agent-1").await;
    for number in 1..=2 {
        let job = stage.queue(&[&format!("echo run {number}")]);
        stage.until_state(job, SUCCEEDED).await;
        let log = stage.organization.log(POOL, job).unwrap();
        assert!(log.contains(&format!("run {number}")), "{log}");
    }
    // Both were over before anybody had looked for a worker.
    let counted = async {
        loop {
            let status = pod.ask(&["status", "--json"]).stdout;
            if String::from_utf8(status).unwrap().contains("\"jobs\": 2") {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, counted).await.unwrap();
    pod.terminate();
    pod.ends_with(0).await;
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_a_pool_is_not_found_leaves_at_once() {
    let stage = Stage::new().await;
    let mut pod = stage.pod(
        "agent-1",
        &Start::default().variable("AZP_POOL", "elsewhere"),
    );
    pod.logs("registering failed").await;
    pod.terminate();
    pod.ends_with(0).await;
}

/// As a kubelet ends a pod that has just begun: preStop first, then SIGTERM.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_comes_at_the_very_start_is_heeded() {
    let stage = Stage::new().await;
    for round in 0..5 {
        let name = format!("agent-{round}");
        let start = Start {
            first: true,
            ..Start::default()
        };
        let mut pod = stage.pod(&name, &start);
        let answer = pod.ask(&["probe", "started"]);
        let told = String::from_utf8(answer.stderr).unwrap();
        assert!(answer.status.success(), "{told}");
        pod.terminate();
        pod.ends_with(0).await;
    }
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_and_status_tell_what_it_does() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let id = stage.agent("agent-1").unwrap().id;
    let job = stage.queue(&["until [ -e \"$HOME/go\" ]; do sleep 0.02; done"]);
    stage.until_state(job, JobState::Running).await;
    // The worker lives from a moment after the server has given the job on.
    let working = || pod.ask(&["status"]).stdout;
    let told = loop {
        let told = String::from_utf8(working()).unwrap();
        if told.contains("working") {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert!(
        told.contains(&format!("agent-1 ({id}) in pool builds")),
        "{told}"
    );
    assert!(pod.ask(&["probe", "ready"]).status.success());
    assert!(pod.ask(&["probe"]).status.success());
    std::fs::write(pod.path("go"), "").unwrap();
    stage.until_state(job, SUCCEEDED).await;
    pod.terminate();
    pod.ends_with(0).await;
    let gone = pod.ask(&["probe"]);
    let why = String::from_utf8(gone.stderr).unwrap();
    assert!(
        !gone.status.success() && why.contains("no azp-agent answers"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_crashes_or_is_killed_starts_again() {
    // A listener that crashes leaves its session behind, until the server misses it.
    let stage = Stage::with(Settings {
        agent_silence: Duration::from_secs(1),
        ..Settings::default()
    })
    .await;
    let mut pod = stage.pod("agent-1", &Start::default());
    for order in [
        Order::Exit { code: 1 },
        Order::Exit { code: 2 },
        Order::Kill,
    ] {
        stage.until_online("agent-1").await;
        stage.organization.order(POOL, "agent-1", order).unwrap();
        let offline = |stage: &Stage| stage.agent("agent-1").filter(|agent| !agent.online);
        stage.until("it is offline", offline).await;
    }
    stage.until_online("agent-1").await;
    let job = stage.queue(&["echo well"]);
    stage.until_state(job, SUCCEEDED).await;
    pod.terminate();
    pod.ends_with(0).await;
    assert!(pod.log().contains("it starts again"), "{}", pod.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_cannot_be_started_does_not_leave_the_agent_registered() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let listener = pod.path("agent/bin/Agent.Listener");
    std::fs::rename(&listener, pod.path("elsewhere")).unwrap();
    let exit = Order::Exit { code: 2 };
    stage.organization.order(POOL, "agent-1", exit).unwrap();
    pod.logs("the listener cannot be started").await;
    pod.terminate();
    pod.ends_with(0).await;
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_somebody_took_out_of_its_pool_registers_again() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    let first = stage.agent("agent-1").unwrap().id;
    stage.organization.remove_agent(POOL, "agent-1").unwrap();
    let again = |stage: &Stage| {
        let agent = stage.agent("agent-1")?;
        (agent.online && agent.id != first).then_some(())
    };
    stage.until("it is there again", again).await;
    pod.terminate();
    pod.ends_with(0).await;
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_an_update_of_its_software() {
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
    stage
        .until("it is online in its new version", updated)
        .await;
    let job = stage.queue(&["echo new"]);
    stage.until_state(job, SUCCEEDED).await;
    // The update script may start a listener, too: an orphan, in the way of ours.
    assert_eq!(pod.listeners(), 1, "{}", pod.story());
    pod.terminate();
    pod.ends_with(0).await;
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

/// A package that is no better than the one before it would be installed for ever.
#[tokio::test(flavor = "multi_thread")]
async fn updates_one_after_the_other_are_slowed_down_like_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let stage = with_package(&folder, "4.261.0").await;
    let mut pod = stage.pod("agent-1", &Start::default());
    for _ in 0..4 {
        stage.until_online("agent-1").await;
        let version = "4.261.0".into();
        let order = Order::Update { version };
        stage.organization.order(POOL, "agent-1", order).unwrap();
        let offline = |stage: &Stage| stage.agent("agent-1").filter(|agent| !agent.online);
        stage.until("it is offline", offline).await;
    }
    pod.logs("the listener ended; it starts again").await;
    pod.terminate();
    pod.ends_with(0).await;
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_baked_in_it_takes_the_package_that_the_server_names() {
    let folder = tempfile::tempdir().unwrap();
    let stage = with_package(&folder, "4.261.0").await;
    let start = Start {
        empty: true,
        ..Start::default()
    };
    let mut pod = stage.pod("agent-1", &start);
    stage.until_online("agent-1").await;
    assert_eq!(&*stage.agent("agent-1").unwrap().version, "4.261.0");
    pod.terminate();
    pod.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_leaves_running_is_reaped_and_no_zombie_stays() {
    let stage = Stage::new().await;
    let mut pod = stage.pod("agent-1", &Start::default());
    stage.until_online("agent-1").await;
    // Orphans that end a moment after the job.
    let job = stage.queue(&["for i in 1 2 3 4 5; do (setsid sleep 0.3 >/dev/null 2>&1 &) ; done"]);
    stage.until_state(job, SUCCEEDED).await;
    let second = stage.queue(&["sleep 0.6"]);
    stage.until_state(second, SUCCEEDED).await;
    let zombies: Vec<_> = descendants(pod.pid())
        .into_iter()
        .filter(is_zombie)
        .collect();
    assert_eq!(zombies, Vec::<u32>::new(), "{}", pod.story());
    pod.terminate();
    pod.ends_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_a_remedy() {
    let stage = Stage::new().await;
    // variable, value, what the log says, the exit code
    let rows = [
        ("AZP_URL", "nonsense", "AZP_URL: ", 78),
        ("AZP_TOKEN", "", "AZP_TOKEN: is not set", 78),
        ("AZP_CAPABILITIES", "a b", "AZP_CAPABILITIES: ", 78),
        ("AZP_IDLE_TIMEOUT", "5", "AZP_IDLE_TIMEOUT: ", 78),
        ("AZP_ONCE_LOOP", "true", "", 64),
    ];
    for (name, value, said, code) in rows {
        let mut start = Start::default().variable(name, value);
        if code == 64 {
            start = start.argument("--once");
        }
        let mut pod = stage.pod("agent-1", &start);
        pod.ends_with(code).await;
        assert!(pod.log().contains(said), "{}", pod.story());
        assert!(!pod.story().contains(&stage.token), "{}", pod.story());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_not_there_or_a_wrong_token_is_named() {
    let stage = Stage::new().await;
    let rows = [
        (
            "AZP_POOL",
            "elsewhere",
            "pool elsewhere is not there or not visible",
        ),
        ("AZP_TOKEN", "wrong-token", "rejected the credential"),
    ];
    for (name, value, said) in rows {
        let mut pod = stage.pod("agent-1", &Start::default().variable(name, value));
        pod.ends_with(1).await;
        assert!(pod.log().contains(said), "{}", pod.story());
    }
}

pub(crate) async fn with_package(folder: &tempfile::TempDir, version: &str) -> Stage {
    let file = folder.path().join("agent.tar.gz");
    azp_stand_in::package(version, &file).unwrap();
    let packages = vec![AgentPackage {
        platform: "linux-x64".into(),
        version: version.into(),
        file,
    }];
    Stage::with(Settings {
        packages,
        ..Settings::default()
    })
    .await
}

fn is_zombie(process: &u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

//! Self-update: the listener's exit code, the script that outlives it, the new
//! version.

use azp_scaler::{
    domain::job::JobResult,
    emulator::{AgentPackage, Order, Settings},
};
use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::{AGENT, POOL, Stage};

const NEW: &str = "4.261.0";

/// A stage whose organization offers the new version.
async fn offering() -> (Stage, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.tar.gz");
    let mut package = Command::new(env!("CARGO_BIN_EXE_azp-stand-in"));
    let packed = package.args(["package", NEW]).arg(&file).status().await;
    assert!(packed.unwrap().success());
    let platform = match std::env::consts::ARCH {
        "aarch64" => "linux-arm64",
        _ => "linux-x64",
    };
    let stage = Stage::with(Settings {
        packages: vec![AgentPackage {
            platform: platform.into(),
            version: NEW.into(),
            file,
        }],
        ..Settings::default()
    });
    let stage = stage.await;
    stage.configure().await;
    (stage, folder)
}

impl Stage {
    fn order_update(&self, version: &str) {
        let version = version.into();
        let order = Order::Update { version };
        self.emulator.order(POOL, AGENT, order).unwrap();
    }
}

#[tokio::test]
async fn a_listener_exits_for_its_update() {
    for (arguments, code) in [(&["--startuptype", "service"][..], 3), (&["--once"], 4)] {
        let (stage, _packages) = offering().await;
        let listener = stage.listening(arguments).await;
        stage.order_update(NEW);
        // The script writes to the same output, so that its end is awaited too.
        let ended = listener.end().await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        for line in [
            "Agent update in progress, do not shutdown agent.",
            "Downloading 4.261.0 agent",
            "Waiting for current job finish running.",
            "Generate and execute update script.",
            "Agent will exit shortly for update, should back online within 10 seconds.",
        ] {
            assert!(ended.output.contains(line), "{arguments:?}: {ended:?}");
        }
        assert_eq!(stage.read("bin/VERSION").trim(), NEW);
        assert_eq!(
            stage.read("bin.4.260.0/VERSION").trim(),
            azp_stand_in::VERSION
        );
        assert!(!stage.emulator.agents(POOL).unwrap()[0].online);
        let _again = stage.listening(&[]).await;
        stage
            .agent(|agent| agent.online && &*agent.version == NEW)
            .await;
    }
}

#[tokio::test]
async fn an_update_waits_for_the_job_and_takes_no_other() {
    let (stage, _packages) = offering().await;
    let mut listener = stage.listening(&["--startuptype", "service"]).await;
    let job = stage.queue(&["echo begun; until [ -e go ]; do sleep 0.02; done; echo done"]);
    stage.said(job, "begun").await;
    stage.order_update(NEW);
    listener
        .line("Waiting for current job finish running.")
        .await;
    let second = stage.queue(&["echo \"by $AGENT_VERSION\""]);
    std::fs::write(stage.file("_work/1/s/go"), "").unwrap();
    let ended = listener.end().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
    let _again = stage.listening(&[]).await;
    assert_eq!(stage.result(second).await, JobResult::Succeeded);
    assert!(
        stage.log(second).contains("by 4.261.0"),
        "{}",
        stage.log(second)
    );
}

#[tokio::test]
async fn run_sh_starts_the_updated_agent_for_one_more_job() {
    let (mut stage, _packages) = offering().await;
    stage.set("STAND_IN_UPDATE_PAUSE", "5");
    let mut agent = stage.run(&["--once"]);
    agent.line("Listening for Jobs").await;
    stage.order_update(NEW);
    agent.line("Agent will exit shortly").await;
    let job = stage.queue(&["echo \"by $AGENT_VERSION\""]);
    let ended = agent.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
    assert!(stage.log(job).contains("by 4.261.0"), "{}", stage.log(job));
}

#[tokio::test]
async fn the_script_starts_an_agent_that_people_started() {
    let (stage, _packages) = offering().await;
    let listener = stage.listening(&[]).await;
    let ended = tokio::spawn(listener.end());
    stage.order_update(NEW);
    stage
        .agent(|agent| agent.online && &*agent.version == NEW)
        .await;
    let order = Order::Exit { code: 0 };
    stage.emulator.order(POOL, AGENT, order).unwrap();
    let ended = ended.await.unwrap();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let listening = ended.output.matches("Listening for Jobs").count();
    assert_eq!(listening, 1, "that of the second listener: {ended:?}");
}

#[tokio::test]
async fn without_a_package_the_agent_goes_on() {
    let (stage, _packages) = offering().await;
    let _listener = stage.listening(&[]).await;
    stage.order_update("9.9.9");
    let job = stage.queue(&["echo \"by $AGENT_VERSION\""]);
    assert_eq!(stage.result(job).await, JobResult::Succeeded);
    assert!(stage.log(job).contains("by 4.260.0"), "{}", stage.log(job));
}

//! `config.sh` and `config.sh remove`.

use std::os::unix::fs::MetadataExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{AGENT, POOL, Stage, TOKEN, files};

#[tokio::test]
async fn config_sh_registers_the_agent_and_writes_its_files() {
    let stage = Stage::start().await;
    let ended = stage.config(&["--token", TOKEN, "--work", "w"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        ">> Connect:",
        "Connecting to server ...",
        ">> Register Agent:",
        "Scanning for tool capabilities.",
        "Connecting to the server.",
        "Successfully added the agent",
        "Testing agent connection.",
        "Settings Saved.",
    ] {
        assert!(
            ended.output.contains(line),
            "{line:?} is not in {}",
            ended.output
        );
    }
    let agent = stage.agent(|_| true).await;
    assert_eq!(
        (&*agent.name, agent.online, agent.enabled),
        (AGENT, false, true)
    );
    assert_eq!(&*agent.version, azp_stand_in::VERSION);

    let settings: Value = serde_json::from_str(&stage.read(".agent")).unwrap();
    for (member, value) in [
        ("agentName", AGENT),
        ("poolName", POOL),
        ("serverUrl", &stage.url),
        ("workFolder", "w"),
    ] {
        assert_eq!(settings[member], value, "{member}");
    }
    assert_eq!(settings["agentId"], agent.id);
    assert_eq!(settings["acceptTeeEula"], true);
    let credentials: Value = serde_json::from_str(&stage.read(".credentials")).unwrap();
    assert_eq!(credentials["scheme"], "OAuth");
    let url = credentials["data"]["authorizationUrl"].as_str().unwrap();
    assert!(url.starts_with(&stage.url), "{url}");
    let key = stage.file(".credentials_rsaparams").metadata().unwrap();
    assert_eq!(key.mode() & 0o777, 0o600);
    for file in files(&stage.folder()) {
        let text = std::fs::read(&file).unwrap();
        let found = String::from_utf8_lossy(&text).contains(TOKEN);
        assert!(!found, "the token is in {}", file.display());
    }
}

#[tokio::test]
async fn arguments_may_come_from_the_environment() {
    let mut stage = Stage::start().await;
    stage.set("VSTS_AGENT_INPUT_TOKEN", TOKEN);
    stage.set("VSTS_AGENT_INPUT_WORK", "from-environment");
    let ended = stage.config(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let settings: Value = serde_json::from_str(&stage.read(".agent")).unwrap();
    assert_eq!(settings["workFolder"], "from-environment");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_fails_with_the_reason() {
    let stage = Stage::start().await;
    for (arguments, words) in [
        (
            &["--token", "wrong"][..],
            "VS30063: You are not authorized to access",
        ),
        (&[], "Invalid configuration provided for token."),
        (
            &["--token", TOKEN, "--pool", "none"],
            "Agent pool not found: 'none'",
        ),
        (
            &["--token", TOKEN, "--url", "http://127.0.0.1:1"],
            "error sending request",
        ),
        (
            &["--token", TOKEN, "--url", "https://127.0.0.1:1"],
            "error sending request",
        ),
    ] {
        let ended = stage.config(arguments).await;
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(ended.errors.contains(words), "{arguments:?}: {ended:?}");
        assert!(!stage.file(".agent").exists(), "{arguments:?}");
    }
    assert_eq!(stage.emulator.agents(POOL).unwrap(), []);
}

#[tokio::test]
async fn a_name_that_is_taken_is_replaced_on_request_only() {
    let stage = Stage::configured().await;
    let first = stage.agent(|_| true).await;
    let again = stage.config(&["--token", TOKEN, "--replace"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    let words = "Cannot configure the agent because it is already configured.";
    assert!(again.errors.contains(words), "{again:?}");

    std::fs::remove_file(stage.file(".agent")).unwrap();
    let taken = stage.config(&["--token", TOKEN]).await;
    assert_eq!(taken.code, Some(1), "{taken:?}");
    let words = format!("already contains an agent with name {AGENT}.");
    assert!(taken.errors.contains(&words), "{taken:?}");

    let replaced = stage.config(&["--token", TOKEN, "--replace"]).await;
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert!(
        replaced.output.contains("Successfully replaced the agent"),
        "{replaced:?}"
    );
    assert_eq!(stage.emulator.agents(POOL).unwrap(), [first]);
    // The new key is the one that counts.
    stage.listening(&[]).await;
}

#[tokio::test]
async fn remove_takes_the_agent_out_and_deletes_its_files() {
    let stage = Stage::configured().await;
    let remove = ["remove", "--unattended", "--auth", "pat", "--token", TOKEN];
    for (server, files) in [
        (
            "Succeeded: Removing agent from the server",
            "Succeeded: Removing .agent",
        ),
        (
            "Cannot connect to server, because config files are missing. Skipping removing agent \
             from the server.",
            "Does not exist. Skipping Removing .agent",
        ),
    ] {
        let ended = stage.start_program("config.sh", &remove).end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for line in [server, files] {
            assert!(ended.output.contains(line), "{ended:?}");
        }
        assert_eq!(stage.emulator.agents(POOL).unwrap(), []);
        for file in [".agent", ".credentials", ".credentials_rsaparams"] {
            assert!(!stage.file(file).exists(), "{file}");
        }
    }
}

#[tokio::test]
async fn a_busy_agent_is_not_removed() {
    let stage = Stage::configured().await;
    let listener = stage.listening(&[]).await;
    let job = stage.queue(&["echo begun", "sleep 1000"]);
    stage.said(job, "begun").await;
    let remove = ["remove", "--unattended", "--auth", "pat", "--token", TOKEN];
    let ended = stage.start_program("config.sh", &remove).end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .output
            .contains("Failed: Removing agent from the server"),
        "{ended:?}"
    );
    assert!(ended.errors.contains("is running a job"), "{ended:?}");
    assert!(stage.file(".agent").exists());
    listener.signal(Signal::TERM);
    listener.end().await;
}

#[tokio::test]
async fn root_has_to_be_allowed() {
    let mut stage = Stage::start().await;
    stage.set("AGENT_ALLOW_RUNASROOT", "");
    let root = rustix::process::getuid().is_root();
    for (script, words, otherwise) in [
        (
            "config.sh",
            "Must not run with sudo",
            "Invalid configuration provided for url.",
        ),
        (
            "run.sh",
            "Must not run interactively with sudo",
            "Agent is not configured.",
        ),
    ] {
        let ended = stage.start_program(script, &[]).end().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = ended.output + &ended.errors;
        assert!(
            said.contains(if root { words } else { otherwise }),
            "{said}"
        );
    }
}

//! `azp-agent placeholder` as a real process, against an organization in memory
//! that fails jobs as Azure DevOps does: at once, where no registered agent could
//! ever run them.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use super::stage::{POOL, Stage};
use azp_scaler::{
    domain::{
        demand::Demands,
        job::{JobResult, JobState},
    },
    emulator::{Fault, FaultKind, NewAgent, NewJobs},
};

const MARK: &str = "azp-agent.placeholder";
const JAVA: &str = "\
owner: ci/agents
placeholders:
- {name: java-placeholder, pool: builds, capabilities: 'docker, java=17'}
";

impl Stage {
    async fn placeholder(&self, verb: &str, file: &str, more: &[&str]) -> Output {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("placeholders.yaml");
        std::fs::write(&path, file).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_azp-agent"));
        command
            .args(["placeholder", verb, "--file"])
            .arg(&path)
            .args(more)
            .env_clear()
            .env("AZP_URL", self.url() + "contoso")
            .env("AZP_TOKEN", &self.token);
        // In a thread of its own, since it asks this process.
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// It ends with this code; what it says on standard output, or else on the
    /// other.
    async fn says(&self, verb: &str, file: &str, more: &[&str], code: i32) -> String {
        let output = self.placeholder(verb, file, more).await;
        let told = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert_eq!(output.status.code(), Some(code), "{told:?}");
        for text in &told {
            assert!(!text.contains(&self.token), "{text}");
        }
        told[usize::from(code != 0)].clone().into_owned()
    }

    fn names(&self, pool: &str) -> Vec<String> {
        let agents = self.organization.agents(pool).unwrap();
        agents.iter().map(|agent| agent.name.to_string()).collect()
    }

    /// What becomes of a job that asks for this.
    fn job_that_asks_for(&self, demands: &[&str]) -> JobState {
        let jobs = NewJobs {
            demands: Demands::read(demands),
            ..NewJobs::default()
        };
        let job = self.organization.queue_jobs(POOL, &jobs).unwrap()[0];
        self.job(job).state
    }
}

const FAILED: JobState = JobState::Finished(JobResult::Failed);

#[tokio::test]
async fn with_a_placeholder_a_job_waits_instead_of_failing() {
    let stage = Stage::new().await;
    stage.organization.set_strict(POOL, true).unwrap();
    let java = ["java -equals 17", "Agent.Version -gtVersion 4.260.0"];
    assert_eq!(stage.job_that_asks_for(&java), FAILED);

    let told = stage.says("apply", JAVA, &[], 0).await;
    let id = stage.agent("java-placeholder").unwrap().id;
    let expected = format!(
        "builds/java-placeholder: registered ({id})\n1 placeholders of ci/agents in 1 pools\n"
    );
    assert_eq!(told, expected);
    assert_eq!(stage.job_that_asks_for(&java), JobState::Queued);
    assert_eq!(stage.job_that_asks_for(&["maven"]), FAILED);
    let agent = stage.agent("java-placeholder").unwrap();
    assert!(
        agent.enabled && !agent.online && agent.version.starts_with("99."),
        "{agent:?}"
    );

    // Once more: nothing is to be done.
    let told = stage.says("apply", JAVA, &[], 0).await;
    assert!(
        told.starts_with("builds/java-placeholder: as it should be\n"),
        "{told}"
    );

    let maven = JAVA.replace("java=17", "maven");
    let told = stage.says("apply", &maven, &[], 0).await;
    assert!(
        told.starts_with("builds/java-placeholder: updated\n"),
        "{told}"
    );
    assert_eq!(stage.job_that_asks_for(&["maven"]), JobState::Queued);
    assert_eq!(stage.job_that_asks_for(&["java"]), FAILED);
    assert_eq!(stage.agent("java-placeholder").unwrap().id, id);

    let told = stage.says("remove", &maven, &[], 0).await;
    let expected = "builds/java-placeholder: removed\n0 placeholders of ci/agents in 1 pools\n";
    assert_eq!(told, expected);
    assert_eq!(stage.names(POOL), [""; 0]);
    let told = stage.says("remove", &maven, &[], 0).await;
    assert_eq!(told, "0 placeholders of ci/agents in 1 pools\n");
}

#[tokio::test]
async fn what_the_file_no_longer_names_goes_and_nothing_else_does() {
    let stage = Stage::new().await;
    stage.organization.ensure_pool("other").unwrap();
    let both = format!("{JAVA}- {{name: plain, pool: builds}}\n- {{name: plain, pool: other}}\n");
    stage.says("apply", &both, &[], 0).await;
    let agent = |name: &str, mark: &[(&str, &str)]| {
        let agent = NewAgent::in_pod(name, [("java", "17")]);
        let user_capabilities = mark.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        NewAgent {
            online: false,
            user_capabilities: user_capabilities.collect::<BTreeMap<_, _>>(),
            ..agent
        }
    };
    for (name, mark) in [("a-real-one", None), ("theirs", Some((MARK, "ci/others")))] {
        let agent = agent(name, mark.as_slice());
        stage.organization.add_agent(POOL, agent).unwrap();
    }
    let told = stage.says("apply", JAVA, &[], 0).await;
    assert!(told.contains("builds/plain: removed\n"), "{told}");
    assert_eq!(
        stage.names(POOL),
        ["java-placeholder", "a-real-one", "theirs"]
    );
    assert_eq!(stage.names("other"), ["plain"], "nobody named that pool");
    let told = stage
        .says("apply", JAVA, &["--also-pool", "Other"], 0)
        .await;
    assert!(told.contains("Other/plain: removed\n"), "{told}");
    assert_eq!(stage.names("other"), [""; 0]);

    // A name of somebody else's: told before anything is changed.
    for name in ["a-real-one", "THEIRS"] {
        let clash =
            format!("{JAVA}- {{name: new, pool: builds}}\n- {{name: {name}, pool: builds}}\n");
        let told = stage.says("apply", &clash, &[], 73).await;
        assert!(
            told.contains("choose another name, or remove that agent; nothing was changed"),
            "{told}"
        );
        assert_eq!(stage.names(POOL).len(), 3);
    }
    stage.says("remove", JAVA, &[], 0).await;
    // What is not there need not be removed.
    let elsewhere = JAVA.replace("pool: builds", "pool: nowhere");
    stage.says("remove", &elsewhere, &[], 0).await;
    assert_eq!(stage.names(POOL), ["a-real-one", "theirs"]);
}

#[tokio::test]
async fn an_administrator_who_disabled_one_finds_it_enabled_again() {
    let stage = Stage::new().await;
    let agent = NewAgent::in_pod("java-placeholder", [("x", "y")]);
    let marked = NewAgent {
        online: false,
        enabled: false,
        user_capabilities: BTreeMap::from([(MARK.to_owned(), "ci/agents".to_owned())]),
        ..agent
    };
    stage.organization.add_agent(POOL, marked).unwrap();
    let told = stage.says("apply", JAVA, &[], 0).await;
    assert!(told.contains("java-placeholder: updated\n"), "{told}");
    assert!(stage.agent("java-placeholder").unwrap().enabled);
}

#[tokio::test]
async fn an_agent_that_runs_by_its_name_is_not_taken_away() {
    let stage = Stage::new().await;
    let agent = NewAgent::in_pod("java-placeholder", [("x", "y")]);
    let marked = NewAgent {
        user_capabilities: BTreeMap::from([(MARK.to_owned(), "ci/agents".to_owned())]),
        ..agent
    };
    stage.organization.add_agent(POOL, marked).unwrap();
    let told = stage.says("remove", JAVA, &[], 75).await;
    assert!(told.contains("an agent runs by its name"), "{told}");
    assert_eq!(stage.names(POOL), ["java-placeholder"]);
}

/// Answers get lost, also that of the registration itself: it comes about all the
/// same, and once.
#[tokio::test]
async fn what_fails_in_passing_does_no_harm() {
    let stage = Stage::new().await;
    for (method, done) in [
        ("GET", false),
        ("POST", false),
        ("POST", true),
        ("PUT", true),
    ] {
        stage.organization.set_fault(Fault {
            count: Some(1),
            method: Some(method.into()),
            done,
            ..Fault::new(FaultKind::ServerError)
        });
        let told = stage.says("apply", JAVA, &[], 0).await;
        assert_eq!(
            stage.names(POOL),
            ["java-placeholder"],
            "{method} {done}: {told}"
        );
        stage.says("remove", JAVA, &[], 0).await;
    }
    stage
        .organization
        .set_fault(Fault::new(FaultKind::Unavailable));
    let told = stage.says("apply", JAVA, &["--within", "1s"], 69).await;
    assert!(told.contains("(--within); nothing was changed"), "{told}");
}

#[tokio::test]
async fn each_ending_has_its_exit_code() {
    let stage = Stage::new().await;
    let gone = JAVA.replace("builds", "nowhere");
    let told = stage.says("apply", &gone, &[], 1).await;
    assert!(
        told.contains("pool nowhere is not there or not visible"),
        "{told}"
    );
    let told = stage
        .says("apply", "owner: a\n", &["--within", "1"], 78)
        .await;
    for part in ["placeholders is missing", "--within: "] {
        assert!(told.contains(part), "{told}");
    }
    stage.says("apply", JAVA, &["--what"], 64).await;
    stage
        .organization
        .set_fault(Fault::new(FaultKind::Forbidden));
    stage.says("apply", JAVA, &[], 77).await;
    stage.organization.clear_faults();
    stage.organization.set_token("another".into());
    let told = stage.says("remove", JAVA, &[], 77).await;
    assert!(told.contains("rejected the credential"), "{told}");
}

/// The trigger names it, and the scaler was faster than the hook: both live with that,
/// in whichever order they come and go.
#[tokio::test]
async fn what_the_scaler_keeps_is_no_failure() {
    let stage = Stage::new().await;
    stage.organization.set_strict(POOL, true).unwrap();
    let scalers = [(MARK, "azp-scaler:west:azp/azp-scaler:ci/java")];
    let scalers = scalers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let agent = NewAgent {
        online: false,
        user_capabilities: BTreeMap::from(scalers),
        ..NewAgent::in_pod("java-placeholder", [("java", "17"), ("docker", "true")])
    };
    stage.organization.add_agent(POOL, agent).unwrap();
    let told = stage.says("apply", JAVA, &[], 0).await;
    assert!(
        told.starts_with("builds/java-placeholder: azp-scaler keeps it\n"),
        "{told}"
    );
    assert_eq!(stage.job_that_asks_for(&["java"]), JobState::Queued);
    stage.says("remove", JAVA, &[], 0).await;
    assert_eq!(stage.names(POOL), ["java-placeholder"]);
}

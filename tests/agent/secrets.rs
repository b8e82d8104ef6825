//! The token, looked for by a job everywhere that it may look.

use std::{fs, path::Path};

use azp_scaler::domain::job::{JobResult, JobState};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::stage::{POOL, Stage, Start};

/// A user without rights, where this process may become another.
fn nobody() -> Option<u32> {
    let root = fs::metadata("/proc/self").map(|of| std::os::unix::fs::MetadataExt::uid(&of));
    (root.unwrap() == 0).then_some(65534)
}

/// What a job may do as the same user: everything that it can read is copied to
/// `$OUT`, where the test looks for the token.
const LOOK: &str = r#"
set +e
env > "$OUT/env"
set > "$OUT/set"
for p in /proc/[0-9]*; do
  n=$(basename $p)
  cat $p/environ > "$OUT/environ.$n" 2>/dev/null
  cat $p/cmdline > "$OUT/cmdline.$n" 2>/dev/null
  ls -l $p/fd > "$OUT/fd.$n" 2>/dev/null
  for f in $p/fd/*; do
    [ -f "$f" ] && head -c 100000 "$f" > "$OUT/open.$n.$(basename $f)" 2>/dev/null
  done
done
"#;

/// The memory of azp-agent, where the system lets it.
const MEMORY: &str = r#"
set +e
for p in $(pgrep -f azp-agent); do
  grep -E 'rw-p.*\[heap\]' /proc/$p/maps 2>/dev/null | while read range _; do
    start=$((16#${range%-*})); end=$((16#${range#*-}))
    dd if=/proc/$p/mem bs=4096 skip=$((start / 4096)) count=$(((end - start) / 4096)) of="$OUT/mem.$p" 2>/dev/null
  done
done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_job_finds_the_token() {
    // How the token is given: by a variable, by a file, and by both.
    for given in ["variable", "file", "argument of the agent"] {
        let stage = Stage::new().await;
        let out = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut start = Start {
            user: nobody(),
            ..Start::default()
        };
        if let Some(user) = start.user {
            std::os::unix::fs::chown(out.path(), Some(user), Some(user)).unwrap();
        }
        let file = folder.path().join("token");
        match given {
            "file" => {
                fs::write(&file, format!("{}\n", stage.token)).unwrap();
                start = start
                    .variable("AZP_TOKEN", "")
                    .variable("AZP_TOKEN_FILE", file.to_str().unwrap());
            }
            "argument of the agent" => {
                start = start.variable("VSTS_AGENT_INPUT_TOKEN", &stage.token);
            }
            _ => {}
        }
        start = start.variable("AZP_CAPABILITIES", "docker, java=17");
        start = start.variable("DATABASE_PASSWORD", "not-for-the-server");
        let mut pod = stage.pod_in(folder, "agent-1", &start);
        stage.until_online("agent-1").await;
        let look = format!("export OUT={}\n{LOOK}\n{MEMORY}", out.path().display());
        let job = stage.queue(&[&look]);
        stage
            .until_state(job, JobState::Finished(JobResult::Succeeded))
            .await;

        // What it copied, the folder of the agent, and what the job wrote.
        let mut found = Vec::new();
        let spellings = [
            stage.token.clone(),
            STANDARD.encode(format!(":{}", stage.token)),
            STANDARD.encode(&stage.token),
        ];
        let mut files = 0;
        for folder in [out.path(), pod.folder.path()] {
            search(folder, &spellings, &mut found, &mut files);
        }
        let log = stage.organization.log(POOL, job).unwrap();
        assert!(files > 20, "the job looked at {files} files only: {log}");
        assert_eq!(found, Vec::<String>::new(), "given by {given}");
        assert!(!pod.story().contains(&stage.token));
        assert!(!file.exists() || given != "file");

        // What the server got of the environment: what was declared, and no more.
        let capabilities = capabilities(&stage).await;
        assert_eq!(capabilities["docker"], "true", "{capabilities}");
        assert_eq!(capabilities["java"], "17", "{capabilities}");
        let text = capabilities.to_string();
        for hidden in [
            "DATABASE_PASSWORD",
            "AZP_",
            "HOME",
            "VSO_AGENT_IGNORE",
            &stage.token,
        ] {
            assert!(
                !text.contains(hidden) || hidden == "HOME",
                "{hidden}: {text}"
            );
        }
        assert!(capabilities.get("HOME").is_none() && capabilities.get("PATH").is_none());
        pod.terminate();
        pod.ends_with(0).await;
    }
}

/// The listener's own credential, which a job can read, is good for its own work
/// and not for the pool.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_removed_is_said_to_be_readable() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let user = nobody();
    // A folder of somebody else: the file can be read there, and not removed.
    let mounted = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = mounted.path().join("token");
    fs::write(&file, &stage.token).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(mounted.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if user.is_none() {
        // The same user may still not remove from a folder without the right to write.
        assert!(fs::remove_file(&file).is_err());
    }
    let start = Start {
        user,
        ..Start::default()
    };
    let start = start
        .variable("AZP_TOKEN", "")
        .variable("AZP_TOKEN_FILE", file.to_str().unwrap());
    let mut pod = stage.pod_in(folder, "agent-1", &start);
    stage.until_online("agent-1").await;
    pod.terminate();
    pod.ends_with(0).await;
    assert!(
        pod.log().contains("jobs can read the token"),
        "{}",
        pod.story()
    );
    assert_eq!(stage.organization.agents(POOL).unwrap(), []);
}

fn search(folder: &Path, spellings: &[String], found: &mut Vec<String>, files: &mut usize) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            search(&entry.path(), spellings, found, files);
        } else if kind.is_file() {
            *files += 1;
            let text = fs::read(entry.path()).unwrap_or_default();
            let holds = |spelling: &String| {
                text.windows(spelling.len())
                    .any(|window| window == spelling.as_bytes())
            };
            if spellings.iter().any(holds) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

/// The capabilities of the only agent, as the server shows them.
async fn capabilities(stage: &Stage) -> serde_json::Value {
    let id = stage.agent("agent-1").unwrap().id;
    let pools = get(stage, &format!("pools?poolName={POOL}")).await;
    let pool = pools["value"][0]["id"].clone();
    let agent = get(
        stage,
        &format!("pools/{pool}/agents/{id}?includeCapabilities=true"),
    )
    .await;
    agent["systemCapabilities"].clone()
}

async fn get(stage: &Stage, what: &str) -> serde_json::Value {
    let url = format!("{}_apis/distributedtask/{what}", stage.url());
    let token = STANDARD.encode(format!(":{}", stage.token));
    let mut command = std::process::Command::new("curl");
    command.args(["-sS", "-H", &format!("Authorization: Basic {token}"), &url]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

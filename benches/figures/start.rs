//! From the start of an agent's pod to «listening»: config.sh and run.sh by
//! themselves, then around them azp-agent; its own share is the difference.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use azp_scaler::emulator::{Emulator, EmulatorHandle, Settings};
use tokio::net::TcpListener;

use crate::{
    parts::runtime,
    report::{Row, ms, quantile},
};

const ROUNDS: usize = 15;
const POOL: &str = "linux";
const TOKEN: &str = "benchtoken";

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    runtime().block_on(measure())
}

async fn measure() -> Vec<Row> {
    let settings = Settings {
        token: Some(TOKEN.into()),
        pools: vec![POOL.to_owned()],
        ..Settings::default()
    };
    let emulator = Emulator::new(settings).unwrap();
    let organization = emulator.handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(emulator.run(listener, std::future::pending()));
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    // In turn, so that both meet the same machine; the first round does not count.
    for round in 0..=ROUNDS {
        let name = format!("agent-{round}");
        let alone = time(&organization, &name, |home| scripts(home, &url, &name)).await;
        let name = format!("pod-{round}");
        let around = time(&organization, &name, |home| agent(home, &url, &name)).await;
        if round > 0 {
            bare.push(alone);
            whole.push(around);
        }
    }
    let (bare, whole) = (quantile(bare, 0.5), quantile(whole, 0.5));
    let share = whole.saturating_sub(bare);
    vec![
        Row::new("config.sh and run.sh to «listening», median", ms(bare)),
        Row::new("azp-agent's own share of the start", ms(share))
            .goal("at most 100 ms", share <= Duration::from_millis(100)),
    ]
}

/// The time from the start of a process until its agent is online.
async fn time(
    organization: &EmulatorHandle,
    name: &str,
    start: impl FnOnce(&Path) -> Child,
) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("agent");
    azp_stand_in::install(&home).unwrap();
    let started = Instant::now();
    let mut child = start(&home);
    organization
        .until(|organization| {
            let agents = organization.agents(POOL).unwrap();
            let online = agents
                .iter()
                .any(|agent| &*agent.name == name && agent.online);
            online.then_some(())
        })
        .await;
    let took = started.elapsed();
    // By its number: what is started is a shell, or azp-agent.
    let stop = Command::new("pkill")
        .args(["-TERM", "-f", &home.display().to_string()])
        .status();
    stop.unwrap();
    let pid = child.id().to_string();
    let _ = Command::new("kill").arg(pid).stderr(Stdio::null()).status();
    tokio::task::spawn_blocking(move || child.wait())
        .await
        .unwrap()
        .unwrap();
    took
}

fn scripts(home: &Path, url: &str, name: &str) -> Child {
    let line = format!(
        "./config.sh --unattended --acceptTeeEula --replace --auth PAT --token {TOKEN} --url {url} \
         --pool {POOL} --agent {name} --work _work && exec ./run.sh"
    );
    let mut command = Command::new("bash");
    command.args(["-c", &line]).current_dir(home);
    quiet(&mut command)
}

fn agent(home: &Path, url: &str, name: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_azp-agent"));
    command
        .arg("run")
        .env("AZP_URL", url)
        .env("AZP_TOKEN", TOKEN)
        .env("AZP_POOL", POOL)
        .env("AZP_AGENT_NAME", name)
        .env("AZP_AGENT_HOME", home)
        .env("AZP_SOCKET", home.join("socket"))
        .env("AZP_LEAVE_WITHIN", "5s");
    quiet(&mut command)
}

fn quiet(command: &mut Command) -> Child {
    command
        .env("AGENT_ALLOW_RUNASROOT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

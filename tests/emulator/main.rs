//! The emulator over real HTTP: every odd answer of Azure DevOps that it
//! promises, its own routes, and its faults.
//!
//! The client is a bare socket, so that nothing follows a redirect, decodes a
//! body or repairs an answer on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod agent;
mod agent_refusals;
mod agent_rights;
mod authority;
mod azure;
mod faults;
mod listener;
mod own;
mod packages;
mod parallel_jobs;
mod polls;

use std::{future::Future, time::Duration};

use azp_scaler::{
    domain::job::{JobResult, JobState, RequestId},
    emulator::{
        AgentPackage, Clock, Emulator, EmulatorHandle, Fault, FaultKind, MAX_JOBS_AT_ONCE,
        NewAgent, NewJobs, Settings,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

const POOLS: &str = "/contoso/_apis/distributedtask/pools";
const TOKEN: &str = "authorization: Basic OnMzY3JldA=="; // :s3cret
const PATCH: &str = "/_apis/distributedtask/pools/27/agents/310?api-version=7.1";

/// A running emulator with the pool `linux`, number 27, and a clock that only
/// moves when it is told to.
struct Running {
    address: String,
    emulator: EmulatorHandle,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

struct Answer {
    status: u16,
    /// In lower case.
    head: String,
    body: String,
}

impl Running {
    async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// With these packages of the agent.
    async fn start_with(packages: Vec<AgentPackage>) -> Self {
        let emulator = Emulator::new(Settings {
            token: Some("s3cret".into()),
            pools: vec!["linux".into()],
            clock: Clock::manual("2026-06-01T09:15:02.8912345Z".parse().unwrap()),
            pickup: Duration::from_secs(3),
            packages,
            ..Settings::default()
        });
        let emulator = emulator.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let handle = emulator.handle();
        let signal = async { stopped.await.unwrap_or_default() };
        let ended = tokio::spawn(emulator.run(listener, signal));
        Self {
            address,
            emulator: handle,
            stop,
            ended,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }

    async fn send(&self, method: &str, path: &str, header: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: azure.test\r\nconnection: close\r\n\
             content-length: {length}\r\n{header}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn ask(&self, method: &str, path: &str, header: &str, body: &str) -> Answer {
        let mut socket = self.send(method, path, header, body).await;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        Answer::read(&bytes)
    }

    async fn get(&self, below: &str) -> Value {
        let answer = self.ask("GET", &format!("{POOLS}{below}"), TOKEN, "").await;
        assert_eq!(answer.status, 200, "{below}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    async fn own(&self, method: &str, below: &str, body: &str) -> Answer {
        self.ask(method, &format!("/_emulator/{below}"), "x: y", body)
            .await
    }

    fn queue(&self, count: u32) {
        let jobs = NewJobs {
            count,
            ..NewJobs::default()
        };
        self.emulator.queue_jobs("linux", &jobs).unwrap();
    }

    fn agent(&self, name: &str, online: bool, capabilities: &[(&str, &str)]) {
        let mut agent = NewAgent::in_pod(name, capabilities.iter().copied());
        agent.online = online;
        self.emulator.add_agent("linux", agent).unwrap();
    }
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Self {
            status: head[9..12].parse().unwrap(),
            head: head.to_lowercase(),
            body: body.into(),
        }
    }

    fn check(&self, what: &str, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{what}: {}", self.body);
        for word in words {
            let found = self.head.contains(word) || self.body.contains(word);
            assert!(
                found,
                "{what}: no {word:?} in\n{}\n{}",
                self.head, self.body
            );
        }
    }
}

/// Nothing here may wait for ever; a minute is far beyond what any of it takes.
async fn within_a_minute<T>(what: impl Future<Output = T>) -> T {
    let minute = Duration::from_secs(60);
    tokio::time::timeout(minute, what)
        .await
        .expect("an answer within a minute")
}

impl Running {
    fn queue_java(&self) -> u64 {
        let demands = ["java -equals 17", "Agent.Version -gtVersion 2.182.1"];
        let demands = azp_scaler::domain::demand::Demands::read(&demands);
        let jobs = NewJobs {
            demands,
            pipeline: "deploy".into(),
            ..NewJobs::default()
        };
        self.emulator.queue_jobs("linux", &jobs).unwrap()[0].0
    }
}

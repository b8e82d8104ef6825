//! Resident memory of the program itself: idle, and with 1,000 pools of 100
//! jobs, each read several times. The emulator is a process of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use azp_scaler::{
    domain::demand::Demands,
    emulator::{Emulator, NewJobs, Settings},
    grpc::proto::GetMetricsRequest,
};
use tokio::net::TcpListener;

use crate::{
    parts::{client, runtime, scaling_object},
    report::Row,
};

const POOLS: usize = 1_000;

/// The program, killed at the end.
struct Program {
    child: Child,
    grpc: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    runtime().block_on(measure())
}

async fn measure() -> Vec<Row> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/contoso", listener.local_addr().unwrap());
    let emulator = Emulator::new(Settings::default()).unwrap();
    let handle = emulator.handle();
    tokio::spawn(emulator.run(listener, std::future::pending()));
    let program = start(&url);
    let mut client = client(program.grpc).await;
    let ask = |pool: &str| GetMetricsRequest {
        scaled_object_ref: Some(scaling_object(pool, pool)),
        metric_name: "azure-pipelines".to_owned(),
    };
    let idle = resident(&program);
    let demands = Demands::read(&["java", "docker", "Agent.Version -gtVersion 2.182.1"]);
    let jobs = NewJobs {
        count: 100,
        demands,
        ..NewJobs::default()
    };
    let pools: Vec<String> = (0..POOLS).map(|n| format!("pool-{n}")).collect();
    for pool in &pools {
        handle.queue_jobs(pool, &jobs).unwrap();
    }
    // Not until each pool was read three times: buffers come and go by then.
    while handle.requests().total < 4 * POOLS as u64 {
        for pool in &pools {
            // The first calls may come before the first reading.
            let _ = client.get_metrics(ask(pool)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for pool in &pools {
        let answer = client.get_metrics(ask(pool)).await.unwrap().into_inner();
        assert_eq!(answer.metric_values[0].metric_value, 100);
    }
    let full = resident(&program);
    vec![
        Row::new("resident memory, idle", format!("{idle:.1} MB"))
            .goal("at most 20 MB", idle <= 20.0),
        Row::new(
            "resident memory, 1,000 pools of 100 jobs",
            format!("{full:.1} MB"),
        )
        .goal("at most 120 MB", full <= 120.0),
    ]
}

fn start(url: &str) -> Program {
    let mut child = Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
        .args([
            "serve",
            "--grpc-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
            "--learn=0s",
        ])
        .args(["--poll-interval=5s", "--log=off"])
        .env("AZP_URL", url)
        .env("AZP_TOKEN", "bench")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let grpc = lines
        .map_while(Result::ok)
        .find_map(|line| {
            line.strip_prefix("grpc listening on ")
                .map(|at| at.parse().unwrap())
        })
        .expect("the program says where it listens");
    Program { child, grpc }
}

/// Megabytes (10^6 bytes) that the program holds in memory.
fn resident(program: &Program) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1_024.0 / 1e6
}

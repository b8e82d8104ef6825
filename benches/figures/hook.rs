//! From a service hook to the `true` that KEDA gets pushed: the hook's HTTP
//! request, a reading of the pool, the decision, the stream.

use std::time::{Duration, Instant};

use azp_scaler::emulator::NewJobs;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    parts::{HOOK_SECRET, Parts, runtime, scaling_object},
    report::{Row, ms, quantile},
};

const ROUNDS: usize = 40;

/// A little more than the half interval in which a hook is always read for.
const BETWEEN: Duration = Duration::from_millis(550);

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    runtime().block_on(measure())
}

async fn measure() -> Vec<Row> {
    // Hooks get two readings in an interval once they come thick and fast, and
    // these do; a reading that happens to be due is not faster than a hook's.
    let parts = Parts::start(Duration::from_secs(1)).await;
    parts.emulator.ensure_pool("linux").unwrap();
    let mut client = parts.client().await;
    let object = scaling_object("agents", "linux");
    let mut stream = client.stream_is_active(object).await.unwrap().into_inner();
    assert!(!stream.message().await.unwrap().unwrap().result);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        tokio::time::sleep(BETWEEN).await;
        let jobs = parts
            .emulator
            .queue_jobs("linux", &NewJobs::default())
            .unwrap();
        let started = Instant::now();
        hook(&parts).await;
        assert!(stream.message().await.unwrap().unwrap().result);
        times.push(started.elapsed());
        parts.emulator.cancel_job("linux", jobs[0]).unwrap();
        tokio::time::sleep(BETWEEN).await;
        hook(&parts).await;
        assert!(!stream.message().await.unwrap().unwrap().result);
    }
    let (median, most) = (quantile(times.clone(), 0.5), quantile(times, 1.0));
    vec![
        Row::new(
            "hook to pushed `true`, median (longest)",
            format!("{} ({})", ms(median), ms(most)),
        )
        .goal("at most 20 ms", median <= Duration::from_millis(20)),
    ]
}

async fn hook(parts: &Parts) {
    let mut connection = TcpStream::connect(parts.http).await.unwrap();
    let request = format!(
        "POST /hooks/azure-devops HTTP/1.1\r\nhost: scaler\r\nx-azp-hook-secret: {HOOK_SECRET}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

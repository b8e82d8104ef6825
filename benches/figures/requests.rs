//! What 100 scaling objects on one pool cost at a freshness of 5 s, with KEDA
//! polling each every 5 s and the autoscaler asking every 15 s, while jobs move.

use std::time::{Duration, Instant};

use azp_scaler::{emulator::NewJobs, grpc::proto::GetMetricsRequest};

use crate::{
    parts::{Parts, runtime, scaling_object},
    report::Row,
};

const OBJECTS: usize = 100;

/// Measured on KEDA 2.21.0's own trigger, with 100 scaling objects, a polling
/// interval of 5 s and agents up.
const KEDAS_OWN: &str = "12 (KEDA's own: 1,250)";

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    runtime().block_on(measure())
}

async fn measure() -> Vec<Row> {
    let parts = Parts::start(Duration::from_secs(5)).await;
    let mut client = parts.client().await;
    let ask = |n: usize| GetMetricsRequest {
        scaled_object_ref: Some(scaling_object(&format!("agents-{n}"), "linux")),
        metric_name: "azure-pipelines-linux".to_owned(),
    };
    parts
        .emulator
        .queue_jobs("linux", &NewJobs::default())
        .unwrap();
    client.get_metrics(ask(0)).await.unwrap();
    let (before, started) = (parts.emulator.requests().total, Instant::now());
    let mut calls = 0_u64;
    for second in 0_usize.. {
        let at = Duration::from_secs(second as u64);
        if at >= Duration::from_secs(60) {
            break;
        }
        tokio::time::sleep_until((started + at).into()).await;
        parts
            .emulator
            .queue_jobs("linux", &NewJobs::default())
            .unwrap();
        for n in 0..OBJECTS {
            // The polls of 100 objects are spread over the interval.
            if (n + second).is_multiple_of(5) {
                let object = scaling_object(&format!("agents-{n}"), "linux");
                client.get_metric_spec(object.clone()).await.unwrap();
                client.get_metrics(ask(n)).await.unwrap();
                client.is_active(object).await.unwrap();
                calls += 3;
            }
            if (n + second).is_multiple_of(15) {
                client.get_metrics(ask(n)).await.unwrap();
                calls += 1;
            }
        }
    }
    tokio::time::sleep_until((started + Duration::from_secs(60)).into()).await;
    let spent = parts.emulator.requests().total - before;
    vec![
        Row::new(
            format!("requests a minute, {OBJECTS} scaling objects ({calls} calls)"),
            spent.to_string(),
        )
        // The interval is spread by a tenth to either side.
        .goal(KEDAS_OWN, (11..=13).contains(&spent)),
    ]
}

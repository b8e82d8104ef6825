//! `GetMetrics` beside a tonic service that returns a constant: what the scaler
//! adds to the transport. Same client, same request, same run, in turns.

use std::{
    hint::black_box,
    net::SocketAddr,
    time::{Duration, Instant},
};

use azp_scaler::{
    emulator::NewJobs,
    grpc::proto::{
        GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse,
        MetricValue, ScaledObjectRef,
        external_scaler_client::ExternalScalerClient,
        external_scaler_server::{ExternalScaler, ExternalScalerServer},
    },
    scaler::answers::{Answers as _, Call},
};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server, server::TcpIncoming},
};

use crate::{
    parts::{Parts, client, runtime, scaling_object},
    report::{Row, quantile},
};

/// Calls under way at once, and calls in each turn.
const AT_ONCE: usize = 16;
const CALLS: usize = 8_000;
const TURNS: usize = 15;

struct Constant;

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ExternalScaler for Constant {
    type StreamIsActiveStream = tokio_stream::Empty<Result<IsActiveResponse, Status>>;
    type StreamMetricSpecStream = tokio_stream::Empty<Result<GetMetricSpecResponse, Status>>;

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Answered<GetMetricsResponse> {
        let metric_name = request.into_inner().metric_name;
        let value = MetricValue {
            metric_name,
            metric_value: 42,
            metric_value_float: 42.0,
        };
        Ok(Response::new(GetMetricsResponse {
            metric_values: vec![value],
        }))
    }

    async fn is_active(&self, _: Request<ScaledObjectRef>) -> Answered<IsActiveResponse> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_metric_spec(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Answered<GetMetricSpecResponse> {
        Err(Status::unimplemented("not measured"))
    }

    async fn stream_is_active(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Answered<Self::StreamIsActiveStream> {
        Err(Status::unimplemented("not measured"))
    }

    async fn stream_metric_spec(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Answered<Self::StreamMetricSpecStream> {
        Err(Status::unimplemented("not measured"))
    }
}

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    runtime().block_on(measure())
}

async fn measure() -> Vec<Row> {
    let parts = Parts::start(Duration::from_secs(1)).await;
    let jobs = NewJobs {
        count: 1_000,
        ..NewJobs::default()
    };
    parts.emulator.queue_jobs("linux", &jobs).unwrap();
    let (ours, constant) = (parts.client().await, client(constant().await).await);
    let (mut ratios, mut per_second) = (Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let (mine, floor) = (turn_of(&ours).await, turn_of(&constant).await);
        // The first turn only warms up.
        if turn > 0 {
            ratios.push(floor.as_secs_f64() / mine.as_secs_f64());
            per_second.push(CALLS as f64 / mine.as_secs_f64());
        }
    }
    let alone = answer_alone(&parts).await;
    let ratio = quantile(ratios, 0.5);
    let speed = quantile(per_second, 0.5);
    vec![
        Row::new(
            "GetMetrics, speed as part of a constant service",
            format!("{ratio:.3} ({speed:.0}/s)"),
        )
        .goal("at least 0.9", ratio >= 0.9),
        Row::new(
            "an answer without the transport",
            format!("{} ns", alone.as_nanos()),
        ),
    ]
}

async fn constant() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The same socket options as ours: without TCP_NODELAY it would be slower
    // than the scaler, which says nothing of the scaler.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().add_service(ExternalScalerServer::new(Constant));
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

/// How long a turn's calls take, for 100 scaling objects of one pool.
async fn turn_of(client: &ExternalScalerClient<Channel>) -> Duration {
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..AT_ONCE {
        let mut client = client.clone();
        callers.spawn(async move {
            for call in 0..CALLS / AT_ONCE {
                let name = format!("agents-{}", (call + caller) % 100);
                let request = GetMetricsRequest {
                    scaled_object_ref: Some(scaling_object(&name, "linux")),
                    metric_name: "azure-pipelines-linux".to_owned(),
                };
                client.get_metrics(request).await.unwrap();
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    started.elapsed()
}

/// One answer of a scaler that reads the same emulator, in the same process.
async fn answer_alone(parts: &Parts) -> Duration {
    let scaler = parts.scaler();
    let object = scaling_object("agents", "linux");
    let call = Call {
        namespace: &object.namespace,
        name: &object.name,
        metadata: &object.scaler_metadata,
        encrypted: false,
    };
    scaler.answer(&call).await.unwrap();
    let started = Instant::now();
    for _ in 0..100_000 {
        black_box(scaler.answer(black_box(&call)).await).unwrap();
    }
    started.elapsed() / 100_000
}

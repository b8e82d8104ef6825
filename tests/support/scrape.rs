//! A scrape of a server that has something to tell for every metric.

use std::{sync::Arc, time::Duration};

use azp_scaler::{
    http::{self, Latch, Site},
    scaler::status::{CredentialGauges, Gauges, ParallelJobsGauges, PoolGauges, ProfileGauges},
    shutdown::Shutdown,
    telemetry::{
        metrics::Metrics,
        scrape::{CredentialKnown, ParallelJobsKnown},
        waits::QueueWaits,
    },
};
use tokio::net::TcpListener;

use super::{
    http::{Reply, get},
    scripted::Scripted,
};

/// A scrape over a real connection, with something to tell for every gauge.
pub async fn scrape() -> Reply {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answers = Scripted::new(Ok(0));
    *answers.gauges.lock().unwrap() = every_gauge();
    let metrics = Metrics::new();
    metrics.tls_certificate_ends(4_102_444_800);
    let site = Site {
        answers: Arc::new(answers),
        metrics: Arc::new(metrics),
        ready: Latch::default(),
        hook_secret: None,
        shutdown: Shutdown::new(),
    };
    tokio::spawn(http::serve(listener, site));
    get(at, "/metrics").await
}

fn every_gauge() -> Gauges {
    let pool = |name: &str, age_seconds| PoolGauges {
        organization: "contoso".to_owned(),
        pool: name.to_owned(),
        jobs: [("queued", 3), ("assigned", 1), ("running", 2)],
        unclaimed: [("limit", 1), ("not-asked-for", 0), ("demands", 7)],
        waits: Some(waits(name)),
        age_seconds,
        failures_in_a_row: 4,
    };
    let profile = |name: &str, number| ProfileGauges {
        namespace: "ci".to_owned(),
        name: name.to_owned(),
        pool: "linux".to_owned(),
        number,
        jobs: [("queued", 4), ("assigned", 0), ("running", 1)],
    };
    let credential = |name: &str, known| CredentialGauges {
        organization: "contoso".to_owned(),
        credential: name.to_owned(),
        known,
    };
    let known = CredentialKnown {
        valid: Some(false),
        expires: Some(1.8e9),
        rate_limit_left: Some(12.5),
    };
    Gauges {
        parallel_jobs: vec![ParallelJobsGauges {
            organization: "contoso".to_owned(),
            known: ParallelJobsKnown {
                limit: Some(10),
                used: Some(9),
                held_back: Some(6),
                failures_in_a_row: 5,
            },
        }],
        credentials: vec![
            credential("default", known),
            credential("untried", CredentialKnown::default()),
        ],
        cluster_unseen_seconds: Some(7.5),
        watched: 2,
        lookups: 3,
        pools: vec![pool("linux", Some(1.5)), pool("new", None)],
        profiles: vec![profile("java", Some(5)), profile("go", None)],
    }
}

/// One job has waited 42 s.
fn waits(pool: &str) -> QueueWaits {
    let waits = QueueWaits::new("contoso", pool);
    waits.waited(Duration::from_secs(42));
    waits
}

//! `/metrics`: a scrape, with what the scaler knows by name.
//!
//! May import: scaler's numbers, telemetry. Invariant: telemetry does not know
//! the scaler; this is where the two meet.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use super::Shared;
use crate::{
    scaler::{answers::Answers, status::Gauges},
    telemetry::{
        metrics::Metrics,
        scrape::{CredentialLabels, ObjectLabels, PoolLabels},
    },
};

/// The text format of Prometheus, which every scraper reads.
pub(super) const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics<A: Answers>(State(shared): State<Arc<Shared<A>>>) -> impl IntoResponse {
    let site = &shared.site;
    let text = scrape(&site.metrics, &site.answers.gauges());
    ([(CONTENT_TYPE, TEXT_FORMAT)], text)
}

fn scrape(metrics: &Metrics, gauges: &Gauges) -> String {
    let mut scrape = metrics.scrape();
    scrape.watchers(gauges.watched, gauges.lookups);
    if let Some(seconds) = gauges.cluster_unseen_seconds {
        scrape.cluster_unseen(seconds);
    }
    for pool in &gauges.pools {
        let at = PoolLabels {
            organization: &pool.organization,
            pool: &pool.pool,
        };
        scrape.pool_failures_in_a_row(at, pool.failures_in_a_row);
        if let Some(waits) = &pool.waits {
            scrape.pool_queue_waits(waits);
        }
        // Nothing is known of the jobs before the first reading: not even 0.
        if let Some(seconds) = pool.age_seconds {
            scrape.pool_snapshot_age(at, seconds);
            for (reason, jobs) in pool.unclaimed {
                scrape.pool_jobs_unclaimed(at, reason, jobs);
            }
            for (state, jobs) in pool.jobs {
                scrape.pool_jobs(at, state, jobs);
            }
        }
    }
    for profile in &gauges.profiles {
        let at = ObjectLabels {
            namespace: &profile.namespace,
            name: &profile.name,
            pool: &profile.pool,
        };
        if let Some(number) = profile.number {
            scrape.scaling_object_number(at, number);
            for (state, jobs) in profile.jobs {
                scrape.scaling_object_jobs(at, state, jobs);
            }
        }
    }
    for of in &gauges.parallel_jobs {
        scrape.parallel_jobs(&of.organization, of.known);
    }
    for credential in &gauges.credentials {
        let at = CredentialLabels {
            organization: &credential.organization,
            credential: &credential.credential,
        };
        scrape.credential(at, credential.known);
    }
    scrape.text()
}

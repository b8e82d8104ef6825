//! The numbers: what the metrics tell of each pool, trigger and credential.
//!
//! May import: its siblings, pools, domain, telemetry. Invariant: what is told
//! comes from the very decision that the answers come from; a pool that is read
//! with several credentials is told once, by the first of them that has read it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Inner,
    explain::{counts, decided},
    parallel_jobs::Told,
    registered::Registered,
    status::{CredentialGauges, Gauges, PoolGauges, ProfileGauges},
};
use crate::{
    domain::{decision::WhyUnclaimed, number::Tally},
    pools::{View, WatchedPool},
    telemetry::scrape::CredentialKnown,
};

/// Everything that the metrics tell by name.
pub(super) fn gauges(inner: &Inner) -> Gauges {
    let watched = inner.pools.all();
    let mut gauges = Gauges {
        watched: watched.len() as u64,
        lookups: inner.pools.lookups(),
        credentials: credentials(inner),
        parallel_jobs: inner.parallel_jobs_gauges(),
        cluster_unseen_seconds: inner.cluster.as_ref().map(|cluster| {
            let unseen = cluster.unseen_for();
            unseen.unwrap_or_default().as_secs_f64()
        }),
        ..Gauges::default()
    };
    for (address, failure) in inner.pools.not_found() {
        gauges.pools.push(PoolGauges {
            organization: address.source.organization.label().to_owned(),
            pool: address.pool.to_string(),
            jobs: counts(None),
            unclaimed: WhyUnclaimed::ALL.map(|why| (why.name(), 0)),
            waits: None,
            age_seconds: None,
            failures_in_a_row: failure.map_or(0, |failure| failure.times),
        });
    }
    for watched in one_of_each(watched) {
        let view = watched.view();
        let decided = decided(inner, &watched, &view);
        let pool = watched.pool().name.to_string();
        // What is too old for KEDA is no number.
        let stale = view
            .snapshot
            .as_ref()
            .is_some_and(|snapshot| snapshot.is_stale(inner.settings.max_stale));
        let answered = decided.as_ref().filter(|_| !stale);
        for registered in inner.decision(&watched).triggers() {
            gauges.profiles.push(profile(&registered, &pool, answered));
        }
        gauges
            .pools
            .push(pool_gauges(&watched, pool, &view, decided.as_ref()));
    }
    gauges
}

/// Of the watchers of one pool the first, by the credential's name, that has read
/// it: always the same, so that what only grows never falls.
fn one_of_each(mut watched: Vec<Arc<WatchedPool>>) -> impl Iterator<Item = Arc<WatchedPool>> {
    watched.sort_by_cached_key(|watched| {
        let unread = watched.view().snapshot.is_none();
        (unread, watched.source().id().credential.clone())
    });
    let mut pools: BTreeMap<_, Arc<WatchedPool>> = BTreeMap::new();
    for watched in watched {
        let key = (
            watched.source().organization().identity(),
            watched.pool().id,
        );
        pools.entry(key).or_insert(watched);
    }
    pools.into_values()
}

fn pool_gauges(
    watched: &WatchedPool,
    pool: String,
    view: &View,
    decided: Option<&Told>,
) -> PoolGauges {
    let snapshot = view.snapshot.as_ref();
    let unclaimed = decided.map(|decided| {
        let contenders = decided.contenders();
        decided
            .decision
            .unclaimed_by_reason(&decided.queue, &contenders)
    });
    let unclaimed = unclaimed.unwrap_or_else(|| WhyUnclaimed::ALL.map(|why| (why, 0)));
    PoolGauges {
        organization: watched.source().organization().label().to_owned(),
        pool,
        jobs: counts(snapshot.map(|snapshot| &*snapshot.queue)),
        unclaimed: unclaimed.map(|(why, jobs)| (why.name(), jobs as u64)),
        waits: Some(watched.waits().clone()),
        age_seconds: snapshot.map(|snapshot| snapshot.age().as_secs_f64()),
        failures_in_a_row: view.failure.as_ref().map_or(0, |failure| failure.times),
    }
}

fn profile(registered: &Registered, pool: &str, decided: Option<&Told>) -> ProfileGauges {
    let number = decided.and_then(|decided| decided.number(registered));
    let Tally {
        queued,
        assigned,
        running,
    } = number.map(|number| number.tally()).unwrap_or_default();
    ProfileGauges {
        namespace: registered.key.object.namespace.to_string(),
        name: registered.key.object.name.to_string(),
        pool: pool.to_owned(),
        number: number.map(|number| number.value()),
        jobs: [
            ("queued", queued),
            ("assigned", assigned),
            ("running", running),
        ]
        .map(|(state, jobs)| (state, u64::from(jobs))),
    }
}

fn credentials(inner: &Inner) -> Vec<CredentialGauges> {
    let sources = inner.registry.sources.all();
    let gauges = sources.into_iter().map(|source| {
        let standing = source.standing();
        CredentialGauges {
            organization: source.organization().label().to_owned(),
            credential: source.id().credential.to_string(),
            known: CredentialKnown {
                valid: standing.valid,
                expires: standing.expires,
                rate_limit_left: standing.rate_limit_left,
            },
        }
    });
    gauges.collect()
}

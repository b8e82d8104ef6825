//! A pool that is asked for is looked up and read, whichever worker runs first.
//!
//! On real worker threads: with one thread a task never runs before the call
//! that spawned it has returned, and that order is what this is about.

use std::{sync::Arc, time::Duration};

use azp_scaler::{
    domain::{
        job::JobRequest,
        organization::OrganizationUrl,
        parallel_jobs::Usage,
        pool::{Pool, PoolId, PoolRef},
    },
    pools::{Found, Intervals, PoolAddress, PoolSettings, Pools, Source, SourceId, SourceSettings},
    ports::{AgentPools, Reading},
    telemetry::metrics::Metrics,
};
use futures::future::BoxFuture;

/// Has every pool, and no job in any.
struct Any;

impl AgentPools for Any {
    fn pool<'a>(&'a self, pool: &'a PoolRef) -> BoxFuture<'a, Reading<Pool>> {
        let PoolRef::Id(id) = pool else {
            panic!("asked for by name: {pool}")
        };
        let value = Pool {
            id: *id,
            name: "any".into(),
            is_hosted: false,
        };
        Box::pin(async {
            Reading {
                outcome: Ok(value),
                pause: None,
            }
        })
    }

    fn unfinished_jobs(&self, _pool: PoolId) -> BoxFuture<'_, Reading<Vec<JobRequest>>> {
        Box::pin(async {
            Reading {
                outcome: Ok(Vec::new()),
                pause: None,
            }
        })
    }

    fn parallel_jobs(&self) -> BoxFuture<'_, Reading<Usage>> {
        panic!("nobody asked for a cap")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_pool_that_is_asked_for_is_looked_up_and_read() {
    let hour = Duration::from_secs(3600);
    let settings = PoolSettings {
        intervals: Intervals {
            busy: hour,
            idle: hour,
        },
        forget_after: hour,
        max_pools: 10_000,
    };
    let organization = OrganizationUrl::parse("https://dev.azure.com/contoso").unwrap();
    let id = SourceId {
        organization,
        credential: "default".into(),
    };
    let bounds = SourceSettings {
        places: 8,
        longest_reading: hour,
    };
    let metrics = Arc::new(Metrics::new());
    let source = Arc::new(Source::new(id.clone(), Arc::new(Any), bounds, metrics));
    let pools = Pools::new(settings);
    let mut handles = Vec::new();
    for number in 1..=2000 {
        let address = PoolAddress {
            source: id.clone(),
            pool: PoolRef::Id(PoolId(number)),
        };
        handles.push(pools.handle(&source, &address).unwrap());
        tokio::task::yield_now().await;
    }
    let read = async {
        for handle in &handles {
            let mut changes = handle.changes();
            let found = changes.wait_for(|found| matches!(found, Found::Yes(_)));
            let Found::Yes(watched) = found.await.unwrap().clone() else {
                unreachable!()
            };
            let mut views = watched.views();
            let read = views.wait_for(|view| view.snapshot.is_some()).await;
            assert!(read.is_ok());
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(30), read).await;
    let unfound = handles
        .iter()
        .filter(|handle| !matches!(handle.found(), Found::Yes(_)));
    assert!(outcome.is_ok(), "never looked up: {}", unfound.count());
}

//! Somebody invents names.
//!
//! May import: the scaler and what it is made of. Invariant: what is remembered
//! of strangers is bounded, and who is known is answered all the while.

use std::collections::HashMap;

use super::*;
use crate::pools::{
    Intervals, PoolSettings,
    scripted::{self, Says, Script, queued},
};

const STRANGERS: usize = 100_000;
const POOLS: u64 = 50;
const OBJECTS: u64 = 500;

fn scaler() -> Scaler {
    let script = Script::new(&[("linux", 27)], Says::Jobs(queued(3, &[])));
    let (forget_after, busy) = (Duration::from_secs(600), Duration::from_secs(5));
    let pools = Pools::new(PoolSettings {
        intervals: Intervals { busy, idle: busy },
        forget_after,
        max_pools: POOLS,
    });
    let settings = ScalerSettings {
        max_stale: Duration::from_secs(300),
        fresh: busy,
        learn: Duration::ZERO,
        forget_after,
        max_scaling_objects: OBJECTS,
        cluster_required: false,
        addresses: Vec::new(),
        keeper: None,
    };
    let sources = Sources::single(scripted::source(&script));
    Scaler::new(settings, Arc::new(sources), pools, None)
}

async fn ask(scaler: &Scaler, name: &str, metadata: &[(&str, &str)]) -> Result<u64, Unanswered> {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let call = Call {
        namespace: "ci",
        name,
        metadata: &metadata,
        encrypted: true,
    };
    let answer = scaler.answer(&call).await;
    answer.map(|answer| answer.number.value())
}

#[tokio::test(start_paused = true)]
async fn invented_names_take_neither_memory_nor_anybodys_place() {
    let scaler = scaler();
    assert_eq!(ask(&scaler, "known", &[("poolName", "linux")]).await, Ok(3));
    let mut refused = 0;
    for stranger in 0..STRANGERS {
        let (name, pool) = (
            format!("stranger-{stranger}"),
            format!("pool-{}", stranger % 997),
        );
        // Now a name, now a pool, now a token, now a trigger that is none.
        let metadata: [(&str, &str); 2] = match stranger % 4 {
            0 => [("poolName", "linux"), ("priority", "1")],
            1 => [("poolName", &pool), ("priority", "1")],
            2 => [("poolName", "linux"), ("personalAccessTokenFromEnv", &name)],
            _ => [("poolName", "linux"), (&name, "1")],
        };
        // Nobody waits for the look-up of an invented pool.
        let call = ask(&scaler, &name, &metadata);
        let answered = timeout(Duration::ZERO, call).await;
        refused += usize::from(answered.is_ok_and(|answer| answer.is_err()));
        if stranger % 1_000 == 0 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let known = ask(&scaler, "known", &[("poolName", "linux")]).await;
            assert!(known.is_ok(), "after {stranger} strangers: {known:?}");
        }
    }
    assert!(refused > STRANGERS / 2, "{refused}");
    let gauges = scaler.gauges();
    let series = gauges.pools.len() + gauges.profiles.len() + gauges.credentials.len();
    let most = usize::try_from(2 * POOLS + OBJECTS).unwrap() + 1;
    assert!(series <= most, "{series} series by name");
    assert!(
        gauges.watched <= POOLS && gauges.lookups <= POOLS + 1,
        "{gauges:?}"
    );
    assert!(scaler.status(&Wanted::default()).refused.len() <= 1_000);
    // And what is forgotten is gone for good.
    let registry = &scaler.inner.registry;
    let rosters: Vec<_> = registry
        .called
        .iter()
        .map(|(_, it)| Arc::clone(&it.roster))
        .collect();
    let listed = || {
        rosters
            .iter()
            .map(|roster| roster.triggers().len())
            .sum::<usize>()
    };
    assert!(listed() > 0);
    registry.called.invalidate_all();
    registry.called.run_pending_tasks();
    assert_eq!(listed(), 0);
}

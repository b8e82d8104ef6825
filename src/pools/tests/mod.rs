//! What a pool costs and what is known of it, against a scripted source.

mod failing;

use std::sync::atomic::Ordering;

use tokio::time::{Instant, advance};

use super::{
    scripted::{self, Says, Script, queued},
    *,
};
use crate::ports::ReadError;

/// For what must come, in real time; only a failure waits this long.
const MINUTE_AT_MOST: Duration = Duration::from_secs(60);

const BUSY: Duration = Duration::from_secs(5);

struct Bench {
    script: Arc<Script>,
    source: Arc<Source>,
    pools: Pools,
}

fn bench(says: Says, forget_after: Duration, intervals: Intervals) -> Bench {
    let script = Script::new(&[("linux", 27), ("windows", 28)], says);
    let settings = PoolSettings {
        intervals,
        forget_after,
        max_pools: 3,
    };
    Bench {
        source: scripted::source(&script),
        pools: Pools::new(settings),
        script,
    }
}

/// Time is paused in these tests; the time-to-idle of moka is not, so it is
/// long enough never to pass.
fn steady(says: Says) -> Bench {
    let intervals = Intervals {
        busy: BUSY,
        idle: 3 * BUSY,
    };
    bench(says, Duration::from_secs(3600), intervals)
}

/// The same with this many pools, numbered from 1.
fn steady_with(says: Says, pools: u32) -> Bench {
    let mut bench = steady(says);
    for id in 1..=pools {
        bench.script.renumber(&format!("pool-{id}"), id);
    }
    let settings = PoolSettings {
        max_pools: 1_000,
        ..bench.pools.settings
    };
    bench.pools = Pools::new(settings);
    bench
}

impl Bench {
    fn handle(&self, pool: &PoolRef) -> Arc<PoolHandle> {
        self.pools.handle(&self.source, &address(pool)).unwrap()
    }

    async fn watched(&self, pool: &PoolRef) -> Arc<WatchedPool> {
        let handle = self.handle(pool);
        let mut changes = handle.changes();
        let found = changes
            .wait_for(|found| matches!(found, Found::Yes(_)))
            .await
            .unwrap();
        match &*found {
            Found::Yes(watched) => Arc::clone(watched),
            _ => unreachable!("waited for it"),
        }
    }
}

async fn next_view(watched: &WatchedPool, wanted: impl FnMut(&View) -> bool) -> View {
    watched.views().wait_for(wanted).await.unwrap().clone()
}

fn address(pool: &PoolRef) -> PoolAddress {
    PoolAddress {
        source: scripted::source_id(),
        pool: pool.clone(),
    }
}

fn linux() -> PoolRef {
    PoolRef::Name("linux".into())
}

#[tokio::test(start_paused = true)]
async fn a_pool_costs_one_request_for_each_interval_whoever_asks() {
    let bench = steady(Says::Jobs(queued(1, &[])));
    let watched = bench.watched(&linux()).await;
    next_view(&watched, View::is_known).await;
    let before = bench.script.readings();
    // 100 scaling objects, half of which name the pool by its number, ask all
    // the time, for a minute in which jobs move.
    let ends = Instant::now() + Duration::from_secs(60);
    let mut count = 1;
    while Instant::now() < ends {
        for n in 0..100 {
            let pool = if n % 2 == 0 {
                linux()
            } else {
                PoolRef::Id(PoolId(27))
            };
            bench
                .watched(&pool)
                .await
                .call_was_stale_if_older_than(BUSY);
        }
        count += 1;
        bench.script.now(Says::Jobs(queued(count, &[])));
        advance(Duration::from_millis(100)).await;
    }
    let spent = bench.script.readings() - before;
    assert!(
        (11..=14).contains(&spent),
        "{spent} requests in a minute, where 12 are due"
    );
    assert_eq!(
        bench.script.lookups.load(Ordering::SeqCst),
        2,
        "one for each name"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_is_answered_at_once_and_a_burst_of_them_by_two_readings() {
    let bench = steady(Says::Jobs(Vec::new()));
    let watched = bench.watched(&linux()).await;
    next_view(&watched, View::is_known).await;
    advance(Duration::from_secs(1)).await;
    bench.script.now(Says::Jobs(queued(3, &[])));
    let (before, asked_at) = (bench.script.readings(), Instant::now());
    for _ in 0..50 {
        watched.nudge();
    }
    let jobs = |view: &View| view.snapshot.as_ref().unwrap().queue.jobs().len();
    let view = next_view(&watched, |view| jobs(view) == 3).await;
    assert_eq!(
        view.snapshot.unwrap().read_at,
        asked_at,
        "no time has passed"
    );
    for _ in 0..50 {
        watched.nudge();
        tokio::task::yield_now().await;
    }
    advance(Duration::from_secs(1)).await;
    tokio::task::yield_now().await;
    assert!(
        bench.script.readings() - before <= 3,
        "{}",
        bench.script.readings() - before
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_stands_beside_the_last_good_queue() {
    let bench = steady(Says::Jobs(queued(7, &[])));
    let watched = bench.watched(&linux()).await;
    let good = next_view(&watched, |view| view.snapshot.is_some())
        .await
        .snapshot
        .unwrap();
    bench.script.now(Says::Fails(ReadError::CredentialExpired));
    let view = next_view(&watched, |view| view.failure.is_some()).await;
    let kept = view.snapshot.unwrap();
    assert_eq!((kept.queue.jobs().len(), kept.read_at), (7, good.read_at));
    let times = |view: &View| view.failure.as_ref().map_or(0, |failure| failure.times);
    next_view(&watched, |view| times(view) == 3).await;
    bench.script.now(Says::Jobs(queued(7, &[])));
    let back = next_view(&watched, |view| view.failure.is_none())
        .await
        .snapshot
        .unwrap();
    assert!(
        Arc::ptr_eq(&back.queue, &good.queue),
        "the queue is the same, so nothing is decided anew"
    );
    assert!(back.read_at > good.read_at);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_service_asks_for_holds_all_pools_of_the_source() {
    let bench = steady(Says::Jobs(Vec::new()));
    let (linux, windows) = (
        bench.watched(&linux()).await,
        bench.watched(&PoolRef::Name("windows".into())).await,
    );
    next_view(&windows, View::is_known).await;
    next_view(&linux, View::is_known).await;
    bench.script.pause_next(Duration::from_secs(100));
    linux.nudge();
    let read = linux.view().snapshot.unwrap().read_at;
    let newer = move |view: &View| view.snapshot.as_ref().unwrap().read_at > read;
    next_view(&linux, newer).await;
    let (before, began) = (bench.script.readings(), Instant::now());
    windows.nudge();
    linux.nudge();
    let read = windows.view().snapshot.unwrap().read_at;
    next_view(&windows, move |view| {
        view.snapshot.as_ref().unwrap().read_at > read
    })
    .await;
    assert!(
        began.elapsed() >= Duration::from_secs(100),
        "{:?}",
        began.elapsed()
    );
    assert!(bench.script.readings() - before <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_not_there_is_an_error_and_is_asked_for_ever_more_seldom() {
    let bench = steady(Says::Jobs(Vec::new()));
    let handle = bench.handle(&PoolRef::Name("linus".into()));
    let mut changes = handle.changes();
    for _ in 0..600 {
        let _ = bench.handle(&PoolRef::Name("linus".into()));
        advance(Duration::from_secs(1)).await;
    }
    let found = changes.borrow_and_update().clone();
    let Found::No(failure) = found else {
        panic!("{found:?}")
    };
    assert_eq!(failure.error.kind(), "pool-not-found");
    let lookups = bench.script.lookups.load(Ordering::SeqCst);
    assert!(
        (8..=18).contains(&lookups),
        "{lookups} requests in ten minutes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_was_made_anew_is_found_under_its_new_number() {
    let bench = steady(Says::Jobs(queued(1, &[])));
    let old = bench.watched(&linux()).await;
    next_view(&old, View::is_known).await;
    bench.script.renumber("linux", 40);
    let mut changes = bench.handle(&linux()).changes();
    let anew =
        |found: &Found| matches!(found, Found::Yes(watched) if watched.pool().id == PoolId(40));
    changes.wait_for(anew).await.unwrap();
    old.ended().await;
}

#[tokio::test(start_paused = true)]
async fn there_is_a_limit() {
    let bench = steady(Says::Jobs(Vec::new()));
    for id in 1..=3 {
        bench.handle(&PoolRef::Id(PoolId(id)));
    }
    let fourth = PoolRef::Id(PoolId(4));
    assert_eq!(
        bench
            .pools
            .handle(&bench.source, &address(&fourth))
            .unwrap_err(),
        TooManyPools
    );
    bench.handle(&PoolRef::Id(PoolId(1)));
}

/// Real time, since moka's cannot be paused; the end is awaited, not slept for.
#[tokio::test]
async fn a_pool_that_nobody_asks_for_is_watched_no_more() {
    let short = Duration::from_millis(20);
    let bench = bench(
        Says::Jobs(Vec::new()),
        5 * short,
        Intervals {
            busy: short,
            idle: short,
        },
    );
    let watched = bench.watched(&linux()).await;
    watched.ended().await;
    assert!(bench.pools.all().is_empty());
    let again = bench.watched(&linux()).await;
    next_view(&again, View::is_known).await;
    assert!(!Arc::ptr_eq(&watched, &again));
}

#[tokio::test]
async fn a_watcher_that_rests_is_not_overtaken_by_another() {
    let (short, long) = (Duration::from_millis(20), Duration::from_secs(3600));
    let bench = bench(
        Says::Jobs(Vec::new()),
        short,
        Intervals {
            busy: long,
            idle: long,
        },
    );
    let first = bench.watched(&linux()).await;
    next_view(&first, View::is_known).await;
    let second = loop {
        // moka's time passes for real, and nothing tells that it has.
        tokio::time::sleep(2 * short).await;
        let watched = bench.watched(&linux()).await;
        if !Arc::ptr_eq(&first, &watched) {
            break watched;
        }
    };
    let ended = tokio::time::timeout(MINUTE_AT_MOST, first.ended()).await;
    assert!(ended.is_ok(), "two watchers read one pool");
    next_view(&second, View::is_known).await;
}

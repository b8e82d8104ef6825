//! A service that fails, pauses, hangs, or moves pools about.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pause_holds_those_too_that_wait_for_a_place() {
    let bench = steady_with(Says::Jobs(Vec::new()), 100);
    bench.script.take(Duration::from_secs(1));
    bench.script.pause_next(Duration::from_secs(600));
    let began = Instant::now();
    for id in 1..=100 {
        bench.handle(&PoolRef::Id(PoolId(id)));
    }
    advance(Duration::from_secs(500)).await;
    // The eight places were taken when the pause was told.
    let asked = bench.script.readings();
    assert!(asked <= 8, "{asked} requests after {:?}", began.elapsed());
    let last = bench.watched(&PoolRef::Id(PoolId(100))).await;
    next_view(&last, View::is_known).await;
    assert!(
        began.elapsed() >= Duration::from_secs(600),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_seems_gone_keeps_its_last_queue_and_costs_no_storm() {
    let bench = steady(Says::Jobs(queued(7, &[])));
    let watched = bench.watched(&linux()).await;
    next_view(&watched, |view| view.snapshot.is_some()).await;
    // Found by name, and yet its queue is «not there».
    bench
        .script
        .now(Says::Fails(ReadError::PoolNotFound { pool: "#27".into() }));
    let (before, lookups) = (
        bench.script.readings(),
        bench.script.lookups.load(Ordering::SeqCst),
    );
    for _ in 0..600 {
        advance(Duration::from_secs(1)).await;
        let still = bench.watched(&linux()).await;
        assert_eq!(still.view().snapshot.unwrap().queue.jobs().len(), 7);
    }
    let spent = bench.script.readings() - before;
    let lookups = bench.script.lookups.load(Ordering::SeqCst) - lookups;
    assert!(
        spent <= 16 && lookups <= spent,
        "{spent} readings, {lookups} lookups"
    );
    bench.script.now(Says::Jobs(queued(8, &[])));
    let back = bench.watched(&linux()).await;
    next_view(&back, |view| view.failure.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_slowly_makes_no_watcher_stuck() {
    let bench = steady_with(Says::Hangs, 100);
    for id in 1..=100 {
        bench.handle(&PoolRef::Id(PoolId(id)));
    }
    for _ in 0..600 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(bench.pools.stuck(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn pools_that_cannot_be_found_do_not_hold_up_one_that_is() {
    let bench = steady_with(Says::Jobs(queued(1, &[])), 1);
    let good = bench.watched(&PoolRef::Id(PoolId(1))).await;
    next_view(&good, View::is_known).await;
    bench.script.lookups_hang();
    for id in 100..400 {
        bench.handle(&PoolRef::Id(PoolId(id)));
    }
    for _ in 0..60 {
        advance(Duration::from_secs(1)).await;
        bench.handle(&PoolRef::Id(PoolId(1)));
    }
    let age = good.view().snapshot.unwrap().age();
    assert!(age < 4 * BUSY, "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_went_over_to_another_pool_is_followed() {
    let bench = steady_with(Says::Jobs(queued(1, &[])), 1);
    let first = bench.watched(&linux()).await;
    assert_eq!(first.pool().id, PoolId(27));
    // Pool 27 is still there, under another name.
    bench.script.renumber("old-linux", 27);
    bench.script.renumber("linux", 40);
    let mut changes = bench.handle(&linux()).changes();
    let moved =
        |found: &Found| matches!(found, Found::Yes(watched) if watched.pool().id == PoolId(40));
    changes.wait_for(moved).await.unwrap();
}

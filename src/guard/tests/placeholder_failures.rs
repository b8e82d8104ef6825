//! Placeholders where pools refuse or do not answer, and where leading changes hands.

use std::sync::{Arc, atomic::Ordering};

use super::{
    field::{Pool, profile},
    placeholders::{GONE_FOR, KEEPS, mark, placeholder, scene},
    world::{Cluster, Replica, pass},
};
use crate::{
    domain::registration::RegisteredAgent,
    telemetry::metrics::{WriteOutcome, Writer},
};

#[tokio::test(start_paused = true)]
async fn a_pool_that_may_only_be_read_is_told_and_costs_the_others_nothing() {
    let scene = scene(Vec::new(), false).await;
    let other = Pool::new(28, Vec::new());
    scene.pool.forbidden.store(true, Ordering::SeqCst);
    let two = vec![profile("ci/a", None, ""), profile("ci/b", None, "")];
    let rest = other.stand(vec![profile("ci/c", Some("c"), "")]);
    scene.field.declare(vec![scene.pool.stand(two), rest]);
    pass(2).await;
    assert_eq!(other.names(), ["c"]);
    pass(600).await;
    let forbidden = scene.count(WriteOutcome::Forbidden);
    assert!(
        (12..=20).contains(&forbidden),
        "{forbidden}: later and later"
    );
    scene.check_gauges(1, 0, 2);
    scene.pool.forbidden.store(false, Ordering::SeqCst);
    pass(61).await;
    assert_eq!(scene.pool.names().len(), 2);
    scene.check_gauges(3, 0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_asked_less_and_less() {
    let scene = scene(Vec::new(), false).await;
    scene.pool.down.store(true, Ordering::SeqCst);
    scene.field.declare(vec![scene.linux()]);
    pass(600).await;
    let looks = scene.pool.looks.load(Ordering::SeqCst);
    assert!((12..=20).contains(&looks), "{looks}");
    scene.check_gauges(0, 0, 1);
    scene.pool.down.store(false, Ordering::SeqCst);
    pass(61).await;
    assert_eq!(scene.pool.names(), ["held"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_nothing_and_tells_each_once() {
    let disabled = RegisteredAgent {
        enabled: false,
        ..placeholder(1, "off", &mark("ci/off"), &[])
    };
    let gone = placeholder(2, "gone", &mark("ci/gone"), &[]);
    let scene = scene(vec![disabled, gone], true).await;
    let off = profile("ci/off", Some("off"), "");
    let held = profile("ci/linux", Some("held"), "docker");
    scene.field.declare(vec![scene.pool.stand(vec![held, off])]);
    pass(GONE_FOR + 3600).await;
    assert_eq!(scene.pool.writes(), [""; 0]);
    assert_eq!(scene.count(WriteOutcome::DryRun), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_leads_no_more_writes_nothing_and_another_goes_on() {
    let scene = scene(Vec::new(), false).await;
    let field = Arc::clone(&scene.field);
    let two = Replica::start_in(
        "two",
        &scene.record,
        (&Cluster::new(0), &field),
        KEEPS,
        false,
    );
    scene.field.declare(vec![scene.linux()]);
    pass(1).await;
    scene.field.declare(Vec::new());
    pass(GONE_FOR / 2).await;
    scene.one.way.cut.store(true, Ordering::SeqCst);
    pass(14).await;
    assert!(!scene.one.leads());
    scene.pool.change(Vec::clear);
    scene.field.declare(vec![scene.linux()]);
    pass(60).await;
    assert!(two.leads());
    // The second one has it made, and has seen nobody want it from its own beginning on.
    assert_eq!(scene.count(WriteOutcome::Done), 1);
    assert_eq!(
        two.metrics.writes(Writer::Placeholders, WriteOutcome::Done),
        1
    );
    scene.field.declare(Vec::new());
    pass(GONE_FOR - 5).await;
    assert_eq!(scene.pool.names(), ["held"]);
    pass(130).await;
    assert_eq!(scene.pool.names(), [""; 0]);
    scene.check_gauges(0, 0, 0);
}

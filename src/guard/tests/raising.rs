//! Direct scale-up.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::world::{Cluster, Record, Replica, pass};
use crate::telemetry::metrics::{WriteOutcome, Writer};

const RAISES: &[Writer] = &[Writer::DirectScaleUp];

async fn leading(cluster: &Arc<Cluster>) -> Replica {
    let record = Arc::new(Record::default());
    let replica = Replica::start_for("one", &record, cluster, RAISES, false);
    pass(1).await;
    assert!(replica.leads());
    replica
}

#[tokio::test(start_paused = true)]
async fn a_scale_is_raised_on_the_edge_upward_alone() {
    let cluster = Cluster::new(0);
    let _one = leading(&cluster).await;
    for (needed, expected) in [
        (0, &[][..]),
        (3, &[3]),
        (3, &[3]),
        (5, &[3, 5]),
        (2, &[3, 5]),
        (0, &[3, 5]),
    ] {
        for _ in 0..3 {
            cluster.read(&[], Some(needed));
            pass(1).await;
        }
        assert_eq!(cluster.raised(), expected, "{needed}");
    }
    // KEDA and the HPA have brought it down meanwhile, and there it stays as long
    // as the decision stays.
    cluster.set(1);
    cluster.read(&[], Some(4));
    pass(1).await;
    assert_eq!(cluster.raised(), [3, 5, 4]);
    cluster.set(1);
    for _ in 0..5 {
        cluster.read(&[], Some(4));
        pass(1).await;
    }
    assert_eq!(cluster.raised(), [3, 5, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_scale_is_never_lowered() {
    let cluster = Cluster::new(0);
    let one = leading(&cluster).await;
    cluster.set(10);
    for needed in [0, 3, 10, 7, 9] {
        cluster.read(&[], Some(needed));
        pass(1).await;
    }
    assert_eq!(cluster.raised(), [0; 0]);
    assert_eq!(
        one.metrics
            .writes(Writer::DirectScaleUp, WriteOutcome::Done),
        0
    );
}

/// Paused, of another kind, or not to be raised at all: the scaler names no number
/// then.
#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_raised_or_not_known_is_not() {
    let cluster = Cluster::new(0);
    let _one = leading(&cluster).await;
    cluster.read(&[], None);
    pass(2).await;
    cluster.read_at(None, &[], Some(5));
    pass(2).await;
    // From before it led.
    cluster.read_at(Some(Instant::now() - Duration::from_secs(20)), &[], Some(5));
    pass(2).await;
    assert_eq!(
        (cluster.raised(), *cluster.tried.lock().unwrap()),
        (vec![], 0)
    );
    cluster.read(&[], Some(5));
    pass(1).await;
    assert_eq!(cluster.raised(), [5]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_later_and_later_and_not_at_each_reading() {
    let cluster = Cluster::new(0);
    let one = leading(&cluster).await;
    cluster.refused.lock().unwrap().insert("agents".to_owned());
    for _ in 0..60 {
        cluster.read(&[], Some(3));
        pass(1).await;
    }
    let tried = *cluster.tried.lock().unwrap();
    assert!((3..=7).contains(&tried), "{tried}");
    let forbidden = one
        .metrics
        .writes(Writer::DirectScaleUp, WriteOutcome::Forbidden);
    assert_eq!(forbidden, u64::from(tried));
    cluster.refused.lock().unwrap().clear();
    for _ in 0..70 {
        cluster.read(&[], Some(3));
        pass(1).await;
    }
    assert_eq!(cluster.raised(), [3]);
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_raises() {
    let cluster = Cluster::new(0);
    let one = leading(&cluster).await;
    one.way.fails.store(true, Ordering::SeqCst);
    pass(15).await;
    cluster.read(&[], Some(3));
    pass(5).await;
    assert_eq!(
        (cluster.raised(), *cluster.tried.lock().unwrap()),
        (vec![], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_raises_nothing() {
    let cluster = Cluster::new(0);
    let record = Arc::new(Record::default());
    let one = Replica::start_for("one", &record, &cluster, RAISES, true);
    pass(1).await;
    for _ in 0..5 {
        cluster.read(&[], Some(3));
        pass(1).await;
    }
    assert_eq!(cluster.raised(), [0; 0]);
    assert_eq!(
        one.metrics
            .writes(Writer::DirectScaleUp, WriteOutcome::DryRun),
        1
    );
}

//! Direct scale-up.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

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
}

/// KEDA takes it from 0 to 1 over what it has become, or to 0 by a reading of
/// another replica's.
#[tokio::test(start_paused = true)]
async fn what_is_taken_back_at_once_is_raised_again_and_later_no_more() {
    let cluster = Cluster::new(0);
    let _one = leading(&cluster).await;
    cluster.read(&[], Some(4));
    for (after, taken_back_to, expected) in [
        (100, None, 1),
        (200, Some(1), 2),
        (1_000, Some(0), 3),
        (4_000, None, 3),
        (5_000, Some(3), 3),
        (6_000, None, 4),
        // By now it is KEDA's, as long as the decision stays.
        (1_000, Some(1), 4),
        (60_000, None, 4),
    ] {
        if let Some(replicas) = taken_back_to {
            cluster.set(replicas);
        }
        sleep(Duration::from_millis(after)).await;
        assert_eq!(cluster.raised(), vec![4; expected], "{after}");
    }
    let tried = *cluster.tried.lock().unwrap();
    assert_eq!(tried, 8, "once, five looks, and two that were left to KEDA");
}

/// KEDA and the Deployment's controller write to it at the same time.
#[tokio::test(start_paused = true)]
async fn where_others_are_faster_it_is_tried_again_within_moments() {
    let cluster = Cluster::new(0);
    let _one = leading(&cluster).await;
    *cluster.conflicts.lock().unwrap() = 5;
    cluster.read(&[], Some(4));
    // Of these it is KEDA's turn for 80 ms.
    sleep(Duration::from_millis(280)).await;
    assert_eq!(cluster.raised(), [4]);
    // For ever, and then it is no matter of moments.
    *cluster.conflicts.lock().unwrap() = u32::MAX;
    let before = *cluster.tried.lock().unwrap();
    cluster.read(&[], Some(5));
    sleep(Duration::from_millis(900)).await;
    let tried = *cluster.tried.lock().unwrap() - before;
    assert_eq!((cluster.raised(), tried), (vec![4], 6));
}

/// A look goes by what is needed then, and ends with a pause.
#[tokio::test(start_paused = true)]
async fn a_look_again_asks_for_no_more_than_is_needed_by_then() {
    let cluster = Cluster::new(0);
    let _one = leading(&cluster).await;
    cluster.read(&[], Some(4));
    pass(2).await;
    cluster.set(1);
    cluster.read(&[], Some(2));
    pass(4).await;
    assert_eq!(cluster.raised(), [4, 2]);
    cluster.set(1);
    cluster.read(&[], None);
    pass(60).await;
    assert_eq!(cluster.raised(), [4, 2]);
    cluster.read(&[], Some(3));
    pass(2).await;
    cluster.set(0);
    cluster.read(&[], Some(0));
    pass(60).await;
    assert_eq!(cluster.raised(), [4, 2, 3]);
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

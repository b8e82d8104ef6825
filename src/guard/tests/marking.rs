//! Marks of busy agents.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::world::{Cluster, Record, Replica, pass};
use crate::telemetry::metrics::{WriteOutcome, Writer};

const MARKS: &[Writer] = &[Writer::BusyMarks];

async fn leading(cluster: &Arc<Cluster>) -> (Arc<Record>, Replica) {
    let record = Arc::new(Record::default());
    let replica = Replica::start_for("one", &record, cluster, MARKS, false);
    pass(1).await;
    assert!(replica.leads());
    (record, replica)
}

fn write(number: usize, marks: bool) -> (String, bool) {
    (format!("agents-{number:03}"), marks)
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_written_on_the_edges_alone() {
    let cluster = Cluster::new(3);
    let (_record, _one) = leading(&cluster).await;
    assert!(*cluster.kept.lock().unwrap() > 0, "its pools are not kept");
    for _ in 0..10 {
        cluster.read(&[], None);
        pass(1).await;
    }
    assert_eq!(cluster.marks(), []);
    for _ in 0..10 {
        cluster.read(&[1], None);
        pass(1).await;
    }
    assert_eq!(cluster.marks(), [write(1, true)]);
    for _ in 0..10 {
        cluster.read(&[2], None);
        pass(1).await;
    }
    let expected = [write(1, true), write(2, true), write(1, false)];
    assert_eq!(cluster.marks(), expected);
}

/// The watch is slower than the writes.
#[tokio::test(start_paused = true)]
async fn what_was_written_is_not_written_again_before_it_is_seen() {
    let cluster = Cluster::new(1);
    cluster.unseen.store(true, Ordering::SeqCst);
    let (_record, _one) = leading(&cluster).await;
    for _ in 0..10 {
        cluster.read(&[0], None);
        pass(1).await;
    }
    assert_eq!(cluster.marks(), [write(0, true)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_not_idle() {
    let cluster = Cluster::new(1);
    let (_record, _one) = leading(&cluster).await;
    cluster.read(&[0], None);
    pass(1).await;
    let old = Some(Instant::now() - Duration::from_secs(2));
    // A reading that failed or is stale, one from before the mark, and none at all.
    cluster.read_at(None, &[], None);
    pass(5).await;
    cluster.read_at(old, &[], None);
    pass(5).await;
    cluster.forget();
    pass(5).await;
    assert_eq!(cluster.marks(), [write(0, true)]);
    cluster.read(&[], None);
    pass(1).await;
    assert_eq!(cluster.marks(), [write(0, true), write(0, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_clears_by_new_readings_alone() {
    let cluster = Cluster::new(2);
    let (record, one) = leading(&cluster).await;
    cluster.read(&[0, 1], None);
    pass(1).await;
    let two = Replica::start_for("two", &record, &cluster, MARKS, false);
    // What two has read last, before the agents got their jobs.
    cluster.read_at(Some(Instant::now()), &[0, 1], None);
    pass(1).await;
    one.stop().await;
    cluster.read_at(Some(Instant::now() - Duration::from_millis(1)), &[1], None);
    pass(20).await;
    assert!(two.leads());
    assert_eq!(cluster.marks(), [write(0, true), write(1, true)]);
    cluster.read(&[1], None);
    pass(1).await;
    assert_eq!(cluster.marks()[2..], [write(0, false)]);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_written_a_second_than_it_was_told() {
    let cluster = Cluster::new(200);
    let (_record, _one) = leading(&cluster).await;
    let all: Vec<_> = (0..200).collect();
    cluster.read(&all, None);
    pass(30).await;
    let marked = cluster.marked.lock().unwrap().clone();
    assert_eq!(marked.len(), 200);
    for window in marked.windows(21) {
        let took = window[20].0 - window[0].0;
        assert!(took >= Duration::from_millis(990), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_whose_writes_fail_or_hang_hold_nobody_up_and_are_tried_later_and_later() {
    let cluster = Cluster::new(40);
    let (_record, one) = leading(&cluster).await;
    let names = |range: std::ops::Range<usize>| range.map(|number| write(number, true).0).collect();
    *cluster.refused.lock().unwrap() = names(0..20);
    *cluster.hanging.lock().unwrap() = names(20..24);
    let all: Vec<_> = (0..40).collect();
    for _ in 0..60 {
        cluster.read(&all, None);
        pass(1).await;
    }
    assert_eq!(cluster.marks().len(), 16);
    // Each of the 24 at 0, 1, 3, 7, 15, 31 s at the most, however many readings came.
    let tried = *cluster.tried.lock().unwrap();
    assert!((40..=16 + 24 * 7).contains(&tried), "{tried}");
    assert!(one.metrics.writes(Writer::BusyMarks, WriteOutcome::Failed) > 20);
    assert!(
        one.metrics
            .writes(Writer::BusyMarks, WriteOutcome::TimedOut)
            >= 4
    );
    cluster.refused.lock().unwrap().clear();
    for _ in 0..70 {
        cluster.read(&all, None);
        pass(1).await;
    }
    assert_eq!(cluster.marks().len(), 36);
}

#[tokio::test(start_paused = true)]
async fn whoever_leads_no_more_writes_no_more() {
    let cluster = Cluster::new(1);
    let (_record, one) = leading(&cluster).await;
    one.way.cut.store(true, Ordering::SeqCst);
    pass(15).await;
    cluster.read(&[0], None);
    pass(5).await;
    assert_eq!(
        (cluster.marks(), *cluster.tried.lock().unwrap()),
        (vec![], 0)
    );
    one.way.cut.store(false, Ordering::SeqCst);
    pass(5).await;
    cluster.read(&[0], None);
    pass(1).await;
    assert_eq!(cluster.marks(), [write(0, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_decides_each_edge_once_and_writes_none() {
    let cluster = Cluster::new(2);
    let record = Arc::new(Record::default());
    let one = Replica::start_for("one", &record, &cluster, MARKS, true);
    pass(1).await;
    for _ in 0..5 {
        cluster.read(&[0], None);
        pass(1).await;
    }
    for _ in 0..5 {
        cluster.read(&[], None);
        pass(1).await;
    }
    assert_eq!(*cluster.tried.lock().unwrap(), 0);
    assert_eq!(
        one.metrics.writes(Writer::BusyMarks, WriteOutcome::DryRun),
        2
    );
}

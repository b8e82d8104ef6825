//! Events on scaling objects.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    owners::{Owners, noticed},
    world::{Cluster, Record, Replica, pass},
};
use crate::{
    domain::notice::Code::{self, AtMaximum, PoolNotFound},
    ports::{notices::Seen, writes::WriteError},
    telemetry::metrics::{WriteOutcome, Writer},
};

const EVENTS: &[Writer] = &[Writer::Events];
const WRITER: Writer = Writer::Events;
const NOT_FOUND: &[(Code, &str)] = &[(PoolNotFound, "pool lnux is not there")];

struct Stage {
    cluster: Arc<Cluster>,
    record: Arc<Record>,
}

impl Stage {
    fn new() -> Self {
        Self {
            cluster: Cluster::new(0),
            record: Arc::default(),
        }
    }

    fn owners(&self) -> &Owners {
        &self.cluster.owners
    }

    fn replica(&self, name: &str, dry_run: bool) -> Replica {
        Replica::start_for(name, &self.record, &self.cluster, EVENTS, dry_run)
    }

    /// So long readings show the same.
    async fn reads(&self, seconds: u64) {
        for _ in 0..seconds.div_ceil(5) {
            self.owners().read();
            pass(5).await;
        }
    }

    fn not_found(&self) {
        let linux = noticed("linux", Seen::Reading, NOT_FOUND);
        self.owners().set([linux]);
    }

    fn well(&self) {
        self.owners().set([noticed("linux", Seen::Jobs, &[])]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_pool_is_told_once_and_its_correction_once() {
    let stage = Stage::new();
    let one = stage.replica("one", false);
    pass(1).await;
    stage.not_found();
    stage.reads(600).await;
    assert_eq!(stage.owners().told(), ["linux PoolNotFound"]);
    stage.well();
    stage.reads(600).await;
    assert_eq!(stage.owners().told(), ["linux PoolNotFound", "linux over"]);
    let events = stage.owners().events.lock().unwrap().clone();
    assert_eq!(events[0].1.note, "pool lnux is not there");
    assert_eq!(events[1].1.note, "it is well again; over: PoolNotFound");
    assert_eq!(&*events[0].1.reporter, "one");
    assert_eq!(one.metrics.writes(WRITER, WriteOutcome::Done), 2);
    assert_eq!(*stage.owners().reads.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_leads_next_repeats_nothing_and_goes_on() {
    let stage = Stage::new();
    let one = stage.replica("one", false);
    pass(1).await;
    stage.not_found();
    stage.reads(60).await;
    let two = stage.replica("two", false);
    one.stop().await;
    stage.reads(600).await;
    assert!(two.leads());
    assert_eq!(stage.owners().told(), ["linux PoolNotFound"]);
    stage.well();
    stage.reads(60).await;
    assert_eq!(stage.owners().told(), ["linux PoolNotFound", "linux over"]);
    // And one that leads again after a while in which it could not.
    two.way.cut.store(true, Ordering::SeqCst);
    stage.reads(30).await;
    assert!(!two.leads());
    stage.not_found();
    stage.reads(60).await;
    assert_eq!(stage.owners().told().len(), 2);
    two.way.cut.store(false, Ordering::SeqCst);
    stage.reads(1800).await;
    let told = ["linux PoolNotFound", "linux over", "linux PoolNotFound"];
    assert_eq!(stage.owners().told(), told);
    assert_eq!(stage.owners().names(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_tells_nothing() {
    let stage = Stage::new();
    let _one = Replica::start_for("one", &stage.record, &stage.cluster, &[], false);
    pass(1).await;
    let two = stage.replica("two", false);
    stage.not_found();
    stage.reads(600).await;
    assert!(!two.leads());
    assert_eq!(
        (
            stage.owners().told().len(),
            *stage.owners().reads.lock().unwrap()
        ),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_decides_each_edge_once_and_writes_none() {
    for forbidden in [false, true] {
        let stage = Stage::new();
        // A dry run needs no right.
        *stage.owners().fails.lock().unwrap() =
            forbidden.then(|| WriteError::Forbidden { rule: "{}".into() });
        let one = stage.replica("one", true);
        pass(1).await;
        stage.not_found();
        stage.reads(600).await;
        stage.well();
        stage.reads(600).await;
        assert_eq!(*stage.owners().tried.lock().unwrap(), 0);
        let counted = 2 + u64::from(forbidden);
        assert_eq!(one.metrics.writes(WRITER, WriteOutcome::DryRun), counted);
        assert_eq!(one.metrics.writes(WRITER, WriteOutcome::Forbidden), 0);
    }
}

/// Nothing is told by a leader that cannot read what was told before, and the right
/// is taken up once it is granted.
#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_waited_for() {
    let stage = Stage::new();
    let rule = r#"{resources: ["events"], verbs: ["create", "list"]}"#;
    let forbidden = WriteError::Forbidden { rule: rule.into() };
    *stage.owners().fails.lock().unwrap() = Some(forbidden);
    let one = stage.replica("one", false);
    pass(1).await;
    stage.not_found();
    stage.reads(300).await;
    assert_eq!(*stage.owners().tried.lock().unwrap(), 0);
    let refused = one.metrics.writes(WRITER, WriteOutcome::Forbidden);
    assert!((8..=12).contains(&refused), "{refused}");
    *stage.owners().fails.lock().unwrap() = None;
    stage.reads(60).await;
    assert_eq!(stage.owners().told(), ["linux PoolNotFound"]);
}

/// The apiserver has written it, and its answer does not come.
#[tokio::test(start_paused = true)]
async fn what_is_tried_again_is_there_once() {
    let stage = Stage::new();
    let one = stage.replica("one", false);
    pass(1).await;
    *stage.owners().answers_get_lost.lock().unwrap() = true;
    stage.not_found();
    stage.reads(60).await;
    assert!(one.metrics.writes(WRITER, WriteOutcome::TimedOut) >= 2);
    *stage.owners().answers_get_lost.lock().unwrap() = false;
    stage.reads(120).await;
    assert_eq!(one.metrics.writes(WRITER, WriteOutcome::Done), 1);
    assert_eq!(stage.owners().told(), ["linux PoolNotFound"]);
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_told_one_after_another() {
    let stage = Stage::new();
    let _one = stage.replica("one", false);
    pass(1).await;
    let all = |notices: &'static [(Code, &str)]| {
        (0..100).map(move |number| noticed(&format!("linux-{number}"), Seen::Jobs, notices))
    };
    stage
        .owners()
        .set(all(&[(PoolNotFound, "a"), (AtMaximum, "b")]));
    stage.reads(180).await;
    let events = stage.owners().events.lock().unwrap().clone();
    assert_eq!(events.len(), 200);
    for window in events.windows(6) {
        let took = window[5].0 - window[0].0;
        assert!(took >= Duration::from_secs(1), "{took:?}");
    }
}

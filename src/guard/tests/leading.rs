//! Leading and the gate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::world::{Record, Replica, pass};
use crate::{
    ports::writes::{Attempt, WriteError},
    telemetry::metrics::{WriteOutcome, Writer},
};

const WRITER: Writer = Writer::BusyMarks;

/// Counts the writes that reach it.
#[derive(Default)]
struct Target(AtomicU32);

impl Target {
    fn written(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    fn write(&self) -> Attempt<'_, ()> {
        Box::pin(async {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_another_takes_over_at_its_clean_stop() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, false);
    pass(1).await;
    let two = Replica::start("two", &record, false);
    for _ in 0..60 {
        pass(1).await;
        assert!(one.leads() && !two.leads());
    }
    // An upgrade changes the Lease's labels.
    record.touch();
    let stopped = Instant::now();
    one.stop().await;
    assert_eq!(record.holder(), "");
    while !two.leads() {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(
        stopped.elapsed() < Duration::from_secs(3),
        "{:?}",
        stopped.elapsed()
    );
    assert_eq!(record.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn another_takes_over_after_a_kill_when_the_lease_has_ended() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, false);
    pass(1).await;
    let two = Replica::start("two", &record, false);
    pass(20).await;
    one.kill();
    let killed = Instant::now();
    while !two.leads() {
        sleep(Duration::from_millis(50)).await;
        assert!(killed.elapsed() < Duration::from_secs(30));
    }
    assert!(killed.elapsed() >= Duration::from_secs(10));
}

/// Whoever is cut off stops writing before another may begin, whichever way the
/// apiserver fails.
#[tokio::test(start_paused = true)]
async fn two_never_lead_at_once() {
    for hangs in [true, false] {
        let record = Arc::new(Record::default());
        let one = Replica::start("one", &record, false);
        pass(1).await;
        let two = Replica::start("two", &record, false);
        pass(13).await;
        let cut = if hangs { &one.way.cut } else { &one.way.fails };
        cut.store(true, Ordering::SeqCst);
        let mut gap = 0;
        for _ in 0..400 {
            sleep(Duration::from_millis(100)).await;
            assert!(!(one.leads() && two.leads()));
            gap += u32::from(!one.leads() && !two.leads());
        }
        assert!(two.leads() && gap >= 10, "{gap}");
        for (replica, line) in [(&one, "azp_leader 0"), (&two, "azp_leader 1")] {
            let text = replica.metrics.scrape().text();
            assert!(text.lines().any(|told| told == line), "{text}");
        }
        one.kill();
        two.kill();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_costs_no_leading() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, false);
    pass(1).await;
    let two = Replica::start("two", &record, false);
    pass(4).await;
    let term = one.gate.lead().unwrap().term;
    one.way.cut.store(true, Ordering::SeqCst);
    pass(6).await;
    one.way.cut.store(false, Ordering::SeqCst);
    pass(30).await;
    assert_eq!(one.gate.lead().unwrap().term, term);
    assert!(!two.leads());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_unless_this_replica_leads_in_the_same_term() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, false);
    pass(1).await;
    let (target, lead) = (Target::default(), one.gate.lead().unwrap());
    let write = async || one.gate.write(WRITER, lead, &"it", || target.write()).await;
    assert_eq!(write().await, WriteOutcome::Done);
    one.way.cut.store(true, Ordering::SeqCst);
    pass(14).await;
    assert_eq!(write().await, WriteOutcome::NotLeader);
    // It leads again, and what was decided before may not hold any more.
    one.way.cut.store(false, Ordering::SeqCst);
    pass(5).await;
    assert!(one.leads());
    assert_eq!(write().await, WriteOutcome::NotLeader);
    assert_eq!(target.written(), 1);
    assert_eq!(one.metrics.writes(WRITER, WriteOutcome::NotLeader), 2);
    assert_eq!(one.metrics.writes(WRITER, WriteOutcome::Done), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_nothing_and_counts_all() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, true);
    pass(1).await;
    let (target, lead) = (Target::default(), one.gate.lead().unwrap());
    for _ in 0..3 {
        let outcome = one.gate.write(WRITER, lead, &"it", || target.write()).await;
        assert_eq!(outcome, WriteOutcome::DryRun);
    }
    assert_eq!(target.written(), 0);
    assert_eq!(one.metrics.writes(WRITER, WriteOutcome::DryRun), 3);
}

#[tokio::test(start_paused = true)]
async fn a_write_ends_before_leading_does() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, false);
    pass(1).await;
    let hangs = || -> Attempt<'static, ()> { Box::pin(std::future::pending()) };
    let lead = one.gate.lead().unwrap();
    let begun = Instant::now();
    let outcome = one.gate.write(WRITER, lead, &"it", hangs).await;
    assert_eq!(outcome, WriteOutcome::TimedOut);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));

    one.way.cut.store(true, Ordering::SeqCst);
    while one.gate.lead().unwrap().until > Instant::now() + Duration::from_secs(2) {
        sleep(Duration::from_millis(50)).await;
    }
    let end = one.gate.lead().unwrap().until;
    one.gate.write(WRITER, lead, &"it", hangs).await;
    assert!(Instant::now() <= end + Duration::from_millis(2));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_let_go_only_when_nothing_is_being_written() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, false);
    pass(1).await;
    let (gate, lead) = (one.gate.clone(), one.gate.lead().unwrap());
    let slow = move || -> Attempt<'static, ()> {
        Box::pin(async {
            sleep(Duration::from_secs(3)).await;
            Ok(())
        })
    };
    let writing = tokio::spawn(async move { gate.write(WRITER, lead, &"it", slow).await });
    sleep(Duration::from_millis(10)).await;
    let (gate, target) = (one.gate.clone(), Target::default());
    let stopping = tokio::spawn(one.stop());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(record.holder(), "one");
    let late = gate.write(WRITER, lead, &"it", || target.write()).await;
    assert_eq!((late, target.written()), (WriteOutcome::NotLeader, 0));
    assert_eq!(writing.await.unwrap(), WriteOutcome::Done);
    stopping.await.unwrap();
    assert_eq!(record.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn what_came_of_a_write_is_counted() {
    let record = Arc::new(Record::default());
    let one = Replica::start("one", &record, false);
    pass(1).await;
    let lead = one.gate.lead().unwrap();
    let failed = WriteError::Failed {
        cause: "odd".into(),
    };
    let forbidden = WriteError::Forbidden { rule: "{}".into() };
    for (error, expected) in [
        (WriteError::Conflict, WriteOutcome::Conflict),
        (WriteError::Gone, WriteOutcome::Gone),
        (failed, WriteOutcome::Failed),
        (forbidden, WriteOutcome::Forbidden),
    ] {
        let write = || -> Attempt<'static, ()> { Box::pin(async { Err(error) }) };
        let outcome = one.gate.write(WRITER, lead, &"it", write).await;
        assert_eq!(outcome, expected);
        assert_eq!(one.metrics.writes(WRITER, expected), 1);
    }
}

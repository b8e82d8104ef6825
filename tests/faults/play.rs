//! How a row is played. Invariant: nothing is measured in time but what follows
//! from the scaler's own settings, so that a slow machine changes no verdict.

use std::time::Duration;

use azp_scaler::emulator::Clock;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::{
    scrape::Scrape,
    stage::{MAX_STALE, POLL, Stage, until_said},
    table::{Row, Spends, Told},
};

/// Plays a row to its end.
pub(crate) async fn play(row: Row) {
    let stage = Stage::set(row.breaks, Clock::tokio()).await;
    match row.keda {
        Told::Three(words) => fails_for_too_long(&row, stage, words).await,
        Told::Never(words) => is_never_read(&row, stage, words).await,
        Told::Zero => is_believed(&row, stage).await,
        Told::Truth => goes_on(&row, stage).await,
    }
}

async fn fails_for_too_long(row: &Row, mut stage: Stage, words: &str) {
    let name = row.name;
    stage.until_told(3).await;
    let said = stage.stream().await;
    until_said(&said, &[true], name).await;
    let mut spent = Spent::since_now(&stage).await;
    stage.fail(row.spends).await;

    // While it is fresh the last number, though readings fail; then the error.
    let (mut held, mut begun) = (false, false);
    let told = loop {
        let scrape = stage.scrape().await;
        if !begun && spent.has_failed(&scrape) {
            // What was under way, and what the last token let in, is over.
            spent = Spent::since_now(&stage).await;
            begun = true;
        }
        match stage.ask().await {
            Ok(number) => assert_eq!(number, 3, "{name}"),
            Err(told) => break told,
        }
        held |= scrape.failures() > 0.0;
        sleep(POLL).await;
    };
    // A redirect would carry the credential to where no rule allows it.
    let code = match row.kind {
        Some("redirected") => Code::PermissionDenied,
        _ => Code::Unavailable,
    };
    assert_eq!(told.code(), code, "{name}: {told}");
    let told = told.message();
    assert!(told.contains(words), "{name}: {told}");
    assert!(told.contains("was last read"), "{name}: {told}");
    assert_eq!(held, row.kind.is_some(), "{name}: the number was held");
    let scrape = stage.scrape().await;
    spent.check(row, &stage).await;
    check_metrics(row, &spent, &scrape);
    let age = scrape.value("azp_pool_snapshot_age_seconds", &[]).unwrap();
    assert!(age >= MAX_STALE.as_secs_f64(), "{name}: {age}");
    let queued = scrape.value("azp_pool_jobs", &[("state", "queued")]);
    assert_eq!(queued, Some(3.0), "{name}");
    until_said(&said, &[true], name).await;

    stage.mend().await;
    stage.until_told(3).await;
    assert_eq!(stage.scrape().await.failures(), 0.0, "{name}");
    until_said(&said, &[true], name).await;
    stage.cancel_all();
    stage.until_told(0).await;
    until_said(&said, &[true, false], name).await;
}

async fn is_never_read(row: &Row, mut stage: Stage, words: &str) {
    let name = row.name;
    let spent = Spent::since_now(&stage).await;
    let said = stage.stream().await;
    let began = Instant::now();
    while began.elapsed() < MAX_STALE {
        let told = stage.ask().await.unwrap_err();
        assert_eq!(told.code(), Code::Unavailable, "{name}: {told}");
        let told = told.message();
        let not_yet = told.contains("has not been read yet");
        assert!(told.contains(words) || not_yet, "{name}: {told}");
        sleep(POLL).await;
    }
    let told = stage.ask().await.unwrap_err();
    assert!(told.message().contains(words), "{name}: {told}");
    spent.check(row, &stage).await;
    let scrape = stage.scrape().await;
    check_metrics(row, &spent, &scrape);
    let age = scrape.value("azp_pool_snapshot_age_seconds", &[]);
    assert_eq!(age, None, "{name}");
    until_said(&said, &[], name).await;
}

async fn is_believed(row: &Row, mut stage: Stage) {
    let name = row.name;
    stage.until_told(3).await;
    let said = stage.stream().await;
    until_said(&said, &[true], name).await;
    let spent = Spent::since_now(&stage).await;
    stage.fail(row.spends).await;
    stage.until_told(0).await;
    until_said(&said, &[true, false], name).await;
    spent.check(row, &stage).await;
    let scrape = stage.scrape().await;
    check_metrics(row, &spent, &scrape);
    stage.mend().await;
    stage.until_told(3).await;
    until_said(&said, &[true, false, true], name).await;
}

async fn goes_on(row: &Row, mut stage: Stage) {
    let name = row.name;
    stage.until_told(3).await;
    let said = stage.stream().await;
    let spent = Spent::since_now(&stage).await;
    stage.fail(row.spends).await;
    let began = Instant::now();
    while began.elapsed() < MAX_STALE + MAX_STALE / 2 {
        assert_eq!(stage.ask().await.unwrap(), 3, "{name}");
        sleep(POLL).await;
    }
    stage.queue(2);
    stage.until_told(5).await;
    spent.check(row, &stage).await;
    check_metrics(row, &spent, &stage.scrape().await);
    until_said(&said, &[true], name).await;
    stage.mend().await;
    stage.cancel_all();
    stage.until_told(0).await;
    until_said(&said, &[true, false], name).await;
}

/// What every row shows in its metrics.
fn check_metrics(row: &Row, before: &Spent, scrape: &Scrape) {
    let name = row.name;
    match row.kind {
        Some(kind) => {
            // It was tried again, and is the one thing that went wrong.
            let least = if matches!(row.spends, Spends::Pause(_)) {
                1.0
            } else {
                2.0
            };
            let outcome = scrape.outcome(kind);
            assert!(outcome >= least, "{name}: {outcome} ended as {kind}");
            assert!(scrape.failures() >= 1.0, "{name}");
        }
        None => {
            let failed = scrape.requests() - scrape.outcome("ok");
            assert_eq!(failed, before.failed, "{name}");
            assert_eq!(scrape.failures(), 0.0, "{name}");
        }
    }
    let valid = scrape.value("azp_credential_valid", &[]);
    let expected = row.valid.map(|valid| f64::from(u8::from(valid)));
    assert_eq!(valid, expected, "{name}: azp_credential_valid");
    let number = scrape.value("azp_scaling_object_number", &[]);
    if row.keda != Told::Zero {
        assert_ne!(number, Some(0.0), "{name}: azp_scaling_object_number");
    }
}

/// The requests since a moment.
struct Spent {
    before: u64,
    /// Readings that had failed before it.
    failed: f64,
    since: Instant,
}

impl Spent {
    async fn since_now(stage: &Stage) -> Self {
        let since = Instant::now();
        let scrape = stage.scrape().await;
        let failed = scrape.requests() - scrape.outcome("ok");
        let before = stage.requests().await;
        Self {
            before,
            failed,
            since,
        }
    }

    /// Has a reading failed since?
    fn has_failed(&self, scrape: &Scrape) -> bool {
        scrape.requests() - scrape.outcome("ok") > self.failed
    }

    /// There are no more of them than the row says.
    async fn check(&self, row: &Row, stage: &Stage) {
        let spent = stage.requests().await - self.before;
        let elapsed = self.since.elapsed();
        let most = match row.spends {
            Spends::BackOff(each) => each * in_back_off(elapsed),
            // One before, one for each pause that is over, and one that was
            // under way.
            Spends::Pause(seconds) => 2 + elapsed.as_secs() / u64::from(seconds),
            Spends::None => 0,
            Spends::Usual => in_intervals(elapsed),
        };
        let name = row.name;
        assert!(spent <= most, "{name}: {spent} requests in {elapsed:?}");
        assert!(spent > 0 || row.spends == Spends::None, "{name}: none");
        assert!(most < in_intervals(elapsed) || row.spends == Spends::Usual);
    }
}

/// The most readings in this time while they fail: each wait is twice as long
/// as the one before, less the tenth by which chance may shorten it; and one
/// reading may have been under way.
fn in_back_off(elapsed: Duration) -> u64 {
    let (mut readings, mut at, mut wait) = (2, Duration::ZERO, POLL.mul_f64(0.9));
    while at + wait <= elapsed {
        at += wait;
        wait *= 2;
        readings += 1;
    }
    readings
}

/// The most in this time while nothing fails.
fn in_intervals(elapsed: Duration) -> u64 {
    let waits = elapsed.as_secs_f64() / POLL.mul_f64(0.9).as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let readings = waits as u64 + 2;
    readings
}

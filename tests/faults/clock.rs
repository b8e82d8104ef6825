//! A service whose clock jumps: how long it may silence the scaler.

use std::time::Duration;

use azp_scaler::emulator::{Clock, Fault, FaultKind};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, advance, pause, resume, sleep, timeout};
use tonic::Code;

use crate::{
    stage::{LONGEST, POLL, Stage},
    table::Breaks,
};

/// Lets time pass in no time. Only for that does the clock stand still: bytes
/// between two sockets need a moment.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

/// `X-RateLimit-Reset` is a moment of the service's clock, so a clock that is
/// wrong would ask for a pause of an hour, or for one that is over. The bounds
/// are the scaler's own.
#[tokio::test]
async fn a_clock_that_jumps_silences_the_scaler_for_minutes_at_most() {
    // the fault, by how many seconds the service's clock is wrong, the longest
    // pause in seconds
    for (kind, wrong, longest) in [
        (FaultKind::SlowDown, 3600, 300),
        (FaultKind::SlowDown, -3600, 30),
        (FaultKind::TooManyRequests, 7200, 3600),
        (FaultKind::TooManyRequests, -3600, 30),
    ] {
        let name = format!("{kind:?}, {wrong} s");
        let breaks = Breaks::Service(kind);
        let right = Timestamp::now();
        let clock = Clock::manual(right + SignedDuration::from_secs(wrong.min(0)));
        let mut stage = Stage::set(breaks, clock).await;
        stage.until_told(3).await;
        if let Ok(ahead) = u64::try_from(wrong) {
            stage.organization().advance(Duration::from_secs(ahead));
        }
        let before = stage.requests().await;
        let fault = Fault::new(kind);
        stage.organization().set_fault(fault);
        while stage.requests().await == before {
            sleep(POLL / 10).await;
        }
        stage.mend().await;
        // Within the pause: no request, and soon no answer, but never a 0.
        let began = Instant::now();
        let asked = stage.requests().await;
        let silent = async {
            loop {
                match stage.ask().await {
                    Ok(number) => assert_eq!(number, 3, "{name}"),
                    Err(told) => return told,
                }
                sleep(POLL / 2).await;
            }
        };
        let told = timeout(LONGEST, silent).await.expect("an error at last");
        assert_eq!(told.code(), Code::Unavailable, "{name}: {told}");
        assert_eq!(stage.requests().await, asked, "{name}: {told}");
        pass(Duration::from_secs(longest - 10).saturating_sub(began.elapsed())).await;
        for _ in 0..5 {
            stage.ask().await.unwrap_err();
            sleep(POLL / 10).await;
        }
        assert_eq!(stage.requests().await, asked, "{name}: within the pause");
        pass(Duration::from_secs(11)).await;
        stage.until_told(3).await;
        assert!(stage.requests().await > asked, "{name}");
    }
}

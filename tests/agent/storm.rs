//! 200 lives, each told to stop at a random instant of it: no job is lost, no
//! agent stays registered, and every one ends.

use std::{os::unix::process::ExitStatusExt as _, sync::Arc, time::Duration};

use azp_scaler::{
    domain::job::{JobResult, JobState, RequestId},
    emulator::{AgentPackage, Fault, FaultKind, Order, Settings},
};
use tokio::sync::Semaphore;

use crate::stage::{POOL, Pod, Stage, Start};

const LIVES: usize = 200;

/// So many at a time: processors wait for processes here, not the other way.
const AT_A_TIME: usize = 8;

/// The part of a life in which the signal comes.
#[derive(Clone, Copy, Debug)]
enum Instant {
    BeforeConfiguring,
    Idle,
    AsAJobArrives,
    InAJob,
    WhileLeaving,
    DuringAnUpdate,
    WithAFailingServer,
}

const INSTANTS: [Instant; 7] = [
    Instant::BeforeConfiguring,
    Instant::Idle,
    Instant::AsAJobArrives,
    Instant::InAJob,
    Instant::WhileLeaving,
    Instant::DuringAnUpdate,
    Instant::WithAFailingServer,
];

/// Failures that pass, each for a few requests.
const PASSING: [FaultKind; 12] = [
    FaultKind::TooManyRequests,
    FaultKind::SlowDown,
    FaultKind::ServerError,
    FaultKind::Unavailable,
    FaultKind::CutBody,
    FaultKind::Html,
    FaultKind::UnknownShape,
    FaultKind::EmptyList,
    FaultKind::Unauthorized,
    FaultKind::Forbidden,
    FaultKind::SignInPage,
    FaultKind::Redirect,
];

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lives_end_at_random_instants_without_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("agent.tar.gz");
    azp_stand_in::package("4.261.0", &package).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "so that a storm can be had again"
    )]
    let seed = std::env::var("AZP_STORM_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("AZP_STORM_SEED={seed}");
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut lives = tokio::task::JoinSet::new();
    for number in 0..LIVES {
        let package = package.clone();
        let place = Arc::clone(&places);
        lives.spawn(async move {
            let _place = place.acquire_owned().await.unwrap();
            let dice = fastrand::Rng::with_seed(seed ^ number as u64);
            life(number, INSTANTS[number % INSTANTS.len()], dice, package).await;
        });
    }
    while let Some(life) = lives.join_next().await {
        life.unwrap();
    }
}

async fn life(
    number: usize,
    instant: Instant,
    mut dice: fastrand::Rng,
    package: std::path::PathBuf,
) {
    let stage = Stage::with(Settings {
        packages: vec![AgentPackage {
            platform: "linux-x64".into(),
            version: "4.261.0".into(),
            file: package,
        }],
        ..Settings::default()
    })
    .await;
    let name = format!("agent-{number}");
    let mode = dice.choice(["", "--once", "--once-loop"]).unwrap();
    let mut start = Start::default();
    if !mode.is_empty() {
        start = start.argument(mode);
    }
    let mut pod = stage.pod(&name, &start);
    let jobs = strike(&stage, &pod, &name, instant, &mut dice).await;
    let status = pod.ended().await;
    let about = format!("life {number}, {instant:?} {mode}, ended with {status}");
    // In its first milliseconds the system itself ends it: nothing has begun then.
    let unborn = status.signal() == Some(15) && pod.log().is_empty();
    assert!(
        unborn || status.code() == Some(0),
        "{about}\n{}",
        pod.story()
    );
    assert_eq!(
        stage.organization.agents(POOL).unwrap(),
        [],
        "{about}\n{}",
        pod.story()
    );
    for job in jobs {
        check(&stage, job, &format!("{about}\n{}", pod.story()));
    }
}

/// Brings the life to the instant, and tells it to stop. The jobs that were
/// queued.
async fn strike(
    stage: &Stage,
    pod: &Pod,
    name: &str,
    instant: Instant,
    dice: &mut fastrand::Rng,
) -> Vec<RequestId> {
    let mut pause = |most: u64| tokio::time::sleep(Duration::from_millis(dice.u64(0..=most)));
    let steps = ["echo ran", "sleep 0.3", "echo whole"];
    let mut jobs = Vec::new();
    if !matches!(instant, Instant::BeforeConfiguring) {
        stage.until_online(name).await;
    }
    match instant {
        Instant::BeforeConfiguring => pause(150).await,
        Instant::Idle => pause(200).await,
        Instant::AsAJobArrives => {
            jobs.push(stage.queue(&steps));
            pause(30).await;
        }
        Instant::InAJob => {
            jobs.push(stage.queue(&steps));
            stage.until_state(jobs[0], JobState::Running).await;
            pause(400).await;
        }
        Instant::WhileLeaving => {
            jobs.push(stage.queue(&steps));
            pause(500).await;
            pod.terminate();
            jobs.push(stage.queue(&steps));
            pause(300).await;
        }
        Instant::DuringAnUpdate => {
            let version = "4.261.0".into();
            stage
                .organization
                .order(POOL, name, Order::Update { version })
                .unwrap();
            pause(600).await;
            jobs.push(stage.queue(&steps));
        }
        Instant::WithAFailingServer => {
            jobs.push(stage.queue(&steps));
            pause(100).await;
            let mut fault = Fault::new(dice.choice(PASSING).unwrap());
            fault.count = Some(dice.u32(1..=3));
            fault.done = dice.bool();
            fault.retry_after = 1;
            fault.route = Some("/agents/".into());
            stage.organization.set_fault(fault);
        }
    }
    pod.terminate();
    jobs
}

/// A job is whole, or nobody has touched it.
fn check(stage: &Stage, job: RequestId, about: &str) {
    let state = stage.job(job).state;
    let log = stage.organization.log(POOL, job).unwrap();
    let ran = log.matches("ran").count();
    match state {
        JobState::Queued => assert_eq!(ran, 0, "{log}\n{about}"),
        JobState::Finished(JobResult::Succeeded) => {
            assert_eq!(ran, 1, "{log}\n{about}");
            assert!(log.contains("whole"), "{log}\n{about}");
        }
        other => panic!("job {job} is {other:?}\n{about}"),
    }
}

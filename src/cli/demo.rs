//! `azp-scaler demo`: a working day in two minutes.
//!
//! May import: everything below. Invariant: the scaler, the emulator and the
//! gRPC between KEDA's part and the scaler are the real ones; only KEDA, the
//! autoscaler and the pods are played. No job is lost, or the demo fails.

mod day;
mod keda;
mod pages;
mod replicas;
mod screen;
mod stage;
mod summary;
mod words;

use std::{io, time::Duration};

use anyhow::Context as _;
use futures::future::try_join_all;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use self::{
    day::PROFILES,
    keda::ScaledObject,
    replicas::Deployment,
    screen::Screen,
    stage::{Set, Stage},
    summary::End,
};
use crate::{
    config::DemoConfig,
    grpc::Client,
    shutdown::{Grace, Shutdown},
};

/// Between two looks.
const REDRAW: Duration = Duration::from_millis(200);

/// The servers' time to end.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// Plays the day and tells what came of it.
///
/// # Errors
/// Where a job was lost or left behind, or a part ended before its time.
pub(super) async fn demo(config: DemoConfig) -> anyhow::Result<()> {
    let set = Set::build(config).await?;
    let shutdown = Shutdown::new();
    let (stage, servers) = serve(set, &shutdown);
    let signals = shutdown.clone();
    let grace = Grace {
        delay: LAST_ANSWERS,
        deadline: LAST_ANSWERS,
    };
    let played = tokio::select! {
        played = Box::pin(play(&stage, config, &shutdown)) => played,
        // It ends long after the day does, which sees the signal itself.
        signals = signals.run_on_signal(grace) => signals.map_err(Into::into),
    };
    shutdown.begin_stop();
    let served = timeout(LAST_ANSWERS, servers).await;
    shutdown.cut_now();
    match played {
        // Whoever read along has seen enough.
        Err(error) if is_broken_pipe(&error) => return Ok(()),
        played => played?,
    }
    // Servers that are still busy are cut with the process.
    served.map_or(Ok(()), |served| served?)
}

/// Starts both servers.
fn serve(set: Set, shutdown: &Shutdown) -> (Stage, JoinHandle<anyhow::Result<()>>) {
    let Set {
        stage,
        emulator,
        listener,
        app,
    } = set;
    let shutdown = shutdown.clone();
    let servers = tokio::spawn(async move {
        let emulator = async {
            let served = emulator.run(listener, shutdown.stop()).await;
            served.context("the emulator failed")
        };
        tokio::try_join!(emulator, app.run(shutdown.clone()))?;
        Ok(())
    });
    (stage, servers)
}

/// The day from its beginning to its end or to the signal, and the summary.
async fn play(stage: &Stage, config: DemoConfig, shutdown: &Shutdown) -> anyhow::Result<()> {
    let deployments = PROFILES.iter().map(Deployment::new).collect::<Vec<_>>();
    let mut screen = Screen::open(config.plain)?;
    let end = tokio::select! {
        played = stage.play() => played.map(|()| End::Evening),
        ended = scale(stage, &deployments) => ended.map(|()| End::Evening),
        shown = watch(stage, &deployments, &mut screen) => shown.map(|()| End::Evening),
        () = shutdown.draining() => Ok(End::Interrupted),
    }?;
    let view = stage.look().await?;
    screen.show(stage, &deployments, &view)?;
    drop(screen);
    screen::print(&summary::summary(&view, stage.rhythm, config.length, end))?;
    summary::verdict(&view, end)
}

/// KEDA, the autoscaler and the pods. Ends only with an error.
async fn scale(stage: &Stage, deployments: &[Deployment]) -> anyhow::Result<()> {
    let client = Client::connect(stage.scaler.grpc).await?;
    let objects = try_join_all(deployments.iter().map(|deployment| {
        let object = ScaledObject {
            client: &client,
            deployment,
            asked: &stage.asked,
            rhythm: stage.rhythm,
        };
        async move { object.run().await.map_err(anyhow::Error::from) }
    }));
    let start_up = stage.rhythm.start_up;
    let pods = deployments
        .iter()
        .map(|deployment| deployment.run(&stage.emulator, start_up));
    tokio::try_join!(objects, try_join_all(pods))?;
    Ok(())
}

/// Shows how things stand, again and again. Ends only with an error.
async fn watch(
    stage: &Stage,
    deployments: &[Deployment],
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let mut turns = interval(REDRAW);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let view = stage.look().await?;
        screen.show(stage, deployments, &view)?;
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

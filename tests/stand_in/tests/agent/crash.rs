//! Crashes on demand, and what is left after them.

use std::time::Duration;

use azp_scaler::{
    domain::job::{JobResult, JobState},
    emulator::{Order, Settings},
};

use crate::stage::{AGENT, POOL, Stage, gone};

#[tokio::test]
async fn a_listener_exits_or_dies_by_order() {
    for (order, code) in [
        (Order::Exit { code: 7 }, Some(7)),
        (Order::Exit { code: 0 }, Some(0)),
        (Order::Kill, None),
    ] {
        let stage = Stage::configured().await;
        let listener = stage.listening(&[]).await;
        let job = stage.queue(&["echo \"worker $PPID\"; echo \"step $$\"; sleep 1000"]);
        let worker = stage.said(job, "worker ").await;
        let step = stage.said(job, "step ").await;
        stage.emulator.order(POOL, AGENT, order.clone()).unwrap();
        let ended = listener.end().await;
        assert_eq!(ended.code, code, "{order:?}: {ended:?}");
        gone(&worker).await;
        gone(&step).await;
        // It said nothing to the server: neither to the job's end nor its own.
        let status = stage.emulator.job(POOL, job).unwrap();
        assert!(!matches!(status.state, JobState::Finished(_)), "{status:?}");
        assert!(stage.emulator.agents(POOL).unwrap()[0].online, "{order:?}");
    }
}

#[tokio::test]
async fn an_order_is_carried_out_once() {
    let stage = Stage::with(Settings {
        agent_silence: Duration::from_millis(50),
        ..Settings::default()
    });
    let stage = stage.await;
    stage.configure().await;
    for code in [7, 8] {
        let order = Order::Exit { code };
        stage.emulator.order(POOL, AGENT, order).unwrap();
        let ended = stage.run(&[]).end().await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        // Its session ends by silence alone.
        stage.agent(|agent| !agent.online).await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_fails_its_job() {
    let stage = Stage::configured().await;
    let mut listener = stage.listening(&[]).await;
    let job = stage.queue(&["echo begun; exec sleep 1"]);
    stage.said(job, "begun").await;
    stage
        .emulator
        .order(POOL, AGENT, Order::KillWorker)
        .unwrap();
    listener.line("completed with result: Failed").await;
    assert_eq!(stage.result(job).await, JobResult::Failed);
    let words = "##[error]The agent worker exited with code 137";
    assert!(stage.log(job).contains(words), "{}", stage.log(job));
    let next = stage.queue(&["true"]);
    assert_eq!(stage.result(next).await, JobResult::Succeeded);
}

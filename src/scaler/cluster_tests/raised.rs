//! A Deployment that another replica has raised, by what this one has not read yet.

use super::bench::{Bench, bench, declared};
use crate::{
    pools::scripted::{Says, queued},
    ports::ReadError,
    scaler::Duration,
};

const DIRECT: &str = "poolName: linux; credential: one; directScaleUp: true";
const PLAIN: &str = "poolName: linux; credential: one";

/// Has read that there are no jobs, when four come, and the Deployment is raised.
async fn overtaken(trigger: &str) -> Bench {
    let bench = bench(vec![]);
    bench.declare([declared("linux", &[trigger])]).await;
    assert_eq!(bench.number("linux", trigger).await, 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.script.now(Says::Jobs(queued(4, &[])));
    assert_eq!(bench.number("linux", trigger).await, 0, "as it was read");
    bench.raise("linux");
    bench
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_is_not_told_and_one_reading_is_enough() {
    let bench = overtaken(DIRECT).await;
    let before = bench.script.readings();
    assert_eq!(bench.number("linux", DIRECT).await, 4);
    for _ in 0..10 {
        assert_eq!(bench.number("linux", DIRECT).await, 4);
    }
    assert_eq!(bench.script.readings(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn where_it_cannot_be_read_again_there_is_no_answer_until_it_can() {
    for (says, expected) in [
        (Says::Fails(ReadError::Server { status: 503 }), "status 503"),
        (Says::Hangs, "the next reading is under way"),
    ] {
        let bench = overtaken(DIRECT).await;
        bench.script.now(says);
        for _ in 0..3 {
            let error = bench.ask("linux", DIRECT).await.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}

/// KEDA and the HPA raise by what they were told, and each of them tells no more.
#[tokio::test(start_paused = true)]
async fn where_nobody_raises_directly_the_last_reading_is_told() {
    let bench = overtaken(PLAIN).await;
    let before = bench.script.readings();
    assert_eq!(bench.number("linux", PLAIN).await, 0);
    assert_eq!(bench.script.readings(), before);
}

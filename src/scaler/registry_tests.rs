//! Who is called for, told by a paused clock.

use tokio::time::advance;

use super::*;
use crate::{
    domain::pool::PoolId,
    pools::{
        PoolKey, Snapshot,
        scripted::{self, Says, Script},
    },
    scaler::pool_decision::{PodsSeen, PoolDecision},
};

const POLL: Duration = Duration::from_secs(30);

fn registry() -> Registry {
    let source = scripted::source(&Script::new(&[], Says::Hangs));
    let memory = Memory {
        forget_after: Duration::from_secs(600),
        limit: 3,
        learn: POLL,
    };
    Registry::new(Arc::new(Sources::single(source)), memory, Known::default())
}

fn call(registry: &Registry, name: &str, pool: &str) -> Result<Arc<Registered>, Unanswered> {
    let metadata = HashMap::from([("poolName".to_owned(), pool.to_owned())]);
    registry.note(&Call {
        namespace: "ci",
        name,
        metadata: &metadata,
        encrypted: false,
    })
}

#[tokio::test(start_paused = true)]
async fn an_edited_trigger_is_passed_over() {
    let registry = registry();
    let old = call(&registry, "linux", "a").unwrap();
    let new = call(&registry, "linux", "b").unwrap();
    assert!(registry.is_called_for(&old), "its turn may yet come");
    for _ in 0..3 {
        advance(POLL).await;
        call(&registry, "linux", "b").unwrap();
    }
    assert!(!registry.is_called_for(&old) && registry.is_called_for(&new));
    // And it is there again when it is called for again.
    call(&registry, "linux", "a").unwrap();
    assert!(registry.is_called_for(&old) && registry.is_called_for(&new));
}

#[tokio::test(start_paused = true)]
async fn two_triggers_of_one_scaling_object_both_stay_however_often_each_is_asked() {
    let registry = registry();
    for _ in 0..5 {
        // The autoscaler asks for one of them again and again; the other has
        // useCachedMetrics and is asked for by KEDA's polling alone.
        let b = call(&registry, "linux", "b").unwrap();
        for _ in 0..4 {
            let a = call(&registry, "linux", "a").unwrap();
            assert!(registry.is_called_for(&a) && registry.is_called_for(&b));
            advance(POLL / 2).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_long_silence_it_learns_anew() {
    let registry = registry();
    assert_eq!(registry.learning_left(), Some(POLL), "after the start");
    advance(3600 * POLL).await;
    call(&registry, "linux", "a").unwrap();
    assert_eq!(
        registry.learning_left(),
        None,
        "the first one ever need not wait"
    );
    advance(Duration::from_secs(601)).await;
    call(&registry, "linux", "a").unwrap();
    assert_eq!(
        registry.learning_left().map(|left| left.as_secs()),
        Some(30)
    );
    advance(POLL + Duration::from_secs(1)).await;
    assert_eq!(registry.learning_left(), None);
}

#[tokio::test(start_paused = true)]
async fn there_is_a_limit() {
    let registry = registry();
    for name in ["a", "b", "c"] {
        call(&registry, name, "pool").unwrap();
    }
    let error = call(&registry, "d", "pool").unwrap_err().to_string();
    assert!(error.contains("--max-scaling-objects"), "{error}");
    call(&registry, "a", "pool").unwrap();
}

#[tokio::test(start_paused = true)]
async fn names_are_those_of_kubernetes() {
    let registry = registry();
    for name in ["", &"x".repeat(254)] {
        let refused = call(&registry, name, "pool");
        assert!(matches!(
            refused,
            Err(Unanswered::ScalingObject("the name"))
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_trigger_is_told_until_it_is_mended() {
    let registry = registry();
    call(&registry, "linux", "").unwrap_err();
    let refused = registry.refusals.all();
    let [(object, why)] = &refused[..] else {
        panic!("{refused:?}")
    };
    assert!(
        object.to_string() == "ci/linux" && why.to_string().contains("poolName: is missing"),
        "{why}"
    );
    call(&registry, "linux", "a").unwrap();
    assert_eq!(registry.refusals.all(), []);
}

/// A scaling object that was forgotten and calls again is another one with the
/// same key; a decision that kept the first would soon take it for silent.
#[tokio::test(start_paused = true)]
async fn a_decision_knows_a_scaling_object_that_came_back() {
    let registry = registry();
    let before = call(&registry, "linux", "a").unwrap();
    let snapshot = Snapshot {
        queue: Arc::default(),
        read_at: Instant::now(),
    };
    let pool = PoolKey {
        source: before.source.id().clone(),
        id: PoolId(7),
    };
    let decision = PoolDecision::new(&registry, pool, "A", POLL);
    registry.called.invalidate(&before.key);
    let after = call(&registry, "linux", "a").unwrap();
    assert!(!Arc::ptr_eq(&before, &after));
    for registered in [&before, &after] {
        decision.decide(&snapshot, Some(registered), &PodsSeen::default(), &registry);
        let triggers = decision.triggers();
        assert!(triggers.len() == 1 && Arc::ptr_eq(&triggers[0], &after));
    }
}

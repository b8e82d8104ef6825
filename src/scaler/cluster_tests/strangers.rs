//! Calls that differ from what is declared: by variables, addresses, or altogether.

use super::{
    ANY, JAVA,
    bench::{bench, declared},
    java_and_plain,
};

/// Two triggers that differ by the values of their variables alone, and one
/// whose value goes and comes back.
#[tokio::test(start_paused = true)]
async fn each_value_of_a_variable_is_answered_for() {
    let bench = bench(java_and_plain());
    let sent = |value: &str| format!("{JAVA}; personalAccessTokenFromEnv: {value}");
    bench
        .declare([declared("java", &[&sent("TOKEN")]), declared("any", &[ANY])])
        .await;
    for value in ["a", "b", "a", "b"] {
        assert_eq!(bench.number("java", &sent(value)).await, 5, "{value}");
        assert_eq!(bench.number("any", ANY).await, 0, "{value}");
    }
    // Without the variable, as where it is empty.
    assert_eq!(bench.number("java", JAVA).await, 5);
    assert_eq!(bench.number("java", &sent("a")).await, 5);
}

/// Invented triggers of an object that is there are strangers too.
#[tokio::test(start_paused = true)]
async fn a_declared_name_lets_no_stranger_in() {
    let bench = bench(java_and_plain());
    bench.declare([declared("java", &[JAVA])]).await;
    let mut refused = 0;
    for stranger in 0..200 {
        let trigger = format!("{JAVA}; priority: {stranger}");
        refused += usize::from(bench.ask("java", &trigger).await.is_err());
    }
    assert!(refused > 150, "{refused}");
    assert_eq!(bench.number("java", JAVA).await, 5);
}

/// KEDA calls under an address that nobody has told the scaler of: it counts as
/// long as KEDA calls, whatever else changes in the cluster.
#[tokio::test(start_paused = true)]
async fn an_unknown_address_counts_while_keda_calls() {
    let bench = bench(java_and_plain());
    let alias = format!("{JAVA}; scalerAddress: 10.0.0.7:9090");
    let objects = || [declared("java", &[&alias]), declared("any", &[ANY])];
    bench.declare(objects()).await;
    assert_eq!(bench.number("java", &alias).await, 5);
    assert_eq!(bench.number("any", ANY).await, 0);
    let other = declared("other", &["poolName: elsewhere; credential: one"]);
    bench.declare(objects().into_iter().chain([other])).await;
    assert_eq!(bench.number("any", ANY).await, 0);
}

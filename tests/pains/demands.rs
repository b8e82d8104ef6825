//! Demands that go to the wrong agents, or to all.

use super::set::Set;

/// Numbers of several scaling objects, each known to the scaler first.
async fn check(set: &Set, expected: &[(&str, &str, u64)]) {
    for (name, trigger, _) in expected {
        set.ask(name, trigger).await.unwrap();
    }
    for (name, trigger, number) in expected {
        assert_eq!(set.number(name, trigger).await, *number, "{name}");
    }
}

/// keda#4404: without `Agent.Version` among its demands, a job is counted wrong.
#[tokio::test]
async fn a_job_is_matched_with_and_without_a_version_demand() {
    let set = Set::start().await;
    set.queue(1, "java");
    set.queue(1, "java, Agent.Version -gtVersion 2.182.1");
    set.queue(1, "Agent.Version -gtVersion 2.182.1, docker");
    let java = ("java", "capabilities: java", 2);
    check(&set, &[java, ("docker", "capabilities: docker", 1)]).await;
}

/// keda#4138: a job without demands starts an agent of every kind.
#[tokio::test]
async fn a_job_without_demands_starts_one_agent() {
    let set = Set::start().await;
    set.queue(1, "");
    let expected = [
        ("docker", "capabilities: docker, java", 0),
        ("gpu", "capabilities: gpu; requires: gpu", 0),
        ("java", "capabilities: java", 1),
        ("any", "", 0),
    ];
    check(&set, &expected).await;
}

/// keda#5303, keda#5579: tasks add demands by themselves, and equality fails.
#[tokio::test]
async fn what_is_required_and_what_is_tolerated_are_told_apart() {
    let set = Set::start().await;
    set.queue(2, "gpu, Agent.OS -equals Linux, docker");
    set.queue(3, "docker");
    let expected = [
        ("gpu", "capabilities: gpu, docker, java; requires: gpu", 2),
        ("plain", "capabilities: docker, java", 3),
    ];
    check(&set, &expected).await;
}

/// keda#7111: the product takes no notice of case, the scaler does.
#[tokio::test]
async fn a_demand_in_another_case_wakes_its_agent() {
    let set = Set::start().await;
    set.queue(1, "JAVA");
    set.queue(1, "java -equals TEMURIN");
    check(&set, &[("java", "capabilities: Java=Temurin", 2)]).await;
}

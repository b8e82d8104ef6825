//! Agents that are killed while a job runs: what the number has to say so that
//! nobody takes them away.

use super::set::Set;

/// keda#8185: a ready autoscaler removes what is not in the metric.
#[tokio::test]
async fn a_busy_agent_is_in_the_number_though_the_queue_is_empty() {
    let set = Set::start().await;
    set.queue(2, "");
    set.agent("agents-1", &[]);
    set.agent("agents-2", &[]);
    set.seconds_pass(1);
    let counts = set.organization.counts("linux").unwrap();
    assert_eq!((counts.queued, counts.running), (0, 2));
    let answer = set.answer("agents", "").await;
    assert_eq!((answer.number.value(), answer.active), (2, true));
    set.seconds_pass(60);
    let answer = set.answer("agents", "").await;
    assert_eq!((answer.number.value(), answer.active), (0, false));
}

/// ARC#1534: a runner is removed just before it gets its job.
#[tokio::test]
async fn an_agent_that_is_about_to_get_a_job_is_wanted() {
    let set = Set::start().await;
    set.queue(1, "");
    assert_eq!(set.number("agents", "").await, 1, "queued");
    set.agent("agents-1", &[]);
    assert_eq!(set.organization.counts("linux").unwrap().assigned, 1);
    assert_eq!(set.number("agents", "").await, 1, "assigned");
    set.seconds_pass(1);
    assert_eq!(set.organization.counts("linux").unwrap().running, 1);
    assert_eq!(set.number("agents", "").await, 1, "running");
}

/// ARC#3581: a new node takes its time, and the replicas fall meanwhile.
#[tokio::test]
async fn the_number_does_not_fall_while_a_pod_starts() {
    let set = Set::start().await;
    set.queue(3, "");
    for _ in 0..4 {
        assert_eq!(set.number("agents", "").await, 3);
        set.seconds_pass(900);
    }
}

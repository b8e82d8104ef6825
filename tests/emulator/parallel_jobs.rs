//! The limit of parallel jobs, as somebody sees it who set it.

use super::*;

const USAGE: &str = "/contoso/_apis/distributedtask/resourceusage";

impl Running {
    /// How many jobs of a pool are queued, assigned and running.
    async fn jobs(&self, pool: &str) -> [u64; 3] {
        let state = self.own("GET", &format!("pools/{pool}"), "").await;
        let state: Value = serde_json::from_str(&state.body).unwrap();
        let count = |name: &str| state["counts"][name].as_u64().unwrap();
        ["queued", "assigned", "running"].map(count)
    }

    async fn usage(&self, query: &str) -> Value {
        let answer = self.ask("GET", &format!("{USAGE}{query}"), TOKEN, "").await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    async fn agents(&self, pool: &str, names: &[&str]) {
        for name in names {
            let agent = format!(r#"{{"name":"{name}"}}"#);
            let added = self
                .own("POST", &format!("pools/{pool}/agents"), &agent)
                .await;
            added.check(name, 200, &[name]);
        }
    }

    async fn limit(&self, body: &str) {
        let set = self.own("POST", "limit", body).await;
        set.check(body, 204, &[]);
    }
}

#[tokio::test]
async fn jobs_stay_queued_beside_idle_agents_while_all_parallel_jobs_are_in_use() {
    let running = Running::start().await;
    running.limit(r#"{"parallelJobs":3}"#).await;
    running.agents("linux", &["l-1", "l-2", "l-3"]).await;
    running.agents("arm", &["a-1", "a-2"]).await;
    running
        .own(
            "POST",
            "pools/linux/jobs",
            r#"{"count":2,"durationSeconds":60}"#,
        )
        .await;
    running
        .own(
            "POST",
            "pools/arm/jobs",
            r#"{"count":3,"durationSeconds":600}"#,
        )
        .await;
    assert_eq!(running.jobs("linux").await, [0, 2, 0]);
    assert_eq!(
        running.jobs("arm").await,
        [2, 1, 0],
        "an agent idles beside them"
    );

    let query = "?parallelismTag=Private&poolIsHosted=false&includeRunningRequests=true";
    let usage = running.usage(query).await;
    assert_eq!(usage["resourceLimit"]["totalCount"], 3);
    assert_eq!(usage["usedCount"], 3);
    let users = usage["runningRequests"].as_array().unwrap();
    let users: Vec<_> = users
        .iter()
        .map(|of| (&of["requestId"], &of["poolId"]))
        .collect();
    assert_eq!(users.len(), 3);
    assert_ne!(users[0].1, users[2].1, "of both pools: {users:?}");
    assert!(running.usage("").await.get("runningRequests").is_none());
    let public = running
        .usage("?parallelismTag=Public&poolIsHosted=false")
        .await;
    assert_eq!(
        (&public["resourceLimit"]["totalCount"], &public["usedCount"]),
        (&json!(2_147_483_647_u32), &json!(0))
    );

    // What one pool gives back, another takes.
    running
        .own("POST", "clock", r#"{"advanceSeconds":66}"#)
        .await;
    assert_eq!(running.jobs("linux").await, [0, 0, 0]);
    assert_eq!(running.jobs("arm").await, [1, 1, 1], "there are two agents");
    running.stop().await;
}

#[tokio::test]
async fn a_lower_limit_ends_no_job_and_no_limit_lets_all_go() {
    let running = Running::start().await;
    running.agents("linux", &["l-1", "l-2", "l-3"]).await;
    running
        .own(
            "POST",
            "pools/linux/jobs",
            r#"{"count":3,"durationSeconds":60}"#,
        )
        .await;
    assert_eq!(running.jobs("linux").await, [0, 3, 0]);
    running.limit(r#"{"parallelJobs":1}"#).await;
    assert_eq!(running.usage("").await["usedCount"], 3);
    running
        .own(
            "POST",
            "pools/linux/jobs",
            r#"{"count":2,"durationSeconds":60}"#,
        )
        .await;
    running
        .own("POST", "clock", r#"{"advanceSeconds":64}"#)
        .await;
    assert_eq!(running.jobs("linux").await, [1, 1, 0]);
    // A job that is cancelled before it ran, and an agent that is killed, give it back.
    running.own("DELETE", "pools/linux/agents/l-1", "").await;
    assert_eq!(running.jobs("linux").await, [1, 1, 0]);
    running.limit("{}").await;
    assert_eq!(running.jobs("linux").await, [0, 2, 0]);
    for job in [90_404, 90_405] {
        running
            .own("DELETE", &format!("pools/linux/jobs/{job}"), "")
            .await;
    }
    assert_eq!(running.usage("").await["usedCount"], 0);
    running.limit(r#"{"parallelJobs":0}"#).await;
    running.own("POST", "pools/linux/jobs", "").await;
    assert_eq!(running.jobs("linux").await, [1, 0, 0]);
    let wrong = running.own("POST", "limit", r#"{"parallelJobs":-1}"#).await;
    wrong.check("limit", 400, &[r#"{\"parallelJobs\":10}"#]);
    running.stop().await;
}

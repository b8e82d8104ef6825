//! Agents: read, enabled, disabled, taken out; on the emulator, and on a server
//! that gives odd answers.

use azp_scaler::{
    agent::clean::{Cleaned, Fate, clean},
    domain::{
        job::{JobResult, RequestId},
        leftover::{LeftoverRule, OWNER, PLACEHOLDER},
        registration::{AgentId, RegisteredAgent},
    },
    emulator::{Fault, FaultKind, NewAgent, NewJobs},
    ports::registrations::{Asked, Registrations, Removal},
};
use tokio::time::advance;

use super::{
    identity::{Cloud, SECRET},
    *,
};

const POOL: PoolId = PoolId(27);
const AGENT: AgentId = AgentId(322);
const ONE: &str = "/contoso/_apis/distributedtask/pools/27/agents/322?includeCapabilities=true&includeAssignedRequest=true&includeLastCompletedRequest=true";
const WRITE: &str = "/contoso/_apis/distributedtask/pools/27/agents/322?api-version=7.1";
const ALL: &str = "/contoso/_apis/distributedtask/pools/27/agents?includeCapabilities=true&includeAssignedRequest=true";
const NAMED: &str = "/contoso/_apis/distributedtask/pools/27/agents?includeCapabilities=true&includeAssignedRequest=true&includeLastCompletedRequest=true&agentName=k8s%20B%C3%BCro";
const DISABLED: &str = r#"{"id":322,"name":"k8s Büro","enabled":false}"#;
const ENABLED: &str = r#"{"id":322,"name":"k8s Büro","enabled":true}"#;

fn pool() -> PoolRef {
    PoolRef::Name("linux".into())
}

/// What the service says of something that is wrong.
fn says(status: &str, type_key: &str, message: &str) -> Vec<u8> {
    let head = format!("{status}\r\ncontent-type: application/json; charset=utf-8");
    let body = format!(r#"{{"message":"{message}","typeKey":"{type_key}","errorCode":0}}"#);
    answer(&head, body)
}

fn no_agent() -> Vec<u8> {
    says("404 Not Found", "TaskAgentNotFoundException", "no agent")
}

fn patch(body: &'static str, answer: impl AsRef<[u8]>) -> Turn {
    Turn {
        method: "PATCH",
        body,
        ..turn(WRITE, answer)
    }
}

fn delete(answer: impl AsRef<[u8]>) -> Turn {
    Turn {
        method: "DELETE",
        ..turn(WRITE, answer)
    }
}

/// What one question to a server that takes this turn brings.
async fn asked<T: std::fmt::Debug>(turn: Turn, ask: impl AsyncFn(&Client) -> Asked<T>) -> Asked<T> {
    let server = Server::start(vec![turn]);
    let client = Client::new(server.settings()).unwrap();
    let got = ask(&client).await;
    assert_hidden(&format!("{got:?}"));
    server.finish().await;
    got
}

/// What there is to say of an agent in one line.
fn told(agent: &RegisteredAgent) -> String {
    let RegisteredAgent {
        name,
        enabled,
        online,
        assigned,
        ..
    } = agent;
    let job = assigned.map_or_else(|| "idle".into(), |job| format!("has {job}"));
    format!("{name} enabled={enabled} online={online} {job}")
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_followed_through_its_life() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    let named = async || client.agent_named(&pool(), "K8S-1").await.unwrap();
    assert_eq!(named().await, (POOL, None));
    let agent = NewAgent::in_pod("k8s-1", [("team", "payments")]);
    let id = AgentId(cloud.emulator.add_agent("linux", agent).unwrap());
    let found = named().await.1.unwrap();
    assert_eq!(told(&found), "k8s-1 enabled=true online=true idle");
    assert_eq!(&*found.capabilities["team"], "payments");
    assert!(found.created.is_some() && found.status_changed.is_some());
    assert!(found.version.starts_with("4."));

    let job = cloud.emulator.queue_jobs("linux", &NewJobs::default());
    let job = job.unwrap()[0];
    advance(Duration::from_secs(1)).await;
    let look = async || client.agent(POOL, id).await.unwrap();
    let busy = format!("k8s-1 enabled=true online=true has {job}");
    assert_eq!(told(&look().await.unwrap()), busy);
    client.set_enabled(POOL, id, "k8s-1", false).await.unwrap();
    let busy = format!("k8s-1 enabled=false online=true has {job}");
    assert_eq!(told(&look().await.unwrap()), busy);
    match client.remove(POOL, id).await.unwrap() {
        Removal::Busy { message } => assert!(message.contains("k8s-1"), "{message}"),
        other => panic!("{other:?}"),
    }
    advance(Duration::from_secs(600)).await;
    let idle = "k8s-1 enabled=false online=true idle";
    assert_eq!(told(&look().await.unwrap()), idle);
    let last = look().await.unwrap().last.unwrap();
    assert_eq!((last.id, last.result), (job, JobResult::Succeeded));
    let all = client.agents(&pool()).await.unwrap();
    assert_eq!(
        (all.0, all.1.len(), told(&all.1[0]).as_str()),
        (POOL, 1, idle)
    );
    assert_eq!(client.remove(POOL, id).await, Ok(Removal::Removed));
    assert_eq!(client.remove(POOL, id).await, Ok(Removal::WasGone));
    assert_eq!(look().await, None);
    // It gets no more jobs, and cannot get any.
    client.set_enabled(POOL, id, "k8s-1", false).await.unwrap();
    let error = client
        .set_enabled(POOL, id, "k8s-1", true)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "status", "{error}");
    assert_eq!(client.standing().valid, Some(true));
}

/// What pods leave behind that were killed goes, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_pool_is_cleaned_of_what_killed_pods_left() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    let register = |name: &str, online: bool, mark: &[(&str, &str)]| {
        let agent = NewAgent::in_pod(name, mark.iter().copied());
        let agent = NewAgent { online, ..agent };
        cloud.emulator.add_agent("linux", agent).unwrap();
    };
    let ours = (OWNER, "ci");
    register("dead", false, &[ours]);
    register("dead-too", false, &[ours, ("team", "payments")]);
    register("alive", true, &[ours]);
    register("placeholder", false, &[ours, (PLACEHOLDER, "1")]);
    register("foreign", false, &[("team", "payments")]);
    register("of-another", false, &[(OWNER, "prod")]);
    advance(Duration::from_secs(601)).await;
    register("young", false, &[ours]);
    let rule = LeftoverRule {
        owner: Some("ci".into()),
        name_prefix: "".into(),
        offline_for: Duration::from_secs(600),
    };
    let cleaned = async |dry_run: bool| {
        let now = cloud.emulator.clock().now();
        let report = clean(&client, &pool(), &rule, now, dry_run).await.unwrap();
        assert!(report.is_whole());
        let gone = |agent: &&Cleaned| agent.fate != Fate::Kept;
        let gone = report.agents.iter().filter(gone);
        let gone: Vec<String> = gone.map(|agent| agent.name.to_string()).collect();
        (gone, report.agents.len())
    };
    let gone = vec!["dead".to_owned(), "dead-too".to_owned()];
    assert_eq!(cleaned(true).await, (gone.clone(), 7));
    assert_eq!(cleaned(false).await, (gone, 7));
    assert_eq!(cleaned(false).await, (Vec::new(), 5));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_only_read_is_told_what_it_lacks() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    cloud.emulator.set_fault(Fault::new(FaultKind::Forbidden));
    let words =
        "needs the scope Agent Pools (Read & manage) and the role Administrator on the pool";
    for error in [
        client.remove(POOL, AGENT).await.unwrap_err(),
        client
            .set_enabled(POOL, AGENT, "a", false)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), "forbidden");
        let shown = error.to_string();
        assert!(shown.contains("may not change this (Access denied") && shown.contains(words));
    }
    let error = client.agents(&pool()).await.unwrap_err().to_string();
    assert!(
        error.contains("may not read this") && error.contains("(Read)"),
        "{error}"
    );
}

/// A refused token was not heard, so that the write is sent again.
#[tokio::test(start_paused = true)]
async fn a_write_is_signed_anew_where_its_token_is_refused() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    let agent = NewAgent::in_pod("k8s-1", [("a", "b")]);
    let id = AgentId(cloud.emulator.add_agent("linux", agent).unwrap());
    let fault = Fault::new(FaultKind::Unauthorized);
    let count = Some(1);
    cloud.emulator.set_fault(Fault { count, ..fault });
    client.set_enabled(POOL, id, "k8s-1", false).await.unwrap();
    assert_eq!(cloud.asked(), 2, "one token after the other");
    assert!(!client.agent(POOL, id).await.unwrap().unwrap().enabled);
}

#[tokio::test]
async fn an_agent_is_gone_only_where_the_service_says_so() {
    let html = "\r\ncontent-type: text/html";
    for (answer, expected) in [
        (no_agent(), Ok(false)),
        (
            says("404 Not Found", "TaskAgentPoolNotFoundException", ""),
            Err("pool-not-found"),
        ),
        (
            says("404 Not Found", "VssResourceNotFoundException", ""),
            Err("status"),
        ),
        (
            answer(
                &format!("404 Not Found{html}"),
                "TaskAgentNotFoundException",
            ),
            Err("status"),
        ),
        // The words are nothing to go by.
        (
            says("404 Not Found", "", "TaskAgentNotFoundException"),
            Err("status"),
        ),
        (json("null"), Err("unknown-shape")),
        (json(r#"{"count":0,"value":[]}"#), Err("unknown-shape")),
        (
            json(r#"{"id":321,"name":"a","status":"online"}"#),
            Err("unknown-shape"),
        ),
        (json(r#"{"id":322,"name":"a","status":"online"}"#), Ok(true)),
        (answer(&format!("200 OK{html}"), ""), Err("not-json")),
        (
            answer(&format!("203 Hm{html}"), ""),
            Err("credential-rejected"),
        ),
        (answer("503 Oh", ""), Err("server")),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let got = asked(turn(ONE, answer), async |client| {
            client.agent(POOL, AGENT).await
        })
        .await;
        let got = got.as_ref().map(Option::is_some).map_err(ReadError::kind);
        assert_eq!(got, expected, "{shown}");
    }
}

#[tokio::test]
async fn an_agent_is_taken_out_only_where_the_service_says_so() {
    let busy = "TaskAgentJobStillRunningException";
    let html = "\r\ncontent-type: text/html";
    let message = "Agent is running a job".into();
    for (answer, expected) in [
        (
            b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec(),
            Ok(Removal::Removed),
        ),
        (answer("200 OK", ""), Ok(Removal::Removed)),
        (answer(&format!("200 OK{html}"), ""), Ok(Removal::Removed)),
        (json("{}"), Ok(Removal::Removed)),
        (no_agent(), Ok(Removal::WasGone)),
        (
            says("400 Bad Request", busy, "Agent is running a job"),
            Ok(Removal::Busy { message }),
        ),
        (
            says("400 Bad Request", busy, &format!("{TOKEN} is busy")),
            Ok(Removal::Busy {
                message: "*** is busy".into(),
            }),
        ),
        // The page of a proxy, the sign-in page, another 400.
        (answer(&format!("200 OK{html}"), "<html>"), Err("not-json")),
        (
            answer(&format!("203 Hm{html}"), "<html>"),
            Err("credential-rejected"),
        ),
        (
            answer("302 Found\r\nlocation: https://a.example/", ""),
            Err("redirected"),
        ),
        (
            says("400 Bad Request", "VssServiceException", busy),
            Err("status"),
        ),
        (
            says("403 Forbidden", "AccessDeniedException", "no"),
            Err("forbidden"),
        ),
        (
            says("404 Not Found", "VssResourceNotFoundException", ""),
            Err("status"),
        ),
        (says("409 Conflict", "", "busy"), Err("status")),
        (answer("401 Unauthorized", ""), Err("credential-rejected")),
        (answer("429 Slow\r\nretry-after: 7", ""), Err("throttled")),
        (answer("500 Oh", ""), Err("server")),
        (Vec::new(), Err("unreachable")),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let got = asked(delete(answer), async |client| {
            client.remove(POOL, AGENT).await
        })
        .await;
        assert_eq!(got.map_err(|error| error.kind()), expected, "{shown}");
    }
}

#[tokio::test]
async fn an_agent_is_disabled_only_where_the_service_says_so() {
    let row = |enabled: &str| {
        json(&format!(
            r#"{{"id":322,"name":"k8s Büro","status":"online"{enabled}}}"#
        ))
    };
    let done = || row(r#","enabled":false"#);
    for (enabled, body, answer, expected) in [
        (false, DISABLED, done(), Ok(())),
        (true, ENABLED, row(r#","enabled":true"#), Ok(())),
        (true, ENABLED, row(""), Ok(())),
        (true, ENABLED, done(), Err("unknown-shape")),
        (
            false,
            DISABLED,
            row(r#","enabled":true"#),
            Err("unknown-shape"),
        ),
        (false, DISABLED, json("{}"), Err("unknown-shape")),
        (false, DISABLED, answer("204 No Content", ""), Err("status")),
        (false, DISABLED, no_agent(), Ok(())),
        (true, ENABLED, no_agent(), Err("status")),
        (false, DISABLED, answer("404 Not Found", ""), Err("status")),
        (
            false,
            DISABLED,
            says("403 Forbidden", "", "no"),
            Err("forbidden"),
        ),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let got = asked(patch(body, answer), async |client| {
            client.set_enabled(POOL, AGENT, "k8s Büro", enabled).await
        });
        assert_eq!(got.await.map_err(|error| error.kind()), expected, "{shown}");
    }
}

#[tokio::test]
async fn agents_are_found_by_encoded_name_and_listed_to_the_end() {
    let row = r#"{"id":1,"name":"k8s büro and more","status":"online"},
        {"id":2,"name":"K8s Büro","status":"offline",
         "lastCompletedRequest":{"requestId":7,"result":"canceled"}}"#;
    let list = json(&format!(r#"{{"count":2,"value":[{row}]}}"#));
    let by_number = PoolRef::Id(POOL);
    let found = asked(turn(NAMED, &list), async |client| {
        client.agent_named(&by_number, "k8s Büro").await
    });
    let found = found.await.unwrap().1.unwrap();
    let last = found.last.unwrap();
    assert_eq!((found.id, last.id), (AgentId(2), RequestId(7)));
    assert_eq!(last.result, JobResult::Canceled);

    let second = format!("{ALL}&continuationToken=next").leak();
    let first = "200 OK\r\ncontent-type: application/json\r\nx-ms-continuationtoken: next";
    let server = Server::start(vec![
        turn(
            ALL,
            answer(
                first,
                r#"{"value":[{"id":7,"name":"a","status":"online"}]}"#,
            ),
        ),
        turn(second, list),
    ]);
    let client = Client::new(server.settings()).unwrap();
    let (id, agents) = client.agents(&by_number).await.unwrap();
    let ids: Vec<u32> = agents.iter().map(|agent| agent.id.0).collect();
    assert_eq!((id, ids), (POOL, vec![7, 1, 2]));
    server.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_not_there_is_told_as_ever() {
    let cloud = Cloud::start().await;
    cloud.emulator.add_queue(812, "linux").unwrap();
    let client = cloud.client(&cloud.secret(SECRET));
    let agents = async |pool: PoolRef| client.agents(&pool).await.unwrap_err();
    let error = agents(PoolRef::Name("windows".into())).await;
    assert_eq!(error.kind(), "pool-not-found");
    assert_eq!(
        agents(PoolRef::Id(PoolId(813))).await.kind(),
        "pool-not-found"
    );
    assert_eq!(agents(PoolRef::Id(PoolId(812))).await.kind(), "queue-id");
}

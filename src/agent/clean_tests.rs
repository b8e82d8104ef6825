//! Cleaning a pool whose server says what the test has written.
//!
//! May import: the module that it tests, ports. Invariant: a removal that was not
//! scripted fails the test, and so does one that does not come.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _, ready};

use super::*;
use crate::{
    domain::{
        job::RequestId,
        leftover::{OWNER, Reason},
        registration::RegisteredAgent,
    },
    ports::Right,
};

const POOL: PoolId = PoolId(27);

/// A pool with these agents, and what it says to the removals that come.
struct Server {
    agents: Vec<RegisteredAgent>,
    says: Mutex<VecDeque<(u32, Asked<Removal>)>>,
}

impl Registrations for Server {
    fn agents<'a>(
        &'a self,
        pool: &'a PoolRef,
    ) -> BoxFuture<'a, Asked<(PoolId, Vec<RegisteredAgent>)>> {
        assert_eq!(*pool, PoolRef::Name("linux".into()));
        ready(Ok((POOL, self.agents.clone()))).boxed()
    }

    fn agent(&self, _: PoolId, _: AgentId) -> BoxFuture<'_, Asked<Option<RegisteredAgent>>> {
        panic!("it reads nothing again");
    }

    fn agent_named<'a>(
        &'a self,
        _: &'a PoolRef,
        _: &'a str,
    ) -> BoxFuture<'a, Asked<(PoolId, Option<RegisteredAgent>)>> {
        panic!("it looks for no name");
    }

    fn set_enabled<'a>(
        &'a self,
        _: PoolId,
        _: AgentId,
        _: &'a str,
        _: bool,
    ) -> BoxFuture<'a, Asked<()>> {
        panic!("it changes nothing");
    }

    fn remove(&self, pool: PoolId, agent: AgentId) -> BoxFuture<'_, Asked<Removal>> {
        let next = self.says.lock().unwrap().pop_front();
        let (expected, says) = next.unwrap_or_else(|| panic!("{agent} is one too many"));
        assert_eq!((pool, agent), (POOL, AgentId(expected)));
        ready(says).boxed()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_780_000_000).unwrap()
}

/// An agent that died a day ago.
fn dead(id: u32) -> RegisteredAgent {
    RegisteredAgent {
        id: AgentId(id),
        name: format!("k8s-{id}").into(),
        version: "4.260.0".into(),
        enabled: true,
        online: false,
        assigned: None,
        last: None,
        created: None,
        status_changed: Timestamp::from_second(1_780_000_000 - 86_400).ok(),
        capabilities: BTreeMap::from([(OWNER.into(), "ci".into())]),
    }
}

/// Cleans a pool that has these agents and says this, and tells each one's fate.
async fn cleaned(
    agents: Vec<RegisteredAgent>,
    says: Vec<(u32, Asked<Removal>)>,
    dry_run: bool,
) -> (Vec<String>, Option<&'static str>) {
    let server = Server {
        agents,
        says: Mutex::new(says.into()),
    };
    let rule = LeftoverRule {
        owner: None,
        name_prefix: "".into(),
        offline_for: Duration::from_secs(600),
    };
    let pool = PoolRef::Name("linux".into());
    let report = clean(&server, &pool, &rule, now(), dry_run).await.unwrap();
    assert!(
        server.says.lock().unwrap().is_empty(),
        "a removal is missing"
    );
    assert_eq!(report.pool, POOL);
    let undone = report.agents.iter().any(|agent| {
        let line = agent.to_string();
        line.contains("not removed") || line.contains("not tried")
    });
    assert_eq!(report.is_whole(), !undone);
    let lines = report
        .agents
        .iter()
        .map(|agent| format!("{} {agent}", agent.id));
    let stopped = report.stopped.as_ref().map(ReadError::kind);
    (lines.collect(), stopped)
}

const DEAD: &str = "left over, offline for 1 d 0 h";

fn forbidden() -> ReadError {
    ReadError::Forbidden {
        right: Right::Manage,
        message: "Access denied".into(),
    }
}

#[tokio::test]
async fn the_dead_go_and_the_others_stay() {
    let busy = RegisteredAgent {
        assigned: Some(RequestId(7)),
        ..dead(2)
    };
    let online = RegisteredAgent {
        online: true,
        ..dead(3)
    };
    let agents = || vec![dead(1), busy.clone(), online.clone(), dead(4), dead(5)];
    let message = "Agent is running a job".into();
    let says = vec![
        (1, Ok(Removal::Removed)),
        (4, Ok(Removal::WasGone)),
        (5, Ok(Removal::Busy { message })),
    ];
    let (lines, stopped) = cleaned(agents(), says, false).await;
    let expected = [
        format!("1 {DEAD}; removed"),
        format!(
            "2 {}",
            Verdict::Kept(Reason::Busy {
                request: RequestId(7)
            })
        ),
        "3 kept: it is online".into(),
        format!("4 {DEAD}; was gone already"),
        "5 kept: it came back and has a job (Agent is running a job)".into(),
    ];
    assert_eq!((lines, stopped), (expected.to_vec(), None));

    let (lines, stopped) = cleaned(agents(), Vec::new(), true).await;
    let would = |id: u32| format!("{id} {DEAD}; would be removed");
    let expected = [
        would(1),
        expected[1].clone(),
        expected[2].clone(),
        would(4),
        would(5),
    ];
    assert_eq!((lines, stopped), (expected.to_vec(), None));
}

#[tokio::test]
async fn nothing_is_asked_after_a_refusal_for_rights() {
    let agents = vec![dead(1), dead(2), dead(3)];
    let says = vec![(1, Ok(Removal::Removed)), (2, Err(forbidden()))];
    let (lines, stopped) = cleaned(agents, says, false).await;
    assert_eq!(stopped, Some("forbidden"));
    assert_eq!(lines[0], format!("1 {DEAD}; removed"));
    let needs = "it needs the scope Agent Pools (Read & manage) and the role Administrator";
    assert!(lines[1].contains(needs), "{}", lines[1]);
    assert_eq!(lines[2], format!("3 {DEAD}; not tried any more"));
}

#[tokio::test]
async fn three_failures_in_a_row_are_a_server_that_is_down() {
    let fails = |id| (id, Err(ReadError::Server { status: 503 }));
    let agents = (1..=7).map(dead).collect();
    let says = vec![
        fails(1),
        fails(2),
        (3, Ok(Removal::Removed)),
        fails(4),
        fails(5),
        fails(6),
    ];
    let (lines, stopped) = cleaned(agents, says, false).await;
    assert_eq!(stopped, Some("server"));
    let failed = format!("{DEAD}; not removed: Azure DevOps failed with status 503");
    assert_eq!(lines[5], format!("6 {failed}"));
    assert_eq!(lines[6], format!("7 {DEAD}; not tried any more"));
}

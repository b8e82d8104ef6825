//! What a row says of an agent, and what it leaves open.
//!
//! May import: the module that it tests. Invariant: rows have the members that
//! the service sends, or lack one of them.

use super::{
    rows::{LONGEST_VALUE, Row},
    *,
};
use crate::{
    azure::stream::ListReader,
    domain::{
        job::{JobResult, RequestId},
        registration::FinishedRequest,
    },
};

const TIME: &str = "2026-06-01T09:10:58.64Z";

/// A row of an idle agent, with these members more, or in the place of its own.
fn row(members: &str) -> String {
    let mut row = serde_json::json!({"id": 322, "name": "k8s-7hq2p", "status": "offline"});
    let more: serde_json::Map<_, _> = serde_json::from_str(&format!("{{{members}}}")).unwrap();
    row.as_object_mut().unwrap().extend(more);
    row.to_string()
}

fn agent(members: &str) -> Result<RegisteredAgent, ReadError> {
    read(row(members).as_bytes(), AgentId(322)).map(Row::agent)
}

#[test]
fn what_is_not_said_is_not_taken_for_no() {
    let check = |members: &str, holds: fn(&RegisteredAgent) -> bool| {
        let agent = agent(members).unwrap();
        assert!(holds(&agent), "{members}: {agent:?}");
    };
    check("", |agent| agent.enabled && !agent.online);
    check("", |agent| agent.assigned.is_none() && agent.last.is_none());
    check("", |agent| {
        agent.created.is_none() && agent.version.is_empty()
    });
    check(r#""enabled":false"#, |agent| !agent.enabled);
    check(r#""status":"online""#, |agent| agent.online);
    check(r#""status":"Offline""#, |agent| !agent.online);
    check(r#""status":"asleep""#, |agent| agent.online);
    check(r#""assignedRequest":null"#, |agent| {
        agent.assigned.is_none()
    });
    check(
        r#""assignedRequest":{"requestId":90409,"poolId":27}"#,
        |agent| agent.assigned == Some(RequestId(90409)),
    );
    check(
        r#""lastCompletedRequest":{"requestId":7,"result":"failed"}"#,
        |agent| {
            let (id, result) = (RequestId(7), JobResult::Failed);
            agent.last == Some(FinishedRequest { id, result })
        },
    );
    check(r#""lastCompletedRequest":{"requestId":7}"#, |agent| {
        agent.last.is_none()
    });
    check(r#""statusChangedOn":"2026-06-01T09:10:58.64Z""#, |agent| {
        agent.status_changed == Some("2026-06-01T09:10:58.64Z".parse().unwrap())
    });
    // the last change, the registration, and which of them is known
    for (changed, created, known) in [
        (TIME, TIME, (true, true)),
        (TIME, "noon", (true, false)),
        ("0001-01-01T00:00:00", TIME, (false, true)),
        (
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00",
            (false, false),
        ),
        // It must not look like an agent that never was online.
        ("noon", TIME, (false, false)),
    ] {
        let members = format!(r#""statusChangedOn":"{changed}","createdOn":"{created}""#);
        let agent = agent(&members).unwrap();
        let got = (agent.status_changed.is_some(), agent.created.is_some());
        assert_eq!(got, known, "{members}");
    }
}

#[test]
fn a_row_that_does_not_say_what_is_needed_is_an_error() {
    let check = |body: &str, kind: &str, part: &str| {
        let error = read(body.as_bytes(), AgentId(322))
            .map(Row::agent)
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{body}");
        assert!(
            error.to_string().contains(part),
            "{part:?} is not in {error}"
        );
    };
    let shape = "unknown-shape";
    check(r#"{"id":322,"name":"a"}"#, shape, "status");
    check(r#"{"id":322,"status":"offline"}"#, shape, "name");
    check(r#"{"name":"a","status":"offline"}"#, shape, "id");
    check(&row(r#""id":323"#), shape, "agent 323 came");
    check(&row(r#""assignedRequest":{}"#), shape, "requestId");
    check(&row(r#""assignedRequest":true"#), shape, "");
    check(&row(r#""enabled":"no""#), shape, "");
    check("null", shape, "");
    check(r#"{"count":0,"value":[]}"#, shape, "");
    check(r#"{"id":322,"name":"a"#, "cut", "within an agent");
}

#[test]
fn of_two_capabilities_of_a_name_the_users_counts() {
    let long = "x".repeat(2000);
    let members = format!(
        r#""systemCapabilities":{{"git":"/usr/bin/git","Team":"system","none":null,"long":"{long}"}},
           "userCapabilities":{{"team":"user"}}"#
    );
    let agent = agent(&members).unwrap();
    let capabilities = agent.capabilities.iter();
    let mut shown: Vec<_> = capabilities
        .map(|(name, value)| (&**name, value.len().min(13)))
        .collect();
    shown.sort_unstable();
    assert_eq!(shown, [("git", 12), ("long", 13), ("team", 4)]);
    assert_eq!(agent.capabilities["long"].len(), LONGEST_VALUE);
    assert_eq!(&*agent.capabilities["team"], "user");
}

#[test]
fn a_list_is_the_same_however_it_is_cut() {
    let rows = [row(""), row(r#""id":323,"name":"b""#)].join(",");
    let body = format!(r#"{{"count":2,"value":[{rows}]}}"#);
    for piece in [1, 7, body.len()] {
        let mut reader = ListReader::with_sizes(AgentRows::default(), 16, 4);
        for piece in body.as_bytes().chunks(piece) {
            reader.feed(piece).unwrap();
        }
        let AgentRows(agents) = reader.finish().unwrap();
        let ids: Vec<u32> = agents.iter().map(|agent| agent.id.0).collect();
        assert_eq!(ids, [322, 323], "in pieces of {piece}");
    }
}

#[test]
fn the_name_decides_whatever_the_filter_does() {
    let check = |names: &[&str], name: &str, expected: Option<&str>| {
        let agents = names
            .iter()
            .map(|name| agent(&format!(r#""name":"{name}""#)).unwrap());
        let found = of_name(agents.collect(), name);
        assert_eq!(found.as_ref().map(|agent| &*agent.name), expected, "{name}");
    };
    check(&[], "a", None);
    check(&["ab", "a"], "a", Some("a"));
    check(&["A"], "a", Some("A"));
    check(&["A", "a"], "a", Some("a"));
    check(&["ab"], "a", None);
}

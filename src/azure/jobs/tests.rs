//! What rows and lists become, case by case.
//!
//! May import: the module above. Invariant: each table names what Azure DevOps
//! may send, and each refusal the reason that is told.

use serde_json::json;

use super::{super::stream::ELEMENT_CAP, *};

fn one(members: &str) -> Result<JobRequest, ReadError> {
    let body = format!(r#"{{"count":1,"value":[{{{members}}}]}}"#);
    decode_jobs(body.as_bytes()).map(|mut jobs| jobs.remove(0))
}

#[test]
fn the_members_that_are_there_tell_the_state() {
    let check = |members: &str, state: JobState, agent: Option<&str>| {
        let job = one(&format!(r#""requestId":7{members}"#)).unwrap();
        assert_eq!(
            (job.state, job.agent.as_deref()),
            (state, agent),
            "{members}"
        );
    };
    let assigned = r#","assignTime":"2026-06-01T09:12:29.5033333Z""#;
    let received = r#","receiveTime":"2026-06-01T09:12:32.0530499Z""#;
    let agent = r#","reservedAgent":{"id":3,"name":"k8s-7hq2p"}"#;
    let on = Some("k8s-7hq2p");
    let over = |result| JobState::Finished(result);
    check("", JobState::Queued, None);
    check(
        r#","assignTime":null,"result":null,"reservedAgent":null"#,
        JobState::Queued,
        None,
    );
    check(
        r#","assignTime":"0001-01-01T00:00:00Z","receiveTime":"0001-01-01T00:00:00""#,
        JobState::Queued,
        None,
    );
    check(assigned, JobState::Assigned, None);
    check(agent, JobState::Assigned, on);
    check(&format!("{assigned}{agent}"), JobState::Assigned, on);
    check(
        &format!("{assigned}{received}{agent}"),
        JobState::Running,
        on,
    );
    check(received, JobState::Running, None);
    check(r#","reservedAgent":{"id":3}"#, JobState::Assigned, None);
    let result = |word: &str| format!(r#"{assigned}{received}{agent},"result":"{word}""#);
    check(&result("succeeded"), over(JobResult::Succeeded), on);
    check(&result("abandoned"), over(JobResult::Abandoned), on);
    check(&result("manuallyQueued"), over(JobResult::Other), on);
}

#[test]
fn a_row_becomes_a_job_request() {
    let job = one(
        r#""requestId":90412,"queueTime":"2026-06-01T09:15:02.89Z","priority":0,
        "demands":["kubectl","Agent.Version -gtVersion 2.182.1","\u006aava -Equals 17",null],
        "matchedAgents":[{"_links":{"self":{"href":"h"}},"id":310,"name":"tmpl-\"a\"","version":"99.999.9"},{"id":1}],
        "definition":{"_links":{},"id":88,"name":"deploy"},"owner":{"id":5501,"name":"20260601.4"},
        "data":{"ParallelismTag":"Private"},"agentSpecification":{"VMImage":["x"]},"newMember":[1,2,{"a":null}]"#,
    )
    .unwrap();
    assert_eq!(job.id, RequestId(90412));
    assert_eq!(
        job.queued_at,
        Some("2026-06-01T09:15:02.89Z".parse().unwrap())
    );
    let texts: Vec<_> = job.demands.texts().collect();
    assert_eq!(
        texts,
        [
            "kubectl",
            "Agent.Version -gtVersion 2.182.1",
            "java -Equals 17"
        ]
    );
    assert_eq!(
        job.matched_agents.as_deref(),
        Some(&["tmpl-\"a\"".into()][..])
    );
    assert_eq!(job.pipeline.as_deref(), Some("deploy"));
    assert_eq!(job.run.as_deref(), Some("20260601.4"));
    let bare = one(r#""requestId":1"#).unwrap();
    assert_eq!(bare.matched_agents, None);
    assert_eq!(bare.demands.texts().count(), 0);
}

#[test]
fn times_have_up_to_seven_digits_of_fraction_and_an_odd_one_is_only_lost() {
    let check = |text: &str, known: bool| {
        let job = one(&format!(r#""requestId":7,"queueTime":"{text}""#)).unwrap();
        assert_eq!(job.queued_at.is_some(), known, "{text}");
    };
    check("2026-06-01T09:15:02Z", true);
    check("2026-06-01T09:15:02.8Z", true);
    check("2026-06-01T09:15:02.5033333Z", true);
    check("2026-06-01T11:15:02.5+02:00", true);
    check("yesterday", false);
    check("", false);
}

#[test]
fn a_needed_member_of_another_type_is_named() {
    let check = |members: &str, part: &str| {
        let error = one(members).unwrap_err();
        assert_eq!(error.kind(), "unknown-shape", "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    check(
        r#""queueTime":"2026-06-01T09:15:02Z""#,
        "no member requestId",
    );
    check(
        r#""requestId":"7""#,
        "requestId of a job request is not a whole number",
    );
    check(r#""requestId":-7"#, "requestId");
    check(r#""requestId":null"#, "requestId");
    check(
        r#""requestId":7,"demands":[{"name":"java"}]"#,
        "demands of job request 7",
    );
    check(
        r#""requestId":7,"demands":"java""#,
        "demands of job request 7",
    );
    check(
        r#""assignTime":17,"requestId":7"#,
        "assignTime of job request 7",
    );
    check(
        r#""receiveTime":{},"requestId":7"#,
        "receiveTime of job request 7",
    );
    check(r#""requestId":7,"result":2"#, "result of job request 7");
    check(
        r#""requestId":7,"reservedAgent":"a""#,
        "reservedAgent of job request 7",
    );
    check(
        r#""requestId":7,"matchedAgents":{}"#,
        "matchedAgents of job request 7",
    );
    check(
        r#""requestId":7,"matchedAgents":[{"name":1}]"#,
        "matchedAgents of job request 7",
    );
    check(
        r#""requestId":7,"definition":{"name":[]}"#,
        "definition of job request 7",
    );
    check(r#""requestId":7,"owner":[{}]"#, "owner of job request 7");
    check(r#""requestId":7,"requestId":8"#, "twice");
    check(r#""requestId":7,"x":tru"#, "no JSON");
}

#[test]
fn a_list_is_whole_or_an_error() {
    let check = |body: &str, expected: Result<usize, &str>| {
        let got = decode_jobs(body.as_bytes());
        let got = got.map(|jobs| jobs.len()).map_err(|error| error.kind());
        assert_eq!(got, expected, "{body}");
    };
    let (cut, unknown) = (Err("cut"), Err("unknown-shape"));
    check(r#"{"count":0,"value":[]}"#, Ok(0));
    check(r#" { "value" : [ ] , "count" : 0 } "#, Ok(0));
    check(r#"{"value":[{"requestId":1}]}"#, Ok(1));
    check(
        r#"{"x":[{"value":[]}],"v\u0061lue":[{"requestId":1}],"count":1,"y":-1.5e3}"#,
        Ok(1),
    );
    check("\u{feff}{\"count\":0,\"value\":[]}", Ok(0));
    check(r#"[{"requestId":1},{"requestId":2}]"#, Ok(2));
    check("[]", Ok(0));
    check(r#"{"count":null,"value":[]}"#, Ok(0));
    check("", cut);
    check("\u{feff}", cut);
    check(r#"{"count":1,"value":[{"requestId":1}"#, cut);
    check("{}", unknown);
    check(r#"{"count":0}"#, unknown);
    check(r#"{"count":0,"value":null}"#, unknown);
    check(r#"{"count":0,"value":{}}"#, unknown);
    check(r#"{"count":0,"Value":[]}"#, unknown);
    check(r#"{"count":0,"value":[],"value":[]}"#, unknown);
    check(r#"{"count":2,"value":[{"requestId":1}]}"#, unknown);
    check(r#"{"count":"1","value":[{"requestId":1}]}"#, unknown);
    check(r#"{"value":[1]}"#, unknown);
    check(r#"{"value":[null]}"#, unknown);
    check(r#"{"value":[{"requestId":1},]}"#, unknown);
    check(r#"{"value":[{"requestId":1} {"requestId":2}]}"#, unknown);
    check(r#"{"value":[] "count":0}"#, unknown);
    check(r#"{"value":[],}"#, unknown);
    check(r#"{"value":[]} x"#, unknown);
    check(r#"{"value":[]}{"value":[]}"#, unknown);
    check("[]]", unknown);
    check("null", unknown);
    check("\"value\"", unknown);
    check("<!DOCTYPE html>", unknown);
    check(r#"{"$id":"1","message":"TF400733","typeKey":"X"}"#, unknown);
}

#[test]
fn what_jobs_have_in_common_is_there_once() {
    let row = |id: u32| {
        json!({"requestId": id, "demands": ["java"], "matchedAgents": [{"name": "a"}],
            "definition": {"name": "deploy"}, "owner": {"name": "run"}})
    };
    let body = json!({"value": [row(1), row(2)]}).to_string();
    let jobs = decode_jobs(body.as_bytes()).unwrap();
    let (one, two) = (&jobs[0], &jobs[1]);
    let agents = |job: &JobRequest| job.matched_agents.clone().unwrap();
    assert!(Arc::ptr_eq(&one.demands, &two.demands));
    assert!(Arc::ptr_eq(&agents(one), &agents(two)));
    assert!(Arc::ptr_eq(
        one.pipeline.as_ref().unwrap(),
        two.pipeline.as_ref().unwrap()
    ));
    assert!(Arc::ptr_eq(
        one.run.as_ref().unwrap(),
        two.run.as_ref().unwrap()
    ));
}

#[test]
fn what_is_remembered_for_sharing_is_bounded() {
    let mut rows = JobRows::default();
    for id in 0..200 {
        let agent = format!("{id}{}", "x".repeat(REMEMBERED / 64));
        let row = json!({"requestId": id, "matchedAgents": [{"name": agent}]}).to_string();
        rows.take(row.as_bytes()).unwrap().unwrap();
        let held: usize = rows.shared.agents.keys().map(|key| key.len()).sum();
        assert!(held <= REMEMBERED);
    }
}

#[test]
fn one_element_cannot_fill_the_memory() {
    let mut reader = ListReader::new(JobRows::default());
    reader.feed(br#"{"value":[{"requestId":1,"x":""#).unwrap();
    let piece = vec![b'x'; 100 << 10];
    let mut fed = 0;
    let error = loop {
        match reader.feed(&piece) {
            Ok(()) => fed += piece.len(),
            Err(error) => break error,
        }
        assert!(
            fed <= 2 * ELEMENT_CAP + 2 * piece.len(),
            "{fed} bytes were kept"
        );
    };
    assert_eq!(error.kind(), "unknown-shape");
}

#[test]
fn depth_costs_no_stack() {
    let deep = 1 << 20;
    let (open, close) = ("[".repeat(deep), "]".repeat(deep));
    let body = format!(r#"{{"x":{open}{close},"value":[{{"requestId":1,"y":{open}{close}}}]}}"#);
    assert_eq!(decode_jobs(body.as_bytes()).unwrap().len(), 1);
    let needed = format!(r#"[{{"requestId":1,"demands":{open}{close}}}]"#);
    assert_eq!(
        decode_jobs(needed.as_bytes()).unwrap_err().kind(),
        "unknown-shape"
    );
}

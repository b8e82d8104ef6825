//! Azure's routes: credentials, pools, job requests, agents.

use super::*;

#[tokio::test]
async fn a_bad_credential_is_answered_by_its_kind_and_the_method() {
    let running = Running::start().await;
    let wrong = "authorization: Basic OndyaXR0ZW4="; // :written
    let suppressed = "authorization: Bearer e\r\nx-tfs-fedauthredirect: Suppress";
    let page = ["text/html", "Sign In"].as_slice();
    let refused = ["TF400813", "UnauthorizedRequestException"].as_slice();
    for (method, path, header, status, words) in [
        ("GET", POOLS, TOKEN, 200, ["\"count\":1"].as_slice()),
        (
            "GET",
            POOLS,
            "authorization: Basic YW55Ym9keTpzM2NyZXQ=",
            200,
            &[],
        ),
        ("GET", POOLS, "authorization: Bearer s3cret", 200, &[]),
        ("GET", POOLS, "x: y", 203, page),
        ("GET", POOLS, wrong, 203, page),
        ("GET", POOLS, "authorization: Basic ***", 203, page),
        (
            "POST",
            "/_apis/distributedtask/pools/27/agents",
            wrong,
            203,
            page,
        ),
        ("PATCH", PATCH, wrong, 401, refused),
        (
            "GET",
            POOLS,
            "authorization: Bearer e",
            302,
            &["location: https://", "_signin"],
        ),
        ("GET", POOLS, suppressed, 401, refused),
    ] {
        let answer = running.ask(method, path, header, "").await;
        answer.check(&format!("{method} with {header}"), status, words);
    }
    running.stop().await;
}

#[tokio::test]
async fn azures_odd_answers_are_here_too() {
    let running = Running::start().await;
    running.agent("busy", true, &[]);
    running.agent("idle", false, &[]);
    running.queue(1);
    let v = "?api-version=7.1";
    let empty = r#"{"count":0,"value":[]}"#;
    let table = [
        // Pools: a name is looked up in any case, and an unknown one is no 404.
        (
            "GET",
            "?poolName=LINUX".into(),
            "",
            200,
            r#""name":"linux""#,
        ),
        ("GET", "?poolName=lin*".into(), "", 200, empty),
        (
            "GET",
            "?poolName=linu%78&actionFilter=use".into(),
            "",
            200,
            r#""id":27"#,
        ),
        ("GET", "?poolIds=1,2".into(), "", 200, empty),
        ("GET", "/27".into(), "", 200, r#""isHosted":false"#),
        ("GET", "/26".into(), "", 404, r#""$id":"1""#),
        ("GET", "/26/jobrequests".into(), "", 404, "typeKey"),
        ("GET", "/27/jobrequests/1".into(), "", 404, "typeKey"),
        ("GET", "/27/jobrequests?$top=many".into(), "", 400, "$top"),
        ("GET", "/27/unheard-of".into(), "", 404, "typeKey"),
        ("DELETE", format!("/27{v}"), "", 405, "typeKey"),
        // Agents.
        (
            "POST",
            "/27/agents".into(),
            r#"{"name":"a"}"#,
            400,
            "api-version",
        ),
        (
            "POST",
            format!("/27/agents{v}"),
            r#"{"name":"IDLE"}"#,
            409,
            "TaskAgentExistsException",
        ),
        ("POST", format!("/27/agents{v}"), "{}", 400, "name"),
        ("POST", format!("/27/agents{v}"), r#"{"name":"#, 400, "EOF"),
        (
            "POST",
            format!("/27/agents{v}"),
            r#"{"name":"a","new":1}"#,
            200,
            r#""id":312"#,
        ),
        (
            "GET",
            "/27/agents?agentName=A".into(),
            "",
            200,
            r#""status":"offline""#,
        ),
        ("GET", "/27/agents?demands=java".into(), "", 200, empty),
        (
            "PATCH",
            format!("/27/agents/311{v}"),
            r#"{"enabled":false}"#,
            400,
            "id",
        ),
        (
            "PATCH",
            format!("/27/agents/311{v}"),
            r#"{"id":311,"enabled":false}"#,
            200,
            r#""enabled":false"#,
        ),
        (
            "PUT",
            format!("/27/agents/311/usercapabilities{v}"),
            r#"{"a":"1"}"#,
            200,
            r#"{"a":"1"}"#,
        ),
        (
            "PUT",
            format!("/27/agents/311/usercapabilities{v}"),
            r#"{"b":"2"}"#,
            200,
            r#"{"b":"2"}"#,
        ),
        (
            "PUT",
            format!("/27/agents/311/usercapabilities{v}"),
            "[]",
            400,
            "map",
        ),
        (
            "DELETE",
            format!("/27/agents/310{v}"),
            "",
            400,
            "TaskAgentJobStillRunningException",
        ),
        (
            "DELETE",
            format!("/27/agents/310{v}"),
            "",
            400,
            r#"Agent \"busy\" is running a job for pool \"linux\""#,
        ),
        ("DELETE", format!("/27/agents/311{v}"), "", 204, ""),
        (
            "DELETE",
            format!("/27/agents/311{v}"),
            "",
            404,
            "TaskAgentNotFoundException",
        ),
    ];
    for (method, below, body, status, word) in &table {
        let answer = running
            .ask(method, &format!("{POOLS}{below}"), TOKEN, body)
            .await;
        answer.check(&format!("{method} {below}"), *status, &[word]);
    }
    assert_eq!(running.emulator.requests().total, table.len() as u64);
    running.stop().await;
}

#[tokio::test]
async fn every_form_of_an_organizations_address_leads_to_the_same_pools() {
    let running = Running::start().await;
    for prefix in ["", "/contoso", "/tfs/DefaultCollection", "/My%20Collection"] {
        let path = format!("{prefix}/_apis/distributedtask/pools/27/jobrequests");
        running
            .ask("GET", &path, TOKEN, "")
            .await
            .check(&path, 200, &["value"]);
    }
    let nowhere = running.ask("GET", "/pools", TOKEN, "").await;
    nowhere.check("outside of _apis", 404, &["_apis", "/_emulator/pools"]);
    running.stop().await;
}

#[tokio::test]
async fn job_requests_are_what_the_query_makes_of_them() {
    let running = Running::start().await;
    running.agent("a", true, &[("java", "17")]);
    running.agent("placeholder", false, &[]);
    running.queue(60);
    running.emulator.advance(Duration::from_secs(63 * 56)); // 56 are done
    let java = Running::queue_java(&running);
    running.queue(250);
    // the query, rows, finished rows among them, rows with matchedAgents
    for (query, rows, finished, matched) in [
        ("", 4 + 1 + 250 + 50, 50, 1),
        ("?completedRequestCount=0", 4 + 1 + 250, 0, 1),
        ("?completedRequestCount=7", 4 + 1 + 250 + 7, 7, 1),
        ("?$top=7", 7, 0, 0),
        ("?$top=1000&completedRequestCount=0", 200, 0, 0),
        ("?agentId=310&completedRequestCount=0", 1, 0, 0),
        ("?agentIds=310,311&completedRequestCount=3", 4, 3, 0),
        ("?agentIds=311", 0, 0, 0),
    ] {
        let list = running.get(&format!("/27/jobrequests{query}")).await;
        let value = list["value"].as_array().unwrap();
        let having = |key: &str| value.iter().filter(|row| row.get(key).is_some()).count();
        let got = (value.len(), having("result"), having("matchedAgents"));
        assert_eq!(got, (rows, finished, matched), "{query:?}");
        assert_eq!(list["count"], rows, "{query:?}");
        let all = having("matchesAllAgentsInPool");
        assert_eq!(all == 0, query.contains("$top") || rows == 0, "{query:?}");
    }
    let one = running.get(&format!("/27/jobrequests/{java}")).await;
    assert_eq!(
        one["demands"],
        json!(["java -equals 17", "Agent.Version -gtVersion 2.182.1"])
    );
    running.stop().await;
}

#[tokio::test]
async fn a_row_has_the_members_of_its_state_and_no_others() {
    let running = Running::start().await;
    running.agent("placeholder", false, &[]);
    running.agent("k8s-linux-7hq2p", true, &[("java", "17")]);
    running.queue_java();
    running.emulator.advance(Duration::from_secs(70)); // the first is done
    running.queue_java();
    running.emulator.advance(Duration::from_micros(3_141_592)); // the second runs
    running.queue_java();
    running.queue(1);
    let rows = running.get("/27/jobrequests").await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&rows).unwrap());
    running.stop().await;
}

#[tokio::test]
async fn agents_tell_what_they_are_asked_for() {
    let running = Running::start().await;
    running.agent("a", true, &[("java", "17")]);
    running.queue_java();
    let plain = running.get("/27/agents").await["value"][0].clone();
    assert!(plain.get("systemCapabilities").is_none() && plain.get("assignedRequest").is_none());
    assert_eq!(plain["osDescription"], "Linux 6.8.0 #1 SMP");
    let whole = running.get("/27/agents/310?includeCapabilities=true&includeAssignedRequest=true");
    let whole = whole.await;
    assert_eq!(whole["systemCapabilities"]["java"], "17");
    assert_eq!(whole["systemCapabilities"]["Agent.OS"], "Linux");
    assert_eq!(whole["assignedRequest"]["requestId"], 90401);
    running.stop().await;
}

#[tokio::test]
async fn a_hundred_thousand_jobs_are_queued_and_ten_thousand_listed_at_real_size() {
    let running = Running::start().await;
    let all = format!(r#"{{"count":{MAX_JOBS_AT_ONCE}}}"#);
    running
        .own("POST", "pools/big/jobs", &all)
        .await
        .check("jobs", 200, &["90401", "190400"]);
    running.agent("a", true, &[]);
    running.agent("placeholder", false, &[("java", "17")]);
    let demands = ["java", "Agent.Version -gtVersion 2.182.1"];
    let demands = azp_scaler::domain::demand::Demands::read(&demands);
    let jobs = NewJobs {
        count: 10_000,
        demands,
        ..NewJobs::default()
    };
    running.emulator.queue_jobs("linux", &jobs).unwrap();
    let path = format!("{POOLS}/27/jobrequests?completedRequestCount=0");
    let answer = running.ask("GET", &path, TOKEN, "").await;
    answer.check("jobrequests", 200, &[r#"{"count":10000,"#]);
    let row = answer.body.len() / 10_000;
    assert!((1_200..1_800).contains(&row), "a row has {row} bytes");
    running.stop().await;
}

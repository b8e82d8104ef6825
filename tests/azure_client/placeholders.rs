//! Placeholders: what is sent to register one and to say what it has, and what odd
//! answers mean.

use azp_scaler::{
    domain::{
        capability::Capabilities,
        placeholder::{Placeholder, Registration},
        registration::AgentId,
    },
    ports::{
        placeholders::{Placeholders as _, Registering},
        registrations::Asked,
    },
};

use super::*;

const POOL: PoolId = PoolId(27);
const AGENT: AgentId = AgentId(310);
const ADD: &str = "/contoso/_apis/distributedtask/pools/27/agents?api-version=7.1";
const TELL: &str =
    "/contoso/_apis/distributedtask/pools/27/agents/310/usercapabilities?api-version=7.1";
const ADDED: &str = r#"{
    "name":"linux-placeholder","version":"99.999.9","osDescription":"Linux","enabled":true,
    "status":"offline","provisioningState":"Provisioned","maxParallelism":1,
    "systemCapabilities":{
        "Agent.Name":"linux-placeholder","Agent.ComputerName":"linux-placeholder",
        "Agent.HomeDirectory":"/azp/agent","Agent.Version":"99.999.9","Agent.OS":"Linux",
        "Agent.OSArchitecture":"X64","InteractiveSession":"False",
        "azp-agent.placeholder":"ci/agents"},
    "userCapabilities":{"docker":"true","java":"17","azp-agent.placeholder":"ci/agents"}}"#;
const TOLD: &str = r#"{"docker":"true","java":"17","azp-agent.placeholder":"ci/agents"}"#;

fn registration() -> Registration {
    let placeholder = Placeholder {
        name: "linux-placeholder".into(),
        capabilities: Capabilities::parse("docker, java=17").unwrap(),
    };
    placeholder.registration("ci/agents")
}

async fn asked<T: std::fmt::Debug>(turn: Turn, ask: impl AsyncFn(&Client) -> Asked<T>) -> Asked<T> {
    let server = Server::start(vec![turn]);
    let client = Client::new(server.settings()).unwrap();
    let got = ask(&client).await;
    assert_hidden(&format!("{got:?}"));
    server.finish().await;
    got
}

fn refusal(status: &str, type_key: &str) -> Vec<u8> {
    let head = format!("{status}\r\ncontent-type: application/json; charset=utf-8");
    answer(
        &head,
        format!(r#"{{"message":"no","typeKey":"{type_key}"}}"#),
    )
}

#[tokio::test]
async fn a_registration_has_all_that_keeps_jobs_waiting() {
    let registered = Ok(Registering::Registered(AGENT));
    for (answer, expected) in [
        // No more than this is needed of the answer.
        (json("\u{feff}{\"id\":310}"), registered),
        (
            json(r#"{"id":310,"name":"x","status":"offline"}"#),
            registered,
        ),
        (
            refusal("409 Conflict", "TaskAgentExistsException"),
            Ok(Registering::NameTaken),
        ),
        (refusal("409 Conflict", "Other"), Ok(Registering::NameTaken)),
        (
            refusal("404 Not Found", "TaskAgentPoolNotFoundException"),
            Err("pool-not-found"),
        ),
        (
            refusal("403 Forbidden", "AccessDeniedException"),
            Err("forbidden"),
        ),
        (refusal("400 Bad Request", "X"), Err("status")),
        (refusal("503 Service Unavailable", ""), Err("server")),
        (json(r#"{"value":[]}"#), Err("unknown-shape")),
        (
            answer("200 OK\r\ncontent-type: text/html", "<html>"),
            Err("not-json"),
        ),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let turn = Turn {
            method: "POST",
            body: ADDED,
            ..turn(ADD, answer)
        };
        let got = asked(turn, async |client| {
            client.register(POOL, &registration()).await
        });
        assert_eq!(got.await.map_err(|error| error.kind()), expected, "{shown}");
    }
}

#[tokio::test]
async fn what_people_say_of_an_agent_is_replaced_as_a_whole() {
    for (answer, expected) in [
        (json(r#"{"id":310}"#), Ok(())),
        (json(r#"{"id":311}"#), Err("unknown-shape")),
        (
            refusal("404 Not Found", "TaskAgentNotFoundException"),
            Err("status"),
        ),
        (
            refusal("403 Forbidden", "AccessDeniedException"),
            Err("forbidden"),
        ),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let turn = Turn {
            method: "PUT",
            body: TOLD,
            ..turn(TELL, answer)
        };
        let user = registration().user;
        let got = asked(turn, async |client| {
            client.tell_capabilities(POOL, AGENT, &user).await
        });
        assert_eq!(got.await.map_err(|error| error.kind()), expected, "{shown}");
    }
}

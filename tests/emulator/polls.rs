//! Polls: open until something happens, and no longer than they should be.

use azp_scaler::emulator::Order;

use super::{
    listener::{Listener, body},
    *,
};

/// What ends a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    JobQueued,
    LockRunsOut,
    JobCancelled,
    Ordered(&'static str),
    AgentDeleted,
    AgentKilled,
    AgentRegisteredAnew,
    SessionDeleted,
    Time,
    EmulatorStops,
}

impl Running {
    /// Sends a poll, and comes back once it is open.
    async fn poll(&self, listener: &Listener) -> TcpStream {
        let seen = self.emulator.revision();
        let path = Self::messages(listener, "");
        let socket = self.send("GET", &path, &listener.token, "").await;
        within_a_minute(self.emulator.changed(seen)).await;
        socket
    }
}

async fn answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    Answer::read(&bytes)
}

/// Opens a poll, lets the end come, and says what the poll got.
async fn poll_until(end: End) -> (u16, String) {
    let running = Running::start().await;
    let listener = running.listen("pod").await;
    let agent = format!("{POOLS}/27/agents/{}?api-version=7.1", listener.id);
    if matches!(end, End::LockRunsOut | End::JobCancelled) {
        running.queue(2);
        body(&running.message(&listener).await, "PipelineAgentJobRequest");
        let path = Running::messages(&listener, "/1");
        running.ask("DELETE", &path, &listener.token, "").await;
    }
    let mut socket = running.poll(&listener).await;
    let answered = answer(&mut socket);
    tokio::pin!(answered);
    assert!(futures::poll!(&mut answered).is_pending(), "{end:?}");
    match end {
        End::JobQueued => running.queue(1),
        End::LockRunsOut => running.emulator.advance(Duration::from_secs(600)),
        End::JobCancelled => running
            .emulator
            .cancel_job("linux", RequestId(90401))
            .unwrap(),
        End::Ordered(order) => {
            let path = "pools/linux/agents/pod/orders";
            running
                .own("POST", path, order)
                .await
                .check(order, 204, &[]);
        }
        End::AgentDeleted => {
            running
                .ask("DELETE", &agent, TOKEN, "")
                .await
                .check("delete", 204, &[]);
        }
        End::AgentKilled => running.emulator.kill_agent("linux", "pod").unwrap(),
        End::AgentRegisteredAnew => {
            let body = format!(r#"{{"id":{}}}"#, listener.id);
            running
                .ask("PUT", &agent, TOKEN, &body)
                .await
                .check("replace", 200, &[]);
        }
        End::SessionDeleted => {
            let path = format!("{POOLS}/27/sessions/{}?api-version=7.1", listener.session);
            running
                .ask("DELETE", &path, &listener.token, "")
                .await
                .check("end", 204, &[]);
        }
        End::Time => {
            running.emulator.advance(Duration::from_secs(49));
            tokio::task::yield_now().await;
            assert!(futures::poll!(&mut answered).is_pending(), "{end:?}");
            running.emulator.advance(Duration::from_secs(1));
        }
        End::EmulatorStops => {
            within_a_minute(running.stop()).await;
            let answer = within_a_minute(answered).await;
            return (answer.status, answer.body);
        }
    }
    let answer = within_a_minute(answered).await;
    running.stop().await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_poll_is_answered_as_soon_as_there_is_something_to_say() {
    let job = |id: u32| format!(r#"{{\"duration\":60.0,\"jobDisplayName\":\"ci {id}\""#);
    for (end, status, words) in [
        (
            End::JobQueued,
            200,
            ["PipelineAgentJobRequest", &job(90401)],
        ),
        (
            End::LockRunsOut,
            200,
            ["PipelineAgentJobRequest", &job(90402)],
        ),
        (
            End::JobCancelled,
            200,
            ["JobCancellation", r#"\"timeout\":\"00:05:00\""#],
        ),
        (
            End::Ordered(r#"{"order":"update","version":"4.261.0"}"#),
            200,
            [
                "AgentRefresh",
                r#"{\"agentId\":310,\"targetVersion\":\"4.261.0\"}"#,
            ],
        ),
        (
            End::Ordered(r#"{"order":"exit","code":3}"#),
            200,
            ["StandIn", r#"{\"code\":3,\"do\":\"exit\"}"#],
        ),
        (
            End::Ordered(r#"{"order":"kill"}"#),
            200,
            ["StandIn", r#"{\"do\":\"kill\"}"#],
        ),
        (
            End::Ordered(r#"{"order":"kill-worker"}"#),
            200,
            ["StandIn", r#"{\"do\":\"kill-worker\"}"#],
        ),
        (
            End::AgentDeleted,
            404,
            ["TaskAgentNotFoundException", "310"],
        ),
        (End::AgentKilled, 404, ["TaskAgentNotFoundException", "310"]),
        (
            End::AgentRegisteredAnew,
            404,
            ["TaskAgentSessionExpiredException", ""],
        ),
        (
            End::SessionDeleted,
            404,
            ["TaskAgentSessionExpiredException", ""],
        ),
        (End::Time, 202, ["", ""]),
        (End::EmulatorStops, 202, ["", ""]),
    ] {
        let (got, body) = poll_until(end).await;
        assert_eq!(got, status, "{end:?}: {body}");
        for word in words {
            assert!(body.contains(word), "{end:?}: no {word} in {body}");
        }
        assert_eq!(body.is_empty(), status == 202, "{end:?}: {body}");
    }
}

#[tokio::test]
async fn a_listener_that_hangs_up_is_silent_from_then_on() {
    let running = Running::start().await;
    let listener = running.listen("pod").await;
    let online = |running: &Running| running.emulator.agents("linux").unwrap()[0].online;
    let socket = running.poll(&listener).await;
    running.emulator.advance(Duration::from_secs(45));
    let seen = running.emulator.revision();
    drop(socket);
    within_a_minute(running.emulator.changed(seen)).await;
    running.emulator.advance(Duration::from_secs(59));
    assert!(online(&running));
    // Who waits for it learns of it when the clock gets there.
    let emulator = running.emulator.clone();
    let gone = emulator.until(|emulator| {
        let agents = emulator.agents("linux").unwrap();
        (!agents[0].online).then_some(())
    });
    tokio::pin!(gone);
    assert!(futures::poll!(&mut gone).is_pending());
    running.emulator.advance(Duration::from_secs(1));
    within_a_minute(gone).await;
    let late = running.message(&listener).await;
    late.check("too late", 404, &["TaskAgentSessionExpiredException"]);
    running.stop().await;
}

#[tokio::test]
async fn a_message_comes_again_unless_the_listener_had_it() {
    let running = Running::start().await;
    let listener = running.listen("pod").await;
    running.queue(1);
    let order = Order::Exit { code: 0 };
    running.emulator.order("linux", "pod", order).unwrap();
    let path = Running::messages(&listener, "");
    for (had, kind) in [
        ("", "PipelineAgentJobRequest"),
        ("&lastMessageId=0", "PipelineAgentJobRequest"),
        ("&lastMessageId=1", "StandIn"),
        ("", "PipelineAgentJobRequest"),
    ] {
        let answer = running
            .ask("GET", &format!("{path}{had}"), &listener.token, "")
            .await;
        answer.check(had, 200, &[kind]);
    }
    running.stop().await;
}

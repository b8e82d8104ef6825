//! Azure's routes of a listener: its session, and its messages as a long poll.
//!
//! May import: the shared state, the organization, the wire. Invariant: a poll is
//! answered by what happens and at its end, and asks for nothing in between; a
//! client that hangs up ends its poll.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    agents_azure::with_body,
    auth::Caller,
    clock::later,
    organization::{AgentId, CapabilityMap, NewSession, Organization, Refusal, SessionId},
    parameters::Parameters,
    refusals_azure::refused,
    route,
    state::Shared,
    wire::{self, MessageRow, SessionRow},
};
use crate::domain::pool::PoolId;

/// How long a poll stays open without a message.
///
/// ASSUMPTION(poll-length): 50 seconds, and then 202 without a body.
pub(super) const POLL: Duration = Duration::from_secs(50);

/// A `TaskAgentSession` as the listener sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionBody {
    #[serde(default)]
    owner_name: Box<str>,
    agent: SessionAgent,
    system_capabilities: Option<CapabilityMap>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionAgent {
    id: AgentId,
    version: Option<Box<str>>,
    os_description: Option<Box<str>>,
}

/// A poll that is open, for as long as this lives.
struct OpenPoll<'a> {
    shared: &'a Shared,
    pool: PoolId,
    session: SessionId,
}

/// `POST sessions`.
pub(super) fn open(
    organization: &mut Organization,
    caller: Caller,
    pool: PoolId,
    body: &[u8],
) -> Result<Response, Refusal> {
    with_body(body, |body: SessionBody| {
        let agent = body.agent;
        caller.speaks_for(agent.id)?;
        let new = NewSession {
            owner: body.owner_name,
            version: agent.version,
            os_description: agent.os_description,
            system_capabilities: body.system_capabilities,
        };
        let now = organization.now();
        let pool = organization.pool_mut(pool)?;
        let id = pool.open_session(agent.id, new, now)?;
        let agent = pool.listener(id)?;
        let session = agent.session.as_ref().ok_or(Refusal::NoSuchSession)?;
        let row = SessionRow::new(session, agent, pool);
        Ok(wire::answer(StatusCode::OK, &row))
    })
}

/// `DELETE sessions/{id}`.
pub(super) fn end(
    organization: &mut Organization,
    caller: Caller,
    pool: PoolId,
    session: Option<SessionId>,
) -> Result<Response, Refusal> {
    let session = own(caller, session)?;
    let now = organization.now();
    organization.pool_mut(pool)?.end_session(session, now)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE messages/{id}`.
pub(super) fn delete_message(
    organization: &mut Organization,
    caller: Caller,
    pool: PoolId,
    message: u64,
    parameters: &Parameters,
) -> Result<Response, Refusal> {
    let session = own(caller, parameters.get("sessionId").and_then(route::session))?;
    organization
        .pool_mut(pool)?
        .delete_message(session, message)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET messages`: the next one, as soon as there is one.
pub(super) async fn next_message(
    shared: &Shared,
    caller: Caller,
    pool: PoolId,
    parameters: &Parameters,
) -> Response {
    let last = match parameters.number("lastMessageId") {
        Ok(last) => last,
        Err(refused) => return *refused,
    };
    let session = own(caller, parameters.get("sessionId").and_then(route::session));
    let poll = match session.and_then(|session| OpenPoll::start(shared, pool, session)) {
        Ok(poll) => poll,
        Err(refusal) => return refused(&refusal),
    };
    poll.answer(last)
        .await
        .unwrap_or_else(|refusal| refused(&refusal))
}

/// The session, if there is such a one and it is the caller's affair.
fn own(caller: Caller, session: Option<SessionId>) -> Result<SessionId, Refusal> {
    let session = session.ok_or(Refusal::NoSuchSession)?;
    caller.speaks_for(session.agent())?;
    Ok(session)
}

// === impl OpenPoll ===

impl<'a> OpenPoll<'a> {
    fn start(shared: &'a Shared, pool: PoolId, session: SessionId) -> Result<Self, Refusal> {
        let mut organization = shared.organization();
        organization.pool_mut(pool)?.poll_started(session)?;
        Ok(Self {
            shared,
            pool,
            session,
        })
    }

    async fn answer(&self, last: Option<u64>) -> Result<Response, Refusal> {
        let mut stop = self.shared.stop_signal();
        let ends = later(self.shared.clock.now(), self.shared.poll);
        loop {
            let seen = {
                let mut organization = self.shared.organization();
                if let Some(row) = self.take(&mut organization, last)? {
                    return Ok(wire::answer(StatusCode::OK, &row));
                }
                if organization.now() >= ends || stop.is_stopped() {
                    return Ok(StatusCode::ACCEPTED.into_response());
                }
                organization.revision()
            };
            tokio::select! {
                _ = self.shared.changed(seen) => {}
                () = self.shared.clock.reached(ends) => {}
                () = stop.stopped() => {}
            }
        }
    }

    fn take(
        &self,
        organization: &mut Organization,
        last: Option<u64>,
    ) -> Result<Option<MessageRow>, Refusal> {
        let pool = organization.pool(self.pool)?;
        let Some(message) = pool.next_message(self.session, last)?.cloned() else {
            return Ok(None);
        };
        let now = organization.now();
        let pool = organization.pool_mut(self.pool)?;
        pool.deliver(&message, now);
        let agent = pool.listener(self.session)?;
        Ok(Some(MessageRow::new(&message, agent, pool)))
    }
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        let mut organization = self.shared.organization();
        let now = organization.now();
        // A pool is never deleted.
        if let Ok(pool) = organization.pool_mut(self.pool) {
            pool.poll_ended(self.session, now);
        }
    }
}

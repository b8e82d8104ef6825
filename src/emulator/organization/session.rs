//! Sessions: an agent's listener at the server, which makes the agent online.
//!
//! May import: the pool's own parts, the clock's arithmetic. Invariant: an agent
//! has at most one session; one that nobody polls ends after the pool's
//! `silence`, and one with an open poll does not.

use jiff::Timestamp;

use super::{
    AgentChange, Refusal,
    agent::{Agent, AgentId, CapabilityMap},
    pool::{Pool, What},
};
use crate::emulator::clock::later;

/// A session's number, which tells its agent even when that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::emulator) struct SessionId(pub(in crate::emulator) u64);

/// A listener's session.
#[derive(Debug)]
pub(in crate::emulator) struct Session {
    pub(in crate::emulator) id: SessionId,
    pub(in crate::emulator) owner: Box<str>,
    /// Polls that are open now.
    polls: u32,
    /// When it was last heard of.
    seen_at: Timestamp,
    /// Is the end of its patience planned?
    planned: bool,
}

/// What a listener says of itself.
#[derive(Debug)]
pub(in crate::emulator) struct NewSession {
    pub(in crate::emulator) owner: Box<str>,
    pub(in crate::emulator) version: Option<Box<str>>,
    pub(in crate::emulator) os_description: Option<Box<str>>,
    pub(in crate::emulator) system_capabilities: Option<CapabilityMap>,
}

// === impl SessionId ===

impl SessionId {
    fn new(agent: AgentId, number: u16) -> Self {
        Self(u64::from(agent) << 16 | u64::from(number))
    }

    /// Whose it is or was.
    pub(in crate::emulator) fn agent(self) -> AgentId {
        // The upper 16 bits of a number that was given out are empty.
        AgentId::try_from(self.0 >> 16).unwrap_or_default()
    }
}

// === impl Pool ===

impl Pool {
    /// The agent whose session it is.
    ///
    /// Azure DevOps: a listener whose agent was deleted learns that, and one
    /// whose session ended learns that.
    pub(in crate::emulator) fn listener(&self, session: SessionId) -> Result<&Agent, Refusal> {
        let agent = self.agent(session.agent())?;
        let open = agent.session.as_ref();
        open.filter(|open| open.id == session)
            .map(|_| agent)
            .ok_or(Refusal::NoSuchSession)
    }

    pub(super) fn listener_mut(&mut self, session: SessionId) -> Result<&mut Agent, Refusal> {
        self.listener(session)?;
        let agent = self.agents.get_mut(&session.agent());
        agent.ok_or(Refusal::NoSuchSession)
    }

    /// A listener comes: its agent is online and is what the listener says.
    pub(in crate::emulator) fn open_session(
        &mut self,
        id: AgentId,
        new: NewSession,
        at: Timestamp,
    ) -> Result<SessionId, Refusal> {
        let missing = self.no_agent(&id);
        let agent = self.agents.get_mut(&id).ok_or(missing)?;
        if agent.session.is_some() {
            let agent = agent.identity.name.clone();
            let pool = self.name.clone();
            return Err(Refusal::SessionConflict { agent, pool });
        }
        agent.sessions = agent.sessions.wrapping_add(1);
        let session = SessionId::new(id, agent.sessions);
        agent.session = Some(Session {
            id: session,
            owner: new.owner,
            polls: 0,
            seen_at: at,
            planned: true,
        });
        agent.change(AgentChange {
            version: new.version,
            os_description: new.os_description,
            system_capabilities: new.system_capabilities,
            ..AgentChange::default()
        });
        agent.set_online(true, at);
        let ends = later(at, self.rules.silence);
        self.plan(ends, What::Silence(session));
        self.settle_agent(id, at);
        Ok(session)
    }

    /// The listener leaves. A job that its agent has stays with the agent, until
    /// another listener comes or the lock runs out.
    pub(in crate::emulator) fn end_session(
        &mut self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let agent = self.listener_mut(session)?;
        agent.session = None;
        agent.set_online(false, at);
        self.settle_agent(session.agent(), at);
        Ok(())
    }

    /// The listener asks for a message and waits.
    pub(in crate::emulator) fn poll_started(&mut self, session: SessionId) -> Result<(), Refusal> {
        if let Some(open) = &mut self.listener_mut(session)?.session {
            open.polls += 1;
        }
        Ok(())
    }

    /// It waits no more: it was answered, or hung up. Its session may be over.
    pub(in crate::emulator) fn poll_ended(&mut self, session: SessionId, at: Timestamp) {
        let ends = later(at, self.rules.silence);
        let Ok(Agent {
            session: Some(open),
            ..
        }) = self.listener_mut(session)
        else {
            return;
        };
        open.polls = open.polls.saturating_sub(1);
        open.seen_at = at;
        if open.polls == 0 && !open.planned {
            open.planned = true;
            self.plan(ends, What::Silence(session));
        }
    }

    /// Ends the session if it was silent for too long by now.
    pub(super) fn miss(&mut self, session: SessionId, at: Timestamp) {
        let silence = self.rules.silence;
        let Ok(Agent {
            session: Some(open),
            ..
        }) = self.listener_mut(session)
        else {
            return; // it ended meanwhile
        };
        open.planned = false;
        if open.polls > 0 {
            return; // the end of the poll plans it anew
        }
        let ends = later(open.seen_at, silence);
        if ends > at {
            open.planned = true;
            self.plan(ends, What::Silence(session));
        } else if let Err(refusal) = self.end_session(session, at) {
            tracing::debug!(%refusal, "a session ended twice");
        }
    }
}

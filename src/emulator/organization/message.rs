//! Messages: what the organization tells a listener, and orders of a test.
//!
//! May import: the pool's own parts. Invariant: a message is there until the
//! listener deletes it, so one whose answer was lost on the way comes again; a
//! job that is over leaves none behind.

use jiff::Timestamp;

use super::{
    MAX_ORDERS, Refusal,
    agent::{Agent, AgentId},
    pool::Pool,
    session::SessionId,
};
use crate::domain::job::{JobState, RequestId};

/// A message for a listener.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Message {
    /// Grows from message to message of one agent.
    pub(in crate::emulator) id: u64,
    pub(in crate::emulator) kind: MessageKind,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum MessageKind {
    /// Run this job.
    Job(RequestId),
    /// End this job before its time.
    Cancel(RequestId),
    Order(Order),
}

/// What a listener can be told to do beside running jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Replace yourself by this version. Azure DevOps: `AgentRefresh`.
    Update {
        /// As in `4.261.0`.
        version: Box<str>,
    },
    /// The listener exits. Ours alone; as are those below.
    Exit {
        /// With this code.
        code: i32,
    },
    /// The listener dies by SIGKILL.
    Kill,
    /// The worker of the job that runs dies by SIGKILL.
    KillWorker,
}

// === impl Agent ===

impl Agent {
    pub(super) fn post(&mut self, kind: MessageKind) {
        let id = self.next_message;
        self.next_message += 1;
        self.messages.push_back(Message { id, kind });
    }

    /// The job is over: nothing is to be done about it any more.
    pub(super) fn forget_job(&mut self, job: RequestId) {
        let about = [MessageKind::Job(job), MessageKind::Cancel(job)];
        self.messages
            .retain(|message| !about.contains(&message.kind));
    }
}

// === impl Pool ===

impl Pool {
    /// The oldest message after `last`; all of them are after `None`.
    ///
    /// ASSUMPTION(last-message-id): what is not deleted comes again, except to a
    /// listener that says it had it, by `lastMessageId`.
    pub(in crate::emulator) fn next_message(
        &self,
        session: SessionId,
        last: Option<u64>,
    ) -> Result<Option<&Message>, Refusal> {
        let mut messages = self.listener(session)?.messages.iter();
        Ok(messages.find(|message| last.is_none_or(|last| message.id > last)))
    }

    /// The message is on its way. With it, a job is received.
    pub(in crate::emulator) fn deliver(&mut self, message: &Message, at: Timestamp) {
        let MessageKind::Job(id) = message.kind else {
            return;
        };
        let lock = self.rules.lock;
        if let Some(job) = self.unfinished.get_mut(&id)
            && job.state == JobState::Assigned
        {
            job.receive(at);
            job.hold(lock, at);
        }
    }

    /// The listener has taken note of a message. One that is not there is none
    /// that it would have to delete.
    pub(in crate::emulator) fn delete_message(
        &mut self,
        session: SessionId,
        message: u64,
    ) -> Result<(), Refusal> {
        let agent = self.listener_mut(session)?;
        agent.messages.retain(|other| other.id != message);
        Ok(())
    }

    /// Tells the agent's listener, or the one to come, to do something.
    pub(in crate::emulator) fn order(&mut self, id: AgentId, order: Order) -> Result<(), Refusal> {
        let missing = self.no_agent(&id);
        let ordered = self.agents.get_mut(&id).ok_or(missing)?;
        let (agent, pool) = (ordered.identity.name.clone(), self.name.clone());
        if ordered.online && ordered.session.is_none() {
            return Err(Refusal::Simulated { agent, pool });
        }
        if ordered.messages.len() >= MAX_ORDERS {
            return Err(Refusal::TooManyOrders { agent, pool });
        }
        ordered.post(MessageKind::Order(order));
        Ok(())
    }

    /// Tells the listener that holds the job to cancel it; is there one?
    pub(super) fn tell_to_cancel(&mut self, id: RequestId) -> bool {
        let Some(job) = self.unfinished.get(&id).filter(|job| job.lock.is_some()) else {
            return false;
        };
        let holder = job.agent.as_ref().map(|agent| agent.id);
        let Some(agent) = holder.and_then(|id| self.agents.get_mut(&id)) else {
            return false;
        };
        let told = |message: &Message| message.kind == MessageKind::Cancel(id);
        if !agent.messages.iter().any(told) {
            agent.post(MessageKind::Cancel(id));
        }
        true
    }
}

//! Who gets which job, and what follows when a job ends or an agent changes.
//!
//! May import: the pool's own parts. Invariant: after each of these functions
//! no fit agent idles beside a job that waits, unless all parallel jobs of the
//! organization are in use, and no agent has two.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    MAX_FINISHED, MessageKind,
    agent::{Agent, AgentId, LastRequest},
    job::Job,
    pool::{Due, Pool, Step},
};
use crate::{
    domain::{
        demand::Demands,
        job::{JobResult, RequestId},
    },
    emulator::clock::later,
};

/// The unfinished jobs that ask for the same.
#[derive(Debug, Default)]
pub(super) struct Kind {
    pub(super) unfinished: usize,
    pub(super) waiting: BTreeSet<RequestId>,
    /// Registered agents that could run them, whatever their state.
    pub(super) fit: BTreeSet<AgentId>,
}

// === impl Pool ===

impl Pool {
    /// Gives waiting jobs to idle agents, the oldest job first.
    pub(super) fn assign(&mut self, at: Timestamp) {
        if self.idle.is_empty() {
            return;
        }
        // The oldest job of each kind. Agents only become fewer in here, so a
        // kind that finds none is done for this time.
        let heads = self.kinds.iter();
        let mut heads: BTreeMap<RequestId, Arc<Demands>> = heads
            .filter_map(|(demands, kind)| Some((*kind.waiting.first()?, Arc::clone(demands))))
            .collect();
        while !self.idle.is_empty()
            && let Some((id, demands)) = heads.pop_first()
        {
            let Some(kind) = self.kinds.get_mut(&demands) else {
                continue;
            };
            let Some(&agent_id) = kind.fit.intersection(&self.idle).next() else {
                continue;
            };
            // Azure DevOps: such jobs stay queued, beside idle agents.
            if !self.parallel_jobs.take() {
                return;
            }
            kind.waiting.remove(&id);
            if let Some(next) = kind.waiting.first() {
                heads.insert(*next, demands);
            }
            self.idle.remove(&agent_id);
            let agent = self.agents.get_mut(&agent_id);
            if let (Some(job), Some(agent)) = (self.unfinished.get_mut(&id), agent) {
                agent.job = Some(id);
                job.assign(Arc::clone(&agent.identity), at);
                let (at, step) = if agent.session.is_some() {
                    agent.post(MessageKind::Job(id));
                    (job.hold(self.rules.lock, at), Step::Expire)
                } else {
                    (later(at, self.rules.pickup), Step::Receive)
                };
                let what = job.step(step);
                self.due.push(Reverse(Due { at, what }));
            }
        }
    }

    /// Ends a job and frees its agent.
    pub(super) fn finish(&mut self, id: RequestId, result: JobResult, at: Timestamp) {
        let Some(job) = self.unfinished.remove(&id) else {
            return;
        };
        if let Some(kind) = self.kinds.get_mut(&job.demands) {
            kind.waiting.remove(&id);
            kind.unfinished -= 1;
            if kind.unfinished == 0 {
                self.kinds.remove(&job.demands);
            }
        }
        let agent = job.agent.as_ref().map(|agent| agent.id);
        if agent.is_some() {
            self.parallel_jobs.give_back();
        }
        if let Some(agent) = agent.and_then(|id| self.agents.get_mut(&id))
            && agent.job == Some(id)
        {
            agent.job = None;
            agent.last = Some(LastRequest::of(&job, result, at));
            agent.forget_job(id);
            // A job that was taken back before the agent had it was none of its.
            if agent.once && job.received_at.is_some() {
                agent.set_online(false, at);
            }
            if agent.is_idle() {
                self.idle.insert(agent.identity.id);
            }
        }
        self.conclude(job, result, at);
    }

    /// Keeps an ended job, and forgets the oldest of them.
    pub(super) fn conclude(&mut self, mut job: Job, result: JobResult, at: Timestamp) {
        job.finish(result, at);
        self.totals.count(result);
        self.finished.push_back(job);
        if self.finished.len() > MAX_FINISHED
            && let Some(forgotten) = self.finished.pop_front()
        {
            self.output_bytes -= forgotten.output.bytes();
        }
    }

    /// Draws the consequences of what an agent has become.
    pub(super) fn settle_agent(&mut self, id: AgentId, at: Timestamp) {
        let Some(agent) = self.agents.get(&id) else {
            return;
        };
        for (demands, kind) in &mut self.kinds {
            if agent.capabilities.unmet(demands).is_empty() {
                kind.fit.insert(id);
            } else {
                kind.fit.remove(&id);
            }
        }
        if agent.is_idle() {
            self.idle.insert(id);
        } else {
            self.idle.remove(&id);
        }
        self.assign(at);
    }

    pub(super) fn remove(&mut self, id: AgentId) {
        if let Some(agent) = self.agents.remove(&id) {
            self.agent_names.remove(&agent.identity.name.to_lowercase());
        }
        self.idle.remove(&id);
        for kind in self.kinds.values_mut() {
            kind.fit.remove(&id);
        }
    }

    /// The kind of these demands, with the agents that are fit for it.
    pub(super) fn kind(&mut self, demands: &Demands) -> (Arc<Demands>, &mut Kind) {
        let known = self.kinds.get_key_value(demands);
        let shared = known.map_or_else(|| Arc::new(demands.clone()), |(key, _)| Arc::clone(key));
        let agents = &self.agents;
        let kind = self
            .kinds
            .entry(Arc::clone(&shared))
            .or_insert_with(|| Kind {
                fit: fit(agents, demands).collect(),
                ..Kind::default()
            });
        (shared, kind)
    }

    /// Why a job fails at once, if it does.
    ///
    /// Azure DevOps: a job that no registered agent could ever run fails
    /// immediately; one whose agents are all offline or disabled queues.
    pub(super) fn refusal(&self, demands: &Demands, needs_agent: bool) -> Option<Box<str>> {
        if !(self.strict || needs_agent) || fit(&self.agents, demands).next().is_some() {
            return None;
        }
        let texts: Vec<_> = demands.texts().collect();
        let (pool, texts) = (&self.name, texts.join(", "));
        Some(
            format!("No agent found in pool {pool} which satisfies the specified demands: {texts}")
                .into(),
        )
    }
}

/// The registered agents that meet these demands, whatever their state.
fn fit<'a>(
    agents: &'a BTreeMap<AgentId, Agent>,
    demands: &'a Demands,
) -> impl Iterator<Item = AgentId> + 'a {
    let fit = agents
        .values()
        .filter(|agent| agent.capabilities.unmet(demands).is_empty());
    fit.map(|agent| agent.identity.id)
}

//! One pool: its agents, its job requests, and what is due.
//!
//! May import: the domain's demands and job states, the clock's arithmetic.
//! Invariant: an agent has at most one job, and only one that it is fit for;
//! every step happens at the moment that it was due, in order, however late
//! [`Pool::advance`] is called.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    MAX_AGENTS, MAX_UNFINISHED, PublicKey, Refusal, Rules, SessionId,
    agent::{Agent, AgentChange, AgentId, NewAgent},
    assignment::Kind,
    job::{Job, NewJobs, Run},
    parallel::ParallelJobs,
};
use crate::{
    domain::{
        demand::Demands,
        job::{JobResult, JobState, RequestId},
        pool::PoolId,
    },
    emulator::clock::later,
};

/// One pool.
#[derive(Debug)]
pub(in crate::emulator) struct Pool {
    pub(in crate::emulator) id: PoolId,
    pub(in crate::emulator) name: Box<str>,
    pub(in crate::emulator) created_at: Timestamp,
    /// Does a job fail at once that no registered agent could ever run?
    pub(in crate::emulator) strict: bool,
    pub(super) rules: Rules,
    /// Those of the organization.
    pub(super) parallel_jobs: ParallelJobs,
    pub(super) agents: BTreeMap<AgentId, Agent>,
    pub(super) agent_names: HashMap<String, AgentId>,
    pub(super) idle: BTreeSet<AgentId>,
    pub(super) unfinished: BTreeMap<RequestId, Job>,
    /// In the order in which they ended.
    pub(super) finished: VecDeque<Job>,
    pub(super) kinds: HashMap<Arc<Demands>, Kind>,
    pub(super) due: BinaryHeap<Reverse<Due>>,
    pub(super) totals: Totals,
    /// What the output of all its jobs takes, in bytes.
    pub(super) output_bytes: usize,
}

/// What has come of all jobs so far, those that were forgotten included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::emulator) struct Totals {
    pub(in crate::emulator) succeeded: u64,
    pub(in crate::emulator) failed: u64,
    pub(in crate::emulator) canceled: u64,
    pub(in crate::emulator) abandoned: u64,
    /// Jobs whose agent was killed while they ran.
    pub(in crate::emulator) lost: u64,
}

/// A step that will come, in the order in which they come.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) what: What,
}

/// Whom a step befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A job, if it is still at this attempt.
    Job {
        id: RequestId,
        attempt: u32,
        step: Step,
    },
    /// A session that may have been silent for too long.
    Silence(SessionId),
}

/// What happens to a job by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A simulated agent takes it.
    Receive,
    /// A simulated agent has done it.
    Finish,
    /// The lock of a killed agent runs out.
    Abandon,
    /// A listener's lock runs out, unless it was renewed.
    Expire,
}

// === impl Pool: what is asked ===

impl Pool {
    pub(super) fn new(
        id: PoolId,
        name: &str,
        (rules, parallel_jobs): (Rules, ParallelJobs),
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            created_at: at,
            strict: false,
            rules,
            parallel_jobs,
            agents: BTreeMap::new(),
            agent_names: HashMap::new(),
            idle: BTreeSet::new(),
            unfinished: BTreeMap::new(),
            finished: VecDeque::new(),
            kinds: HashMap::new(),
            due: BinaryHeap::new(),
            totals: Totals::default(),
            output_bytes: 0,
        }
    }

    pub(in crate::emulator) fn totals(&self) -> Totals {
        self.totals
    }

    /// By number.
    pub(in crate::emulator) fn agents(&self) -> impl ExactSizeIterator<Item = &Agent> {
        self.agents.values()
    }

    pub(in crate::emulator) fn agent(&self, id: AgentId) -> Result<&Agent, Refusal> {
        self.agents.get(&id).ok_or_else(|| self.no_agent(&id))
    }

    // ASSUMPTION(agent-name-case): agent names compare without regard to case.
    pub(in crate::emulator) fn agent_named(&self, name: &str) -> Result<&Agent, Refusal> {
        let id = self.agent_names.get(&name.to_lowercase());
        let agent = id.and_then(|id| self.agents.get(id));
        agent.ok_or_else(|| self.no_agent(&name))
    }

    /// By number, so the oldest first.
    pub(in crate::emulator) fn unfinished(&self) -> impl Iterator<Item = &Job> {
        self.unfinished.values()
    }

    /// The last to end first.
    pub(in crate::emulator) fn finished(&self) -> impl Iterator<Item = &Job> {
        self.finished.iter().rev()
    }

    pub(in crate::emulator) fn job(&self, id: RequestId) -> Result<&Job, Refusal> {
        let unfinished = self.unfinished.get(&id);
        let job = unfinished.or_else(|| self.finished().find(|job| job.id == id));
        job.ok_or_else(|| self.no_job(id))
    }

    /// What unfinished jobs ask for, and the agents that could run them.
    pub(in crate::emulator) fn kinds(&self) -> impl Iterator<Item = (&Arc<Demands>, Vec<&Agent>)> {
        self.kinds.iter().map(|(demands, kind)| {
            let agents = kind.fit.iter().filter_map(|id| self.agents.get(id));
            (demands, agents.collect())
        })
    }

    pub(super) fn no_agent(&self, agent: &dyn ToString) -> Refusal {
        let (agent, pool) = (agent.to_string().into(), self.name.clone());
        Refusal::NoSuchAgent { agent, pool }
    }

    pub(super) fn no_job(&self, id: RequestId) -> Refusal {
        let pool = self.name.clone();
        Refusal::NoSuchJob { id, pool }
    }
}

// === impl Pool: what is done to it ===

impl Pool {
    /// Queues jobs with these numbers.
    pub(super) fn queue(
        &mut self,
        ids: Range<u64>,
        new: &NewJobs,
        run: Run,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        if self.unfinished.len() + new.count as usize > MAX_UNFINISHED {
            let pool = self.name.clone();
            return Err(Refusal::TooManyJobs { pool });
        }
        let run = Arc::new(run);
        if let Some(message) = self.refusal(&new.demands, new.needs_agent) {
            let demands = Arc::new(new.demands.clone());
            for id in ids.map(RequestId) {
                let mut job = Job::new(id, &run, &demands, new.duration, at);
                job.message = Some(message.clone());
                self.conclude(job, JobResult::Failed, at);
            }
            return Ok(());
        }
        let (demands, kind) = self.kind(&new.demands);
        kind.unfinished += new.count as usize;
        kind.waiting.extend(ids.clone().map(RequestId));
        let jobs = ids.map(|id| Job::new(RequestId(id), &run, &demands, new.duration, at));
        self.unfinished.extend(jobs.map(|job| (job.id, job)));
        self.assign(at);
        Ok(())
    }

    /// Cancels a job. One that a listener holds is cancelled by that listener,
    /// which is told; any other one at once, wherever it stands.
    pub(super) fn cancel(&mut self, id: RequestId, at: Timestamp) -> Result<(), Refusal> {
        if !self.unfinished.contains_key(&id) {
            self.job(id)?;
            let pool = self.name.clone();
            return Err(Refusal::AlreadyFinished { id, pool });
        }
        if self.tell_to_cancel(id) {
            return Ok(());
        }
        self.finish(id, JobResult::Canceled, at);
        self.assign(at);
        Ok(())
    }

    pub(super) fn register(
        &mut self,
        id: AgentId,
        new: NewAgent,
        key: Option<PublicKey>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let (agent, pool) = (new.name.clone(), self.name.clone());
        if self.agent_names.contains_key(&agent.to_lowercase()) {
            return Err(Refusal::NameTaken { agent, pool });
        }
        if self.agents.len() >= MAX_AGENTS {
            return Err(Refusal::TooManyAgents { pool });
        }
        self.agent_names.insert(agent.to_lowercase(), id);
        let mut agent = Agent::new(id, new, at);
        agent.key = key;
        self.agents.insert(id, agent);
        self.settle_agent(id, at);
        Ok(())
    }

    pub(super) fn change(
        &mut self,
        id: AgentId,
        change: AgentChange,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let missing = self.no_agent(&id);
        self.agents.get_mut(&id).ok_or(missing)?.change(change);
        self.settle_agent(id, at);
        Ok(())
    }

    /// Registers it anew, as `config.sh --replace` does: its session and the
    /// credentials of before end.
    ///
    /// ASSUMPTION(replace-busy): refused while the agent has a job, as its
    /// removal is.
    pub(super) fn replace(
        &mut self,
        id: AgentId,
        change: AgentChange,
        key: Option<PublicKey>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        self.idle_agent(id)?;
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.client = agent.client.next();
            agent.key = key;
            agent.messages.clear();
            if agent.session.take().is_some() {
                agent.set_online(false, at);
            }
        }
        self.change(id, change, at)
    }

    /// Takes an agent out of the pool; the service refuses a busy one.
    pub(super) fn unregister(&mut self, id: AgentId) -> Result<(), Refusal> {
        self.idle_agent(id)?;
        self.remove(id);
        Ok(())
    }

    fn idle_agent(&self, id: AgentId) -> Result<(), Refusal> {
        let agent = self.agent(id)?;
        if agent.job.is_some() {
            let (agent, pool) = (agent.identity.name.clone(), self.name.clone());
            return Err(Refusal::AgentBusy { agent, pool });
        }
        Ok(())
    }

    /// The agent dies where it stands. A job that it runs is lost: the service
    /// learns of it only when the lock has run out.
    pub(super) fn kill(&mut self, id: AgentId, at: Timestamp) -> Result<(), Refusal> {
        let held = self.agent(id)?.job;
        self.remove(id);
        let Some(job) = held.and_then(|id| self.unfinished.get_mut(&id)) else {
            return Ok(());
        };
        if job.state == JobState::Running {
            self.totals.lost += 1;
            let at = job.lose(at);
            let what = job.step(Step::Abandon);
            self.plan(at, what);
        } else {
            job.unassign();
            self.parallel_jobs.give_back();
            let (id, demands) = (job.id, Arc::clone(&job.demands));
            if let Some(kind) = self.kinds.get_mut(&demands) {
                kind.waiting.insert(id);
            }
            self.assign(at);
        }
        Ok(())
    }

    /// Does everything that is due by `now`, each at its own moment; was there
    /// anything?
    pub(super) fn advance(&mut self, now: Timestamp) -> bool {
        let mut changed = false;
        while let Some(Reverse(due)) = self.due.peek()
            && due.at <= now
            && let Some(Reverse(due)) = self.due.pop()
        {
            match due.what {
                What::Job { id, attempt, step } => self.step(id, attempt, step, due.at),
                What::Silence(session) => self.miss(session, due.at),
            }
            changed = true;
        }
        changed
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    pub(super) fn plan(&mut self, at: Timestamp, what: What) {
        self.due.push(Reverse(Due { at, what }));
    }

    fn step(&mut self, id: RequestId, attempt: u32, step: Step, at: Timestamp) {
        let Some(job) = self.unfinished.get_mut(&id) else {
            return; // cancelled meanwhile
        };
        if job.attempt != attempt {
            return; // given to another agent meanwhile
        }
        match step {
            Step::Receive if job.state == JobState::Assigned => {
                job.receive(at);
                let (ends, what) = (later(at, job.duration), job.step(Step::Finish));
                self.plan(ends, what);
            }
            Step::Finish if job.lost_until.is_none() => {
                let result = job.run.outcome;
                self.finish(id, result, at);
                self.assign(at);
            }
            Step::Abandon => self.finish(id, JobResult::Abandoned, at),
            Step::Expire => self.expire(id, at),
            Step::Receive | Step::Finish => {}
        }
    }
}

// === impl Totals ===

impl Totals {
    pub(super) fn count(&mut self, result: JobResult) {
        match result {
            JobResult::Failed => self.failed += 1,
            JobResult::Canceled => self.canceled += 1,
            JobResult::Abandoned => self.abandoned += 1,
            _ => self.succeeded += 1,
        }
    }
}

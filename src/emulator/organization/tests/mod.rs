//! The rules of the queue, on a clock that moves by hand.

mod listeners;
mod output;
mod random;
mod registered;

use super::*;
use crate::{domain::demand::Demands, emulator::clock::later};

const RULES: Rules = Rules {
    pickup: Duration::from_secs(1),
    lock: Duration::from_secs(600),
    silence: Duration::from_secs(60),
};

/// An organization with one pool.
struct World {
    organization: Organization,
    pool: PoolId,
}

impl World {
    fn new() -> Self {
        let start = "2026-06-01T09:00:00Z".parse().unwrap();
        let mut organization = Organization::new(start, RULES);
        let pool = organization.ensure_pool("linux").unwrap();
        Self { organization, pool }
    }

    fn go(&mut self, seconds: u64) {
        self.go_millis(seconds * 1000);
    }

    fn go_millis(&mut self, millis: u64) {
        let now = later(self.organization.now(), Duration::from_millis(millis));
        self.organization.advance(now);
    }

    fn pool(&self) -> &Pool {
        self.organization.pool(self.pool).unwrap()
    }

    /// Queues jobs of 60 seconds.
    fn queue(&mut self, count: u32, demands: &[&str]) -> Vec<RequestId> {
        let demands = Demands::read(demands);
        let jobs = NewJobs {
            count,
            demands,
            ..NewJobs::default()
        };
        let ids = self.organization.queue(self.pool, &jobs).unwrap();
        ids.map(RequestId).collect()
    }

    fn agent(&mut self, name: &str, capabilities: &[(&str, &str)]) -> AgentId {
        let agent = NewAgent::in_pod(name, capabilities.iter().copied());
        self.organization.register(self.pool, agent, None).unwrap()
    }

    fn placeholder(&mut self, name: &str, capabilities: &[(&str, &str)]) -> AgentId {
        let mut agent = NewAgent::in_pod(name, capabilities.iter().copied());
        agent.online = false;
        self.organization.register(self.pool, agent, None).unwrap()
    }

    fn enable(&mut self, agent: AgentId, enabled: bool) {
        let change = AgentChange {
            enabled: Some(enabled),
            ..AgentChange::default()
        };
        self.organization.change(self.pool, agent, change).unwrap();
    }

    /// State, then result or agent.
    fn check(&self, id: RequestId, expected: &str) {
        let job = self.pool().job(id).unwrap();
        let agent = job.agent.as_ref().map_or("", |agent| &*agent.name);
        let detail = crate::emulator::wire::result(job.state).unwrap_or(agent);
        let got = format!("{} {detail}", job.state.name());
        assert_eq!(got.trim_end(), expected, "job request {id}");
    }

    /// No agent has two jobs, none has one that it is unfit for, and no agent
    /// idles that a waiting job could have.
    fn check_invariants(&self) {
        let pool = self.pool();
        let mut holders = Vec::new();
        for job in pool.unfinished() {
            if let Some(agent) = job.agent.as_ref().filter(|_| job.lost_until.is_none()) {
                let agent = pool.agent(agent.id).unwrap();
                assert_eq!(agent.job, Some(job.id));
                assert!(agent.capabilities.unmet(&job.demands).is_empty());
                holders.push(agent.identity.id);
            }
        }
        let busy = pool.agents().filter(|agent| agent.job.is_some());
        assert_eq!(holders.len(), busy.count());
        // A listener hears of the job that it has, and of no other.
        for agent in pool.agents() {
            let about = |message: &Message| match message.kind {
                MessageKind::Job(id) | MessageKind::Cancel(id) => Some(id),
                MessageKind::Order(_) => None,
            };
            let mut about = agent.messages.iter().filter_map(about);
            assert!(about.all(|id| agent.job == Some(id)));
            assert!(agent.session.is_none() || agent.online);
        }
        for (demands, agents) in pool.kinds() {
            let waits = |job: &&Job| *job.demands == **demands && job.agent.is_none();
            let waiting = pool.unfinished().filter(waits).count();
            let idle = agents.iter().filter(|agent| agent.is_idle()).count();
            assert!(
                waiting == 0 || idle == 0,
                "{waiting} wait beside {idle} idle"
            );
        }
    }
}

#[test]
fn a_job_is_assigned_then_received_then_over() {
    let mut world = World::new();
    let job = world.queue(1, &[])[0];
    world.check(job, "queued");
    world.agent("a", &[]);
    world.check(job, "assigned a");
    world.go(1);
    world.check(job, "running a");
    world.go(59);
    world.check(job, "running a");
    world.go(1);
    world.check(job, "finished succeeded");
    world.check_invariants();
}

#[test]
fn what_was_due_happens_at_its_own_moment_however_late_one_looks() {
    let mut world = World::new();
    world.agent("a", &[]);
    let jobs = world.queue(3, &[]);
    world.go(3600);
    let now = world.organization.now();
    world.organization.advance(now - Duration::from_secs(60));
    assert_eq!(world.organization.now(), now, "time never goes back");
    let ends: Vec<_> = jobs
        .iter()
        .map(|id| {
            world
                .pool()
                .job(*id)
                .unwrap()
                .finished_at
                .unwrap()
                .as_second()
        })
        .collect();
    assert_eq!((ends[1] - ends[0], ends[2] - ends[1]), (61, 61));
}

#[test]
fn the_oldest_job_goes_first_and_only_to_an_agent_that_is_fit() {
    let mut world = World::new();
    let java = world.queue(1, &["java -equals 17", "Agent.Version -gtVersion 2.182.1"])[0];
    let any = world.queue(2, &[]);
    world.agent("plain", &[]);
    world.check(java, "queued");
    world.check(any[0], "assigned plain");
    world.agent("java", &[("Java", "17")]);
    world.check(java, "assigned java");
    world.check(any[1], "queued");
}

#[test]
fn offline_and_disabled_agents_get_no_job() {
    // whether the agent is busy when it is disabled
    for busy in [true, false] {
        let mut world = World::new();
        world.placeholder("placeholder", &[]);
        let agent = world.agent("a", &[]);
        let first = busy.then(|| world.queue(1, &[])[0]);
        world.go(5);
        world.enable(agent, false);
        let second = world.queue(1, &[])[0];
        world.go(100);
        if let Some(first) = first {
            world.check(first, "finished succeeded");
        }
        world.check(second, "queued");
        world.enable(agent, true);
        world.check(second, "assigned a");
    }
}

#[test]
fn a_job_that_no_registered_agent_could_run_fails_where_azure_is_strict() {
    // strict pool, needsAgent, a fit placeholder, what comes of the job
    for (strict, needs_agent, placeholder, expected) in [
        (false, false, false, "queued"),
        (true, false, false, "finished failed"),
        (false, true, false, "finished failed"),
        (true, true, true, "queued"),
    ] {
        let mut world = World::new();
        world.agent("other", &[]);
        if placeholder {
            world.placeholder("placeholder", &[("java", "21")]);
        }
        world.organization.set_strict(world.pool, strict).unwrap();
        let demands = Demands::read(&["java"]);
        let jobs = NewJobs {
            count: 2,
            demands,
            needs_agent,
            ..NewJobs::default()
        };
        for id in world.organization.queue(world.pool, &jobs).unwrap() {
            world.check(RequestId(id), expected);
            let message = world.pool().job(RequestId(id)).unwrap().message.clone();
            let words = "No agent found in pool linux which satisfies the specified demands: java";
            assert_eq!(
                message.as_deref() == Some(words),
                expected == "finished failed"
            );
        }
    }
}

#[test]
fn a_killed_agents_job_is_lost_and_abandoned_when_its_lock_runs_out() {
    // The second would have been over before its lock ran out.
    for duration in [3600, 200].map(Duration::from_secs) {
        let mut world = World::new();
        let agent = world.agent("a", &[]);
        let jobs = NewJobs {
            duration,
            ..NewJobs::default()
        };
        let id = RequestId(world.organization.queue(world.pool, &jobs).unwrap().start);
        world.go(1 + 150); // received at 1, renewed at 61 and 121
        world.organization.kill(world.pool, agent).unwrap();
        assert_eq!(world.pool().agents().len(), 0);
        assert_eq!(world.pool().totals().lost, 1);
        world.go(120 + 600 - 150 - 1);
        world.check(id, "running a");
        world.go(1);
        world.check(id, "finished abandoned");
        world.go(7200);
        world.check(id, "finished abandoned");
        assert_eq!(world.pool().totals().abandoned, 1);
    }
}

#[test]
fn a_job_that_its_agent_had_not_taken_waits_again() {
    let mut world = World::new();
    let agent = world.agent("a", &[]);
    let job = world.queue(1, &[])[0];
    world.go_millis(600);
    world.organization.kill(world.pool, agent).unwrap();
    world.check(job, "queued");
    world.agent("b", &[]);
    world.go_millis(600); // when the first agent would have taken it
    world.check(job, "assigned b");
    assert_eq!(world.pool().totals().lost, 0);
    world.go_millis(400);
    world.check(job, "running b");
}

#[test]
fn a_cancelled_job_frees_its_agent_at_once() {
    let mut world = World::new();
    world.agent("a", &[]);
    let jobs = world.queue(2, &[]);
    world.go(5);
    world.organization.cancel(world.pool, jobs[0]).unwrap();
    world.check(jobs[0], "finished canceled");
    world.check(jobs[1], "assigned a");
    let again = world.organization.cancel(world.pool, jobs[0]);
    assert!(
        matches!(again, Err(Refusal::AlreadyFinished { .. })),
        "{again:?}"
    );
    // What was due for the cancelled one does nothing to the other.
    world.go(57);
    world.check(jobs[1], "running a");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let agent = world.agent("a", &[]);
    world.queue(1, &[]);
    let (org, pool) = (&mut world.organization, world.pool);
    let jobs = |count| NewJobs {
        count,
        ..NewJobs::default()
    };
    let none: [(&str, Result<(), Refusal>); 8] = [
        ("running a job", org.unregister(pool, agent)),
        (
            "already has",
            org.register(pool, NewAgent::in_pod("A", [("", ""); 0]), None)
                .map(drop),
        ),
        ("count is 0", org.queue(pool, &jobs(0)).map(drop)),
        ("count is 100001", org.queue(pool, &jobs(100_001)).map(drop)),
        ("no job request 1 ", org.cancel(pool, RequestId(1))),
        ("no agent \"9\"", org.kill(pool, 9)),
        ("no pool \"26\"", org.kill(PoolId(26), agent)),
        ("is empty", org.ensure_pool(" ").map(drop)),
    ];
    for (words, result) in none {
        let refusal = result.expect_err(words).to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
    assert_eq!(
        (
            world.pool().agents().len(),
            world.pool().unfinished().count()
        ),
        (1, 1)
    );
}

#[test]
fn finished_jobs_are_forgotten_and_still_counted() {
    let mut world = World::new();
    world.organization.set_strict(world.pool, true).unwrap();
    let jobs = world.queue(MAX_JOBS_AT_ONCE, &["unheard-of"]);
    assert_eq!(world.pool().finished().count(), MAX_FINISHED);
    assert_eq!(world.pool().totals().failed, u64::from(MAX_JOBS_AT_ONCE));
    assert!(world.pool().job(jobs[0]).is_err());
    world.check(jobs[jobs.len() - 1], "finished failed");
}

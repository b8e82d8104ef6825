//! Agents with a listener beside simulated ones: sessions, messages, locks.

use super::*;
use crate::domain::job::JobResult;

impl World {
    pub(super) fn open(&mut self, agent: AgentId) -> Result<SessionId, Refusal> {
        let now = self.organization.now();
        let new = NewSession {
            owner: "pod".into(),
            version: Some("4.261.0".into()),
            os_description: None,
            system_capabilities: Some([("java".to_owned(), "17".to_owned())].into()),
        };
        let pool = self.organization.pool_mut(self.pool)?;
        pool.open_session(agent, new, now)
    }

    /// An agent whose listener is there.
    pub(super) fn listener(&mut self, name: &str) -> SessionId {
        let agent = self.placeholder(name, &[]);
        self.open(agent).unwrap()
    }

    pub(super) fn act<T>(&mut self, act: impl FnOnce(&mut Pool, Timestamp) -> T) -> T {
        let now = self.organization.now();
        act(self.organization.pool_mut(self.pool).unwrap(), now)
    }

    pub(super) fn end(&mut self, session: SessionId) {
        let ended = self.act(|pool, now| pool.end_session(session, now));
        ended.unwrap();
    }

    /// Polls once, as a listener that says what it had last.
    pub(super) fn poll(
        &mut self,
        session: SessionId,
        last: Option<u64>,
    ) -> Result<Option<Message>, Refusal> {
        self.act(|pool, now| {
            pool.poll_started(session)?;
            let message = pool.next_message(session, last).map(|found| found.cloned());
            if let Ok(Some(message)) = &message {
                pool.deliver(message, now);
            }
            pool.poll_ended(session, now);
            message
        })
    }

    /// Takes note of every message, and says what they were.
    fn read(&mut self, session: SessionId) -> Vec<MessageKind> {
        let mut kinds = Vec::new();
        while let Some(message) = self.poll(session, None).unwrap() {
            let delete = |pool: &mut Pool, _| pool.delete_message(session, message.id);
            self.act(delete).unwrap();
            kinds.push(message.kind);
        }
        kinds
    }

    pub(super) fn token(&self, job: RequestId) -> LockToken {
        let lock = self.pool().job(job).unwrap().lock;
        lock.map_or(LockToken(0), |lock| lock.token)
    }

    pub(super) fn renew(&mut self, job: RequestId, token: LockToken) -> Result<(), Refusal> {
        self.act(|pool, now| pool.renew(job, token, now))
    }

    pub(super) fn complete(&mut self, job: RequestId, token: LockToken) -> Result<(), Refusal> {
        self.act(|pool, now| pool.complete(job, token, JobResult::Failed, now))
    }

    pub(super) fn is_online(&self, name: &str) -> bool {
        self.pool().agent_named(name).unwrap().online
    }
}

#[test]
fn a_listeners_job_waits_for_its_word_however_long_it_lasts() {
    let mut world = World::new();
    let java = world.queue(1, &["java"])[0];
    let session = world.listener("live");
    // It brought the capability along.
    world.check(java, "assigned live");
    assert_eq!(world.read(session), [MessageKind::Job(java)]);
    world.check(java, "running live");
    let token = world.token(java);
    for _ in 0..30 {
        world.go(59); // after the second, a simulated one would be over
        world.renew(java, token).unwrap();
        world.read(session);
    }
    world.check(java, "running live");
    let next = world.queue(1, &[])[0];
    world.check(next, "queued");
    world.complete(java, token).unwrap();
    world.check(java, "finished failed");
    world.check(next, "assigned live");
    let last = world.pool().agent_named("live").unwrap().last.unwrap();
    assert_eq!((last.id, last.result), (java, JobResult::Failed));
    world.check_invariants();
}

#[test]
fn simulated_and_live_agents_share_a_queue() {
    let mut world = World::new();
    world.agent("simulated", &[]);
    let session = world.listener("live");
    let jobs = world.queue(2, &[]);
    world.go(1);
    world.check(jobs[0], "running simulated");
    world.check(jobs[1], "assigned live");
    world.poll(session, None).unwrap();
    world.go(60);
    world.check(jobs[0], "finished succeeded");
    world.check(jobs[1], "running live");
    // A listener may come to an agent that was simulated, and leave it offline.
    let agent = world.pool().agent_named("simulated").unwrap().identity.id;
    let session = world.open(agent).unwrap();
    world.end(session);
    assert!(!world.is_online("simulated"));
}

#[test]
fn a_lock_that_nobody_renews_runs_out() {
    // seconds until it is received and renewed, if it is; when it is abandoned
    for (received, renewed, abandoned) in [
        (None, None, 600),
        (Some(50), None, 650),
        (Some(50), Some(90), 690),
        (Some(50), Some(649), 1249),
    ] {
        let mut world = World::new();
        let session = world.listener("live");
        let job = world.queue(1, &[])[0];
        let mut gone = 0;
        if let Some(seconds) = received {
            world.go(seconds);
            world.poll(session, None).unwrap();
            gone = seconds;
        }
        let token = world.token(job);
        if let Some(seconds) = renewed {
            world.go(seconds - gone);
            world.renew(job, token).unwrap();
            gone = seconds;
        }
        world.go(abandoned - 1 - gone);
        let before = if received.is_some() {
            "running live"
        } else {
            "assigned live"
        };
        world.check(job, before);
        world.go(1);
        world.check(job, "finished abandoned");
        assert!(matches!(
            world.renew(job, token),
            Err(Refusal::NoSuchJob { .. })
        ));
        assert!(matches!(
            world.complete(job, token),
            Err(Refusal::NoSuchJob { .. })
        ));
        // Nothing of it is left for whom comes next.
        let agent = world.pool().agent_named("live").unwrap();
        assert!(agent.job.is_none() && agent.messages.is_empty());
    }
}

#[test]
fn a_token_is_good_for_one_assignment() {
    let mut world = World::new();
    let first = world.listener("first");
    let job = world.queue(1, &[])[0];
    let old = world.token(job);
    // Before it was received, it goes to another one.
    let now = world.organization.now();
    world.act(|pool, _| pool.kill(first.agent(), now)).unwrap();
    world.check(job, "queued");
    assert_eq!(world.token(job), LockToken(0));
    let second = world.listener("second");
    world.poll(second, None).unwrap();
    for wrong in [old, LockToken(0)] {
        assert!(matches!(
            world.renew(job, wrong),
            Err(Refusal::LockLost { .. })
        ));
        assert!(matches!(
            world.complete(job, wrong),
            Err(Refusal::LockLost { .. })
        ));
    }
    world.check(job, "running second");
    // The agent of a job that is lost does not bring it back.
    let token = world.token(job);
    world
        .act(|pool, now| pool.kill(second.agent(), now))
        .unwrap();
    assert!(matches!(
        world.complete(job, token),
        Err(Refusal::LockLost { .. })
    ));
    world.go(599);
    world.check(job, "running second");
    world.go(1);
    world.check(job, "finished abandoned");
}

#[test]
fn a_message_comes_until_it_is_deleted_and_to_the_next_session_too() {
    let mut world = World::new();
    let session = world.listener("live");
    let job = world.queue(1, &[])[0];
    let message = world.poll(session, None).unwrap().unwrap();
    assert_eq!(message.kind, MessageKind::Job(job));
    for (last, comes) in [(None, true), (Some(0), true), (Some(message.id), false)] {
        let again = world.poll(session, last).unwrap();
        assert_eq!(again.is_some(), comes, "{last:?}");
    }
    world.end(session);
    assert!(matches!(
        world.poll(session, None),
        Err(Refusal::NoSuchSession)
    ));
    // The job stays with its agent, and so does the message.
    world.go(100);
    world.check(job, "running live");
    let next = world.open(session.agent()).unwrap();
    assert_eq!(world.read(next), [MessageKind::Job(job)]);
    assert_eq!(world.read(next), []);
    world.act(|pool, now| pool.kill(next.agent(), now)).unwrap();
    assert!(matches!(
        world.poll(next, None),
        Err(Refusal::NoSuchAgent { .. })
    ));
}

#[test]
fn a_session_that_nobody_polls_is_over() {
    // when it was polled last, whether that poll is open, when the agent is offline
    for (polled, open, offline) in [
        (None, false, Some(60)),
        (Some(59), false, Some(119)),
        (Some(10), true, None),
    ] {
        let mut world = World::new();
        let session = world.listener("live");
        let mut gone = 0;
        if let Some(seconds) = polled {
            world.go(seconds);
            world.poll(session, None).unwrap();
            gone = seconds;
        }
        if open {
            world.act(|pool, _| pool.poll_started(session)).unwrap();
        }
        assert!(matches!(
            world.open(session.agent()),
            Err(Refusal::SessionConflict { .. })
        ));
        world.go(offline.unwrap_or(100_000) - 1 - gone);
        assert!(world.is_online("live"), "{polled:?}");
        if open {
            world.act(|pool, now| pool.poll_ended(session, now));
            world.go(59);
            assert!(world.is_online("live"), "{polled:?}");
        }
        world.go(1);
        assert!(!world.is_online("live"), "{polled:?}");
        let agent = world.pool().agent_named("live").unwrap();
        assert_eq!(agent.status_changed_at, Some(world.organization.now()));
        world.open(session.agent()).unwrap();
    }
}

#[test]
fn a_disabled_agent_ends_its_job_and_gets_no_other() {
    let mut world = World::new();
    let session = world.listener("live");
    let first = world.queue(1, &[])[0];
    world.enable(session.agent(), false);
    assert_eq!(world.read(session), [MessageKind::Job(first)]);
    let second = world.queue(1, &[])[0];
    let token = world.token(first);
    world.complete(first, token).unwrap();
    world.check(second, "queued");
    world.enable(session.agent(), true);
    world.check(second, "assigned live");
}

#[test]
fn a_listener_is_told_once_to_cancel_and_decides() {
    let mut world = World::new();
    let session = world.listener("live");
    let jobs = world.queue(2, &[]);
    for _ in 0..2 {
        for job in &jobs {
            // The second one waits, so it is over at once; and then already is.
            drop(world.organization.cancel(world.pool, *job));
        }
    }
    world.check(jobs[1], "finished canceled");
    world.check(jobs[0], "assigned live");
    let told = [MessageKind::Job(jobs[0]), MessageKind::Cancel(jobs[0])];
    assert_eq!(world.read(session), told);
    let token = world.token(jobs[0]);
    world.complete(jobs[0], token).unwrap();
    world.check(jobs[0], "finished failed");
}

#[test]
fn orders_wait_for_a_listener_and_are_bounded() {
    let mut world = World::new();
    let simulated = world.agent("simulated", &[]);
    let agent = world.placeholder("live", &[]);
    let mut order = |agent, order| {
        world
            .organization
            .pool_mut(world.pool)
            .unwrap()
            .order(agent, order)
    };
    assert!(matches!(
        order(simulated, Order::Kill),
        Err(Refusal::Simulated { .. })
    ));
    assert!(matches!(
        order(9, Order::Kill),
        Err(Refusal::NoSuchAgent { .. })
    ));
    for code in 0..MAX_ORDERS as i32 {
        order(agent, Order::Exit { code }).unwrap();
    }
    let full = order(agent, Order::Kill);
    assert!(
        matches!(full, Err(Refusal::TooManyOrders { .. })),
        "{full:?}"
    );
    let session = world.open(agent).unwrap();
    let read = world.read(session);
    assert_eq!(read.len(), MAX_ORDERS);
    assert_eq!(read[1], MessageKind::Order(Order::Exit { code: 1 }));
}

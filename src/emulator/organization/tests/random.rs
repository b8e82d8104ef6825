//! Whatever happens, in whatever order: no job is lost, none is in two places.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Queue(u32, Option<&'static str>),
    Add(bool, bool),
    Kill(usize),
    Remove(usize),
    Enable(usize, bool),
    Cancel(usize),
    /// A listener comes, or the one that is there leaves.
    Listen(usize),
    Poll(usize),
    Renew(usize),
    Complete(usize),
    Go(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..4_u32, prop_oneof![Just(None), Just(Some("java"))])
            .prop_map(|(count, demand)| Act::Queue(count, demand)),
        any::<(bool, bool)>().prop_map(|(java, online)| Act::Add(java, online)),
        (0..9_usize).prop_map(Act::Kill),
        (0..9_usize).prop_map(Act::Remove),
        (0..9_usize, any::<bool>()).prop_map(|(agent, on)| Act::Enable(agent, on)),
        (0..9_usize).prop_map(Act::Cancel),
        (0..9_usize).prop_map(Act::Listen),
        (0..9_usize).prop_map(Act::Poll),
        (0..9_usize).prop_map(Act::Renew),
        (0..9_usize).prop_map(Act::Complete),
        prop_oneof![0..90_u64, Just(700)].prop_map(Act::Go),
    ]
}

fn perform(world: &mut World, act: &Act, number: usize) {
    let ids: Vec<_> = world
        .pool()
        .agents()
        .map(|agent| agent.identity.id)
        .collect();
    let at = |place: &usize| ids.get(*place).copied().unwrap_or_default();
    let (org, pool) = (&mut world.organization, world.pool);
    // Refusals are part of the story.
    match act {
        Act::Queue(count, demand) => drop(world.queue(*count, demand.as_slice())),
        Act::Add(java, online) => {
            let capabilities = java.then_some(("java", "17"));
            let mut agent = NewAgent::in_pod(&format!("agent-{number}"), capabilities);
            agent.online = *online;
            org.register(pool, agent, None).unwrap();
        }
        Act::Kill(place) => drop(org.kill(pool, at(place))),
        Act::Remove(place) => drop(org.unregister(pool, at(place))),
        Act::Enable(place, enabled) => {
            if let Some(id) = ids.get(*place) {
                world.enable(*id, *enabled);
            }
        }
        Act::Cancel(place) => {
            let job = org
                .pool(pool)
                .unwrap()
                .unfinished()
                .nth(*place)
                .map(|job| job.id);
            drop(org.cancel(pool, job.unwrap_or(RequestId(0))));
        }
        Act::Listen(place) => match world.session(at(place)) {
            Some(session) => world.end(session),
            None => drop(world.open(at(place))),
        },
        Act::Poll(place) => {
            if let Some(session) = world.session(at(place)) {
                world.poll(session, None).unwrap();
            }
        }
        Act::Renew(place) => {
            if let Some((job, token)) = world.held(at(place)) {
                drop(world.renew(job, token));
            }
        }
        Act::Complete(place) => {
            if let Some((job, token)) = world.held(at(place)) {
                // Refused where the job is simulated: that has no lock.
                assert_eq!(world.complete(job, token).is_ok(), token != LockToken(0));
            }
        }
        Act::Go(seconds) => world.go(*seconds),
    }
}

impl World {
    fn session(&self, agent: AgentId) -> Option<SessionId> {
        let agent = self.pool().agent(agent).ok()?;
        Some(agent.session.as_ref()?.id)
    }

    fn held(&self, agent: AgentId) -> Option<(RequestId, LockToken)> {
        let job = self.pool().agent(agent).ok()?.job?;
        Some((job, self.token(job)))
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_job_and_no_agent_is_in_two_places(
        acts in prop::collection::vec(act(), 0..40),
    ) {
        let mut world = World::new();
        let mut queued = 0;
        for (number, act) in acts.iter().enumerate() {
            if let Act::Queue(count, _) = act {
                queued += count;
            }
            perform(&mut world, act, number);
            world.check_invariants();
        }
        let pool = world.pool();
        let kept = pool.unfinished().count() + pool.finished().count();
        prop_assert_eq!(kept, queued as usize);
    }
}

//! The pools as their agents know them: who has which job. An agent sees its own
//! worker; the emulator's agents have none, so that this says it for all of them.
//!
//! May import: the emulator. Invariants: each pool is looked at as a whole, a few times
//! a second at most, however many agents wait for something; that a job runs on an
//! agent is noted for good, so that one that runs on two is found.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use azp_scaler::{
    domain::job::{JobState, RequestId},
    emulator::EmulatorHandle,
};
use tokio::{sync::watch, time::sleep};

/// Between two looks. Jobs last a second and more.
const LOOK: Duration = Duration::from_millis(100);

/// An agent as it knows itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) is_online: bool,
    /// It has a job, or one is on its way to it.
    pub(crate) has_job: bool,
    /// A worker runs it.
    pub(crate) works: bool,
}

type Agents = Arc<HashMap<Box<str>, Agent>>;

/// The agents of one pool. Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct View {
    agents: watch::Receiver<Agents>,
    ran: Arc<Mutex<BTreeMap<RequestId, BTreeSet<Box<str>>>>>,
}

impl View {
    /// Looks for as long as somebody has a view.
    pub(crate) fn of(emulator: &EmulatorHandle, pool: &'static str) -> View {
        let (send, agents) = watch::channel(Agents::default());
        let ran = Arc::default();
        let view = View {
            agents,
            ran: Arc::clone(&ran),
        };
        let emulator = emulator.clone();
        tokio::spawn(async move {
            let mut revision = emulator.revision();
            while !send.is_closed() {
                send.send_replace(Arc::new(look(&emulator, pool, &ran)));
                sleep(LOOK).await;
                revision = emulator.changed(revision).await;
            }
        });
        view
    }

    /// The agent of this name as last seen; offline where there is none.
    pub(crate) fn agent(&self, name: &str) -> Agent {
        self.agents.borrow().get(name).copied().unwrap_or_default()
    }

    /// Waits until it is so.
    pub(crate) async fn until(&self, name: &str, is: impl Fn(Agent) -> bool) {
        let mut agents = self.agents.clone();
        let seen = agents.wait_for(|agents| is(agents.get(name).copied().unwrap_or_default()));
        // An error means that the run is over.
        let _ = seen.await;
    }

    /// On which agents each job was seen to run.
    pub(crate) fn ran(&self) -> BTreeMap<RequestId, BTreeSet<Box<str>>> {
        lock(&self.ran).clone()
    }
}

fn look(
    emulator: &EmulatorHandle,
    pool: &str,
    ran: &Mutex<BTreeMap<RequestId, BTreeSet<Box<str>>>>,
) -> HashMap<Box<str>, Agent> {
    let agents = emulator.agents(pool).unwrap_or_default();
    let mut ran = lock(ran);
    let mut seen = HashMap::with_capacity(agents.len());
    for agent in agents {
        let works = agent.assigned.is_some_and(|job| {
            let known = ran.get(&job).is_some_and(|on| on.contains(&agent.name));
            let works = known
                || emulator
                    .job(pool, job)
                    .is_ok_and(|job| job.state == JobState::Running);
            if works && !known {
                ran.entry(job).or_default().insert(agent.name.clone());
            }
            works
        });
        let now = Agent {
            is_online: agent.online,
            has_job: agent.assigned.is_some(),
            works,
        };
        seen.insert(agent.name, now);
    }
    seen
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use azp_scaler::emulator::{Emulator, NewAgent, NewJobs, Settings};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_agent_is_seen_to_get_a_job_and_to_end_it() {
        let emulator = Emulator::new(Settings::default()).unwrap().handle();
        emulator.ensure_pool("linux").unwrap();
        let view = View::of(&emulator, "linux");
        assert_eq!(view.agent("a"), Agent::default());
        let none: [(&str, &str); 0] = [];
        emulator
            .add_agent("linux", NewAgent::in_pod("a", none))
            .unwrap();
        view.until("a", |agent| agent.is_online).await;
        let job = emulator.queue_jobs("linux", &NewJobs::default()).unwrap()[0];
        view.until("a", |agent| agent.has_job && !agent.works).await;
        view.until("a", |agent| agent.works).await;
        view.until("a", |agent| !agent.has_job).await;
        assert_eq!(view.ran(), [(job, BTreeSet::from(["a".into()]))].into());
    }
}

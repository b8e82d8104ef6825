//! The reaper: takes agents out of their pools whose pods are gone.
//!
//! May import: its siblings, ports, telemetry. Invariants: just before an agent is
//! taken out, both its pool and the cluster are asked once more, and any doubt then
//! keeps it; the server's refusal to take out a busy agent stands; no more go a
//! second, and in one look at a pool, than are told here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    PoolSettings,
    election::Lead,
    gate::Gate,
    suspects::{Known, Leftover, Look, Suspects, names, pod_of},
};
use crate::{
    ports::{
        registrations::Removal,
        stands::PoolStands,
        writes::{AgentPods, WriteError},
    },
    telemetry::metrics::{WriteOutcome, Writer},
};

/// Between two that are taken out.
const BETWEEN: Duration = Duration::from_secs(1);

/// How many are taken out by one look at a pool.
const MOST: usize = 30;

/// A look this old says nothing any more.
const OLDEST_LOOK: Duration = Duration::from_secs(60);

/// How many looks may be missing between two.
const MISSED: u32 = 3;

/// Looks that wait.
pub(super) const LOOKS: usize = 64;

/// The reaper.
pub(super) struct Reaping {
    pub(super) gate: Gate,
    pub(super) pods: Arc<dyn AgentPods>,
    pub(super) stands: Arc<dyn PoolStands>,
    pub(super) settings: PoolSettings,
}

/// Why one stays after all, in the end.
type Stays = String;

// === impl Reaping ===

impl Reaping {
    /// Reaps for ever.
    pub(super) async fn run(&self, mut looks: mpsc::Receiver<Look>) {
        let gap = self.settings.look_every.saturating_mul(MISSED);
        let mut suspects = Suspects::new(self.settings.offline_for, gap);
        let mut next = Instant::now();
        // What a dry run has told in this term.
        let mut tried: HashMap<(String, u32), u64> = HashMap::new();
        while let Some(look) = looks.recv().await {
            let Some(lead) = self.gate.lead() else {
                continue;
            };
            if look.began.elapsed() > OLDEST_LOOK {
                continue;
            }
            let leftovers = self.leftovers(&mut suspects, lead, &look);
            let of_pool = look.stand.key.to_string();
            let key = |leftover: &Leftover| (of_pool.clone(), leftover.id.0);
            // What is left no more needs no memory.
            tried.retain(|(pool, id), term| {
                let is_left = leftovers.iter().any(|leftover| leftover.id.0 == *id);
                *term == lead.term && (*pool != of_pool || is_left)
            });
            // So that a dry run names all of them in time.
            let fresh = leftovers
                .iter()
                .filter(|leftover| !tried.contains_key(&key(leftover)));
            let fresh: Vec<_> = fresh.take(MOST).collect();
            for leftover in fresh {
                sleep_until(next).await;
                next = Instant::now() + BETWEEN;
                match self.reap(lead, &look, leftover).await {
                    Ok(WriteOutcome::DryRun) => {
                        tried.insert(key(leftover), lead.term);
                    }
                    // What is refused once is refused each time.
                    Ok(WriteOutcome::Forbidden | WriteOutcome::NotLeader) => break,
                    Ok(_) => {}
                    Err(why) => tracing::debug!(agent = %leftover.pod, "it stays after all: {why}"),
                }
            }
        }
    }

    fn leftovers(&self, suspects: &mut Suspects, lead: Lead, look: &Look) -> Vec<Leftover> {
        let pods = self.pods.agent_pods().borrow().clone();
        let stands = self.stands.stands().unwrap_or_default();
        let known = Known {
            cluster: self.settings.keeper.cluster(),
            pods: pods.as_deref(),
            namespaces: stands.namespaces.as_ref(),
            is_current: stands.is_current,
        };
        suspects.leftovers(lead, look, known)
    }

    /// Takes one out, unless there is a doubt by now.
    async fn reap(
        &self,
        lead: Lead,
        look: &Look,
        leftover: &Leftover,
    ) -> Result<WriteOutcome, Stays> {
        let Leftover { id, pod, seen } = leftover;
        // The Lease was renewed since the look came, where it is still led.
        let Some(end) = self.gate.end(lead) else {
            return Ok(WriteOutcome::NotLeader);
        };
        let asked = timeout_at(end, self.is_left(look, leftover)).await;
        asked.unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
        let what = format!(
            "pool {}: agent {} ({id}) is taken out: its pod in namespace {} is gone, and it was \
             seen offline for {:.0?}",
            look.stand.key, pod.name, pod.namespace, seen
        );
        let (server, pool) = (&look.stand.server, look.pool);
        let write = || -> crate::ports::writes::Attempt<'_, ()> {
            Box::pin(async move {
                match server.remove(pool, *id).await? {
                    Removal::Removed => Ok(()),
                    Removal::WasGone => Err(WriteError::Gone),
                    Removal::Busy { .. } => Err(WriteError::Conflict),
                }
            })
        };
        Ok(self.gate.write(Writer::Reaper, lead, &what, write).await)
    }

    /// Asks its pool and the cluster once more.
    async fn is_left(&self, look: &Look, leftover: &Leftover) -> Result<(), Stays> {
        let Leftover { id, pod, .. } = leftover;
        let agent = look.stand.server.agent(look.pool, *id).await;
        let agent = agent.map_err(|error| error.to_string())?;
        let agent = agent.ok_or_else(|| "it is gone".to_owned())?;
        let before = look.agents.iter().find(|before| before.id == *id);
        if before.is_none_or(|before| before.status_changed != agent.status_changed) {
            return Err("it was online meanwhile".to_owned());
        }
        let pods = self.pods.agent_pods().borrow().clone();
        let stands = self.stands.stands().unwrap_or_default();
        let known = Known {
            cluster: self.settings.keeper.cluster(),
            pods: pods.as_deref(),
            namespaces: stands.namespaces.as_ref(),
            is_current: stands.is_current,
        };
        let key = &look.stand.key;
        let stand = stands.all.iter().find(|stand| stand.key == *key);
        let stand = stand.ok_or_else(|| "nobody names its pool any more".to_owned())?;
        let names = names(&look.agents);
        match pod_of(&agent, stand, &names, known) {
            Err(keep) => return Err(keep.to_string()),
            Ok(named) if named != *pod => return Err("it has another name".to_owned()),
            Ok(_) => {}
        }
        match self.pods.is_there(pod).await {
            Ok(false) => Ok(()),
            Ok(true) => Err("its pod is there".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

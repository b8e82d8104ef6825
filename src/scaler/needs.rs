//! What each scaling object needs, for the guard.
//!
//! May import: its siblings, pools, ports, domain. Invariants: only scaling objects
//! that the cluster declares are told of, each by readings of all its pools; where
//! one of them is not known, or not known for sure to be of the right organization,
//! nobody is told who is idle; a number is told only where KEDA would be told it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::{sync::watch, time::Instant};

use super::{
    Inner, Scaler, declarations::TriggerKey, explain::decided, parallel_jobs::Told,
    registered::Registered,
};
use crate::{
    domain::{
        declared::{Declared, Kind},
        job::JobState,
        pool::Queue,
        profile::ScalingObject,
    },
    pools::{View, WatchedPool},
    ports::writes::{Busy, Need, Needs, Raise},
};

/// What one trigger adds.
struct Part {
    read_at: Option<Instant>,
    busy: Arc<Busy>,
    /// How many agents it needs, where it is to be raised and that is known.
    agents: Option<u32>,
}

/// What all triggers of a scaling object add.
struct Whole {
    declared: Arc<Declared>,
    parts: Vec<Part>,
    /// Is there a part of each of them?
    is_known: bool,
}

impl Needs for Scaler {
    fn needs(&self) -> Vec<Need> {
        needs(&self.inner)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.pools.readings().subscribe()
    }

    fn keep(&self) {
        for registered in self.inner.registry.known.all_written() {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move {
                // Where it cannot be found, that is told elsewhere.
                let _ = inner.destination(&registered).await;
            });
        }
    }
}

fn needs(inner: &Inner) -> Vec<Need> {
    let mut parts: HashMap<TriggerKey, Vec<Part>> = HashMap::new();
    for watched in inner.pools.all() {
        add_parts(inner, &watched, &mut parts);
    }
    let mut objects: BTreeMap<(ScalingObject, Kind), Whole> = BTreeMap::new();
    for (key, declared) in inner.registry.known.declared_triggers() {
        let object = (key.0.clone(), declared.kind);
        let whole = objects.entry(object).or_insert_with(|| Whole {
            declared,
            parts: Vec::new(),
            is_known: true,
        });
        let found = parts.remove(&key).unwrap_or_default();
        whole.is_known &= !found.is_empty();
        whole.parts.extend(found);
    }
    objects.into_values().map(|whole| need(&whole)).collect()
}

fn need(whole: &Whole) -> Need {
    let (declared, parts) = (&whole.declared, &whole.parts);
    let moments = parts.iter().map(|part| part.read_at);
    let oldest = moments.reduce(|one, other| Some(one?.min(other?)));
    let agents = parts.iter().filter_map(|part| part.agents).max();
    let may_raise = !declared.paused && !declared.scaling_out_paused;
    let deployment = declared.deployment.as_ref().filter(|_| may_raise);
    Need {
        object: declared.object.clone(),
        agents_named: declared.agents_named.clone(),
        read_at: oldest.flatten().filter(|_| whole.is_known),
        busy: parts.iter().map(|part| Arc::clone(&part.busy)).collect(),
        raise: deployment.zip(agents).map(|(deployment, agents)| Raise {
            deployment: deployment.clone(),
            replicas: agents.min(declared.max_agents),
        }),
    }
}

/// What a pool says of the triggers that it is read for.
fn add_parts(
    inner: &Inner,
    watched: &Arc<WatchedPool>,
    parts: &mut HashMap<TriggerKey, Vec<Part>>,
) {
    let view = watched.view();
    let Some(decided) = decided(inner, watched, &view) else {
        return;
    };
    let read_at = read_at(inner, &view);
    let busy = Arc::new(busy(&decided.queue));
    for registered in &decided.triggers {
        // Whose own credential reads the pool, and of the organization that is
        // meant: what stands in place of a variable, only KEDA knows.
        let is_own = registered.address.source == watched.key().source;
        let is_meant = registered.key.variables != 0 || !names_a_variable(registered);
        if !is_own || !is_meant || !inner.registry.is_current(registered) {
            continue;
        }
        let key = (registered.key.object.clone(), registered.key.trigger);
        let agents = read_at.and_then(|_| agents(inner, &decided, registered));
        parts.entry(key).or_default().push(Part {
            read_at,
            busy: Arc::clone(&busy),
            agents,
        });
    }
}

/// When a reading began that is good enough to act on.
fn read_at(inner: &Inner, view: &View) -> Option<Instant> {
    let snapshot = view.snapshot.as_ref()?;
    let is_good = view.failure.is_none() && !snapshot.is_stale(inner.settings.max_stale);
    is_good.then_some(snapshot.read_at)
}

/// Does its organization come out of a variable, by what the cluster declares?
pub(super) fn names_a_variable(registered: &Registered) -> bool {
    const KEY: &str = "organizationURLFromEnv";
    let declared = registered.declared.as_ref();
    declared.is_none_or(|declared| {
        let mut triggers = declared.triggers.iter();
        triggers.any(|trigger| trigger.get(KEY).is_some_and(|name| !name.trim().is_empty()))
    })
}

/// How many agents KEDA would make of the number.
fn agents(inner: &Inner, decided: &Told, registered: &Arc<Registered>) -> Option<u32> {
    let trigger = &registered.trigger;
    if !trigger.direct_scale_up || inner.check_learning(registered).is_err() {
        return None;
    }
    let number = decided.number(registered)?.value();
    let agents = match number > trigger.activation {
        true => number.div_ceil(u64::from(trigger.jobs_per_agent.max(1))),
        false => 0,
    };
    Some(u32::try_from(agents).unwrap_or(u32::MAX))
}

fn busy(queue: &Queue) -> Busy {
    let mut busy = Busy::new();
    for job in queue.jobs() {
        let Some(agent) = &job.agent else {
            continue;
        };
        let jobs = busy.entry(agent.to_lowercase().into()).or_default();
        if job.state == JobState::Running {
            jobs.insert(job.id.0);
        }
    }
    busy
}

//! Suspects: agents that may have been left behind by their pods, and since when
//! each was seen to be offline.
//!
//! May import: ports, domain. Invariants: any doubt keeps an agent; the time counts
//! only while this replica leads, by its own clock, and from anew after each doubt and
//! after each gap in what was seen; whoever has a session or a job is no suspect.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::election::Lead;
use crate::{
    domain::{
        keeper::is_given_name,
        leftover::{CLUSTER, OWNER, PLACEHOLDER, capability},
        pool::PoolId,
        registration::{AgentId, RegisteredAgent},
    },
    ports::{
        stands::{Stand, StandKey},
        writes::{AgentPodsSeen, PodName},
    },
};

/// A pool as it was just seen.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) stand: Stand,
    pub(super) pool: PoolId,
    pub(super) agents: Vec<RegisteredAgent>,
    /// When it began.
    pub(super) began: Instant,
}

/// What is known beside.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// This cluster's name.
    pub(super) cluster: &'a str,
    /// The pods; `None` until all of them have been read once.
    pub(super) pods: Option<&'a AgentPodsSeen>,
    /// The namespaces that are watched; `None` for all.
    pub(super) namespaces: Option<&'a BTreeSet<Box<str>>>,
    /// Is all that is watched seen now?
    pub(super) is_current: bool,
}

/// Why an agent stays: the first of these that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It has a job.
    Busy,
    /// It has a session.
    Online,
    /// It is there so that jobs wait.
    Placeholder,
    /// It does not say of which namespace it is, so that it is none of azp-agent's.
    Unmarked,
    /// It does not say of which cluster it is, or of another one.
    OtherCluster,
    /// Another agent is called the same.
    Namesake,
    /// Nothing is known of its namespace.
    NotWatched,
    /// No scaling object of its namespace that names this pool has such agents.
    NotDeclared,
    /// The cluster is not seen, or not all of it.
    PodsUnknown,
    /// Its pod is there.
    PodThere,
}

/// A suspect that has been one for long enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    pub(super) id: AgentId,
    pub(super) pod: PodName,
    pub(super) seen: Duration,
}

/// One.
#[derive(Debug)]
struct Suspect {
    name: Box<str>,
    /// What the server says of when it went offline: another time is another going.
    status_changed: Option<Timestamp>,
    since: Instant,
}

/// What is known of a pool.
#[derive(Debug)]
struct Watched {
    looked: Instant,
    suspects: HashMap<AgentId, Suspect>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Suspects {
    term: u64,
    offline_for: Duration,
    /// After so long without a look, nothing is known of what was between.
    longest_gap: Duration,
    pools: BTreeMap<StandKey, Watched>,
}

/// Is there any doubt about this agent, the time that it was seen aside? `names` are
/// those of all agents of its pool, in small letters, each as often as it is there.
///
/// # Errors
/// Why it stays.
pub(super) fn pod_of(
    agent: &RegisteredAgent,
    stand: &Stand,
    names: &HashMap<String, usize>,
    known: Known<'_>,
) -> Result<PodName, Keep> {
    if agent.assigned.is_some() {
        return Err(Keep::Busy);
    }
    if agent.online {
        return Err(Keep::Online);
    }
    if capability(agent, PLACEHOLDER).is_some() || is_given_name(&agent.name) {
        return Err(Keep::Placeholder);
    }
    let namespace = capability(agent, OWNER).ok_or(Keep::Unmarked)?;
    if capability(agent, CLUSTER) != Some(known.cluster) {
        return Err(Keep::OtherCluster);
    }
    if names.get(&agent.name.to_lowercase()) != Some(&1) {
        return Err(Keep::Namesake);
    }
    let watched = known.namespaces;
    if !watched.is_none_or(|watched| watched.contains(namespace)) {
        return Err(Keep::NotWatched);
    }
    let pod = PodName::new(namespace, &agent.name);
    let mut profiles = stand.profiles.iter().filter(|profile| {
        let rest = agent.name.strip_prefix(&*profile.agents_named);
        *profile.object.namespace == *namespace && rest.is_some_and(|rest| rest.starts_with('-'))
    });
    let profile = profiles.next().ok_or(Keep::NotDeclared)?;
    let of = (
        profile.object.namespace.clone(),
        profile.agents_named.clone(),
    );
    let pods = known
        .pods
        .filter(|pods| known.is_current && pods.named.contains(&of));
    match pods.ok_or(Keep::PodsUnknown)?.pods.contains_key(&pod) {
        true => Err(Keep::PodThere),
        false => Ok(pod),
    }
}

/// How often each name is there.
pub(super) fn names(agents: &[RegisteredAgent]) -> HashMap<String, usize> {
    let mut names = HashMap::new();
    for agent in agents {
        *names.entry(agent.name.to_lowercase()).or_default() += 1;
    }
    names
}

// === impl Suspects ===

impl Suspects {
    pub(super) fn new(offline_for: Duration, longest_gap: Duration) -> Self {
        Self {
            term: 0,
            offline_for,
            longest_gap,
            pools: BTreeMap::new(),
        }
    }

    /// Takes a look in; tells what may go, the longest offline first.
    pub(super) fn leftovers(&mut self, lead: Lead, look: &Look, known: Known<'_>) -> Vec<Leftover> {
        if self.term != lead.term {
            self.pools.clear();
            self.term = lead.term;
        }
        let at = look.began;
        let gap = self.longest_gap;
        // What nobody names any more is forgotten with the time.
        self.pools
            .retain(|_, pool| at.saturating_duration_since(pool.looked) <= gap);
        if at < lead.since {
            return Vec::new();
        }
        let before = self.pools.remove(&look.stand.key);
        let before = before.map(|pool| pool.suspects).unwrap_or_default();
        let names = names(&look.agents);
        let mut suspects = HashMap::new();
        let mut leftovers = Vec::new();
        for agent in &look.agents {
            if let Ok(pod) = pod_of(agent, &look.stand, &names, known) {
                let same = before.get(&agent.id).filter(|before| {
                    before.name == agent.name && before.status_changed == agent.status_changed
                });
                let since = same.map_or(at, |before| before.since);
                let seen = at.saturating_duration_since(since);
                suspects.insert(
                    agent.id,
                    Suspect {
                        name: agent.name.clone(),
                        status_changed: agent.status_changed,
                        since,
                    },
                );
                if seen >= self.offline_for {
                    leftovers.push(Leftover {
                        id: agent.id,
                        pod,
                        seen,
                    });
                }
            }
        }
        let watched = Watched {
            looked: at,
            suspects,
        };
        self.pools.insert(look.stand.key.clone(), watched);
        leftovers.sort_by_key(|leftover| (std::cmp::Reverse(leftover.seen), leftover.id));
        leftovers
    }

    /// For how long an agent of the pool that was just looked at is a suspect.
    ///
    /// # Errors
    /// Why it is none.
    #[cfg(test)]
    pub(super) fn seen(
        &self,
        look: &Look,
        known: Known<'_>,
        agent: &RegisteredAgent,
    ) -> Result<Duration, Keep> {
        pod_of(agent, &look.stand, &names(&look.agents), known)?;
        let suspect = &self.pools[&look.stand.key].suspects[&agent.id];
        Ok(look.began.saturating_duration_since(suspect.since))
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("it has a job"),
            Self::Online => f.write_str("it is online"),
            Self::Placeholder => f.write_str("it is a placeholder"),
            Self::Unmarked => write!(f, "its capability {OWNER} is missing"),
            Self::OtherCluster => {
                write!(
                    f,
                    "its capability {CLUSTER} is missing, or names another cluster"
                )
            }
            Self::Namesake => f.write_str("another agent is called the same"),
            Self::NotWatched => f.write_str("its namespace is not watched"),
            Self::NotDeclared => {
                f.write_str("no scaling object of its namespace has such agents in this pool")
            }
            Self::PodsUnknown => f.write_str("it is not known which pods there are"),
            Self::PodThere => f.write_str("its pod is there"),
        }
    }
}

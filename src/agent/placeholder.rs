//! Placeholders: agents of an owner that never go online, kept in their pools.
//!
//! May import: ports, domain. Invariants: all pools are looked at before anything
//! is changed in one of them; where an agent of somebody else has a placeholder's
//! name, nothing is, unless a scaler keeps it; first comes what is missing and last what is too much, so that
//! at no instant less is registered than before and after.
//!
//! What fails in passing is tried again from the beginning, with a new look, so that
//! an answer that was lost on its way does no harm.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    domain::{
        keeper::is_keepers,
        placeholder::{Change, Foreign, Placeholder, Plan, Surplus, plan},
        pool::{PoolId, PoolRef, same_name},
        registration::{AgentId, RegisteredAgent},
    },
    ports::{
        ReadError,
        placeholders::{Placeholders, Registering},
        registrations::Removal,
    },
};

/// The pauses between two tries, the first and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// What an owner wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The mark.
    pub owner: Box<str>,
    /// The pools that are looked at, each once, and the placeholders in each.
    pub pools: Vec<WantedInPool>,
}

/// What an owner wants in one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedInPool {
    /// The pool's name.
    pub pool: Box<str>,
    /// Its placeholders; none where all of the owner's are to go.
    pub placeholders: Vec<Placeholder>,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// What was done, in that order; then what was right already.
    pub done: Vec<Done>,
    /// Why it is not whole.
    pub outcome: Result<(), Undone>,
}

/// Something that was done, or need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The pool.
    pub pool: Box<str>,
    /// The placeholder.
    pub name: Box<str>,
    /// What.
    pub what: Deed,
}

/// What became of a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It was not there.
    Registered(AgentId),
    /// It had other capabilities, or was disabled.
    Updated,
    /// It was right.
    WasRight,
    /// A scaler keeps one of this name, as its trigger says.
    ScalerKeeps,
    /// Nobody names it any more.
    Removed,
    /// It was to go, and somebody runs an agent by its name.
    InUse,
}

/// Why it is not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// Agents of these names are somebody else's; this look changed nothing.
    #[error("{}; choose another name, or remove that agent", in_pools(.0))]
    Foreign(Vec<(Box<str>, Foreign)>),
    /// An agent of this name is there, and is not among those that are told.
    #[error(
        "pool {pool}: the name {name:?} is taken by an agent that this credential does not see; \
         choose another name, or give the credential the role Administrator on the pool"
    )]
    NameTaken {
        /// The pool.
        pool: Box<str>,
        /// The name.
        name: Box<str>,
    },
    /// An agent runs by the name of a placeholder that was to go.
    #[error(
        "pool {pool}: {name:?} was to go, and an agent runs by its name; stop that agent and try \
         again, or remove it by hand"
    )]
    InUse {
        /// The pool.
        pool: Box<str>,
        /// The placeholder.
        name: Box<str>,
    },
    /// It would not help to ask again.
    #[error("pool {pool}: {error}")]
    Refused {
        /// The pool.
        pool: Box<str>,
        /// Why.
        error: ReadError,
    },
    /// It did not go by within the time that there was.
    #[error("pool {pool}: {error}; that is how it was for {within:?} (--within)")]
    NoAnswer {
        /// The time.
        within: Duration,
        /// The pool that was asked last.
        pool: Box<str>,
        /// The last failure.
        error: ReadError,
    },
}

/// Keeps the placeholders of one owner.
struct Keeper<'a> {
    server: &'a dyn Placeholders,
    wanted: &'a Wanted,
    done: Vec<Done>,
    /// The pool that is asked.
    pool: Box<str>,
}

/// Why a pass ended early.
enum Stopped {
    Undone(Undone),
    /// Somebody was faster by this name. The next look tells who.
    NameTaken(Box<str>),
    Failed(ReadError),
}

/// Makes the owner's placeholders in these pools the wanted ones, and no others.
pub async fn keep(server: &dyn Placeholders, wanted: &Wanted, within: Duration) -> Report {
    let deadline = Instant::now() + within;
    let mut keeper = Keeper {
        server,
        wanted,
        done: Vec::new(),
        pool: Box::default(),
    };
    let mut pause = PAUSES[0];
    let outcome = loop {
        let stopped = match timeout_at(deadline, keeper.pass()).await {
            Ok(Ok(())) => break Ok(()),
            Ok(Err(stopped)) => stopped,
            Err(_) => Stopped::Failed(ReadError::TimedOut { limit: within }),
        };
        let pool = keeper.pool.clone();
        let undone = match stopped {
            Stopped::Undone(undone) => break Err(undone),
            Stopped::Failed(error) if !error.may_pass() => {
                break Err(Undone::Refused { pool, error });
            }
            Stopped::Failed(error) => Undone::NoAnswer {
                within,
                pool,
                error,
            },
            Stopped::NameTaken(name) => Undone::NameTaken { pool, name },
        };
        if Instant::now() + pause >= deadline {
            break Err(undone);
        }
        tracing::warn!(reason = %undone, ?pause, "it is tried again");
        sleep(pause).await;
        pause = (2 * pause).min(PAUSES[1]);
    };
    Report {
        done: keeper.done,
        outcome,
    }
}

// === impl Keeper ===

impl Keeper<'_> {
    /// Looks at every pool, and does what there is to do.
    async fn pass(&mut self) -> Result<(), Stopped> {
        let wanted = self.wanted;
        // One that was in use may have gone by itself meanwhile.
        self.done.retain(|done| done.what != Deed::InUse);
        let mut seen = Vec::with_capacity(wanted.pools.len());
        for wanted in &wanted.pools {
            self.pool = wanted.pool.clone();
            let pool = PoolRef::Name(wanted.pool.clone());
            match self.server.agents(&pool).await {
                // Where nothing is to be, nothing is missing.
                Err(error @ ReadError::PoolNotFound { .. }) if wanted.placeholders.is_empty() => {
                    tracing::warn!(%error, "there are no placeholders to be removed");
                }
                found => seen.push((wanted, found?)),
            }
        }
        let plans = seen.iter();
        let plans: Vec<_> = plans
            .map(|(wanted, (id, agents))| (&wanted.pool, *id, self.plan(wanted, agents)))
            .collect();
        let foreign: Vec<_> = plans
            .iter()
            .flat_map(|(pool, _, plan)| {
                let foreign = plan.foreign.iter().filter(|one| !is_scalers(one));
                foreign.map(|one| ((*pool).clone(), one.clone()))
            })
            .collect();
        if !foreign.is_empty() {
            return Err(Stopped::Undone(Undone::Foreign(foreign)));
        }
        for (pool, id, plan) in &plans {
            self.pool = (*pool).clone();
            for placeholder in &plan.missing {
                self.register(*id, placeholder).await?;
            }
            for change in &plan.changed {
                self.update(*id, change).await?;
            }
        }
        for (pool, id, plan) in &plans {
            self.pool = (*pool).clone();
            for surplus in &plan.surplus {
                self.remove(*id, surplus).await?;
            }
        }
        for (pool, _, plan) in &plans {
            self.pool = (*pool).clone();
            for right in &plan.right {
                self.note(&right.name, Deed::WasRight);
            }
            for foreign in &plan.foreign {
                self.note(&foreign.name, Deed::ScalerKeeps);
            }
        }
        self.in_use()
    }

    fn plan<'a>(&self, wanted: &'a WantedInPool, agents: &[RegisteredAgent]) -> Plan<'a> {
        plan(&self.wanted.owner, &wanted.placeholders, agents)
    }

    async fn register(&mut self, pool: PoolId, placeholder: &Placeholder) -> Result<(), Stopped> {
        let registration = placeholder.registration(&self.wanted.owner);
        let id = match self.server.register(pool, &registration).await? {
            Registering::Registered(id) => id,
            Registering::NameTaken => return Err(Stopped::NameTaken(placeholder.name.clone())),
        };
        self.note(&placeholder.name, Deed::Registered(id));
        // ASSUMPTION(registered-with-user-capabilities): it may have come without
        // them, so that they are told in the way that is known to work.
        let told = self.server.tell_capabilities(pool, id, &registration.user);
        Ok(told.await?)
    }

    async fn update(&mut self, pool: PoolId, change: &Change<'_>) -> Result<(), Stopped> {
        let Change {
            id, placeholder, ..
        } = *change;
        if change.capabilities {
            let user = placeholder.user(&self.wanted.owner);
            self.server.tell_capabilities(pool, id, &user).await?;
        }
        if change.disabled {
            let enabled = self.server.set_enabled(pool, id, &placeholder.name, true);
            enabled.await?;
        }
        self.note(&placeholder.name, Deed::Updated);
        Ok(())
    }

    async fn remove(&mut self, pool: PoolId, surplus: &Surplus) -> Result<(), Stopped> {
        let busy = surplus.in_use
            || matches!(
                self.server.remove(pool, surplus.id).await?,
                Removal::Busy { .. }
            );
        self.note(
            &surplus.name,
            if busy { Deed::InUse } else { Deed::Removed },
        );
        Ok(())
    }

    /// Notes what was done, the first time: what a second pass finds right is what
    /// the first one did.
    fn note(&mut self, name: &str, what: Deed) {
        let told = |done: &&mut Done| done.pool == self.pool && same_name(&done.name, name);
        match self.done.iter_mut().find(told) {
            // It is gone after all.
            Some(done) if done.what == Deed::InUse => done.what = what,
            Some(_) => {}
            None => self.done.push(Done {
                pool: self.pool.clone(),
                name: name.into(),
                what,
            }),
        }
    }

    fn in_use(&self) -> Result<(), Stopped> {
        let in_use = self.done.iter().find(|done| done.what == Deed::InUse);
        in_use.map_or(Ok(()), |done| {
            Err(Stopped::Undone(Undone::InUse {
                pool: done.pool.clone(),
                name: done.name.clone(),
            }))
        })
    }
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

/// Where a trigger names a placeholder, a scaler may have been faster than this; it
/// makes of it what the trigger says, and takes it away when the trigger is gone.
fn is_scalers(foreign: &Foreign) -> bool {
    foreign.owner.as_deref().is_some_and(is_keepers)
}

fn in_pools(foreign: &[(Box<str>, Foreign)]) -> String {
    let told = foreign
        .iter()
        .map(|(pool, foreign)| format!("in pool {pool} {foreign}"));
    told.collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}: ", self.pool, self.name)?;
        match self.what {
            Deed::Registered(id) => write!(f, "registered ({id})"),
            Deed::Updated => f.write_str("updated"),
            Deed::WasRight => f.write_str("as it should be"),
            Deed::ScalerKeeps => f.write_str("azp-scaler keeps it"),
            Deed::Removed => f.write_str("removed"),
            Deed::InUse => f.write_str("stays: an agent runs by its name"),
        }
    }
}

#[cfg(test)]
#[path = "placeholder_tests.rs"]
mod tests;

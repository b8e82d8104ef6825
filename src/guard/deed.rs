//! Deeds: what is to be done with placeholders in a pool, and how it is done.
//!
//! May import: its siblings, ports, domain. Invariants: each is one write that passes
//! the gate; what is to be taken away is looked at once more just before, and stays
//! where it is not what it was, or is wanted again.

use std::{collections::BTreeSet, fmt};

use tokio::time::timeout_at;

use super::{book::is_wanted, election::Lead, gate::Gate};
use crate::{
    domain::{
        keeper::Keeper,
        placeholder::{CapabilityMap, Registration, owner_of},
        pool::PoolId,
        profile::ScalingObject,
        registration::AgentId,
    },
    ports::{
        placeholders::{Placeholders, Registering},
        registrations::Removal,
        stands::{PoolStands, Stand, StandKey},
        writes::{Attempt, WriteError},
    },
    telemetry::metrics::{WriteOutcome, Writer},
};

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// One that is not there.
    Register(Registration),
    /// One that is not as it should be.
    Update {
        id: AgentId,
        name: Box<str>,
        /// What it should have, where that differs.
        user: Option<CapabilityMap>,
        /// Is it disabled?
        enable: bool,
    },
    /// One that nobody wants.
    Remove {
        id: AgentId,
        name: Box<str>,
        mark: Box<str>,
        /// Stands that are known to be other pools.
        elsewhere: BTreeSet<StandKey>,
    },
}

/// An agent of somebody else's that has the name of a placeholder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Foreigner {
    /// Whose placeholder is called so.
    pub(super) object: ScalingObject,
    /// Does it do what the placeholder is for?
    pub(super) holds: bool,
    /// Which agent, and whose.
    pub(super) who: String,
}

/// Where it is done.
pub(super) struct Place<'a> {
    pub(super) gate: &'a Gate,
    pub(super) stands: &'a dyn PoolStands,
    pub(super) keeper: &'a Keeper,
    pub(super) stand: &'a Stand,
    pub(super) pool: PoolId,
}

// === impl Deed ===

impl Deed {
    /// Does it, if this replica still leads; `None` where there is nothing to do after
    /// all.
    pub(super) async fn done(&self, place: &Place<'_>, lead: Lead) -> Option<WriteOutcome> {
        if let Self::Remove { .. } = self
            && !self.is_still_to_be_removed(place, lead).await
        {
            return None;
        }
        let what = format!("pool {}: {self}", place.stand.key);
        let write = || self.write(&*place.stand.server, place.pool);
        let written = place.gate.write(Writer::Placeholders, lead, &what, write);
        Some(written.await)
    }

    fn write<'a>(&'a self, server: &'a dyn Placeholders, pool: PoolId) -> Attempt<'a, ()> {
        Box::pin(async move {
            match self {
                Self::Register(registration) => {
                    match server.register(pool, registration).await? {
                        // ASSUMPTION(registered-with-user-capabilities): it may have come
                        // without them, so that they are told in the way that is known.
                        Registering::Registered(id) => {
                            server
                                .tell_capabilities(pool, id, &registration.user)
                                .await?;
                        }
                        Registering::NameTaken => return Err(WriteError::Conflict),
                    }
                }
                Self::Update {
                    id,
                    name,
                    user,
                    enable,
                } => {
                    if let Some(user) = user {
                        server.tell_capabilities(pool, *id, user).await?;
                    }
                    if *enable {
                        server.set_enabled(pool, *id, name, true).await?;
                    }
                }
                Self::Remove { id, .. } => match server.remove(pool, *id).await? {
                    Removal::Removed => {}
                    Removal::WasGone => return Err(WriteError::Gone),
                    Removal::Busy { .. } => return Err(WriteError::Conflict),
                },
            }
            Ok(())
        })
    }

    /// Is it what it was, and does nobody want it, by what is known just now?
    async fn is_still_to_be_removed(&self, place: &Place<'_>, lead: Lead) -> bool {
        let Self::Remove {
            id,
            name,
            mark,
            elsewhere,
        } = self
        else {
            return false;
        };
        let stand = place.stand;
        let Some(end) = place.gate.end(lead) else {
            return false;
        };
        let agent = timeout_at(end, stand.server.agent(place.pool, *id)).await;
        let Ok(Ok(Some(agent))) = agent else {
            return false;
        };
        let is_same = agent.name == *name && owner_of(&agent) == Some(&**mark);
        let is_idle = !agent.online && agent.assigned.is_none();
        let (Some(object), Some(stands)) = (place.keeper.object(mark), place.stands.stands())
        else {
            return false;
        };
        let of = (&object, &**name);
        let wanted = is_wanted(&stands, &stand.key.organization, elsewhere, of);
        is_same && is_idle && stands.is_clear(&object) && !wanted
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(Registration { name, .. }) => {
                write!(f, "placeholder {name} is registered")
            }
            Self::Update { id, name, user, .. } => match user {
                Some(_) => write!(
                    f,
                    "placeholder {name} ({id}) has what its agents have again"
                ),
                None => write!(f, "placeholder {name} ({id}) is enabled again"),
            },
            Self::Remove { id, name, .. } => {
                write!(
                    f,
                    "placeholder {name} ({id}) is removed: nobody wants it any more"
                )
            }
        }
    }
}

impl fmt::Display for Foreigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, holds, who } = self;
        match holds {
            true => write!(
                f,
                "{who}, and holds the place of {object} as it is: it is left to whoever keeps it"
            ),
            false => write!(
                f,
                "{who}, is disabled or has not what the agents of {object} have, and is left alone: jobs may fail; give the trigger another name of a placeholder, or remove that agent"
            ),
        }
    }
}

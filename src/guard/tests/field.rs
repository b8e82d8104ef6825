//! Agent pools in memory, and who names them: all that is written to them is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _, ready};
use tokio::{sync::watch, time::sleep};

use super::super::PoolSettings;
use crate::{
    domain::{
        capability::Capabilities,
        job::RequestId,
        keeper::Keeper,
        leftover::{CLUSTER, OWNER},
        placeholder::{CapabilityMap, Placeholder, Registration, VERSION},
        pool::{PoolId, PoolRef, same_name},
        profile::ScalingObject,
        registration::{AgentId, RegisteredAgent},
    },
    ports::{
        ReadError, Right,
        placeholders::{Placeholders, Registering},
        registrations::{Asked, Registrations, Removal},
        stands::{PoolStands, Stand, StandKey, StandingProfile, Stands},
    },
};

/// One agent pool.
pub(in crate::guard) struct Pool {
    pub(in crate::guard) id: PoolId,
    agents: Mutex<Vec<RegisteredAgent>>,
    next: AtomicUsize,
    /// Whatever was written, in its order.
    pub(in crate::guard) writes: Mutex<Vec<String>>,
    pub(in crate::guard) looks: AtomicUsize,
    /// No agent may be changed.
    pub(in crate::guard) forbidden: AtomicBool,
    /// Nobody answers.
    pub(in crate::guard) down: AtomicBool,
    /// What is done to an agent just after it was listed.
    pub(in crate::guard) after_look: Mutex<Option<fn(&mut RegisteredAgent)>>,
}

/// Who names which pools.
#[derive(Default)]
pub(in crate::guard) struct Field {
    stands: Mutex<Option<Stands>>,
    declarations: watch::Sender<u64>,
}

pub(in crate::guard) fn keeper() -> Keeper {
    Keeper::new("west", "azp", "azp-scaler")
}

/// Ten minutes each, and a look a minute.
pub(in crate::guard) fn pool_settings() -> PoolSettings {
    PoolSettings {
        keeper: keeper(),
        look_every: Duration::from_secs(60),
        gone_for: Duration::from_secs(600),
        offline_for: Duration::from_secs(600),
    }
}

/// An agent that has no job and no listener.
pub(in crate::guard) fn agent(
    id: u32,
    name: &str,
    capabilities: &[(&str, &str)],
) -> RegisteredAgent {
    let capabilities = capabilities.iter();
    RegisteredAgent {
        id: AgentId(id),
        name: name.into(),
        version: VERSION.into(),
        enabled: true,
        online: false,
        assigned: None,
        last: None,
        created: None,
        status_changed: None,
        capabilities: capabilities
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

/// One that a pod of this cluster has left behind.
pub(in crate::guard) fn left(id: u32, name: &str) -> RegisteredAgent {
    agent(id, name, &[(OWNER, "ci"), (CLUSTER, "west")])
}

pub(in crate::guard) fn object(text: &str) -> ScalingObject {
    ScalingObject::parse(text).unwrap()
}

/// A profile of the agents of this name, whose placeholder has a name of its own or
/// not.
pub(in crate::guard) fn profile(of: &str, name: Option<&str>, has: &str) -> StandingProfile {
    let capabilities = Capabilities::parse(has).unwrap();
    let given = || keeper().name(&object(of), &capabilities);
    StandingProfile {
        object: object(of),
        agents_named: "agents".into(),
        placeholder: Some(Placeholder {
            name: name.map_or_else(given, Into::into),
            capabilities: capabilities.clone(),
        }),
    }
}

// === impl Pool ===

impl Pool {
    pub(in crate::guard) fn new(id: u32, agents: Vec<RegisteredAgent>) -> Arc<Self> {
        Arc::new(Self {
            id: PoolId(id),
            agents: Mutex::new(agents),
            next: AtomicUsize::new(100),
            writes: Mutex::default(),
            looks: AtomicUsize::default(),
            forbidden: AtomicBool::default(),
            down: AtomicBool::default(),
            after_look: Mutex::default(),
        })
    }

    /// It is named `linux` with this number, by these.
    pub(in crate::guard) fn stand(self: &Arc<Self>, profiles: Vec<StandingProfile>) -> Stand {
        let pool = PoolRef::Name(format!("linux-{}", self.id).into());
        Stand {
            key: StandKey {
                organization: "https://dev.azure.com/contoso".into(),
                credential: "one".into(),
                pool: pool.clone(),
            },
            pool,
            server: Arc::clone(self) as Arc<dyn Placeholders>,
            only: None,
            profiles,
        }
    }

    pub(in crate::guard) fn names(&self) -> Vec<String> {
        let agents = self.agents.lock().unwrap();
        agents.iter().map(|agent| agent.name.to_string()).collect()
    }

    pub(in crate::guard) fn get(&self, name: &str) -> RegisteredAgent {
        let agents = self.agents.lock().unwrap();
        let found = agents.iter().find(|agent| *agent.name == *name);
        found
            .unwrap_or_else(|| panic!("no {name} in {agents:?}"))
            .clone()
    }

    /// Somebody else changes its agents.
    pub(in crate::guard) fn change(&self, change: impl FnOnce(&mut Vec<RegisteredAgent>)) {
        change(&mut self.agents.lock().unwrap());
    }

    pub(in crate::guard) fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }

    fn passes(&self) -> Asked<()> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(ReadError::Server { status: 503 }),
            false => Ok(()),
        }
    }

    fn write<T>(&self, what: String, act: impl FnOnce(&mut Vec<RegisteredAgent>) -> T) -> Asked<T> {
        self.passes()?;
        if self.forbidden.load(Ordering::SeqCst) {
            return Err(ReadError::Forbidden {
                right: Right::Manage,
                message: "Access denied".into(),
            });
        }
        self.writes.lock().unwrap().push(what);
        Ok(act(&mut self.agents.lock().unwrap()))
    }
}

impl Registrations for Pool {
    fn agents<'a>(
        &'a self,
        pool: &'a PoolRef,
    ) -> BoxFuture<'a, Asked<(PoolId, Vec<RegisteredAgent>)>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let own = [
            PoolRef::Id(self.id),
            PoolRef::Name(format!("linux-{}", self.id).into()),
        ];
        assert!(own.contains(pool), "{pool}");
        let listed = self.passes().map(|()| {
            let mut agents = self.agents.lock().unwrap();
            let listed = agents.clone();
            if let Some(change) = *self.after_look.lock().unwrap() {
                agents.iter_mut().for_each(change);
            }
            (self.id, listed)
        });
        ready(listed).boxed()
    }

    fn agent(&self, _: PoolId, id: AgentId) -> BoxFuture<'_, Asked<Option<RegisteredAgent>>> {
        let agents = self.agents.lock().unwrap();
        let agent = agents.iter().find(|agent| agent.id == id).cloned();
        let answer = self.passes().map(|()| agent);
        // As a server takes its time, so that what comes too late is given up.
        async move {
            sleep(Duration::from_millis(50)).await;
            answer
        }
        .boxed()
    }

    fn agent_named<'a>(
        &'a self,
        _: &'a PoolRef,
        _: &'a str,
    ) -> BoxFuture<'a, Asked<(PoolId, Option<RegisteredAgent>)>> {
        panic!("nobody asks for a name")
    }

    fn set_enabled<'a>(
        &'a self,
        _: PoolId,
        id: AgentId,
        name: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Asked<()>> {
        let done = self.write(format!("enable {name}: {enabled}"), |agents| {
            let agent = agents.iter_mut().find(|agent| agent.id == id).unwrap();
            agent.enabled = enabled;
        });
        ready(done).boxed()
    }

    fn remove(&self, _: PoolId, id: AgentId) -> BoxFuture<'_, Asked<Removal>> {
        let agents = self.agents.lock().unwrap().clone();
        let Some(agent) = agents.into_iter().find(|agent| agent.id == id) else {
            return ready(Ok(Removal::WasGone)).boxed();
        };
        if agent.assigned.is_some() {
            let message = "it has a job".into();
            return ready(Ok(Removal::Busy { message })).boxed();
        }
        let done = self.write(format!("remove {}", agent.name), |agents| {
            agents.retain(|agent| agent.id != id);
            Removal::Removed
        });
        ready(done).boxed()
    }
}

impl Placeholders for Pool {
    fn register<'a>(
        &'a self,
        _: PoolId,
        registration: &'a Registration,
    ) -> BoxFuture<'a, Asked<Registering>> {
        let Registration { name, system, .. } = registration;
        let taken = self.names().iter().any(|other| same_name(other, name));
        if taken {
            return ready(Ok(Registering::NameTaken)).boxed();
        }
        let id = u32::try_from(self.next.fetch_add(1, Ordering::SeqCst)).unwrap();
        let done = self.write(format!("register {name}"), |agents| {
            let mut made = agent(id, name, &[]);
            made.capabilities = system.clone();
            agents.push(made);
            Registering::Registered(AgentId(id))
        });
        ready(done).boxed()
    }

    fn tell_capabilities<'a>(
        &'a self,
        _: PoolId,
        id: AgentId,
        capabilities: &'a CapabilityMap,
    ) -> BoxFuture<'a, Asked<()>> {
        let name = |agents: &[RegisteredAgent]| {
            let found = agents.iter().find(|agent| agent.id == id);
            found.map(|agent| agent.name.clone()).unwrap()
        };
        let name = name(&self.agents.lock().unwrap());
        let done = self.write(format!("tell {name}"), |agents| {
            let agent = agents.iter_mut().find(|agent| agent.id == id).unwrap();
            let own: BTreeMap<_, _> = agent.capabilities.clone();
            agent.capabilities = own
                .into_iter()
                .filter(|(name, _)| name.contains('.') || **name == *"InteractiveSession")
                .chain(capabilities.clone())
                .collect();
        });
        ready(done).boxed()
    }
}

// === impl Field ===

impl Field {
    /// These are named from now on, and all is known.
    pub(in crate::guard) fn declare(&self, all: Vec<Stand>) {
        self.set(Stands {
            all,
            unclear: BTreeSet::new(),
            namespaces: None,
            is_current: true,
        });
    }

    pub(in crate::guard) fn set(&self, stands: Stands) {
        *self.stands.lock().unwrap() = Some(stands);
        self.declarations.send_modify(|count| *count += 1);
    }

    pub(in crate::guard) fn get(&self) -> Stands {
        self.stands.lock().unwrap().clone().unwrap()
    }

    /// The cluster has told nothing.
    pub(in crate::guard) fn forget(&self) {
        *self.stands.lock().unwrap() = None;
    }
}

impl PoolStands for Field {
    fn stands(&self) -> Option<Stands> {
        self.stands.lock().unwrap().clone()
    }

    fn declarations(&self) -> watch::Receiver<u64> {
        self.declarations.subscribe()
    }

    fn pause(&self, _: &StandKey) -> Option<Duration> {
        None
    }
}

/// A job, for an agent that is to have one.
pub(in crate::guard) const JOB: Option<RequestId> = Some(RequestId(7));

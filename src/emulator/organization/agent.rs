//! Agents as the organization keeps them: registered ones, online or not.
//!
//! May import: the domain's capabilities. Invariant: `capabilities` is always
//! what the two maps and the version field say together.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    credential::{ClientId, PublicKey},
    job::Job,
    message::Message,
    session::Session,
};
use crate::domain::{
    capability::Capabilities,
    job::{JobResult, RequestId},
};

/// The version of an agent that says none.
pub(in crate::emulator) const AGENT_VERSION: &str = "4.260.0";

/// An agent's number in its organization.
pub(in crate::emulator) type AgentId = u32;

/// Names and values, as they travel.
pub(in crate::emulator) type CapabilityMap = BTreeMap<String, String>;

/// An agent to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAgent {
    /// Its name; one of its kind in the pool, whatever the case.
    pub name: Box<str>,
    /// The agent's version, which also answers demands for `Agent.Version`.
    pub version: Box<str>,
    /// The system, for people.
    pub os_description: Box<str>,
    /// May it get new jobs?
    pub enabled: bool,
    /// Does it listen? A placeholder does not.
    pub online: bool,
    /// Does it go offline after its first job, as an agent does that was started
    /// with `--once`?
    pub once: bool,
    /// What it found by itself.
    pub system_capabilities: BTreeMap<String, String>,
    /// What people said of it.
    pub user_capabilities: BTreeMap<String, String>,
}

/// What may be changed of a registered agent; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub(in crate::emulator) struct AgentChange {
    pub(in crate::emulator) enabled: Option<bool>,
    pub(in crate::emulator) version: Option<Box<str>>,
    pub(in crate::emulator) os_description: Option<Box<str>>,
    pub(in crate::emulator) system_capabilities: Option<CapabilityMap>,
    pub(in crate::emulator) user_capabilities: Option<CapabilityMap>,
}

/// What a job keeps of its agent, which may be gone before the job is.
#[derive(Debug)]
pub(in crate::emulator) struct AgentIdentity {
    pub(in crate::emulator) id: AgentId,
    pub(in crate::emulator) name: Box<str>,
    pub(in crate::emulator) version: Box<str>,
    pub(in crate::emulator) os_description: Box<str>,
}

/// A registered agent.
#[derive(Debug)]
pub(in crate::emulator) struct Agent {
    pub(in crate::emulator) identity: Arc<AgentIdentity>,
    pub(in crate::emulator) enabled: bool,
    pub(in crate::emulator) online: bool,
    pub(in crate::emulator) once: bool,
    pub(in crate::emulator) created_at: Timestamp,
    pub(in crate::emulator) system_capabilities: CapabilityMap,
    pub(in crate::emulator) user_capabilities: CapabilityMap,
    /// Both maps and what the version field adds: what demands are held against.
    pub(in crate::emulator) capabilities: Capabilities,
    /// The job that it was given and has not ended.
    pub(in crate::emulator) job: Option<RequestId>,
    /// The job that it ended last.
    pub(in crate::emulator) last: Option<LastRequest>,
    /// When it came online or went offline last.
    pub(in crate::emulator) status_changed_at: Option<Timestamp>,
    /// Its listener's; `None` for one that is offline or simulated.
    pub(in crate::emulator) session: Option<Session>,
    /// What its listener has yet to take note of.
    pub(in crate::emulator) messages: VecDeque<Message>,
    pub(super) next_message: u64,
    /// Counts sessions, to number them.
    pub(super) sessions: u16,
    /// Whom it is for the authority; another one each time it is registered.
    pub(in crate::emulator) client: ClientId,
    /// What it was registered with; `None` where somebody made it by REST.
    pub(in crate::emulator) key: Option<PublicKey>,
}

/// What an agent keeps of a job that it ended, which the pool may forget.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) struct LastRequest {
    pub(in crate::emulator) id: RequestId,
    pub(in crate::emulator) result: JobResult,
    pub(in crate::emulator) queued_at: Timestamp,
    pub(in crate::emulator) assigned_at: Option<Timestamp>,
    pub(in crate::emulator) received_at: Option<Timestamp>,
    pub(in crate::emulator) finished_at: Timestamp,
}

// === impl NewAgent ===

impl NewAgent {
    /// An online agent as a Linux pod would bring it, with what every agent
    /// sends by itself and these capabilities, which win.
    ///
    /// Azure DevOps: the agent sends `Agent.Name`, `Agent.Version`,
    /// `Agent.ComputerName`, `Agent.HomeDirectory`, `Agent.OS`,
    /// `Agent.OSArchitecture` and `InteractiveSession`.
    pub fn in_pod<K: Into<String>, V: Into<String>>(
        name: &str,
        capabilities: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let own = [
            ("Agent.Name", name),
            ("Agent.Version", AGENT_VERSION),
            ("Agent.ComputerName", name),
            ("Agent.HomeDirectory", "/azp"),
            ("Agent.OS", "Linux"),
            ("Agent.OSArchitecture", "X64"),
            ("InteractiveSession", "False"),
        ];
        let mut system: CapabilityMap = capabilities
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for (key, value) in own {
            if !system.keys().any(|have| have.eq_ignore_ascii_case(key)) {
                system.insert(key.into(), value.into());
            }
        }
        Self {
            name: name.into(),
            version: AGENT_VERSION.into(),
            os_description: "Linux 6.8.0 #1 SMP".into(),
            enabled: true,
            online: true,
            once: false,
            system_capabilities: system,
            user_capabilities: CapabilityMap::new(),
        }
    }
}

// === impl Agent ===

impl Agent {
    pub(super) fn new(id: AgentId, new: NewAgent, at: Timestamp) -> Self {
        let mut agent = Self {
            identity: Arc::new(AgentIdentity {
                id,
                name: new.name,
                version: new.version,
                os_description: new.os_description,
            }),
            enabled: new.enabled,
            online: new.online,
            once: new.once,
            created_at: at,
            system_capabilities: new.system_capabilities,
            user_capabilities: new.user_capabilities,
            capabilities: Capabilities::default(),
            job: None,
            last: None,
            // ASSUMPTION(status-changed-on): it is not there before the first change.
            status_changed_at: new.online.then_some(at),
            session: None,
            messages: VecDeque::new(),
            next_message: 1,
            sessions: 0,
            client: ClientId::first(id),
            key: None,
        };
        agent.merge_capabilities();
        agent
    }

    pub(super) fn change(&mut self, change: AgentChange) {
        let was = &*self.identity;
        self.identity = Arc::new(AgentIdentity {
            id: was.id,
            name: was.name.clone(),
            version: change.version.unwrap_or_else(|| was.version.clone()),
            os_description: change
                .os_description
                .unwrap_or_else(|| was.os_description.clone()),
        });
        self.enabled = change.enabled.unwrap_or(self.enabled);
        if let Some(system) = change.system_capabilities {
            self.system_capabilities = system;
        }
        if let Some(user) = change.user_capabilities {
            self.user_capabilities = user;
        }
        self.merge_capabilities();
    }

    pub(super) fn set_online(&mut self, online: bool, at: Timestamp) {
        if self.online != online {
            self.online = online;
            self.status_changed_at = Some(at);
        }
    }

    /// May it be given a job now?
    pub(super) fn is_idle(&self) -> bool {
        self.online && self.enabled && self.job.is_none()
    }

    fn merge_capabilities(&mut self) {
        // ASSUMPTION(agent-version-field): an agent that was made by REST and
        // sent no Agent.Version has that of its version field; placeholders
        // with version 99.999.9 rely on it. So with Agent.Name.
        let own = [
            ("Agent.Name", &*self.identity.name),
            ("Agent.Version", &*self.identity.version),
        ];
        // ASSUMPTION(user-capabilities-win): of a user and a system capability
        // of one name, the user's counts.
        let both = self
            .system_capabilities
            .iter()
            .chain(&self.user_capabilities);
        let both = both.map(|(name, value)| (name.as_str(), value.as_str()));
        self.capabilities = own.into_iter().chain(both).collect();
    }
}

// === impl LastRequest ===

impl LastRequest {
    pub(super) fn of(job: &Job, result: JobResult, at: Timestamp) -> Self {
        Self {
            id: job.id,
            result,
            queued_at: job.queued_at,
            assigned_at: job.assigned_at,
            received_at: job.received_at,
            finished_at: at,
        }
    }
}

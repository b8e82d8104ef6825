//! Azure DevOps' JSON of an agent, whole and as job requests refer to it.
//!
//! May import: the organization, the envelope. Invariant: capabilities and the
//! assigned request are there only when they were asked for.

use serde::Serialize;

use super::{
    Links, Site, Stamp,
    guid::{Family, guid},
    job,
};
use crate::{
    domain::job::JobState,
    emulator::organization::{Agent, AgentIdentity, CapabilityMap, LastRequest, Pool, Session},
};
use secrecy::ExposeSecret as _;

/// An agent, as `GET agents` has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::emulator) struct AgentRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_capabilities: Option<&'a CapabilityMap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_capabilities: Option<&'a CapabilityMap>,
    max_parallelism: u32,
    created_on: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_changed_on: Option<Stamp>,
    authorization: Authorization<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_request: Option<AssignedRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_completed_request: Option<CompletedRequest>,
    #[serde(flatten)]
    reference: AgentReference<'a>,
}

/// An agent, as a job request refers to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::emulator) struct AgentReference<'a> {
    #[serde(rename = "_links", skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
    id: u32,
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_description: Option<&'a str>,
    // ASSUMPTION(disabled-is-told): a disabled agent has `"enabled":false`
    // rather than no such member.
    enabled: bool,
    status: &'static str,
    provisioning_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_point: Option<&'static str>,
}

/// A session, as `POST sessions` answers it. There is no key in it: messages
/// are not encrypted in here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::emulator) struct SessionRow<'a> {
    session_id: String,
    owner_name: &'a str,
    agent: AgentReference<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Authorization<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_url: Option<String>,
    client_id: String,
    public_key: PublicKey<'a>,
}

#[derive(Serialize)]
struct PublicKey<'a> {
    exponent: &'a str,
    modulus: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssignedRequest {
    request_id: u64,
    pool_id: u32,
    plan_type: &'static str,
}

/// The job that an agent ended last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CompletedRequest {
    request_id: u64,
    pool_id: u32,
    plan_type: &'static str,
    queue_time: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    assign_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_time: Option<Stamp>,
    finish_time: Stamp,
    result: Option<&'static str>,
}

/// What a request for agents wants beside the agents.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::emulator) struct AgentOptions {
    pub(in crate::emulator) capabilities: bool,
    pub(in crate::emulator) assigned_request: bool,
    pub(in crate::emulator) last_completed_request: bool,
    /// Who registers an agent is told how that one gets tokens.
    pub(in crate::emulator) registration: bool,
}

// === impl AgentRow ===

impl<'a> AgentRow<'a> {
    pub(in crate::emulator) fn new(
        agent: &'a Agent,
        pool: &Pool,
        options: AgentOptions,
        site: Site<'_>,
    ) -> Self {
        let wanted = |map: &'a CapabilityMap| options.capabilities.then_some(map);
        let job = agent.job.filter(|_| options.assigned_request);
        let last = agent.last.filter(|_| options.last_completed_request);
        Self {
            system_capabilities: wanted(&agent.system_capabilities),
            user_capabilities: wanted(&agent.user_capabilities),
            max_parallelism: 1,
            created_on: Stamp::stored(agent.created_at),
            status_changed_on: agent.status_changed_at.map(Stamp::stored),
            authorization: Authorization::of(agent, options, site),
            last_completed_request: last.map(|last| CompletedRequest::new(last, pool)),
            assigned_request: job.map(|id| AssignedRequest {
                request_id: id.0,
                pool_id: pool.id.0,
                plan_type: "Build",
            }),
            reference: AgentReference {
                os_description: Some(&agent.identity.os_description),
                access_point: Some(ACCESS_POINT),
                ..AgentReference::matched(agent, pool, site)
            },
        }
    }
}

impl<'a> Authorization<'a> {
    /// The modulus is a secret in here, so none but who sent it sees it again.
    fn of(agent: &'a Agent, options: AgentOptions, Site(base): Site<'_>) -> Self {
        let key = agent.key.as_ref().filter(|_| options.registration);
        Self {
            authorization_url: options
                .registration
                .then(|| format!("{base}/_apis/oauth2/token")),
            client_id: guid(Family::Client, agent.client.0),
            public_key: PublicKey {
                exponent: key.map_or("AQAB", |key| &key.exponent),
                modulus: key.map_or("AA==", |key| key.modulus.expose_secret()),
            },
        }
    }
}

// === impl CompletedRequest ===

impl CompletedRequest {
    fn new(last: LastRequest, pool: &Pool) -> Self {
        Self {
            request_id: last.id.0,
            pool_id: pool.id.0,
            plan_type: "Build",
            queue_time: Stamp::stored(last.queued_at),
            assign_time: last.assigned_at.map(Stamp::stored),
            receive_time: last.received_at.map(Stamp::ticks),
            finish_time: Stamp::ticks(last.finished_at),
            result: job::result(JobState::Finished(last.result)),
        }
    }
}

// === impl SessionRow ===

impl<'a> SessionRow<'a> {
    pub(in crate::emulator) fn new(session: &'a Session, agent: &'a Agent, pool: &Pool) -> Self {
        Self {
            session_id: guid(Family::Session, session.id.0),
            owner_name: &session.owner,
            agent: AgentReference::reserved(&agent.identity, pool),
        }
    }
}

const ACCESS_POINT: &str = "CodexAccessMapping";

// === impl AgentReference ===

impl<'a> AgentReference<'a> {
    /// As in `matchedAgents`: with links, without the system.
    pub(super) fn matched(agent: &'a Agent, pool: &Pool, site: Site<'_>) -> Self {
        Self {
            links: Some(site.agent_links(pool.id.0, agent.identity.id)),
            ..Self::new(&agent.identity, Some(agent))
        }
    }

    /// As in `reservedAgent`: with the system; the agent may be gone.
    pub(super) fn reserved(identity: &'a AgentIdentity, pool: &Pool) -> Self {
        Self {
            os_description: Some(&identity.os_description),
            access_point: Some(ACCESS_POINT),
            ..Self::new(identity, pool.agent(identity.id).ok())
        }
    }

    fn new(identity: &'a AgentIdentity, agent: Option<&Agent>) -> Self {
        let online = agent.is_some_and(|agent| agent.online);
        Self {
            links: None,
            id: identity.id,
            name: &identity.name,
            version: &identity.version,
            os_description: None,
            enabled: agent.is_none_or(|agent| agent.enabled),
            status: if online { "online" } else { "offline" },
            provisioning_state: "Provisioned",
            access_point: None,
        }
    }
}

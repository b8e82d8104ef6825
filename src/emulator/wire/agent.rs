//! Azure DevOps' JSON of an agent, whole and as job requests refer to it.
//!
//! May import: the organization, the envelope. Invariant: capabilities and the
//! assigned request are there only when they were asked for.

use serde::Serialize;

use super::{Links, Site, Stamp, guid};
use crate::emulator::organization::{Agent, AgentIdentity, CapabilityMap, Pool};

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
    authorization: Authorization,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_request: Option<AssignedRequest>,
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    client_id: String,
    public_key: PublicKey,
}

#[derive(Serialize)]
struct PublicKey {
    exponent: &'static str,
    modulus: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssignedRequest {
    request_id: u64,
    pool_id: u32,
    plan_type: &'static str,
}

/// What a request for agents wants beside the agents.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::emulator) struct AgentOptions {
    pub(in crate::emulator) capabilities: bool,
    pub(in crate::emulator) assigned_request: bool,
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
        Self {
            system_capabilities: wanted(&agent.system_capabilities),
            user_capabilities: wanted(&agent.user_capabilities),
            max_parallelism: 1,
            created_on: Stamp::stored(agent.created_at),
            authorization: Authorization {
                client_id: guid(0xa6e7, agent.identity.id.into()),
                public_key: PublicKey {
                    exponent: "AQAB",
                    modulus: "AA==",
                },
            },
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

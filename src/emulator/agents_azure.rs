//! Azure's routes of agents: listing, registering, disabling, capabilities.
//!
//! May import: the organization and the wire. Invariant: a body that the real
//! service would refuse is refused here, so that a client cannot get used to it.

use axum::{http::StatusCode, response::Response};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    organization::{
        AGENT_VERSION, Agent, AgentChange, AgentId, CapabilityMap, NewAgent, Organization,
        PublicKey, Refusal,
    },
    parameters::Parameters,
    refusals_azure::bad_request,
    wire::{self, AgentOptions, AgentRow, Listing, Site},
};
use crate::domain::{demand::Demands, pool::PoolId};

/// A `TaskAgent` as clients send it. The service knows more members than this,
/// so that unknown ones are no error here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentBody {
    id: Option<AgentId>,
    name: Option<Box<str>>,
    version: Option<Box<str>>,
    os_description: Option<Box<str>>,
    enabled: Option<bool>,
    system_capabilities: Option<CapabilityMap>,
    user_capabilities: Option<CapabilityMap>,
    authorization: Option<AuthorizationBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationBody {
    public_key: Option<KeyBody>,
}

#[derive(Deserialize)]
struct KeyBody {
    exponent: Box<str>,
    /// A secret in here.
    modulus: Box<str>,
}

/// `GET agents`.
pub(super) fn list(
    organization: &Organization,
    pool: PoolId,
    parameters: &Parameters,
    site: Site<'_>,
) -> Result<Response, Refusal> {
    let pool = organization.pool(pool)?;
    let options = options(parameters);
    let demands: Vec<_> = parameters
        .get("demands")
        .unwrap_or_default()
        .split(',')
        .collect();
    let demands = Demands::read(&demands);
    let name = parameters.get("agentName").filter(|name| !name.is_empty());
    let agents: Vec<&Agent> = match name {
        Some(name) => pool.agent_named(name).into_iter().collect(),
        None => pool.agents().collect(),
    };
    let rows: Listing<_> = agents
        .into_iter()
        .filter(|agent| agent.capabilities.unmet(&demands).is_empty())
        .map(|agent| AgentRow::new(agent, pool, options, site))
        .collect();
    Ok(wire::answer(StatusCode::OK, &rows))
}

/// `GET agents/{id}`.
pub(super) fn show(
    organization: &Organization,
    pool: PoolId,
    id: AgentId,
    parameters: &Parameters,
    site: Site<'_>,
) -> Result<Response, Refusal> {
    answer(organization, pool, id, options(parameters), site)
}

/// `POST agents`. Azure DevOps: 200, not 201; no public key is wanted.
pub(super) fn add(
    organization: &mut Organization,
    pool: PoolId,
    body: &[u8],
    site: Site<'_>,
) -> Result<Response, Refusal> {
    with_body(body, |body: AgentBody| {
        let Some(name) = body.name.filter(|name| !name.trim().is_empty()) else {
            return Ok(bad_request("name is missing"));
        };
        let key = key(body.authorization);
        let new = NewAgent {
            name,
            version: body.version.unwrap_or_else(|| AGENT_VERSION.into()),
            os_description: body.os_description.unwrap_or_else(|| "Linux".into()),
            enabled: body.enabled.unwrap_or(true),
            // ASSUMPTION(registered-is-offline): an agent is offline until its
            // listener opens a session, whatever `status` says.
            online: false,
            once: false,
            system_capabilities: body.system_capabilities.unwrap_or_default(),
            user_capabilities: body.user_capabilities.unwrap_or_default(),
        };
        let id = organization.register(pool, new, key)?;
        answer(organization, pool, id, REGISTRATION, site)
    })
}

/// `PATCH agents/{id}`.
pub(super) fn change(
    organization: &mut Organization,
    pool: PoolId,
    id: AgentId,
    body: &[u8],
    site: Site<'_>,
) -> Result<Response, Refusal> {
    with_own_body(id, body, |body| {
        organization.change(pool, id, body.change())?;
        answer(organization, pool, id, AgentOptions::default(), site)
    })
}

/// `PUT agents/{id}`: `config.sh --replace` registers the agent anew. Azure DevOps:
/// it sends the agent as it found it, so that a disabled one stays disabled.
pub(super) fn replace(
    organization: &mut Organization,
    pool: PoolId,
    id: AgentId,
    body: &[u8],
    site: Site<'_>,
) -> Result<Response, Refusal> {
    with_own_body(id, body, |mut body| {
        let key = key(body.authorization.take());
        organization.replace(pool, id, body.change(), key)?;
        answer(organization, pool, id, REGISTRATION, site)
    })
}

/// `PUT agents/{id}/usercapabilities`. Azure DevOps: a bare map, which replaces
/// the whole of what was there.
pub(super) fn set_user_capabilities(
    organization: &mut Organization,
    pool: PoolId,
    id: AgentId,
    body: &[u8],
    site: Site<'_>,
) -> Result<Response, Refusal> {
    with_body(body, |map: CapabilityMap| {
        let change = AgentChange {
            user_capabilities: Some(map),
            ..AgentChange::default()
        };
        organization.change(pool, id, change)?;
        let options = AgentOptions {
            capabilities: true,
            ..AgentOptions::default()
        };
        answer(organization, pool, id, options, site)
    })
}

fn answer(
    organization: &Organization,
    pool: PoolId,
    id: AgentId,
    options: AgentOptions,
    site: Site<'_>,
) -> Result<Response, Refusal> {
    let pool = organization.pool(pool)?;
    let row = AgentRow::new(pool.agent(id)?, pool, options, site);
    Ok(wire::answer(StatusCode::OK, &row))
}

fn options(parameters: &Parameters) -> AgentOptions {
    AgentOptions {
        capabilities: parameters.flag("includeCapabilities"),
        assigned_request: parameters.flag("includeAssignedRequest"),
        last_completed_request: parameters.flag("includeLastCompletedRequest"),
        registration: false,
    }
}

/// What who registers an agent is told.
const REGISTRATION: AgentOptions = AgentOptions {
    capabilities: false,
    assigned_request: false,
    last_completed_request: false,
    registration: true,
};

fn key(authorization: Option<AuthorizationBody>) -> Option<PublicKey> {
    let KeyBody { exponent, modulus } = authorization?.public_key?;
    let modulus = modulus.into();
    Some(PublicKey { exponent, modulus })
}

/// Goes on with the body of this agent. Azure DevOps: it must repeat the number.
/// ASSUMPTION(patch-without-id): it is refused with 400.
fn with_own_body(
    id: AgentId,
    body: &[u8],
    go_on: impl FnOnce(AgentBody) -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    with_body(body, |body: AgentBody| {
        if body.id != Some(id) {
            return Ok(bad_request("id in the body must be the agent's own"));
        }
        go_on(body)
    })
}

/// Goes on with the body as what it should be; one that is not is answered here.
pub(super) fn with_body<T: DeserializeOwned>(
    body: &[u8],
    go_on: impl FnOnce(T) -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    match serde_json::from_slice(body) {
        Ok(body) => go_on(body),
        Err(error) => Ok(bad_request(&format!("the body cannot be read: {error}"))),
    }
}

// === impl AgentBody ===

impl AgentBody {
    fn change(self) -> AgentChange {
        AgentChange {
            enabled: self.enabled,
            version: self.version,
            os_description: self.os_description,
            system_capabilities: self.system_capabilities,
            user_capabilities: self.user_capabilities,
        }
    }
}

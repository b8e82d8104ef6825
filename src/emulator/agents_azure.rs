//! Azure's routes of agents: listing, registering, disabling, capabilities.
//!
//! May import: the organization and the wire. Invariant: a body that the real
//! service would refuse is refused here, so that a client cannot get used to it.

use axum::{http::StatusCode, response::Response};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    organization::{
        AGENT_VERSION, Agent, AgentChange, AgentId, CapabilityMap, NewAgent, Organization, Refusal,
    },
    routes_azure::{Parameters, bad_request},
    wire::{self, AgentOptions, AgentRow, Listing, Site},
};
use crate::domain::{demand::Demands, pool::PoolId};

/// A `TaskAgent` as clients send it. The service knows more members than this,
/// so that unknown ones are no error here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentBody {
    id: Option<AgentId>,
    name: Option<Box<str>>,
    version: Option<Box<str>>,
    os_description: Option<Box<str>>,
    enabled: Option<bool>,
    system_capabilities: Option<CapabilityMap>,
    user_capabilities: Option<CapabilityMap>,
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
        let id = organization.register(pool, new)?;
        answer(organization, pool, id, AgentOptions::default(), site)
    })
}

/// `PATCH agents/{id}`, and `PUT`, which the agent's own `--replace` uses.
pub(super) fn change(
    organization: &mut Organization,
    pool: PoolId,
    id: AgentId,
    body: &[u8],
    site: Site<'_>,
) -> Result<Response, Refusal> {
    with_body(body, |body: AgentBody| {
        // Azure DevOps: the body must repeat the number.
        // ASSUMPTION(patch-without-id): it is refused with 400.
        if body.id != Some(id) {
            return Ok(bad_request("id in the body must be the agent's own"));
        }
        let change = AgentChange {
            enabled: body.enabled,
            version: body.version,
            os_description: body.os_description,
            system_capabilities: body.system_capabilities,
            user_capabilities: body.user_capabilities,
        };
        organization.change(pool, id, change)?;
        answer(organization, pool, id, AgentOptions::default(), site)
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
    }
}

/// Goes on with the body as what it should be; one that is not is answered here.
fn with_body<T: DeserializeOwned>(
    body: &[u8],
    go_on: impl FnOnce(T) -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    match serde_json::from_slice(body) {
        Ok(body) => go_on(body),
        Err(error) => Ok(bad_request(&format!("the body cannot be read: {error}"))),
    }
}

//! Placeholders: agents that are registered and have no listener.
//!
//! May import: its siblings, ports, domain. Invariant: what the service says of an
//! agent that it made or changed is read, so that a page of somebody else is no
//! success.

use futures::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use serde_json::json;

use super::{
    Client,
    agents::{AGENT_CAP, path},
    record::Record,
    request::{Act, Ask, Refused},
    stream::shape,
};
use crate::{
    domain::{
        placeholder::{CapabilityMap, Registration, VERSION},
        pool::PoolId,
        registration::AgentId,
    },
    ports::{
        ReadError,
        placeholders::{Placeholders, Registering},
        registrations::Asked,
    },
};

/// Azure DevOps: an agent of this name is in the pool.
const NAME_TAKEN: u16 = 409;

/// What is read of an agent that was just written: all else is as it was sent, or
/// as the service has it.
#[derive(Deserialize)]
struct Written {
    id: u32,
}

// === impl Client ===

impl Client {
    async fn add_agent(
        &self,
        pool: PoolId,
        registration: &Registration,
        record: &mut Record,
    ) -> Result<Registering, ReadError> {
        // Azure DevOps: no public key is wanted of an agent that nobody runs.
        let body = json!({
            "name": registration.name,
            "version": VERSION,
            "osDescription": "Linux",
            "enabled": true,
            "status": "offline",
            "provisioningState": "Provisioned",
            "maxParallelism": 1,
            "systemCapabilities": registration.system,
            "userCapabilities": registration.user,
        });
        let ask = Ask {
            act: Act::Add(&body.to_string()),
            path: &format!("pools/{pool}/agents"),
            query: &[],
            pool: None,
        };
        let answer = match self.requests.ask(ask, record).await {
            Err(refused) => return name_taken(refused.of(pool)),
            Ok(answer) => answer,
        };
        let body = answer.whole(AGENT_CAP).await?;
        written(&body).map(Registering::Registered)
    }

    async fn replace_user_capabilities(
        &self,
        pool: PoolId,
        agent: AgentId,
        capabilities: &CapabilityMap,
        record: &mut Record,
    ) -> Result<(), ReadError> {
        let body = json!(capabilities);
        let ask = Ask {
            act: Act::Replace(&body.to_string()),
            path: &format!("{}/usercapabilities", path(pool, agent)),
            query: &[],
            pool: None,
        };
        let answer = match self.requests.ask(ask, record).await {
            Err(refused) => return Err(refused.of(pool).error),
            Ok(answer) => answer,
        };
        let body = answer.whole(AGENT_CAP).await?;
        match written(&body)? {
            id if id == agent => Ok(()),
            other => Err(shape(&format!(
                "agent {agent} was told of, and agent {other} came"
            ))),
        }
    }
}

fn written(body: &[u8]) -> Result<AgentId, ReadError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let written = serde_json::from_slice::<Written>(body);
    let written = written.map_err(|error| shape(&format!("it describes no agent ({error})")))?;
    Ok(AgentId(written.id))
}

fn name_taken(refused: Refused) -> Result<Registering, ReadError> {
    match refused.error {
        ReadError::Status { status, .. } if status == NAME_TAKEN => Ok(Registering::NameTaken),
        error => Err(error),
    }
}

impl Placeholders for Client {
    fn register<'a>(
        &'a self,
        pool: PoolId,
        registration: &'a Registration,
    ) -> BoxFuture<'a, Asked<Registering>> {
        async move {
            let mut record = Record::default();
            let outcome = self.add_agent(pool, registration, &mut record).await;
            self.told(outcome, &record).outcome
        }
        .boxed()
    }

    fn tell_capabilities<'a>(
        &'a self,
        pool: PoolId,
        agent: AgentId,
        capabilities: &'a CapabilityMap,
    ) -> BoxFuture<'a, Asked<()>> {
        async move {
            let mut record = Record::default();
            let told = self.replace_user_capabilities(pool, agent, capabilities, &mut record);
            let outcome = told.await;
            self.told(outcome, &record).outcome
        }
        .boxed()
    }
}

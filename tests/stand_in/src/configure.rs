//! `config.sh`: registers the agent and writes its files.
//!
//! Agent: `Configuration/ConfigurationManager.cs`, `ConfigureAsync`. It never
//! asks a question: every configuration is an unattended one. Invariant: no file
//! says that the agent is configured before all of it is.

use std::{collections::BTreeMap, fmt::Display, fs::File, io, io::Read as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::Method;
use url::Url;

use crate::{
    capabilities::{self, Machine},
    environment::Environment,
    input::Input,
    layout::{CredentialData, Credentials, Folder, Key, Settings},
    server::{Server, ServerError},
    terminal::{complain, say, say_now, section},
    token::Credential,
    wire::{AgentRow, Authorization, Listing, NewAgent, NewAuthorization, Pool, PublicKey},
};

const ALREADY: &str = "Cannot configure the agent because it is already configured. To \
                       reconfigure the agent, run 'config.cmd remove' or './config.sh remove' first.";

/// Why there is no configured agent now; worded as the real agent prints it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{ALREADY}")]
    Already,
    #[error("Invalid configuration provided for {0}. Terminating unattended configuration.")]
    Missing(&'static str),
    #[error("Agent pool not found: '{0}'")]
    NoPool(String),
    #[error("Pool {pool} already contains an agent with name {agent}.")]
    NameTaken { pool: i64, agent: String },
    #[error("The server named no way to get a token for the agent.")]
    NoAuthorization,
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Files(#[from] io::Error),
}

/// What is registered.
struct Agent<'a> {
    name: &'a str,
    version: &'a str,
    machine: &'a Machine,
    key: &'a Key,
    capabilities: &'a BTreeMap<String, String>,
}

/// Configures the agent; the exit code.
pub(crate) async fn run(folder: &Folder, input: &Input, environment: &Environment) -> i32 {
    match configure(folder, input, environment).await {
        Ok(()) => 0,
        Err(failure) => failed(&failure),
    }
}

/// Says what went wrong; the exit code of a configuration that failed.
pub(crate) fn failed(failure: &dyn Display) -> i32 {
    complain(failure);
    1
}

/// A server as people's credential sees it.
pub(crate) fn server(url: &str, input: &Input) -> Result<Server, ServerError> {
    let token = input.value("token").unwrap_or_default();
    Server::new(url, Credential::Given(token.to_owned()))
}

async fn configure(
    folder: &Folder,
    input: &Input,
    environment: &Environment,
) -> Result<(), Failure> {
    if folder.is_configured() {
        return Err(Failure::Already);
    }
    let needed = |name| input.value(name).ok_or(Failure::Missing(name));
    section("Connect");
    let (url, _) = (needed("url")?, needed("token")?);
    let url = url.trim_end_matches('/');
    let server = server(url, input)?;
    say("Connecting to server ...");
    let _: serde_json::Value = server.get(&["connectionData"], &[]).await?;

    section("Register Agent");
    let machine = capabilities::machine();
    let name = input.value("agent").unwrap_or(&machine.name);
    let pool = find_pool(&server, input.value("pool").unwrap_or("default")).await?;
    say("Scanning for tool capabilities.");
    let capabilities = capabilities::scan(environment, folder, name, false);
    say("Connecting to the server.");
    let key = new_key()?;
    let version = folder.version();
    let agent = Agent {
        name,
        version: &version,
        machine: &machine,
        key: &key,
        capabilities: &capabilities,
    };
    let registered = register(&server, &pool, &agent, input.flag("replace")).await?;

    let data = credential_data(registered.authorization, url)?;
    say("Testing agent connection.");
    let own = Server::new(url, Credential::own(data.clone(), key.clone()))?;
    let _: serde_json::Value = own.get(&["connectionData"], &[]).await?;

    let scheme = "OAuth".to_owned();
    folder.save_credentials(&Credentials { scheme, data }, &key)?;
    folder.save_settings(&Settings {
        accept_tee_eula: input.flag("acceptteeeula"),
        agent_id: registered.id,
        agent_name: name.to_owned(),
        pool_id: pool.id,
        pool_name: pool.name,
        server_url: url.to_owned(),
        work_folder: input.value("work").unwrap_or("_work").to_owned(),
    })?;
    say_now("Settings Saved.");
    Ok(())
}

async fn find_pool(server: &Server, name: &str) -> Result<Pool, Failure> {
    let path = ["distributedtask", "pools"];
    let found: Listing<Pool> = server.get(&path, &[("poolName", name)]).await?;
    let same = |pool: &Pool| pool.name.eq_ignore_ascii_case(name);
    let pool = found.value.into_iter().find(same);
    pool.ok_or_else(|| Failure::NoPool(name.to_owned()))
}

async fn register(
    server: &Server,
    pool: &Pool,
    agent: &Agent<'_>,
    replace: bool,
) -> Result<AgentRow, Failure> {
    let pool_id = pool.id.to_string();
    let path = ["distributedtask", "pools", &pool_id, "agents"];
    let there = find_agent(server, pool.id, agent.name).await?;
    if there.is_some() && !replace {
        return Err(Failure::NameTaken {
            pool: pool.id,
            agent: agent.name.to_owned(),
        });
    }
    let body = NewAgent {
        id: there.as_ref().map(|row| row.id),
        name: agent.name,
        version: agent.version,
        os_description: &agent.machine.os_description,
        // Azure Pipelines agent (`ConfigurationManager`): the agent is sent as it
        // was fetched, so that a disabled one stays disabled.
        enabled: there.as_ref().and_then(|row| row.enabled).unwrap_or(true),
        max_parallelism: 1,
        provisioning_state: "Provisioned",
        authorization: NewAuthorization {
            public_key: PublicKey {
                exponent: &agent.key.exponent,
                modulus: &agent.key.modulus,
            },
        },
        system_capabilities: agent.capabilities,
    };
    let Some(there) = there else {
        let added = server.request(Method::POST, &path, &[]).body(&body);
        let added = added.read().await?;
        say("Successfully added the agent");
        return Ok(added);
    };
    let id = there.id.to_string();
    let path: Vec<&str> = path.into_iter().chain([id.as_str()]).collect();
    let replaced = server.request(Method::PUT, &path, &[]).body(&body);
    let replaced = replaced.read().await?;
    say("Successfully replaced the agent");
    Ok(replaced)
}

/// The agent of this name in the pool.
pub(crate) async fn find_agent(
    server: &Server,
    pool: i64,
    name: &str,
) -> Result<Option<AgentRow>, ServerError> {
    let pool = pool.to_string();
    let path = ["distributedtask", "pools", &pool, "agents"];
    let found: Listing<AgentRow> = server.get(&path, &[("agentName", name)]).await?;
    let same = |row: &AgentRow| row.name.eq_ignore_ascii_case(name);
    Ok(found.value.into_iter().find(same))
}

fn new_key() -> io::Result<Key> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    Ok(Key {
        exponent: "AQAB".into(),
        modulus: BASE64_STANDARD.encode(secret),
    })
}

/// Where the agent gets its tokens. Agent: host and port are those by which the
/// server was reached, since a server may know itself under another name.
fn credential_data(
    authorization: Option<Authorization>,
    server: &str,
) -> Result<CredentialData, Failure> {
    let authorization = authorization.ok_or(Failure::NoAuthorization)?;
    let (Some(url), Some(client_id)) = (authorization.authorization_url, authorization.client_id)
    else {
        return Err(Failure::NoAuthorization);
    };
    let (Ok(mut url), Ok(server)) = (Url::parse(&url), Url::parse(server)) else {
        return Err(Failure::NoAuthorization);
    };
    // None of these fails between two URLs of http or https.
    let _ = url.set_scheme(server.scheme());
    let _ = url.set_host(server.host_str());
    let _ = url.set_port(server.port());
    Ok(CredentialData {
        client_id,
        authorization_url: url.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_fetched_where_the_server_was_reached() {
        for (named, server, expected) in [
            (
                "http://127.0.0.1:1/o/_apis/oauth2/token",
                "http://azure:8080/o",
                "http://azure:8080/o/_apis/oauth2/token",
            ),
            ("http://inner/token", "https://outer", "https://outer/token"),
        ] {
            let authorization = Authorization {
                authorization_url: Some(named.into()),
                client_id: Some("id".into()),
            };
            let data = credential_data(Some(authorization), server).unwrap();
            assert_eq!(data.authorization_url, expected);
        }
    }
}

//! The session of an agent: made, asked for messages, ended.
//!
//! Agent: `Agent.Listener/MessageListener.cs`. One session at a time per agent;
//! a message comes again until it is deleted. Invariant: waiting is always
//! cancellable, by dropping what is awaited.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use reqwest::{Method, StatusCode};
use tokio::time::sleep;

use crate::{
    capabilities::Machine,
    diag::note,
    layout::{Folder, Identity, Settings},
    pace::Pace,
    server::{LONG, Server, ServerError},
    terminal::{complain, now, say_now},
    token::Credential,
    wire::{Message, NewSession, SessionAgent, SessionAnswer},
};

/// After so many conflicts in a row it gives up: four minutes at its pace.
const MOST_CONFLICTS: u32 = 8;

/// How long the server may take to be told that the session, or a message, is
/// done with.
const DELETE: Duration = Duration::from_secs(30);

/// An agent's conversation with its pool.
pub(crate) struct Session {
    server: Arc<Server>,
    settings: Settings,
    pace: Pace,
    version: String,
    machine: Machine,
    capabilities: BTreeMap<String, String>,
    /// Empty before the first one is made.
    id: Mutex<String>,
    last_message: AtomicI64,
}

/// Why no session could be made.
#[derive(Debug)]
pub(crate) enum NoSession {
    /// It was said why, and it is no use to go on.
    GivenUp,
    /// The agent's credential was taken away.
    TokenRevoked,
}

// === impl Session ===

impl Session {
    /// Prepares one; nothing is sent yet.
    pub(crate) fn new(
        folder: &Folder,
        identity: Identity,
        capabilities: BTreeMap<String, String>,
        pace: Pace,
    ) -> Result<Self, ServerError> {
        let Identity {
            settings,
            credentials,
            key,
        } = identity;
        let credential = Credential::own(credentials.data, key);
        let server = Server::new(&settings.server_url, credential)?;
        Ok(Self {
            server: Arc::new(server),
            settings,
            pace,
            version: folder.version(),
            machine: crate::capabilities::machine(),
            capabilities,
            id: Mutex::default(),
            last_message: AtomicI64::new(0),
        })
    }

    pub(crate) fn server(&self) -> Arc<Server> {
        Arc::clone(&self.server)
    }

    /// Makes the session on the server, however long that takes.
    pub(crate) async fn create(&self) -> Result<(), NoSession> {
        let mut conflicts = 0;
        let mut complained = false;
        loop {
            let error = match self.attempt().await {
                Ok(id) => {
                    note!("session {id} created");
                    *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
                    if complained {
                        say_now("Agent reconnected.");
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.token_revoked() {
                return Err(NoSession::TokenRevoked);
            }
            if error.is("TaskAgentSessionConflictException") {
                complain("A session for this agent already exists.");
                conflicts += 1;
            }
            if conflicts >= MOST_CONFLICTS {
                complain("Stop retry on SessionConflictException after retried for 240 seconds.");
            }
            if error.is("TaskAgentNotFoundException") {
                complain("The agent no longer exists on the server. Please reconfigure the agent.");
            }
            if conflicts >= MOST_CONFLICTS || error.ends_listening() {
                complain(format_args!("Failed to create session. {error}"));
                return Err(NoSession::GivenUp);
            }
            if !complained {
                complain_of_connection(&error);
                complained = true;
            }
            sleep(self.pace.session()).await;
        }
    }

    async fn attempt(&self) -> Result<String, ServerError> {
        let _: serde_json::Value = self.server.get(&["connectionData"], &[]).await?;
        let body = NewSession {
            owner_name: &self.machine.name,
            agent: SessionAgent {
                id: self.settings.agent_id,
                name: &self.settings.agent_name,
                version: &self.version,
                os_description: &self.machine.os_description,
            },
            system_capabilities: &self.capabilities,
        };
        let pool = self.pool();
        let path = ["distributedtask", "pools", &pool, "sessions"];
        let request = self.server.request(Method::POST, &path, &[]).body(&body);
        let answer: SessionAnswer = request.read().await?;
        Ok(answer.session_id)
    }

    /// The next message, `pause` from now or later. Failures that may pass are
    /// waited out, and a session that was lost is made anew.
    pub(crate) async fn next(self: Arc<Self>, pause: Duration) -> Result<Message, ServerError> {
        sleep(pause).await;
        let mut failures = 0;
        loop {
            let error = match self.poll().await {
                Ok(found) => {
                    if failures > 0 {
                        say_now("Agent reconnected.");
                        failures = 0;
                    }
                    if let Some(message) = found {
                        return Ok(message);
                    }
                    note!("no message for session {}", self.id());
                    continue;
                }
                Err(error) => error,
            };
            if error.is("TaskAgentSessionExpiredException") && self.create().await.is_ok() {
                note!("the session had expired and was made anew");
                continue;
            }
            if error.ends_listening() || error.token_revoked() {
                return Err(error);
            }
            failures += 1;
            if failures == 1 {
                complain_of_connection(&error);
            }
            sleep(self.pace.poll(failures)).await;
        }
    }

    async fn poll(&self) -> Result<Option<Message>, ServerError> {
        let (pool, id) = (self.pool(), self.id());
        let last = self.last_message.load(Ordering::Relaxed).to_string();
        let mut query = vec![("sessionId", id.as_str())];
        if last != "0" {
            query.push(("lastMessageId", &last));
        }
        let path = ["distributedtask", "pools", &pool, "messages"];
        let request = self.server.request(Method::GET, &path, &query);
        let (status, body) = request.within(LONG).send().await?;
        if status == StatusCode::ACCEPTED || body.is_empty() {
            return Ok(None);
        }
        let message: Option<Message> =
            serde_json::from_slice(&body).map_err(|error| ServerError::Unreadable {
                url: "messages".into(),
                why: error.to_string(),
            })?;
        if let Some(message) = &message {
            note!("message {}: {}", message.message_id, message.message_type);
            self.last_message
                .store(message.message_id, Ordering::Relaxed);
        }
        Ok(message)
    }

    /// Takes a message off the queue. What fails is noted; the message comes again.
    pub(crate) async fn delete_message(&self, message: &Message) {
        let (pool, id) = (self.pool(), self.id());
        let message = message.message_id.to_string();
        let path = ["distributedtask", "pools", &pool, "messages", &message];
        let query = [("sessionId", id.as_str())];
        let request = self.server.request(Method::DELETE, &path, &query);
        if let Err(error) = request.within(DELETE).send().await {
            note!("message {message} was not deleted: {error}");
        }
    }

    /// Ends the session, where there is one.
    pub(crate) async fn delete(&self) {
        let (pool, id) = (self.pool(), self.id());
        if id.is_empty() {
            return;
        }
        let path = ["distributedtask", "pools", &pool, "sessions", &id];
        let request = self.server.request(Method::DELETE, &path, &[]);
        match request.within(DELETE).send().await {
            Ok(_) => note!("session {id} deleted"),
            Err(error) => note!("session {id} was not deleted: {error}"),
        }
    }

    fn id(&self) -> String {
        self.id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn pool(&self) -> String {
        self.settings.pool_id.to_string()
    }
}

fn complain_of_connection(error: &ServerError) {
    complain(format_args!(
        "{}: Agent connect error: {error}. Retrying until reconnected.",
        now()
    ));
}

//! Registering: `config.sh`, once or a few times.
//!
//! May import: its siblings, ports, domain. Invariant: the token reaches
//! `config.sh` by its environment and nobody by a command line; a stop in between
//! is taken as soon as it is known what was registered.
//!
//! Azure Pipelines agent: any argument may come as `VSTS_AGENT_INPUT_…`; it takes
//! those out of its own environment before it starts anything.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{sleep, timeout};

use super::{
    board::Phase,
    children::Exit,
    folder::Registered,
    life::{Life, LifeError},
    listener::{Script, command},
};
use crate::domain::pool::PoolRef;

/// So often is it tried.
const ATTEMPTS: u32 = 5;

/// So long may one attempt take. A script that hangs would hold the pod for ever.
const LONGEST_REGISTRATION: Duration = Duration::from_secs(600);

/// So long may `config.sh` go on when this process was told to stop: it is
/// better to know what it registered than to end it half way.
const LAST_REGISTRATION: Duration = Duration::from_secs(60);

/// How one attempt ended.
enum Attempt {
    Registered(Registered),
    Stopped,
    Failed(String),
}

impl Life {
    /// Registers the agent; `None` when this process was told to stop before it
    /// was known to be registered.
    pub(super) async fn register(&mut self) -> Result<Option<Registered>, LifeError> {
        let mut pause = Duration::from_secs(1);
        for attempt in 1..=ATTEMPTS {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            let detail = format!("attempt {attempt} of {ATTEMPTS}");
            self.board.phase(Phase::Registering, &detail);
            match self.attempt().await? {
                Attempt::Registered(registered) => {
                    let Registered { agent, pool, name } = &registered;
                    tracing::info!(%agent, pool = pool.0, %name, "the agent is registered");
                    return Ok(Some(registered));
                }
                Attempt::Stopped => return Ok(None),
                Attempt::Failed(why) if attempt == ATTEMPTS => {
                    return Err(LifeError::Registration(why));
                }
                Attempt::Failed(why) => {
                    tracing::warn!(
                        attempt,
                        ?pause,
                        error = why,
                        "registering failed; again soon"
                    );
                }
            }
            tokio::select! {
                () = sleep(pause) => pause *= 2,
                () = self.stop.cancelled() => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn attempt(&mut self) -> Result<Attempt, LifeError> {
        if let Ok(earlier) = self.folder.registration() {
            self.earlier = Some(earlier.agent);
        }
        if self.folder.forget_registration()? {
            tracing::info!("a registration of an earlier process was here; it is made anew");
        }
        let token = tokio::select! {
            token = self.tokens.token() => match token {
                Ok(token) => token,
                Err(error) => return Ok(Attempt::Failed(error.to_string())),
            },
            () = self.stop.cancelled() => return Ok(Attempt::Stopped),
        };
        let mut script = self
            .start_config(&token)
            .map_err(|cause| LifeError::System {
                what: "cannot start config.sh",
                cause,
            })?;
        drop(token);
        let exit = tokio::select! {
            exit = script.ended() => Some(exit),
            () = self.stop.cancelled() => None,
            () = sleep(LONGEST_REGISTRATION) => {
                script.child.kill_group();
                let why = format!("config.sh does not end within {LONGEST_REGISTRATION:?}");
                return Ok(Attempt::Failed(why));
            }
        };
        let exit = match exit {
            Some(exit) => exit,
            None => {
                tracing::info!("told to stop while registering; config.sh may come to its end");
                match timeout(LAST_REGISTRATION, script.ended()).await {
                    Ok(exit) => exit,
                    Err(_) => {
                        script.child.kill_group();
                        return Ok(Attempt::Stopped);
                    }
                }
            }
        };
        match exit {
            Exit::Code(0) => Ok(match self.folder.registration() {
                Ok(registered) => Attempt::Registered(registered),
                Err(_) if self.stop.is_cancelled() => Attempt::Stopped,
                Err(error) => Attempt::Failed(error.to_string()),
            }),
            _ if self.stop.is_cancelled() => Ok(Attempt::Stopped),
            exit => Ok(Attempt::Failed(self.why(exit).await)),
        }
    }

    fn start_config(&self, token: &SecretString) -> std::io::Result<Script> {
        let config = &self.config;
        let mut command = command(&self.folder, "config.sh", &self.environment);
        command
            .args([
                "--unattended",
                "--acceptTeeEula",
                "--replace",
                "--auth",
                "PAT",
            ])
            .args(["--url", config.organization.as_str()])
            .args(["--pool", &config.pool])
            .args(["--agent", &config.name])
            .arg("--work")
            .arg(&config.work);
        if let Some(ca) = &config.connection.ca {
            command.arg("--sslcacert").arg(ca);
        }
        for (name, secret) in config.secrets.for_config() {
            command.env(name, secret.expose_secret());
        }
        command.env("VSTS_AGENT_INPUT_TOKEN", token.expose_secret());
        Script::start(&self.children, &mut command, |_| {})
    }

    /// Why `config.sh` failed: what the server says of the credential and the
    /// pool tells more than an exit code.
    async fn why(&self, exit: Exit) -> String {
        let pool = PoolRef::Name(self.config.pool.clone());
        let asked = self.registrations.agent_named(&pool, &self.config.name);
        match asked.await {
            Err(error) => format!("config.sh ended with {exit}: {error}"),
            Ok(_) => format!(
                "config.sh ended with {exit}; its own lines above say why (the credential can read \
                 the pool {:?}; to register it needs the scope Agent Pools (Read & manage) and the \
                 role Administrator on the pool)",
                self.config.pool
            ),
        }
    }
}

//! Unregistered: leaving while nobody knows what `config.sh` has registered.
//!
//! May import: its siblings, ports, domain. Invariant: the agent is looked up by
//! its name, and one of that name that is online is somebody else's.

use tokio::time::{Instant, sleep, timeout};

use super::{
    board::Phase,
    folder::Registered,
    leave::{MOST_REFUSALS, PAUSES},
    life::{Life, Reason},
};
use crate::{
    domain::{drain::Parting, pool::PoolRef},
    ports::{ReadError, registrations::Removal},
};

impl Life {
    /// Leaves while nobody knows whether `config.sh` has registered the agent: it
    /// is looked up by its name.
    pub(super) async fn leave_unregistered(&mut self) -> Parting {
        self.board.phase(Phase::Draining, Reason::Told.text());
        if let Ok(registered) = self.folder.registration() {
            return self.leaves(&registered, Reason::Told).await.parting;
        }
        let pool = PoolRef::Name(self.config.pool.clone());
        let until = Instant::now() + self.config.leave_within;
        let mut pause = PAUSES[0];
        loop {
            match self
                .registrations
                .agent_named(&pool, &self.config.name)
                .await
            {
                // Somebody else's listener bears this name: it is his, unless it is
                // the one that was killed here, of which the server has not heard yet.
                Ok((_, Some(agent))) if agent.online && self.earlier != Some(agent.id) => {
                    tracing::warn!(name = %agent.name, "an agent of this name is online; it stays");
                    return Parting::Removed;
                }
                Ok((pool, Some(agent))) => {
                    let registered = Registered {
                        agent: agent.id,
                        pool,
                        name: agent.name,
                    };
                    return self.leaves(&registered, Reason::Told).await.parting;
                }
                Ok((_, None)) => return Parting::Removed,
                // Where there is no such pool, config.sh has registered nothing.
                Err(ReadError::PoolNotFound { .. }) => return Parting::Removed,
                Err(error) if error.is_refusal() => return Parting::NoRights,
                Err(error) if Instant::now() >= until => {
                    tracing::error!(%error, "cannot ask whether the agent is registered");
                    return Parting::NoAnswer;
                }
                Err(error) => tracing::warn!(%error, ?pause, "asked again soon"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// Takes back what `config.sh` may have registered before it failed. An agent
    /// of this name that is online, or has a job, is somebody else's; so long as
    /// the server does not answer, it is asked a few times.
    pub(super) async fn take_back(&self) {
        let pool = PoolRef::Name(self.config.pool.clone());
        let mut pause = PAUSES[0];
        for _ in 0..MOST_REFUSALS {
            let asked = async {
                let named = self.registrations.agent_named(&pool, &self.config.name);
                match named.await? {
                    (pool, Some(agent)) if !agent.online && agent.assigned.is_none() => {
                        self.registrations.remove(pool, agent.id).await.map(Some)
                    }
                    _ => Ok(None),
                }
            };
            match timeout(self.config.leave_within, asked).await {
                Ok(Ok(Some(Removal::Removed))) => {
                    tracing::info!(name = self.config.name, "what was registered is taken back");
                    return;
                }
                Ok(Ok(_)) => return,
                // There is nothing that could be asked again.
                Ok(Err(error @ ReadError::PoolNotFound { .. })) => {
                    tracing::debug!(%error, "nothing is registered");
                    return;
                }
                Ok(Err(error)) if error.is_refusal() => {
                    tracing::warn!(%error, "cannot ask whether the agent is registered");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, ?pause, "asked again soon"),
                Err(_) => tracing::warn!(?pause, "no answer in time; asked again soon"),
            }
            sleep(pause).await;
            pause *= 2;
        }
        tracing::error!(
            name = self.config.name,
            "the agent may stay registered; remove it later, for example with azp-agent clean"
        );
    }
}

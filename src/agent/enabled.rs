//! Enabled: does the server give this agent jobs?
//!
//! May import: its siblings, ports. Invariant: once the agent leaves, nothing
//! that was begun here enables it again.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{folder::Registered, life::Life};
use crate::ports::registrations::Registrations;

impl Life {
    /// Azure Pipelines agent: `--replace` sends the agent as it was found, so that a
    /// disabled one stays disabled, and one that an earlier process of this name
    /// drained is. Beside the start of the
    /// listener, since most often there is nothing to do.
    pub(super) fn make_enabled(&mut self, registered: &Registered) {
        let registrations = Arc::clone(&self.registrations);
        let Registered { agent, pool, name } = registered.clone();
        self.enabling = Some(tokio::spawn(async move {
            let disabled = match registrations.agent(pool, agent).await {
                Ok(found) => found.is_some_and(|agent| !agent.enabled),
                Err(error) => {
                    tracing::warn!(agent = %name, %error, "cannot ask whether it is disabled");
                    return;
                }
            };
            if disabled {
                match registrations.set_enabled(pool, agent, &name, true).await {
                    Ok(()) => tracing::warn!(
                        agent = %name,
                        "an agent of this name was there, and disabled; it is enabled again"
                    ),
                    Err(error) => tracing::error!(
                        agent = %name,
                        %error,
                        "the agent is disabled and gets no jobs; enable it in the pool"
                    ),
                }
            }
        }));
    }

    /// Nothing that was begun may enable the agent after it was disabled.
    pub(super) async fn done_enabling(&mut self) {
        if let Some(mut enabling) = self.enabling.take()
            && timeout(Duration::from_secs(5), &mut enabling)
                .await
                .is_err()
        {
            enabling.abort();
        }
    }
}

/// Its one job has come: no other may follow. A failure is no harm, since one that
/// follows is run as well.
pub(super) fn take_no_other(registrations: Arc<dyn Registrations>, registered: Registered) {
    tokio::spawn(async move {
        let Registered { agent, pool, name } = registered;
        match registrations.set_enabled(pool, agent, &name, false).await {
            Ok(()) => tracing::info!(
                agent = %name,
                step = "disable",
                reason = "its one job has come, so that no other follows",
                "the server gives this agent no more jobs"
            ),
            Err(error) => tracing::warn!(
                agent = %name,
                %error,
                "the server may give this agent another job; it would be run, too"
            ),
        }
    });
}

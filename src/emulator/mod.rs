//! An Azure DevOps organization in memory: agent pools, their queues and their
//! odd answers, over the same HTTP. For tests, benches, the demo and trials.
//!
//! May import: the domain, and never `azure`: the JSON is written from what the
//! service is known to send, so that it cannot mirror a client's mistake.
//! Invariant: nothing happens between two requests that the clock did not make
//! due; memory is bounded; a wrong request is answered and never a panic.
//!
//! Azure's routes are under `routes_azure`, those of an agent's listener under `sessions_azure`,
//! `authority` gives out tokens, the emulator's own are under `routes_own`, the rules of the queue
//! under `organization`.

mod agent_tokens;
mod agents_azure;
mod auth;
mod authority;
mod clock;
mod faults;
mod handle;
mod job_output;
mod jobs_azure;
mod organization;
mod packages;
mod parallel_jobs_azure;
mod parameters;
mod queues_azure;
mod refusals_azure;
mod report;
mod requests;
mod route;
mod routes_azure;
mod routes_own;
mod sessions_azure;
mod state;
mod wire;

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{Router, serve::ListenerExt};
use secrecy::SecretString;
use tokio::net::TcpListener;

pub use self::{
    authority::{AuthorityFault, Exchanges},
    clock::Clock,
    faults::{Fault, FaultKind},
    handle::EmulatorHandle,
    organization::{
        MAX_AGENTS, MAX_FINISHED, MAX_JOBS_AT_ONCE, MAX_LINES, MAX_ORDERS, MAX_OUTPUT, MAX_POOLS,
        MAX_UNFINISHED, NewAgent, NewJobs, Order, Refusal,
    },
    packages::AgentPackage,
    report::{AgentStatus, JobStatus, PoolCounts},
    requests::{RequestCounts, RouteCount},
};
use self::{
    organization::{Organization, Rules},
    packages::Package,
    state::Shared,
};

/// How long connections may go on after the stop.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How the emulator is set up.
#[derive(Debug)]
pub struct Settings {
    /// The only token that is good; any that is not empty when there is none.
    pub token: Option<SecretString>,
    /// Pools that are there from the start, by name.
    pub pools: Vec<String>,
    /// What time it is.
    pub clock: Clock,
    /// How long a simulated agent takes from being given a job to having it.
    pub pickup: Duration,
    /// How long a listener's poll stays open without a message.
    pub poll: Duration,
    /// How long a listener's session lives without a poll.
    pub agent_silence: Duration,
    /// How long a listener holds a job from the last renewal of its lock.
    pub lock: Duration,
    /// The packages of the agent that are offered, in any order.
    pub packages: Vec<AgentPackage>,
}

/// An emulator that is set up and does not listen yet.
#[derive(Debug)]
pub struct Emulator {
    handle: EmulatorHandle,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: None,
            pools: Vec::new(),
            clock: Clock::default(),
            pickup: Duration::from_millis(500),
            poll: sessions_azure::POLL,
            // ASSUMPTION(agent-silence): the service takes a listener for gone
            // that did not poll for a minute.
            agent_silence: Duration::from_secs(60),
            // Azure DevOps: an agent holds a job by a lock of ten minutes.
            lock: Duration::from_secs(600),
            packages: Vec::new(),
        }
    }
}

// === impl Emulator ===

impl Emulator {
    /// Sets one up.
    ///
    /// # Errors
    /// Where a pool's name is unusable, or there are too many; where a package
    /// cannot be read or is there twice.
    pub fn new(settings: Settings) -> Result<Self, Refusal> {
        let rules = Rules {
            pickup: settings.pickup,
            lock: settings.lock,
            silence: settings.agent_silence,
        };
        let mut organization = Organization::new(settings.clock.now(), rules);
        for pool in &settings.pools {
            organization.ensure_pool(pool)?;
        }
        let packages = Package::read_all(settings.packages, settings.clock.now())?;
        let (token, clock, poll) = (settings.token, settings.clock, settings.poll);
        let shared = Shared::new(token, clock, organization, poll, packages);
        let handle = EmulatorHandle(Arc::new(shared));
        Ok(Self { handle })
    }

    /// A grip on it that outlives [`Emulator::run`].
    #[must_use]
    pub fn handle(&self) -> EmulatorHandle {
        self.handle.clone()
    }

    /// Serves until `stop` comes. What hangs or never ends then ends at once.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.handle.0);
        let mut stopped = shared.stop_signal();
        let signal = async move {
            stop.await;
            shared.stop();
        };
        // Small answers leave at once; a client's latency is not ours to add to.
        let listener = listener.tap_io(|socket| {
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps Nagle's algorithm");
            }
        });
        let serving = axum::serve(listener, self.router()).with_graceful_shutdown(signal);
        tokio::select! {
            result = serving.into_future() => result,
            // A client that reads nothing must not hold up the end.
            () = async {
                stopped.stopped().await;
                tokio::time::sleep(LAST_ANSWERS).await;
            } => Ok(()),
        }
    }

    fn router(&self) -> Router {
        let azure = routes_azure::answer;
        let azure = Router::new()
            .fallback(azure)
            .with_state(Arc::clone(&self.handle.0));
        let authority = authority::routes().with_state(Arc::clone(&self.handle.0));
        let packages = packages::routes().with_state(Arc::clone(&self.handle.0));
        routes_own::routes()
            .with_state(self.handle.clone())
            .merge(authority)
            .merge(packages)
            .fallback_service(azure)
    }
}

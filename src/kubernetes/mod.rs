//! The cluster: scaling objects, their Jobs, and tokens in Secrets.
//!
//! May import: ports, domain, config, shutdown. The only place that knows kube.
//! Invariants: it writes only what it is told to, by [`ports::writes`](crate::ports::writes),
//! and decides nothing; an apiserver that goes away is no error, and the last that
//! was seen stays; what is watched is reduced when it comes in, so that memory is
//! for what decisions need.
//!
//! [`follow`] watches one kind of objects, [`rows`] says what of them is read,
//! [`declared`], [`jobs`] with [`census`], [`agent_pods`], [`raised`] and [`tokens`] make of it
//! what the ports promise, [`health`] tells how the watches are. [`writes`] is what is written,
//! and [`events`] what is told.

mod agent_pods;
mod census;
mod connect;
mod declared;
mod events;
mod failure;
mod follow;
mod health;
mod jobs;
mod raised;
mod rows;
mod tokens;
mod writes;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

pub use self::{
    connect::ConnectError,
    failure::{Failure, Rule},
    health::{Broken, Health},
};
use self::{
    declared::{Told, WantedJobs},
    health::Ledger,
    tokens::SecretToken,
    writes::LeaseAt,
};
use crate::{
    config::ClusterAccess,
    domain::declared::{Declarations, Declared, JobCensus, LeavingPods, ScalerAddress},
    ports::{
        Cluster, Raised, SecretRef, Tokens,
        notices::{Event, Events, News},
        writes::{
            AgentPod, AgentPods, AgentPodsSeen, Annotations, Attempt, Lease, PodName, Scale, Scales,
        },
    },
    shutdown::Shutdown,
};

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The namespaces; `None` for all.
    pub namespaces: Option<BTreeSet<Box<str>>>,
    /// Under which addresses triggers name this scaler; none for any. Where there
    /// are some, Jobs are watched only of a `ScaledJob` that has a trigger with
    /// one of them.
    pub addresses: BTreeSet<ScalerAddress>,
    /// When a Secret that may be read but not watched is read again.
    pub read_again_after: Duration,
    /// Are the pods of all scaling objects watched?
    pub agent_pods: bool,
    /// Are Deployments watched, for when they become larger?
    pub raises: bool,
    /// And is it told which pods of Deployments are going? Only where pods are watched.
    pub leaving_pods: bool,
}

/// The cluster, as far as it may be seen.
pub struct Kubernetes {
    client: Client,
    settings: Settings,
    declared: watch::Sender<Option<Arc<Declarations>>>,
    wanted: watch::Sender<WantedJobs>,
    census: watch::Sender<Option<Arc<JobCensus>>>,
    agent_pods: watch::Sender<Option<Arc<AgentPodsSeen>>>,
    raised: watch::Sender<Arc<Raised>>,
    leaving: watch::Sender<Option<Arc<LeavingPods>>>,
    ledger: Arc<Ledger>,
}

// === impl Settings ===

impl Default for Settings {
    /// All namespaces, any address, 30 s, no pods and no Deployments.
    fn default() -> Self {
        Self {
            namespaces: None,
            addresses: BTreeSet::new(),
            read_again_after: Duration::from_secs(30),
            agent_pods: false,
            raises: false,
            leaving_pods: false,
        }
    }
}

impl Settings {
    /// What one watch covers: a namespace, or all of them.
    fn scopes(&self) -> impl Iterator<Item = Option<Box<str>>> {
        let all = self.namespaces.is_none().then_some(None);
        let named = self.namespaces.iter().flatten().cloned().map(Some);
        all.into_iter().chain(named)
    }

    fn may_be_ours(&self, declared: &Declared) -> bool {
        let named = |metadata: &std::collections::BTreeMap<String, String>| {
            let address = metadata.get("scalerAddress");
            address.is_some_and(|address| self.addresses.contains(&address.as_str().into()))
        };
        self.addresses.is_empty() || declared.triggers.iter().any(named)
    }
}

// === impl Kubernetes ===

impl Kubernetes {
    /// Finds the way to the apiserver. Asks nothing yet: see [`Kubernetes::run`].
    ///
    /// # Errors
    /// There is no way, for want of a service account or of a usable file. An
    /// apiserver that cannot be reached is no error.
    pub async fn connect(access: &ClusterAccess, settings: Settings) -> Result<Self, ConnectError> {
        Ok(Self {
            client: connect::client(access).await?,
            settings,
            declared: watch::Sender::new(None),
            wanted: watch::Sender::default(),
            census: watch::Sender::new(None),
            agent_pods: watch::Sender::new(None),
            raised: watch::Sender::default(),
            leaving: watch::Sender::new(None),
            ledger: Arc::default(),
        })
    }

    /// Watches until nothing new may be accepted. Nothing but the shutdown ends
    /// it. Secrets are followed apart, by whoever holds their tokens.
    pub async fn run(&self, shutdown: Shutdown) {
        let Self {
            client,
            settings,
            ledger,
            ..
        } = self;
        let told = Told {
            declared: &self.declared,
            wanted: &self.wanted,
        };
        let wanted = self.wanted.subscribe();
        let declared = self.declared.subscribe();
        let (pods, leaving) = (&self.agent_pods, &self.leaving);
        tokio::select! {
            () = shutdown.stop() => {}
            () = declared::run(client, settings, ledger, told) => {}
            () = jobs::run(client, settings, ledger, wanted, &self.census) => {}
            () = agent_pods::run(client, settings, ledger, declared, pods, leaving), if settings.agent_pods => {}
            () = raised::run(client, settings, ledger, &self.raised), if settings.raises => {}
        }
    }

    /// A Lease. Nothing is asked yet, and it need not be there.
    #[must_use]
    pub fn lease(&self, namespace: &str, name: &str) -> Arc<dyn Lease> {
        Arc::new(LeaseAt::new(self.client.clone(), namespace, name))
    }

    /// Which watches are broken, and since when. Those of Secrets are not among
    /// them: their tokens tell it.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.ledger.subscribe()
    }
}

impl Cluster for Kubernetes {
    fn declared(&self) -> watch::Receiver<Option<Arc<Declarations>>> {
        self.declared.subscribe()
    }

    /// `None` too while no `ScaledJob` of ours is declared: nothing is watched
    /// then.
    fn job_pods(&self) -> watch::Receiver<Option<Arc<JobCensus>>> {
        self.census.subscribe()
    }

    /// Nobody where [`Settings::raises`] is not set.
    fn raised(&self) -> watch::Receiver<Arc<Raised>> {
        self.raised.subscribe()
    }

    fn leaving_pods(&self) -> watch::Receiver<Option<Arc<LeavingPods>>> {
        self.leaving.subscribe()
    }

    fn unseen_for(&self) -> Option<Duration> {
        let since = self.health().borrow().broken_since()?;
        Some(since.elapsed())
    }

    fn token(&self, secret: &SecretRef) -> Arc<dyn Tokens> {
        let client = self.client.clone();
        let again = self.settings.read_again_after;
        Arc::new(SecretToken::new(client, secret.clone(), again))
    }
}

impl AgentPods for Kubernetes {
    /// `None` too where [`Settings::agent_pods`] is not set.
    fn agent_pods(&self) -> watch::Receiver<Option<Arc<AgentPodsSeen>>> {
        self.agent_pods.subscribe()
    }

    fn annotate<'a>(
        &'a self,
        name: &'a PodName,
        pod: &'a AgentPod,
        changes: &'a Annotations,
    ) -> Attempt<'a, ()> {
        Box::pin(writes::annotate(self.client.clone(), name, pod, changes))
    }

    fn is_there<'a>(&'a self, name: &'a PodName) -> Attempt<'a, bool> {
        Box::pin(writes::is_there(self.client.clone(), name))
    }
}

impl Scales for Kubernetes {
    fn scale<'a>(&'a self, namespace: &'a str, deployment: &'a str) -> Attempt<'a, Scale> {
        Box::pin(writes::scale(self.client.clone(), namespace, deployment))
    }

    fn set_scale<'a>(
        &'a self,
        namespace: &'a str,
        deployment: &'a str,
        over: &'a Scale,
        replicas: u32,
    ) -> Attempt<'a, ()> {
        let client = self.client.clone();
        Box::pin(writes::set_scale(
            client, namespace, deployment, over, replicas,
        ))
    }
}

impl Events for Kubernetes {
    fn told(&self) -> Attempt<'_, Vec<(Box<str>, News)>> {
        Box::pin(events::told(self.client.clone(), &self.settings))
    }

    fn tell<'a>(&'a self, event: &'a Event) -> Attempt<'a, ()> {
        Box::pin(events::tell(self.client.clone(), event))
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Never, where there is no moment.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

//! A scaler in a cluster that declares what a test tells it to.
//!
//! May import: the scaler and what it is made of. Invariant: the numbers are
//! asked for as KEDA does, and nothing is known that the cluster or a call has
//! not told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicBool, Ordering},
};

use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::{sync::watch, time::Instant};

use super::super::*;
use crate::{
    domain::{
        declared::{Declarations, Declared, JobPods, Kind, LeavingPods, Strategy},
        job::JobRequest,
        keeper::Keeper,
        parallel_jobs::Usage,
        placeholder::{CapabilityMap, Registration},
        pool::{Pool, PoolId},
        profile::ScalingObject,
        registration::{AgentId, RegisteredAgent},
        tenancy::{CredentialRule, Rules},
    },
    pools::{
        Intervals, PoolSettings, SourceSettings,
        scripted::{Says, Script, organization},
    },
    ports::{
        AgentPools, CredentialUse, Organizations, Raised, ReadError, Reading, SecretRef, Tokens,
        placeholders::{Placeholders, Registering},
        registrations::{Asked, Registrations, Removal},
    },
};

pub(super) const ADDRESS: &str = "azp-scaler.keda:9090";
pub(super) const LEARN: Duration = Duration::from_secs(30);

/// A cluster that declares what it is told to.
struct Fake {
    declared: watch::Sender<Option<Arc<Declarations>>>,
    job_pods: watch::Sender<Option<Arc<JobCensus>>>,
    leaving: watch::Sender<Option<Arc<LeavingPods>>>,
    /// Is a part of it not seen?
    is_away: AtomicBool,
    raised: watch::Sender<Arc<Raised>>,
}

impl Cluster for Fake {
    fn declared(&self) -> watch::Receiver<Option<Arc<Declarations>>> {
        self.declared.subscribe()
    }

    fn job_pods(&self) -> watch::Receiver<Option<Arc<JobCensus>>> {
        self.job_pods.subscribe()
    }

    fn leaving_pods(&self) -> watch::Receiver<Option<Arc<LeavingPods>>> {
        self.leaving.subscribe()
    }

    fn unseen_for(&self) -> Option<Duration> {
        let is_away = self.is_away.load(Ordering::SeqCst);
        is_away.then_some(Duration::from_secs(1))
    }

    fn raised(&self) -> watch::Receiver<Arc<Raised>> {
        self.raised.subscribe()
    }

    fn token(&self, secret: &SecretRef) -> Arc<dyn Tokens> {
        struct Missing(String);
        impl Tokens for Missing {
            fn token(&self) -> BoxFuture<'_, Result<SecretString, ReadError>> {
                let detail = self.0.as_str().into();
                Box::pin(async { Err(ReadError::CredentialMissing { detail }) })
            }
        }
        Arc::new(Missing(format!(
            "no Secret {}/{}",
            secret.namespace, secret.name
        )))
    }
}

/// One organization; each credential has a client of its own on one script.
struct Clients(Arc<Script>);

struct Client(Arc<Script>, CredentialUse);

impl Organizations for Clients {
    fn client(
        &self,
        _: &OrganizationUrl,
        credential: &CredentialUse,
    ) -> Result<Arc<dyn AgentPools>, ReadError> {
        Ok(Arc::new(Client(Arc::clone(&self.0), credential.clone())))
    }
}

impl AgentPools for Client {
    fn pool<'a>(&'a self, pool: &'a PoolRef) -> BoxFuture<'a, Reading<Pool>> {
        Box::pin(async move {
            if let CredentialUse::Own(tokens) = &self.1
                && let Err(error) = tokens.token().await
            {
                return Reading {
                    outcome: Err(error),
                    pause: None,
                };
            }
            self.0.pool(pool).await
        })
    }

    fn unfinished_jobs(&self, pool: PoolId) -> BoxFuture<'_, Reading<Vec<JobRequest>>> {
        self.0.unfinished_jobs(pool)
    }

    fn placeholders(self: Arc<Self>) -> Option<Arc<dyn Placeholders>> {
        Some(self)
    }

    fn parallel_jobs(&self) -> BoxFuture<'_, Reading<Usage>> {
        self.0.parallel_jobs()
    }
}

/// Nobody writes here: it is only told who could.
impl Placeholders for Client {
    fn register<'a>(&'a self, _: PoolId, _: &'a Registration) -> BoxFuture<'a, Asked<Registering>> {
        panic!("nothing is written")
    }

    fn tell_capabilities<'a>(
        &'a self,
        _: PoolId,
        _: AgentId,
        _: &'a CapabilityMap,
    ) -> BoxFuture<'a, Asked<()>> {
        panic!("nothing is written")
    }
}

impl Registrations for Client {
    fn agents<'a>(
        &'a self,
        _: &'a PoolRef,
    ) -> BoxFuture<'a, Asked<(PoolId, Vec<RegisteredAgent>)>> {
        panic!("nothing is asked")
    }

    fn agent(&self, _: PoolId, _: AgentId) -> BoxFuture<'_, Asked<Option<RegisteredAgent>>> {
        panic!("nothing is asked")
    }

    fn agent_named<'a>(
        &'a self,
        _: &'a PoolRef,
        _: &'a str,
    ) -> BoxFuture<'a, Asked<(PoolId, Option<RegisteredAgent>)>> {
        panic!("nothing is asked")
    }

    fn set_enabled<'a>(
        &'a self,
        _: PoolId,
        _: AgentId,
        _: &'a str,
        _: bool,
    ) -> BoxFuture<'a, Asked<()>> {
        panic!("nothing is written")
    }

    fn remove(&self, _: PoolId, _: AgentId) -> BoxFuture<'_, Asked<Removal>> {
        panic!("nothing is written")
    }
}

pub(super) struct Bench {
    pub(super) script: Arc<Script>,
    cluster: Arc<Fake>,
    pub(super) scaler: Scaler,
}

pub(super) fn bench(jobs: Vec<JobRequest>) -> Bench {
    bench_of(jobs, rules(), &[ADDRESS])
}

/// Two credentials for the organization, everybody's.
pub(super) fn rules() -> Rules {
    let rule = |name: &str| CredentialRule {
        name: name.into(),
        organizations: vec![organization()],
        namespaces: None,
        pools: None,
    };
    Rules {
        organizations: vec![organization()],
        credentials: vec![rule("one"), rule("two")],
        own_tokens: Vec::new(),
    }
}

pub(super) fn bench_of(jobs: Vec<JobRequest>, rules: Rules, addresses: &[&str]) -> Bench {
    bench_with(jobs, rules, addresses, Extra::default())
}

/// One that may keep placeholders.
pub(super) fn bench_keeping(rules: Rules, keeper: Keeper) -> Bench {
    let extra = Extra {
        keeper: Some(keeper),
        ..Extra::default()
    };
    bench_with(Vec::new(), rules, &[ADDRESS], extra)
}

/// One whose numbers are capped by the parallel jobs of the organization.
pub(super) fn bench_capped(jobs: Vec<JobRequest>, usage: Usage) -> Bench {
    let extra = Extra {
        capped: vec![organization()],
        ..Extra::default()
    };
    let bench = bench_with(jobs, rules(), &[ADDRESS], extra);
    bench.script.usage(Ok(usage));
    bench
}

/// What few have.
#[derive(Default)]
struct Extra {
    keeper: Option<Keeper>,
    capped: Vec<OrganizationUrl>,
}

fn bench_with(jobs: Vec<JobRequest>, rules: Rules, addresses: &[&str], extra: Extra) -> Bench {
    let cluster = Arc::new(Fake {
        declared: watch::Sender::default(),
        job_pods: watch::Sender::default(),
        leaving: watch::Sender::default(),
        is_away: AtomicBool::default(),
        raised: watch::Sender::default(),
    });
    let script = Script::new(&[("linux", 27)], Says::Jobs(jobs));
    let forget_after = Duration::from_secs(600);
    let dynamic: Arc<dyn Cluster> = Arc::clone(&cluster) as Arc<dyn Cluster>;
    let sources = Sources::new(SourceParts {
        rules,
        organizations: Arc::new(Clients(Arc::clone(&script))),
        cluster: Some(Arc::clone(&dynamic)),
        settings: SourceSettings {
            places: 4,
            longest_reading: Duration::from_secs(30),
        },
        metrics: Arc::default(),
    })
    .with_capped(extra.capped);
    let busy = Duration::from_secs(5);
    let pools = Pools::new(PoolSettings {
        intervals: Intervals { busy, idle: busy },
        forget_after,
        max_pools: 10,
    });
    let settings = ScalerSettings {
        max_stale: Duration::from_secs(300),
        fresh: busy,
        learn: LEARN,
        forget_after,
        max_scaling_objects: 10,
        cluster_required: false,
        addresses: addresses.iter().map(|address| (*address).into()).collect(),
        keeper: extra.keeper,
    };
    Bench {
        script,
        cluster,
        scaler: Scaler::new(settings, Arc::new(sources), pools, Some(&dynamic)),
    }
}

/// Metadata out of `KEY: VALUE; …`, for this scaler unless it says otherwise.
fn metadata(trigger: &str) -> BTreeMap<String, String> {
    let address = format!("scalerAddress: {ADDRESS}");
    let pairs = [address.as_str()].into_iter().chain(trigger.split(';'));
    let pairs = pairs.filter_map(|pair| pair.trim().split_once(": "));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn object(name: &str) -> ScalingObject {
    ScalingObject {
        namespace: "ci".into(),
        name: name.into(),
    }
}

/// A `ScaledObject` of at most ten agents.
pub(super) fn declared(name: &str, triggers: &[&str]) -> Declared {
    Declared {
        object: object(name),
        kind: Kind::ScaledObject,
        uid: format!("uid-{name}").into(),
        strategy: Strategy::Default,
        agents_named: name.into(),
        min_agents: 0,
        max_agents: 10,
        paused: false,
        deployment: Some(name.into()),
        scaling_out_paused: false,
        triggers: triggers.iter().map(|trigger| metadata(trigger)).collect(),
    }
}

impl Bench {
    /// The cluster declares these from now on.
    pub(super) async fn declare(&self, declared: impl IntoIterator<Item = Declared>) {
        let objects = declared
            .into_iter()
            .map(|declared| ((declared.object.clone(), declared.kind), Arc::new(declared)));
        let declarations = Declarations {
            objects: objects.collect(),
            namespaces: None,
        };
        self.cluster
            .declared
            .send_replace(Some(Arc::new(declarations)));
        // The follower runs before anybody asks.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    /// A part of the cluster is not seen any more, or is again.
    pub(super) fn see(&self, all: bool) {
        self.cluster.is_away.store(!all, Ordering::SeqCst);
    }

    /// Somebody makes the Deployment larger, now.
    pub(super) fn raise(&self, name: &str) {
        let raised = [(("ci".into(), name.into()), Instant::now())];
        self.cluster.raised.send_replace(Arc::new(raised.into()));
    }

    pub(super) fn jobs(&self, name: &str, existing: u32, started: u32, ended: &[&str]) {
        let jobs = JobPods {
            existing,
            started,
            ended: ended.iter().map(|name| (*name).into()).collect(),
        };
        let census = HashMap::from([(object(name), Arc::new(jobs))]);
        self.cluster.job_pods.send_replace(Some(Arc::new(census)));
    }

    /// These pods of a scaling object are going from now on.
    pub(super) fn leave(&self, name: &str, pods: &[&str]) {
        let pods = pods.iter().map(|name| (*name).into()).collect();
        let leaving = HashMap::from([(object(name), Arc::new(pods))]);
        self.cluster.leaving.send_replace(Some(Arc::new(leaving)));
    }

    pub(super) async fn ask(&self, name: &str, trigger: &str) -> Result<u64, String> {
        let metadata: HashMap<String, String> = metadata(trigger).into_iter().collect();
        let call = Call {
            namespace: "ci",
            name,
            metadata: &metadata,
            encrypted: false,
        };
        let answer = self.scaler.answer(&call).await;
        answer
            .map(|answer| answer.number.value())
            .map_err(|error| error.to_string())
    }

    pub(super) async fn number(&self, name: &str, trigger: &str) -> u64 {
        self.ask(name, trigger).await.unwrap()
    }
}

//! The wiring of `azp-scaler serve`: from a configuration to running servers.
//!
//! May import: everything below; the only place that names concrete adapters.
//! Invariant: an [`App`] is built, with its ports bound and nothing running, or
//! it is not there; once it runs, a part that ends before its time ends all.

pub mod agent;
mod clients;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;

use self::clients::Clients;
use crate::{
    config::{GuardConfig, PoolWritesConfig, ServeConfig},
    domain::keeper::Keeper,
    grpc, guard, http,
    kubernetes::{self, Kubernetes},
    pools::{Intervals, PoolSettings, Pools, SourceSettings},
    ports::{
        Cluster,
        notices::{Events, Notices},
        stands::PoolStands,
        writes::{AgentPods, Needs, Scales},
    },
    scaler::{Scaler, ScalerSettings, SourceParts, Sources},
    shutdown::{Grace, Shutdown},
    telemetry::metrics::{Metrics, Writer},
};

/// Requests to Azure DevOps under way at once.
const READINGS_AT_ONCE: usize = 8;

/// How often the agents of a pool are listed, where a writer has to know them.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A Secret that may be read but not watched is read again after this.
const SECRET_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// A scaler whose ports are bound and which does not run yet.
#[derive(Debug)]
pub struct App {
    grpc: TcpListener,
    tls: Option<grpc::Tls>,
    http: TcpListener,
    scaler: Arc<Scaler>,
    cluster: Option<Arc<Kubernetes>>,
    metrics: Arc<Metrics>,
    config: ServeConfig,
}

/// Where an [`App`] listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For KEDA.
    pub grpc: SocketAddr,
    /// For Prometheus, probes, people and service hooks.
    pub http: SocketAddr,
}

// === impl App ===

impl App {
    /// Binds the ports and puts the parts together. Sends nothing yet.
    ///
    /// # Errors
    /// Where a port is taken, a file of TLS cannot be used or the HTTP client
    /// cannot be made.
    pub async fn build(config: ServeConfig) -> anyhow::Result<Self> {
        let grpc = bind(config.grpc_listen, "--grpc-listen").await?;
        let http = bind(config.http_listen, "--http-listen").await?;
        let tls = match config.tls.clone() {
            Some(files) => Some(grpc::Tls::load(files).await?),
            None => None,
        };
        let metrics = Arc::new(Metrics::new());
        let cluster = cluster(&config).await?;
        let scaler = scaler(&config, cluster.as_ref(), &metrics)?;
        Ok(Self {
            grpc,
            tls,
            http,
            scaler: Arc::new(scaler),
            cluster,
            metrics,
            config,
        })
    }

    /// Where it listens; with port 0 in the configuration, what it became.
    ///
    /// # Errors
    /// Where the operating system does not say.
    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses {
            grpc: self.grpc.local_addr()?,
            http: self.http.local_addr()?,
        })
    }

    /// What answers, for those who want to ask it without a server.
    #[must_use]
    pub fn scaler(&self) -> Arc<Scaler> {
        Arc::clone(&self.scaler)
    }

    /// Runs until `shutdown` has been taken to its end, or a part has ended.
    ///
    /// # Errors
    /// What ended before its time, and why.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let guard = self.guard();
        let ready = http::Latch::default();
        let site = http::Site {
            answers: Arc::clone(&self.scaler),
            metrics: Arc::clone(&self.metrics),
            ready: ready.clone(),
            hook_secret: self.config.hook_secret.clone(),
            shutdown: shutdown.clone(),
        };
        let grpc = grpc::serve(
            self.grpc,
            self.tls,
            self.scaler,
            self.metrics,
            shutdown.clone(),
        );
        let http = http::serve(self.http, site);
        // Both ports are bound, so a caller who comes now is answered.
        ready.open();
        let (grpc, http) = (
            ended("gRPC", grpc, &shutdown),
            ended("HTTP", http, &shutdown),
        );
        let guarding = async {
            if let Some(guard) = guard {
                // So that another takes over while this one still answers.
                guard.run(shutdown.draining()).await;
            }
            Ok(())
        };
        let cluster = async {
            if let Some(cluster) = &self.cluster {
                cluster.run(shutdown.clone()).await;
            }
            Ok(())
        };
        tokio::try_join!(grpc, http, cluster, guarding)?;
        Ok(())
    }

    /// What writes to the cluster, where anything is to.
    fn guard(&self) -> Option<guard::Guard> {
        let config = self.config.guard.as_ref()?;
        let cluster = self.cluster.as_ref()?;
        let world = guard::World {
            lease: cluster.lease(&config.lease_namespace, &config.lease_name),
            pods: Arc::clone(cluster) as Arc<dyn AgentPods>,
            scales: Arc::clone(cluster) as Arc<dyn Scales>,
            needs: Arc::clone(&self.scaler) as Arc<dyn Needs>,
            stands: Arc::clone(&self.scaler) as Arc<dyn PoolStands>,
            notices: Arc::clone(&self.scaler) as Arc<dyn Notices>,
            events: Arc::clone(cluster) as Arc<dyn Events>,
            metrics: Arc::clone(&self.metrics),
        };
        Some(guard::Guard::new(guard_settings(config), world))
    }

    /// As [`App::run`], taking its shutdown from SIGTERM and SIGINT.
    ///
    /// # Errors
    /// As [`App::run`].
    pub async fn run_until_signal(self) -> anyhow::Result<()> {
        let shutdown = Shutdown::new();
        let grace = Grace {
            delay: self.config.drain_delay,
            deadline: self.config.drain_deadline,
        };
        let signals = shutdown.clone();
        tokio::select! {
            result = self.run(shutdown) => result,
            // Once the steps are taken, the servers have ended or been cut.
            result = signals.run_on_signal(grace) => Ok(result?),
        }
    }
}

/// A server's end is an error unless the shutdown has asked for it.
async fn ended<E: std::error::Error + Send + Sync + 'static>(
    what: &'static str,
    server: impl Future<Output = Result<(), E>>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    server.await?;
    anyhow::ensure!(shutdown.is_draining(), "the {what} server ended by itself");
    Ok(())
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address by {flag}"))
}

/// The way to the cluster, where the configuration has one.
async fn cluster(config: &ServeConfig) -> anyhow::Result<Option<Arc<Kubernetes>>> {
    let guard = config.guard.as_ref();
    let config = &config.cluster;
    let Some(access) = &config.access else {
        return Ok(None);
    };
    let settings = kubernetes::Settings {
        namespaces: config.namespaces.clone(),
        addresses: config.addresses.clone(),
        read_again_after: SECRET_AGAIN_AFTER,
        agent_pods: guard.is_some_and(|guard| {
            let of_pods = [Writer::BusyMarks, Writer::Reaper];
            of_pods.iter().any(|writer| guard.writers.contains(writer))
        }),
        raises: guard.is_some_and(|guard| guard.writers.contains(&Writer::DirectScaleUp)),
        // Without the marks a Deployment that shrinks may take a busy pod each time,
        // and a number that went down with it would have it take the next one.
        leaving_pods: guard
            .is_some_and(|guard| guard.writers.contains(&Writer::BusyMarks) && !guard.dry_run),
    };
    let cluster = Kubernetes::connect(access, settings).await?;
    Ok(Some(Arc::new(cluster)))
}

fn scaler(
    config: &ServeConfig,
    cluster: Option<&Arc<Kubernetes>>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Scaler> {
    let cluster = cluster.map(|cluster| Arc::clone(cluster) as Arc<dyn Cluster>);
    let sources = Sources::new(SourceParts {
        rules: config.tenancy.rules.clone(),
        organizations: Arc::new(Clients::new(config)?),
        cluster: cluster.clone(),
        settings: source_settings(config),
        metrics: Arc::clone(metrics),
    })
    .with_capped(config.tenancy.capped());
    let pools = Pools::new(pool_settings(config));
    let settings = scaler_settings(config);
    Ok(Scaler::new(
        settings,
        Arc::new(sources),
        pools,
        cluster.as_ref(),
    ))
}

fn guard_settings(config: &GuardConfig) -> guard::Settings {
    // A container that starts anew has the name of the one before it, which may
    // not have ended long ago.
    let start = fastrand::u32(..);
    guard::Settings {
        writers: config.writers.clone(),
        dry_run: config.dry_run,
        marks_per_second: config.marks_per_second,
        identity: format!("{}_{start:08x}", config.identity).into(),
        times: guard::Times::default(),
        pools: config.pools.as_ref().map(|pools| guard::PoolSettings {
            keeper: keeper(config, pools),
            look_every: LOOK_EVERY,
            gone_for: pools.placeholders_gone_for,
            offline_for: pools.reap_after,
        }),
    }
}

fn keeper(config: &GuardConfig, pools: &PoolWritesConfig) -> Keeper {
    let (namespace, lease) = (&config.lease_namespace, &config.lease_name);
    Keeper::new(&pools.cluster_name, namespace, lease)
}

const fn source_settings(config: &ServeConfig) -> SourceSettings {
    SourceSettings {
        places: READINGS_AT_ONCE,
        // A queue that comes in pages takes several requests.
        longest_reading: config.request_timeout.saturating_mul(4),
    }
}

const fn pool_settings(config: &ServeConfig) -> PoolSettings {
    PoolSettings {
        intervals: Intervals {
            busy: config.poll_interval,
            idle: config.idle_interval,
        },
        forget_after: config.forget_after,
        max_pools: config.max_pools,
    }
}

fn scaler_settings(config: &ServeConfig) -> ScalerSettings {
    ScalerSettings {
        max_stale: config.max_stale,
        fresh: config.poll_interval,
        learn: config.learn,
        forget_after: config.forget_after,
        max_scaling_objects: config.max_scaling_objects,
        cluster_required: config.cluster.required,
        addresses: config.cluster.addresses.iter().cloned().collect(),
        keeper: config.guard.as_ref().and_then(|guard| {
            let keeps = guard.writers.contains(&Writer::Placeholders);
            let pools = guard.pools.as_ref().filter(|_| keeps)?;
            Some(keeper(guard, pools))
        }),
    }
}

//! The stage of a row: an emulated organization with three queued jobs, a scaler
//! that reads it, and KEDA's client.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use azp_scaler::{
    app::App,
    config::{
        Application, ClusterConfig, IdentityConfig, SecretSource, ServeConfig, TenancyConfig,
        TokenConfig,
    },
    domain::{
        job::RequestId,
        organization::OrganizationUrl,
        tenancy::{NamespacePattern, Rules},
    },
    emulator::{
        AuthorityFault, Clock, Emulator, EmulatorHandle, Fault, FaultKind, NewJobs, Settings,
    },
    grpc::{
        self,
        proto::{GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient},
    },
    http::{self, Latch, Site},
    pools::{Intervals, PoolSettings, Pools, SourceSettings},
    ports::Cluster,
    scaler::{Scaler, ScalerSettings, SourceParts, Sources},
    shutdown::Shutdown,
    telemetry::metrics::Metrics,
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Status, transport::Channel};

use crate::{
    cluster::{Clients, Fake},
    scrape::Scrape,
    support::http::get,
    table::{Breaks, Spends},
};

pub(crate) const POOL: &str = "linux";
pub(crate) const POLL: Duration = Duration::from_millis(200);
pub(crate) const MAX_STALE: Duration = Duration::from_secs(4);
/// For what never answers.
const SHORT: Duration = Duration::from_secs(1);
/// For everything else: more than an answer takes on a busy machine.
const REQUEST: Duration = Duration::from_secs(20);
const BODY_CAP: u64 = 1 << 20;
const FORGET: Duration = Duration::from_secs(600);

/// Longer than anything takes, so that what never comes fails the test.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    breaks: Breaks,
    azure: Azure,
    cluster: Option<Arc<Fake>>,
    keda: ExternalScalerClient<Channel>,
    http: SocketAddr,
    object: ScaledObjectRef,
    shutdown: Shutdown,
}

/// An organization that is served, on an address of its own kind: nobody else
/// takes a port there while it is dead.
struct Azure {
    at: SocketAddr,
    organization: EmulatorHandle,
    jobs: Mutex<Vec<RequestId>>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Azure {
    async fn serve(at: SocketAddr, clock: Clock) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let settings = Settings {
            clock,
            ..Settings::default()
        };
        let emulator = Emulator::new(settings).unwrap();
        let organization = emulator.handle();
        let jobs = Mutex::new(queue(&organization, 3));
        organization.add_queue(812, POOL).unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            let stop = async { stopped.await.unwrap_or_default() };
            emulator.run(listener, stop).await.unwrap();
        });
        Self {
            at,
            organization,
            jobs,
            stop: Some(stop),
            served,
        }
    }

    async fn end(&mut self) {
        self.stop.take();
        (&mut self.served).await.unwrap();
    }
}

fn queue(organization: &EmulatorHandle, count: u32) -> Vec<RequestId> {
    let jobs = NewJobs {
        count,
        ..NewJobs::default()
    };
    organization.queue_jobs(POOL, &jobs).unwrap()
}

impl Stage {
    pub(crate) async fn set(breaks: Breaks, clock: Clock) -> Self {
        let azure = Azure::serve(SocketAddr::from(([127, 0, 0, 9], 0)), clock).await;
        let url = match breaks {
            Breaks::NoSuchHost => format!("http://azure.invalid:{}/contoso", azure.at.port()),
            _ => format!("http://{}/contoso", azure.at),
        };
        let url = OrganizationUrl::parse(&url).unwrap();
        let shutdown = Shutdown::new();
        let (grpc, http, cluster) = match breaks {
            Breaks::SecretVanishes | Breaks::NoApiserver => {
                let cluster = Arc::new(Fake::new());
                let (grpc, http) = in_cluster(url, &cluster, &shutdown).await;
                (grpc, http, Some(cluster))
            }
            _ => {
                let token = token(breaks, azure.at);
                let mut config = config(url, token);
                config.request_timeout = patience(breaks);
                config.tenancy.authority.request_timeout = Some(patience(breaks));
                let app = App::build(config).await.unwrap();
                let at = app.addresses().unwrap();
                tokio::spawn(app.run(shutdown.clone()));
                (at.grpc, at.http, None)
            }
        };
        if let Breaks::Authority(_) = breaks {
            // So that the scaler needs another one soon.
            azure
                .organization
                .set_token_lifetime(Duration::from_secs(1));
        }
        let keda = Channel::from_shared(format!("http://{grpc}")).unwrap();
        Self {
            azure,
            cluster,
            keda: ExternalScalerClient::new(keda.connect().await.unwrap()),
            http,
            object: ScaledObjectRef {
                name: POOL.to_owned(),
                namespace: "ci".to_owned(),
                scaler_metadata: trigger(breaks),
            },
            shutdown,
            breaks,
        }
    }

    pub(crate) fn organization(&self) -> &EmulatorHandle {
        &self.azure.organization
    }

    pub(crate) async fn fail(&mut self, spends: Spends) {
        match self.breaks {
            Breaks::Service(kind) => {
                let route = (kind == FaultKind::PoolGone).then(|| "/jobrequests".into());
                let retry_after = match spends {
                    Spends::Pause(seconds) => seconds,
                    _ => 1,
                };
                self.organization().set_fault(Fault {
                    route,
                    retry_after,
                    ..Fault::new(kind)
                });
            }
            Breaks::Authority(fault) => self.organization().set_authority_fault(Some(fault)),
            Breaks::DeadPort => self.azure.end().await,
            Breaks::SecretVanishes => self.cluster().delete_secret(),
            Breaks::NoApiserver => self.cluster().go_away(),
            Breaks::NoSuchHost | Breaks::NoSuchPool | Breaks::QueueId => {}
        }
    }

    pub(crate) async fn mend(&mut self) {
        match self.breaks {
            Breaks::Service(_) => self.organization().clear_faults(),
            Breaks::Authority(_) => self.organization().set_authority_fault(None),
            Breaks::DeadPort => self.azure = Azure::serve(self.azure.at, Clock::tokio()).await,
            Breaks::SecretVanishes => self.cluster().put_secret(),
            Breaks::NoApiserver => {}
            Breaks::NoSuchHost | Breaks::NoSuchPool | Breaks::QueueId => {}
        }
    }

    pub(crate) fn queue(&self, count: u32) {
        let more = queue(self.organization(), count);
        self.azure.jobs.lock().unwrap().extend(more);
    }

    pub(crate) fn cancel_all(&self) {
        for job in self.azure.jobs.lock().unwrap().drain(..) {
            self.organization().cancel_job(POOL, job).unwrap();
        }
    }

    /// Requests that have gone out, or tried to.
    pub(crate) async fn requests(&self) -> u64 {
        match self.breaks {
            // Nobody is there to count them.
            Breaks::DeadPort | Breaks::NoSuchHost => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a small count"
                )]
                let tried = self.scrape().await.requests() as u64;
                tried
            }
            _ => self.organization().requests().total,
        }
    }

    /// What KEDA is told by both calls, which say the same.
    pub(crate) async fn ask(&mut self) -> Result<u64, Status> {
        loop {
            let metrics = self.keda.get_metrics(GetMetricsRequest {
                scaled_object_ref: Some(self.object.clone()),
                metric_name: "jobs".to_owned(),
            });
            let number = metrics.await.map(|metrics| {
                let metrics = metrics.into_inner().metric_values;
                u64::try_from(metrics[0].metric_value).unwrap()
            });
            let active = self.keda.is_active(self.object.clone()).await;
            let active = active.map(|active| active.into_inner().result);
            match (number, active) {
                (Ok(number), Ok(active)) if (number > 0) == active => return Ok(number),
                (Err(told), Err(other)) => {
                    assert_eq!(told.code(), other.code());
                    return Err(told);
                }
                // The queue moved, or the time ran out, between the two.
                _ => sleep(POLL / 10).await,
            }
        }
    }

    /// Waits until KEDA is told this number.
    pub(crate) async fn until_told(&mut self, number: u64) {
        let name = format!("{:?}", self.breaks);
        let told = async {
            while !self.ask().await.is_ok_and(|told| told == number) {
                sleep(POLL / 2).await;
            }
        };
        let told = timeout(LONGEST, told).await;
        assert!(told.is_ok(), "{name}: KEDA is never told {number}");
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        Scrape(get(self.http, "/metrics").await.body)
    }

    /// A stream of activity, and what it has said so far.
    pub(crate) async fn stream(&mut self) -> Arc<Mutex<Vec<bool>>> {
        let stream = self.keda.stream_is_active(self.object.clone()).await;
        let mut stream = stream.unwrap().into_inner();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(told)) = stream.message().await {
                heard.lock().unwrap().push(told.result);
            }
        });
        said
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.cut_now();
    }
}

impl Stage {
    fn cluster(&self) -> &Fake {
        self.cluster.as_ref().unwrap()
    }
}

/// Waits until the stream has said exactly this.
pub(crate) async fn until_said(said: &Mutex<Vec<bool>>, expected: &[bool], name: &str) {
    let heard = async {
        while said.lock().unwrap().len() < expected.len() {
            sleep(POLL / 2).await;
        }
    };
    let _ = timeout(LONGEST, heard).await;
    assert_eq!(*said.lock().unwrap(), expected, "{name}: StreamIsActive");
}

fn trigger(breaks: Breaks) -> HashMap<String, String> {
    let pairs: &[(&str, &str)] = match breaks {
        Breaks::NoSuchPool => &[("poolName", "linx")],
        Breaks::QueueId => &[("poolID", "812")],
        Breaks::SecretVanishes | Breaks::NoApiserver => &[
            ("poolName", POOL),
            ("secretName", "azp"),
            ("secretKey", "token"),
        ],
        _ => &[("poolName", POOL)],
    };
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn token(breaks: Breaks, authority: SocketAddr) -> TokenConfig {
    let Breaks::Authority(_) = breaks else {
        return TokenConfig::Fixed("a-token".into());
    };
    TokenConfig::Identity(IdentityConfig::Secret {
        application: Application {
            client_id: "a-client".into(),
            tenant_id: "a-tenant".into(),
            authority: format!("http://{authority}/").parse().unwrap(),
        },
        secret: SecretSource::Fixed("a-secret".into()),
    })
}

/// How long a request may take.
fn patience(breaks: Breaks) -> Duration {
    use FaultKind::{Hang, SlowBody};
    match breaks {
        Breaks::Service(Hang | SlowBody) | Breaks::Authority(AuthorityFault::Hang) => SHORT,
        _ => REQUEST,
    }
}

pub(crate) fn config(url: OrganizationUrl, token: TokenConfig) -> ServeConfig {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    ServeConfig {
        tenancy: TenancyConfig::single(url, token),
        cluster: ClusterConfig::off(),
        guard: None,
        grpc_listen: any_port,
        tls: None,
        http_listen: any_port,
        poll_interval: POLL,
        idle_interval: POLL,
        max_stale: MAX_STALE,
        learn: Duration::ZERO,
        forget_after: FORGET,
        max_pools: 100,
        max_scaling_objects: 100,
        request_timeout: REQUEST,
        body_cap: BODY_CAP,
        hook_secret: None,
        drain_delay: Duration::ZERO,
        drain_deadline: Duration::from_secs(1),
        log: "off".to_owned(),
        log_json: None,
    }
}

/// The same parts as [`App`] puts together, around a cluster that the test
/// holds.
async fn in_cluster(
    url: OrganizationUrl,
    cluster: &Arc<Fake>,
    shutdown: &Shutdown,
) -> (SocketAddr, SocketAddr) {
    let metrics = Arc::new(Metrics::new());
    let cluster: Arc<dyn Cluster> = Arc::clone(cluster) as Arc<dyn Cluster>;
    let sources = Sources::new(SourceParts {
        rules: Rules {
            organizations: vec![url],
            credentials: Vec::new(),
            own_tokens: vec![NamespacePattern::parse("ci").unwrap()],
        },
        organizations: Arc::new(Clients {
            request_timeout: REQUEST,
        }),
        cluster: Some(Arc::clone(&cluster)),
        settings: SourceSettings {
            places: 8,
            longest_reading: 4 * REQUEST,
        },
        metrics: Arc::clone(&metrics),
    });
    let pools = Pools::new(PoolSettings {
        intervals: Intervals {
            busy: POLL,
            idle: POLL,
        },
        forget_after: FORGET,
        max_pools: 100,
    });
    let settings = ScalerSettings {
        max_stale: MAX_STALE,
        fresh: POLL,
        learn: Duration::ZERO,
        forget_after: FORGET,
        max_scaling_objects: 100,
        cluster_required: false,
        addresses: Vec::new(),
        keeper: None,
    };
    let scaler = Scaler::new(settings, Arc::new(sources), pools, Some(&cluster));
    let scaler = Arc::new(scaler);
    let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = (grpc.local_addr().unwrap(), http.local_addr().unwrap());
    let site = Site {
        answers: Arc::clone(&scaler),
        metrics: Arc::clone(&metrics),
        ready: Latch::default(),
        hook_secret: None,
        shutdown: shutdown.clone(),
    };
    tokio::spawn(grpc::serve(grpc, None, scaler, metrics, shutdown.clone()));
    tokio::spawn(http::serve(http, site));
    at
}

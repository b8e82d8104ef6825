//! The writers of agent pools on a real apiserver, with the scaler itself and an
//! organization over HTTP that fails jobs as Azure DevOps does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use azp_harness::Cluster;
use azp_scaler::{
    azure::{Client, ClientSettings, Credential, PersonalAccessToken},
    domain::{
        demand::Demands,
        job::{JobResult, JobState},
        keeper::Keeper,
        leftover::{CLUSTER, OWNER},
        organization::OrganizationUrl,
        tenancy::{CredentialRule, Rules},
    },
    emulator::{self, Emulator, EmulatorHandle, NewAgent, NewJobs},
    guard::{Guard, PoolSettings, Settings, Times, World},
    pools::{self, Intervals, Pools, SourceSettings},
    ports::{
        AgentPools, Cluster as Declares, CredentialUse, Organizations, ReadError,
        notices::{Events, Notices},
        stands::PoolStands,
        writes::{AgentPods, Needs, Scales},
    },
    scaler::{Scaler, ScalerSettings, SourceParts, Sources},
    shutdown::Shutdown,
    telemetry::metrics::{Metrics, WriteOutcome, Writer},
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use crate::{
    guard::eventually,
    site::{Watching, cluster, namespace, service_account},
};

const POOL: &str = "held";
const TOKEN: &str = "pat-of-the-scenario-0123456789";

/// How long nobody has wanted a placeholder, and an agent was offline.
const GONE_FOR: Duration = Duration::from_secs(6);

/// A client of the emulator, whoever asks.
struct Clients;

impl Organizations for Clients {
    fn client(
        &self,
        organization: &OrganizationUrl,
        _: &CredentialUse,
    ) -> Result<Arc<dyn AgentPools>, ReadError> {
        let token = PersonalAccessToken::parse(&TOKEN.to_owned().into()).unwrap();
        let credential = Credential::PersonalAccessToken(token);
        let settings = ClientSettings::new(organization.clone(), credential);
        Ok(Arc::new(Client::new(settings).unwrap()))
    }
}

/// A replica of the scaler with its guard.
struct Replica {
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(watching: &Watching, space: &str, organization: &OrganizationUrl) -> Self {
        let keeper = Keeper::new("west", space, "guard");
        let scaler = scaler(watching, organization, &keeper);
        let metrics = Arc::new(Metrics::new());
        let settings = Settings {
            writers: vec![Writer::Placeholders, Writer::Reaper],
            dry_run: false,
            marks_per_second: 20,
            identity: "one".into(),
            times: Times::default(),
            pools: Some(PoolSettings {
                keeper,
                look_every: Duration::from_secs(1),
                gone_for: GONE_FOR,
                offline_for: GONE_FOR,
            }),
        };
        let world = World {
            lease: watching.cluster.lease(space, "guard"),
            pods: Arc::clone(&watching.cluster) as Arc<dyn AgentPods>,
            scales: Arc::clone(&watching.cluster) as Arc<dyn Scales>,
            needs: Arc::clone(&scaler) as Arc<dyn Needs>,
            stands: Arc::clone(&scaler) as Arc<dyn PoolStands>,
            notices: Arc::clone(&scaler) as Arc<dyn Notices>,
            events: Arc::clone(&watching.cluster) as Arc<dyn Events>,
            metrics: Arc::clone(&metrics),
        };
        let shutdown = Shutdown::new();
        let task = tokio::spawn(Guard::new(settings, world).run(shutdown.draining()));
        Self {
            metrics,
            shutdown,
            task,
        }
    }
}

fn scaler(watching: &Watching, organization: &OrganizationUrl, keeper: &Keeper) -> Arc<Scaler> {
    let cluster = Arc::clone(&watching.cluster) as Arc<dyn Declares>;
    let forget_after = Duration::from_secs(600);
    let rule = CredentialRule {
        name: "default".into(),
        organizations: vec![organization.clone()],
        namespaces: None,
        pools: None,
    };
    let sources = Sources::new(SourceParts {
        rules: Rules {
            organizations: vec![organization.clone()],
            credentials: vec![rule],
            own_tokens: Vec::new(),
        },
        organizations: Arc::new(Clients),
        cluster: Some(Arc::clone(&cluster)),
        settings: SourceSettings {
            places: 4,
            longest_reading: Duration::from_secs(30),
        },
        metrics: Arc::default(),
    });
    let busy = Duration::from_secs(1);
    let pools = Pools::new(pools::PoolSettings {
        intervals: Intervals { busy, idle: busy },
        forget_after,
        max_pools: 10,
    });
    let settings = ScalerSettings {
        max_stale: Duration::from_secs(60),
        fresh: busy,
        learn: Duration::ZERO,
        forget_after,
        max_scaling_objects: 10,
        cluster_required: true,
        addresses: vec!["azp-scaler.keda:9090".into()],
        keeper: Some(keeper.clone()),
    };
    Arc::new(Scaler::new(
        settings,
        Arc::new(sources),
        pools,
        Some(&cluster),
    ))
}

/// An organization whose pool fails jobs that no registered agent could run.
async fn organization() -> (EmulatorHandle, OrganizationUrl) {
    let emulator = Emulator::new(emulator::Settings {
        token: Some(TOKEN.to_owned().into()),
        pools: vec![POOL.to_owned()],
        ..emulator::Settings::default()
    });
    let emulator = emulator.unwrap();
    let handle = emulator.handle();
    handle.set_strict(POOL, true).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/contoso", listener.local_addr().unwrap());
    tokio::spawn(emulator.run(listener, std::future::pending()));
    (handle, OrganizationUrl::parse(&url).unwrap())
}

fn names(organization: &EmulatorHandle) -> Vec<String> {
    let agents = organization.agents(POOL).unwrap();
    agents.iter().map(|agent| agent.name.to_string()).collect()
}

fn placeholder(organization: &EmulatorHandle) -> Option<String> {
    let begins = |name: &String| name.starts_with("azp_placeholder_west_");
    names(organization).into_iter().find(begins)
}

/// What becomes of a job that asks for Java; it is gone again then.
fn job(organization: &EmulatorHandle) -> JobState {
    let jobs = NewJobs {
        demands: Demands::read(&["java -equals 17", "Agent.Version -gtVersion 4.260.0"]),
        ..NewJobs::default()
    };
    let job = organization.queue_jobs(POOL, &jobs).unwrap()[0];
    let state = organization.job(POOL, job).unwrap().state;
    if state == JobState::Queued {
        organization.cancel_job(POOL, job).unwrap();
    }
    state
}

/// An agent whose pod was killed, in this namespace of this cluster.
fn leave_behind(organization: &EmulatorHandle, space: &str, cluster: &str, name: &str) {
    let mut agent = NewAgent::in_pod(name, [("java", "17")]);
    let marks = [(OWNER, space), (CLUSTER, cluster)];
    let marks = marks.map(|(name, value)| (name.to_owned(), value.to_owned()));
    agent.system_capabilities.extend(BTreeMap::from(marks));
    agent.online = false;
    organization.add_agent(POOL, agent).unwrap();
}

fn objects(space: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{namespace: {space}, name: java}}
spec:
  scaleTargetRef: {{name: java-agents}}
  minReplicaCount: 0
  triggers:
  - type: external-push
    metadata: {{scalerAddress: 'azp-scaler.keda:9090', poolName: {POOL}, capabilities: java=17}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{namespace: {space}, name: java-agents}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: java}}}}
  template:
    metadata: {{labels: {{app: java}}}}
    spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: agent, image: agent}}]}}
---
"
    )
}

fn pods(cluster: &Cluster, space: &str) -> Vec<String> {
    let of = format!("--namespace={space}");
    let names = "--output=jsonpath={.items[*].metadata.name}";
    let names = cluster.kubectl(&["get", "pods", &of, names]).unwrap();
    names.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_keeps_a_placeholder_and_loses_what_dead_pods_left() {
    let (cluster, _turn) = cluster();
    let space = "held";
    namespace(cluster, space);
    // Just what the chart gives for these two.
    let rules =
        "[{apiGroups: [keda.sh], resources: [scaledobjects, scaledjobs], verbs: [list, watch]},
      {apiGroups: [''], resources: [pods], verbs: [list, watch]},
      {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, patch, create]}]";
    let kubeconfig = service_account(cluster, space, rules);
    let watching = Watching::begin_with(kubeconfig, &[space], true).await;
    let (organization, url) = organization().await;
    let one = Replica::start(&watching, space, &url);
    const FAILED: JobState = JobState::Finished(JobResult::Failed);
    assert_eq!(job(&organization), FAILED);

    let declared = Instant::now();
    cluster.apply(&objects(space)).unwrap();
    eventually("the placeholder is there", || {
        placeholder(&organization).is_some()
    })
    .await;
    println!("the placeholder is there after {:.1?}", declared.elapsed());
    assert_eq!(job(&organization), JobState::Queued);
    let name = placeholder(&organization).unwrap();

    organization.remove_agent(POOL, &name).unwrap();
    let healed = Instant::now();
    eventually("it is there again", || placeholder(&organization).is_some()).await;
    println!("it is there again after {:.1?}", healed.elapsed());
    assert_eq!(placeholder(&organization).unwrap(), name);
    assert_eq!(job(&organization), JobState::Queued);

    // One whose pod is there, one whose pod is gone, and another cluster's.
    eventually("a pod", || pods(cluster, space).len() == 1).await;
    let pod = pods(cluster, space).remove(0);
    leave_behind(&organization, space, "west", &pod);
    leave_behind(&organization, space, "west", "java-agents-gone");
    leave_behind(&organization, space, "east", "java-agents-east");
    let left = Instant::now();
    let is_there = |name: &str| names(&organization).iter().any(|other| other == name);
    eventually("the dead one is taken out", || {
        !is_there("java-agents-gone")
    })
    .await;
    assert!(left.elapsed() >= GONE_FOR, "{:?}", left.elapsed());
    tokio::time::sleep(GONE_FOR).await;
    assert!(is_there(&pod), "its pod is there");
    let of = format!("--namespace={space}");
    let scale = ["scale", "deployment", "java-agents", &of, "--replicas=0"];
    cluster.kubectl(&scale).unwrap();
    eventually("and so is this one, once its pod is gone", || {
        !is_there(&pod)
    })
    .await;
    let reaped = one.metrics.writes(Writer::Reaper, WriteOutcome::Done);
    assert_eq!((reaped, is_there("java-agents-east")), (2, true));

    // The time counts from when nobody wants it.
    let deleted = Instant::now();
    cluster
        .kubectl(&["delete", "scaledobject", "java", &of])
        .unwrap();
    assert!(placeholder(&organization).is_some());
    eventually("the placeholder is gone", || {
        placeholder(&organization).is_none()
    })
    .await;
    assert!(deleted.elapsed() >= GONE_FOR, "{:?}", deleted.elapsed());
    assert_eq!(names(&organization), ["java-agents-east"]);
    let made = one.metrics.writes(Writer::Placeholders, WriteOutcome::Done);
    assert_eq!(made, 3, "made, made again, removed");
    one.shutdown.begin_draining();
    one.task.await.unwrap();
}

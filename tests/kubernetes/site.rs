//! What the scenarios share: one cluster for the file, a watcher of it for each
//! scenario, objects as users write them, and ways to wait.
//!
//! May import: the harness, kube, and the adapter under test. Invariant: whatever
//! is waited for has a deadline and says what was seen instead.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use azp_harness::{Cluster, Options};
use azp_scaler::{
    config::ClusterAccess,
    domain::{
        declared::{Declarations, Declared, JobCensus, JobPods, Kind},
        profile::ScalingObject,
    },
    kubernetes::{Health, Kubernetes, Settings},
    ports::{Cluster as _, ReadError, SecretRef, Tokens},
    shutdown::Shutdown,
};
use secrecy::ExposeSecret as _;
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

/// The longest that anything takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The file's cluster, for one scenario at a time: one of them stops the
/// apiserver.
pub(crate) fn cluster() -> (&'static Cluster, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    // Never dropped: when this process is gone, the cluster's keeper ends it.
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
        let options = Options {
            // Nobody but the scenarios changes scaling objects.
            keda: false,
            ..Options::default()
        };
        Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"))
    });
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    CLUSTER.check().unwrap_or_else(|error| panic!("{error}"));
    (&CLUSTER, turn)
}

/// The adapter at work, until it is dropped.
pub(crate) struct Watching {
    pub(crate) cluster: Arc<Kubernetes>,
    pub(crate) declared: watch::Receiver<Option<Arc<Declarations>>>,
    pub(crate) census: watch::Receiver<Option<Arc<JobCensus>>>,
    pub(crate) health: watch::Receiver<Health>,
    shutdown: Shutdown,
}

impl Watching {
    /// Of some namespaces, or of all where none is named.
    pub(crate) async fn begin(kubeconfig: PathBuf, namespaces: &[&str]) -> Watching {
        Watching::begin_with(kubeconfig, namespaces, false).await
    }

    /// The same, with the pods of scaling objects or without.
    pub(crate) async fn begin_with(
        kubeconfig: PathBuf,
        namespaces: &[&str],
        agent_pods: bool,
    ) -> Watching {
        let named = namespaces.iter().map(|&name| name.into()).collect();
        let settings = Settings {
            namespaces: (!namespaces.is_empty()).then_some(named),
            read_again_after: Duration::from_secs(1),
            agent_pods,
            leaving_pods: agent_pods,
            ..Settings::default()
        };
        let access = ClusterAccess::Kubeconfig(kubeconfig);
        let cluster = Arc::new(Kubernetes::connect(&access, settings).await.unwrap());
        let shutdown = Shutdown::new();
        let (runs, until) = (Arc::clone(&cluster), shutdown.clone());
        tokio::spawn(async move { runs.run(until).await });
        Watching {
            declared: cluster.declared(),
            census: cluster.job_pods(),
            health: cluster.health(),
            cluster,
            shutdown,
        }
    }

    pub(crate) fn token(&self, namespace: &str, name: &str) -> Arc<dyn Tokens> {
        self.cluster.token(&SecretRef {
            namespace: namespace.into(),
            name: name.into(),
            key: "token".into(),
        })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.shutdown.begin_stop();
    }
}

/// Waits until what is published is as `wanted`, and gives it.
#[track_caller]
pub(crate) fn until<'a, T: Clone + Debug>(
    published: &'a mut watch::Receiver<T>,
    what: &'a str,
    wanted: impl Fn(&T) -> bool + 'a,
) -> impl Future<Output = T> + 'a {
    let at = std::panic::Location::caller();
    async move {
        if let Ok(seen) = timeout(SOON, published.wait_for(wanted)).await {
            return seen.unwrap().clone();
        }
        panic!("{at}: waited for {what}; saw {:#?}", *published.borrow())
    }
}

/// Waits for the next publication, whatever it is.
pub(crate) async fn next<T: Clone + Debug>(published: &mut watch::Receiver<T>) -> T {
    timeout(SOON, published.changed()).await.unwrap().unwrap();
    published.borrow_and_update().clone()
}

/// Waits until a token is as `wanted`, or the error's text.
pub(crate) async fn until_token(tokens: &dyn Tokens, wanted: impl Fn(Result<&str, &str>) -> bool) {
    // A token is asked for, it does not tell of itself.
    let mut asking = interval(Duration::from_millis(50));
    let mut seen = String::new();
    let asked = async {
        loop {
            asking.tick().await;
            match tokens.token().await {
                Ok(token) if wanted(Ok(token.expose_secret())) => return,
                Ok(_) => seen = "another token".to_owned(),
                Err(ReadError::CredentialMissing { detail }) if wanted(Err(&detail)) => return,
                Err(error) => seen = error.to_string(),
            }
        }
    };
    if timeout(SOON, asked).await.is_err() {
        panic!("the token is not as wanted; saw {seen}");
    }
}

/// The declared object of a name and kind.
pub(crate) fn find<'a>(
    declarations: &'a Option<Arc<Declarations>>,
    namespace: &str,
    name: &str,
    kind: Kind,
) -> Option<&'a Arc<Declared>> {
    let key = (object(namespace, name), kind);
    declarations.as_ref()?.objects.get(&key)
}

pub(crate) fn object(namespace: &str, name: &str) -> ScalingObject {
    ScalingObject {
        namespace: namespace.into(),
        name: name.into(),
    }
}

/// The Jobs of one `ScaledJob`; `None` while nothing is known.
pub(crate) fn jobs_of(
    census: &Option<Arc<JobCensus>>,
    namespace: &str,
    name: &str,
) -> Option<JobPods> {
    let jobs = census.as_ref()?.get(&object(namespace, name));
    Some(jobs.map(|jobs| (**jobs).clone()).unwrap_or_default())
}

/// A service account that may do what the rules say in the namespace; gives the
/// file to connect with as it.
pub(crate) fn service_account(cluster: &Cluster, namespace: &str, rules: &str) -> PathBuf {
    let account = format!(
        "apiVersion: v1
kind: ServiceAccount
metadata: {{name: scaler, namespace: {namespace}}}
"
    );
    cluster.apply(&account).unwrap();
    allow(cluster, namespace, namespace, rules);
    let in_namespace = format!("--namespace={namespace}");
    let token = cluster.kubectl(&["create", "token", "scaler", &in_namespace]);
    let admin = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let (before, rest) = admin.split_once("    token: ").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    let own = format!("{before}    token: {}\n{after}", token.unwrap().trim());
    let path = cluster.directory().join(format!("kubeconfig-{namespace}"));
    std::fs::write(&path, own).unwrap();
    assert!(Path::new(&path).is_absolute());
    path
}

/// Lets the service account of `owner` do what the rules say in `namespace`.
pub(crate) fn allow(cluster: &Cluster, owner: &str, namespace: &str, rules: &str) {
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: scaler, namespace: {namespace}}}
rules: {rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: scaler, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: scaler}}
subjects: [{{kind: ServiceAccount, name: scaler, namespace: {owner}}}]
"
    );
    cluster.apply(&role).unwrap();
}

pub(crate) fn namespace(cluster: &Cluster, name: &str) {
    let yaml = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    cluster.apply(&yaml).unwrap();
}

/// A `ScaledObject` with one trigger of a type.
pub(crate) fn scaled_object(namespace: &str, name: &str, most: u32, trigger: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  scaleTargetRef: {{name: {name}-agents}}
  maxReplicaCount: {most}
  triggers:
  - type: {trigger}
    metadata: {{scalerAddress: 'azp-scaler.keda:9090', poolName: {name}, warmAgents: '2'}}
---
"
    )
}

/// A `ScaledJob` with a strategy, given as a flow mapping.
pub(crate) fn scaled_job(namespace: &str, name: &str, strategy: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  jobTargetRef:
    template:
      spec: {{containers: [{{name: agent, image: agent}}], restartPolicy: Never}}
  minReplicaCount: 1
  scalingStrategy: {strategy}
  triggers:
  - type: cron
    metadata: {{timezone: UTC, start: 0 8 * * *, end: 0 18 * * *, desiredReplicas: '1'}}
  - type: external
    metadata: {{scalerAddress: 'azp-scaler.keda:9090', poolName: {name}}}
---
"
    )
}

/// A Job as KEDA makes it for a `ScaledJob`.
pub(crate) fn job(namespace: &str, scaled_job: &str, name: &str) -> String {
    format!(
        "apiVersion: batch/v1
kind: Job
metadata:
  namespace: {namespace}
  name: {name}
  labels: {{scaledjob.keda.sh/name: {scaled_job}}}
spec:
  backoffLimit: 0
  template:
    metadata: {{labels: {{scaledjob.keda.sh/name: {scaled_job}}}}}
    spec: {{containers: [{{name: agent, image: agent}}], restartPolicy: Never}}
---
"
    )
}

/// Many `ScaledObject`s, faster than kubectl makes them.
pub(crate) async fn create_many(cluster: &Cluster, namespace: &str, count: usize) {
    use futures::{StreamExt as _, TryStreamExt as _};
    use kube::{
        Api, Client, Config,
        api::PostParams,
        config::{KubeConfigOptions, Kubeconfig},
        core::{ApiResource, DynamicObject, GroupVersionKind},
    };
    let file = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap();
    let kind = GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject");
    let kind = ApiResource::from_gvk(&kind);
    let client = Client::try_from(config).unwrap();
    let objects: Api<DynamicObject> = Api::namespaced_with(client, namespace, &kind);
    let create = |number: usize| {
        let (objects, name) = (objects.clone(), format!("agents-{number}"));
        let object = DynamicObject::new(&name, &kind).data(serde_json::json!({"spec": {
            "scaleTargetRef": {"name": name},
            "triggers": [{"type": "external", "metadata": {"poolName": "k8s"}}],
        }}));
        async move { objects.create(&PostParams::default(), &object).await }
    };
    let created = futures::stream::iter(0..count).map(create);
    let created = created.buffer_unordered(16);
    created.try_for_each(async |_| Ok(())).await.unwrap();
}

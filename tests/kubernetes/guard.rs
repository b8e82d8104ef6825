//! The guard on a real apiserver and its controllers: what it needs is told by the
//! scenario, and all that it writes is real.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use azp_harness::Cluster;
use azp_scaler::{
    domain::profile::ScalingObject,
    guard::{Guard, Settings, Times, World, marks},
    ports::{
        notices::{Events, Noticed, Notices},
        stands::{PoolStands, StandKey, Stands},
        writes::{AgentPods, AgentPodsSeen, Busy, Need, Needs, PodName, Raise, Scales},
    },
    shutdown::Shutdown,
    telemetry::metrics::{Metrics, WriteOutcome, Writer},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::site::{
    SOON, Watching, allow, cluster, namespace, scaled_object, service_account, until,
};

/// What the scenario says is needed.
struct Told {
    needs: Mutex<Vec<Need>>,
    changes: watch::Sender<u64>,
}

impl Told {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            needs: Mutex::default(),
            changes: watch::Sender::default(),
        })
    }

    /// A reading, from now, in which these agents have a job.
    fn say(&self, space: &str, busy: &[&str], replicas: Option<u32>) {
        let agents = busy
            .iter()
            .map(|name| ((*name).into(), BTreeSet::from([1])));
        let busy: Busy = agents.collect();
        *self.needs.lock().unwrap() = vec![Need {
            object: ScalingObject::parse(&format!("{space}/push")).unwrap(),
            agents_named: "push-agents".into(),
            read_at: Some(Instant::now()),
            busy: vec![Arc::new(busy)],
            raise: replicas.map(|replicas| Raise {
                deployment: "push-agents".into(),
                replicas,
            }),
        }];
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Needs for Told {
    fn needs(&self) -> Vec<Need> {
        self.needs.lock().unwrap().clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn keep(&self) {}
}

/// No pool is written to.
impl PoolStands for Told {
    fn stands(&self) -> Option<Stands> {
        None
    }

    fn declarations(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn pause(&self, _: &StandKey) -> Option<Duration> {
        None
    }
}

impl Notices for Told {
    /// What is told of scaling objects has a scenario of its own.
    fn notices(&self) -> Option<Vec<Noticed>> {
        None
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A replica of the guard.
struct Replica {
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(watching: &Watching, space: &str, name: &str, told: &Arc<Told>) -> Self {
        let metrics = Arc::new(Metrics::new());
        let settings = Settings {
            writers: Writer::ALL.to_vec(),
            dry_run: false,
            marks_per_second: 20,
            identity: name.into(),
            times: Times::default(),
            pools: None,
        };
        let world = World {
            lease: watching.cluster.lease(space, "guard"),
            pods: Arc::clone(&watching.cluster) as Arc<dyn AgentPods>,
            scales: Arc::clone(&watching.cluster) as Arc<dyn Scales>,
            needs: Arc::clone(told) as Arc<dyn Needs>,
            stands: Arc::clone(told) as Arc<dyn PoolStands>,
            notices: Arc::clone(told) as Arc<dyn Notices>,
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

    fn leads(&self) -> bool {
        let text = self.metrics.scrape().text();
        text.lines().any(|line| line == "azp_leader 1")
    }

    async fn until_it_leads(&self) {
        eventually("it leads", || self.leads()).await;
    }

    /// As by SIGTERM.
    async fn stop(self) {
        self.shutdown.begin_draining();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }

    /// As by SIGKILL.
    fn kill(self) {
        self.task.abort();
    }
}

#[track_caller]
pub(crate) fn eventually<'a>(
    what: &'a str,
    mut holds: impl FnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let at = std::panic::Location::caller();
    async move {
        let waiting = async {
            while !holds() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(timeout(SOON, waiting).await.is_ok(), "{at}: never {what}");
    }
}

fn deployment(space: &str, replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{namespace: {space}, name: push-agents}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: push}}}}
  template:
    metadata:
      labels: {{app: push}}
      annotations: {{karpenter.sh/do-not-disrupt: 'true'}}
    spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: agent, image: agent}}]}}
---
"
    )
}

fn lease(cluster: &Cluster, space: &str, what: &str) -> String {
    let (of, what) = (
        format!("--namespace={space}"),
        format!("--output=jsonpath={what}"),
    );
    cluster
        .kubectl(&["get", "lease", "guard", &of, &what])
        .unwrap()
}

fn names(seen: &Option<Arc<AgentPodsSeen>>) -> Vec<String> {
    let pods = seen.iter().flat_map(|seen| seen.pods.keys());
    pods.map(|pod| pod.name.to_string()).collect()
}

fn marked(seen: &Option<Arc<AgentPodsSeen>>) -> BTreeSet<String> {
    let pods = seen.iter().flat_map(|seen| &seen.pods);
    pods.filter(|(_, pod)| pod.annotations.contains_key(marks::NOTE))
        .map(|(name, _)| name.name.to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_goes_over_at_a_clean_stop_and_after_a_kill() {
    let (cluster, _turn) = cluster();
    let space = "lease";
    namespace(cluster, space);
    // As the chart makes it: with labels, and without anything in it.
    let made = "apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {namespace: lease, name: guard, labels: {app.kubernetes.io/name: azp-scaler}}
";
    cluster.apply(made).unwrap();
    let rules = "[{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [guard], verbs: [get, patch]}]";
    let kubeconfig = service_account(cluster, space, rules);
    let watching = Watching::begin(kubeconfig, &[space]).await;
    let told = Told::new();
    let one = Replica::start(&watching, space, "one", &told);
    one.until_it_leads().await;
    let two = Replica::start(&watching, space, "two", &told);
    assert_eq!(lease(cluster, space, "{.spec.holderIdentity}"), "one");

    // An upgrade applies the chart's again while it is held.
    let again = made.replace("azp-scaler}", "azp-scaler, helm.sh/chart: azp-scaler-2}");
    cluster.apply(&again).unwrap();
    assert_eq!(lease(cluster, space, "{.spec.holderIdentity}"), "one");
    assert!(one.leads() && !two.leads());
    let stopped = Instant::now();
    one.stop().await;
    two.until_it_leads().await;
    let at_a_stop = stopped.elapsed();

    let three = Replica::start(&watching, space, "three", &told);
    two.kill();
    three.until_it_leads().await;
    println!("another leads {at_a_stop:.1?} after a clean stop");
    assert_eq!(lease(cluster, space, "{.spec.holderIdentity}"), "three");
    let labels = lease(cluster, space, "{.metadata.labels}");
    assert!(labels.contains("azp-scaler-2"), "{labels}");
    three.stop().await;
    assert_eq!(lease(cluster, space, "{.spec.holderIdentity}"), "");

    // Where nobody has made it, the guard does, if it may.
    let delete = ["delete", "lease", "guard", "--namespace=lease"];
    cluster.kubectl(&delete).unwrap();
    allow(
        cluster,
        space,
        space,
        "[{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, patch, create]}]",
    );
    let four = Replica::start(&watching, space, "four", &told);
    four.until_it_leads().await;
    assert_eq!(lease(cluster, space, "{.spec.holderIdentity}"), "four");
    four.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replica_set_leaves_the_pods_of_busy_agents() {
    let (cluster, _turn) = cluster();
    let space = "marks";
    namespace(cluster, space);
    cluster.apply(&deployment(space, 6)).unwrap();
    cluster
        .apply(&scaled_object(space, "push", 9, "external-push"))
        .unwrap();
    let watching = Watching::begin_with(cluster.kubeconfig(), &[space], true).await;
    let mut pods = watching.cluster.agent_pods();
    let seen = until(&mut pods, "six pods", |seen| names(seen).len() == 6).await;
    let told = Told::new();
    let one = Replica::start(&watching, space, "one", &told);
    one.until_it_leads().await;

    // Those that Kubernetes would have taken first are among them, whichever.
    let names_of_all = names(&seen);
    let busy: Vec<&str> = names_of_all.iter().step_by(2).map(|name| &**name).collect();
    let expected: BTreeSet<String> = busy.iter().map(|&name| name.to_owned()).collect();
    told.say(space, &busy, None);
    until(&mut pods, "three marks", |seen| marked(seen) == expected).await;
    let scale = [
        "scale",
        "deployment",
        "push-agents",
        "--namespace=marks",
        "--replicas=3",
    ];
    cluster.kubectl(&scale).unwrap();
    let left = until(&mut pods, "three pods", |seen| names(seen).len() == 3).await;
    assert_eq!(names(&left).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(left.unwrap().ended.len(), 3);

    // Idle again, they have what their template says and nothing else.
    told.say(space, &busy[..1], None);
    let seen = until(&mut pods, "one mark", |seen| marked(seen).len() == 1).await;
    for (name, pod) in &seen.unwrap().pods {
        let key = |key: &str| pod.annotations.get(key).map(|value| &**value);
        let is_busy = *name.name == *busy[0];
        let expected = is_busy.then_some("2147483647");
        assert_eq!(key(marks::DELETION_COST), expected, "{name}");
        assert_eq!(
            key(marks::SAFE_TO_EVICT),
            is_busy.then_some("false"),
            "{name}"
        );
        assert_eq!(key(marks::DO_NOT_DISRUPT), Some("true"), "{name}");
    }
    let writes = one.metrics.writes(Writer::BusyMarks, WriteOutcome::Done);
    assert_eq!(writes, 5, "three marks, two cleared");
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_is_raised_and_never_lowered() {
    let (cluster, _turn) = cluster();
    let space = "raised";
    namespace(cluster, space);
    cluster.apply(&deployment(space, 1)).unwrap();
    let rules =
        "[{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, patch, create]},
      {apiGroups: [apps], resources: [deployments/scale], verbs: [get, patch]}]";
    let kubeconfig = service_account(cluster, space, rules);
    let watching = Watching::begin(kubeconfig, &[space]).await;
    let told = Told::new();
    let one = Replica::start(&watching, space, "one", &told);
    one.until_it_leads().await;
    let done = || {
        one.metrics
            .writes(Writer::DirectScaleUp, WriteOutcome::Done)
    };
    let replicas = || cluster.replicas(space, "push-agents").unwrap();

    told.say(space, &[], Some(4));
    eventually("it is raised", || replicas() == 4).await;
    told.say(space, &[], Some(2));
    told.say(space, &[], Some(3));
    told.say(space, &[], Some(6));
    eventually("it is raised again", || replicas() == 6).await;
    eventually("both are counted", || done() == 2).await;
    // Somebody else has made it larger.
    let scale = [
        "scale",
        "deployment",
        "push-agents",
        "--namespace=raised",
        "--replicas=9",
    ];
    cluster.kubectl(&scale).unwrap();
    told.say(space, &[], Some(8));
    told.say(space, &[], Some(10));
    eventually("it is raised at last", || replicas() == 10).await;
    one.stop().await;
    assert_eq!(replicas(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_told_as_a_rule_and_waited_for() {
    let (cluster, _turn) = cluster();
    let space = "rightless";
    namespace(cluster, space);
    cluster.apply(&deployment(space, 2)).unwrap();
    cluster
        .apply(&scaled_object(space, "push", 9, "external-push"))
        .unwrap();
    let rules = |verbs: &str| {
        format!(
            "[{{apiGroups: [keda.sh], resources: [scaledobjects, scaledjobs], verbs: [list, watch]}},
              {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, patch, create]}},
              {{apiGroups: [''], resources: [pods], verbs: {verbs}}}]"
        )
    };
    let kubeconfig = service_account(cluster, space, &rules("[list, watch]"));
    let watching = Watching::begin_with(kubeconfig, &[space], true).await;
    let mut pods = watching.cluster.agent_pods();
    let seen = until(&mut pods, "two pods", |seen| names(seen).len() == 2).await;
    let told = Told::new();
    let one = Replica::start(&watching, space, "one", &told);
    one.until_it_leads().await;
    let all = names(&seen);
    let busy: Vec<&str> = all.iter().map(|name| &**name).collect();
    told.say(space, &busy, Some(3));
    let count = |writer| one.metrics.writes(writer, WriteOutcome::Forbidden);
    eventually("both writers are refused", || {
        count(Writer::BusyMarks) >= 2 && count(Writer::DirectScaleUp) >= 1
    })
    .await;
    let seen = seen.unwrap();
    let (name, pod) = seen.pods.iter().next().unwrap();
    let annotated = watching.cluster.annotate(name, pod, &BTreeMap::new()).await;
    let shown = annotated.unwrap_err().to_string();
    let rule = r#"{apiGroups: [""], resources: ["pods"], verbs: ["patch"]} in namespace rightless"#;
    assert!(shown.contains(rule), "{shown}");
    let scale = watching.cluster.scale(space, "push-agents").await;
    let shown = scale.unwrap_err().to_string();
    let rule =
        r#"resources: ["deployments/scale"], verbs: ["get", "patch"]} in namespace rightless"#;
    assert!(shown.contains(rule), "{shown}");

    allow(cluster, space, space, &rules("[list, watch, patch]"));
    until(&mut pods, "two marks", |seen| marked(seen).len() == 2).await;
    // Another pod of that name is not the one that was meant.
    let mut other = (**pod).clone();
    other.uid = "00000000-0000-0000-0000-000000000000".into();
    let change = BTreeMap::from([(marks::NOTE.into(), None)]);
    let wrong = watching.cluster.annotate(name, &other, &change).await;
    assert!(wrong.is_err());
    let gone = PodName::new(space, "push-agents-gone");
    let gone = watching.cluster.annotate(&gone, &other, &change).await;
    assert_eq!(gone.unwrap_err().to_string(), "it is not there");
    one.stop().await;
}

//! A cluster in memory: a Lease, pods, a Deployment, and what is needed of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    super::*,
    field::{Field, pool_settings},
    lease::Way,
    owners::Owners,
};
pub(super) use super::{lease::Record, pass};
use crate::{
    domain::profile::ScalingObject,
    ports::writes::{
        AgentPod, AgentPodsSeen, Annotations, Attempt, Busy, Need, PodName, Raise, Scale,
        WriteError,
    },
};

/// Pods, a Deployment, and needs; every write to them is kept.
pub(super) struct Cluster {
    pods: watch::Sender<Option<Arc<AgentPodsSeen>>>,
    needs: Mutex<Vec<Need>>,
    changes: watch::Sender<u64>,
    scale: Mutex<(u64, u32)>,
    /// Pods whose writes fail, and those whose writes hang.
    pub(super) refused: Mutex<BTreeSet<String>>,
    pub(super) hanging: Mutex<BTreeSet<String>>,
    /// Writes of pods, by name, with whether it was marked then.
    pub(super) marked: Mutex<Vec<(Instant, String, bool)>>,
    /// What the Deployment was set to.
    pub(super) raised: Mutex<Vec<u32>>,
    pub(super) tried: Mutex<u32>,
    pub(super) kept: Mutex<u32>,
    /// So many raises meet somebody who was faster.
    pub(super) conflicts: Mutex<u32>,
    /// What is written is seen only when the test says so.
    pub(super) unseen: AtomicBool,
    /// Pods that are there and are not seen.
    pub(super) hidden: Mutex<BTreeSet<PodName>>,
    /// Who is told of scaling objects.
    pub(super) owners: Arc<Owners>,
}

impl Cluster {
    pub(super) fn new(pods: usize) -> Arc<Self> {
        let pod = |number: usize| {
            let name = PodName::new("ci", &format!("agents-{number:03}"));
            let pod = AgentPod {
                uid: format!("uid-{number}").into(),
                annotations: BTreeMap::new(),
                is_leaving: false,
            };
            (name, Arc::new(pod))
        };
        let seen = AgentPodsSeen {
            pods: (0..pods).map(pod).collect(),
            ended: BTreeMap::new(),
            named: [("ci".into(), "agents".into())].into(),
        };
        Arc::new(Self {
            pods: watch::Sender::new(Some(Arc::new(seen))),
            needs: Mutex::default(),
            changes: watch::Sender::default(),
            scale: Mutex::default(),
            refused: Mutex::default(),
            hanging: Mutex::default(),
            marked: Mutex::default(),
            raised: Mutex::default(),
            tried: Mutex::default(),
            kept: Mutex::default(),
            conflicts: Mutex::default(),
            unseen: AtomicBool::new(false),
            hidden: Mutex::default(),
            owners: Arc::default(),
        })
    }

    /// A reading, from just now, in which these agents are busy.
    pub(super) fn read(&self, busy: &[usize], replicas: Option<u32>) {
        self.read_at(Some(Instant::now()), busy, replicas);
    }

    /// One of another age, or none that is good.
    pub(super) fn read_at(&self, read_at: Option<Instant>, busy: &[usize], replicas: Option<u32>) {
        let agent = |number: &usize| (format!("agents-{number:03}").into(), BTreeSet::new());
        let busy: Busy = busy.iter().map(agent).collect();
        let need = Need {
            object: ScalingObject::parse("ci/linux").unwrap(),
            agents_named: "agents".into(),
            read_at,
            busy: vec![Arc::new(busy)],
            raise: replicas.map(|replicas| Raise {
                deployment: "agents".into(),
                replicas,
            }),
        };
        *self.needs.lock().unwrap() = vec![need];
        self.changes.send_modify(|count| *count += 1);
    }

    /// Nothing is known of any scaling object.
    pub(super) fn forget(&self) {
        self.needs.lock().unwrap().clear();
        self.changes.send_modify(|count| *count += 1);
    }

    /// This pod ends.
    pub(super) fn end(&self, name: &PodName) {
        self.pods.send_modify(|seen| {
            let mut pods = (**seen.as_ref().unwrap()).clone();
            pods.pods.remove(name).unwrap();
            *seen = Some(Arc::new(pods));
        });
    }

    pub(super) fn marks(&self) -> Vec<(String, bool)> {
        let marked = self.marked.lock().unwrap();
        let writes = marked.iter();
        writes
            .map(|(_, name, marks)| (name.clone(), *marks))
            .collect()
    }

    /// Somebody else sets the Deployment.
    pub(super) fn set(&self, replicas: u32) {
        let mut scale = self.scale.lock().unwrap();
        *scale = (scale.0 + 1, replicas);
    }

    pub(super) fn raised(&self) -> Vec<u32> {
        self.raised.lock().unwrap().clone()
    }
}

impl AgentPods for Cluster {
    fn agent_pods(&self) -> watch::Receiver<Option<Arc<AgentPodsSeen>>> {
        self.pods.subscribe()
    }

    fn annotate<'a>(
        &'a self,
        name: &'a PodName,
        pod: &'a AgentPod,
        changes: &'a Annotations,
    ) -> Attempt<'a, ()> {
        Box::pin(async move {
            *self.tried.lock().unwrap() += 1;
            if self.hanging.lock().unwrap().contains(&*name.name) {
                return std::future::pending().await;
            }
            if self.refused.lock().unwrap().contains(&*name.name) {
                return Err(WriteError::Failed {
                    cause: "odd".into(),
                });
            }
            let mut after = pod.clone();
            for (key, value) in changes {
                match value {
                    Some(value) => after.annotations.insert(key.clone(), value.clone()),
                    None => after.annotations.remove(key),
                };
            }
            let is_marked = after.annotations.contains_key(marks::NOTE);
            let write = (Instant::now(), name.name.to_string(), is_marked);
            self.marked.lock().unwrap().push(write);
            if !self.unseen.load(Ordering::SeqCst) {
                self.pods.send_modify(|seen| {
                    let mut pods = (**seen.as_ref().unwrap()).clone();
                    pods.pods.insert(name.clone(), Arc::new(after));
                    *seen = Some(Arc::new(pods));
                });
            }
            Ok(())
        })
    }

    fn is_there<'a>(&'a self, name: &'a PodName) -> Attempt<'a, bool> {
        Box::pin(async move {
            let seen = self.pods.borrow().as_ref().unwrap().pods.contains_key(name);
            Ok(seen || self.hidden.lock().unwrap().contains(name))
        })
    }
}

impl Scales for Cluster {
    fn scale<'a>(&'a self, _: &'a str, _: &'a str) -> Attempt<'a, Scale> {
        Box::pin(async {
            *self.tried.lock().unwrap() += 1;
            let (version, replicas) = *self.scale.lock().unwrap();
            if self.refused.lock().unwrap().contains("agents") {
                return Err(WriteError::Forbidden { rule: "{}".into() });
            }
            Ok(Scale {
                version: version.to_string().into(),
                replicas,
            })
        })
    }

    fn set_scale<'a>(
        &'a self,
        namespace: &'a str,
        deployment: &'a str,
        over: &'a Scale,
        replicas: u32,
    ) -> Attempt<'a, ()> {
        Box::pin(async move {
            assert_eq!((namespace, deployment), ("ci", "agents"));
            let mut conflicts = self.conflicts.lock().unwrap();
            if *conflicts > 0 {
                *conflicts -= 1;
                return Err(WriteError::Conflict);
            }
            let mut scale = self.scale.lock().unwrap();
            if scale.0.to_string() != *over.version {
                return Err(WriteError::Conflict);
            }
            *scale = (scale.0 + 1, replicas);
            self.raised.lock().unwrap().push(replicas);
            Ok(())
        })
    }
}

impl Needs for Cluster {
    fn needs(&self) -> Vec<Need> {
        self.needs.lock().unwrap().clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn keep(&self) {
        *self.kept.lock().unwrap() += 1;
    }
}

/// A running replica of the guard.
pub(super) struct Replica {
    pub(super) gate: Gate,
    pub(super) way: Arc<Way>,
    pub(super) metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    /// One that leads or waits, and has nothing to write.
    pub(super) fn start(name: &str, record: &Arc<Record>, dry_run: bool) -> Self {
        Self::start_for(name, record, &Cluster::new(0), &[], dry_run)
    }

    pub(super) fn start_for(
        name: &str,
        record: &Arc<Record>,
        cluster: &Arc<Cluster>,
        writers: &[Writer],
        dry_run: bool,
    ) -> Self {
        let field = Arc::new(Field::default());
        Self::start_in(name, record, (cluster, &field), writers, dry_run)
    }

    /// One that has agent pools too.
    pub(super) fn start_in(
        name: &str,
        record: &Arc<Record>,
        (cluster, field): (&Arc<Cluster>, &Arc<Field>),
        writers: &[Writer],
        dry_run: bool,
    ) -> Self {
        let (way, metrics) = (record.way(), Arc::new(Metrics::new()));
        let settings = Settings {
            writers: writers.to_vec(),
            dry_run,
            marks_per_second: 20,
            identity: name.into(),
            times: Times::default(),
            pools: Some(pool_settings()),
        };
        let world = World {
            lease: Arc::clone(&way) as Arc<dyn Lease>,
            pods: Arc::clone(cluster) as Arc<dyn AgentPods>,
            scales: Arc::clone(cluster) as Arc<dyn Scales>,
            needs: Arc::clone(cluster) as Arc<dyn Needs>,
            stands: Arc::clone(field) as Arc<dyn PoolStands>,
            notices: Arc::clone(&cluster.owners) as Arc<dyn Notices>,
            events: Arc::clone(&cluster.owners) as Arc<dyn Events>,
            metrics: Arc::clone(&metrics),
        };
        let guard = Guard::new(settings, world);
        let gate = guard.gate.clone();
        let stop = CancellationToken::new();
        let task = tokio::spawn(guard.run(stop.clone().cancelled_owned()));
        Self {
            gate,
            way,
            metrics,
            stop,
            task,
        }
    }

    /// As by SIGTERM.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As by SIGKILL.
    pub(super) fn kill(self) {
        self.task.abort();
    }

    pub(super) fn leads(&self) -> bool {
        self.gate.lead().is_some()
    }
}

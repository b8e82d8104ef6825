//! Plays what a kubelet and its containers would do with the pods of kwok's nodes: a
//! pod that runs has an agent, one that is deleted tells its agent so and is there until
//! that has ended or its grace is over.
//!
//! May import: the api, the agents, the diary. Invariant: each pod has one agent, whose
//! name is the pod's; a pod that ends says so to the apiserver after its process has
//! ended, never before.

use std::{collections::HashMap, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    agents::{Agent, Word, Work},
    api::{Api, Pod, PodEvent},
    load::Kind,
};

/// The label that says how an agent lives: [`STAYS`] or [`ONCE`].
pub(crate) const LABEL: &str = "churn";
/// Takes one job after the other, in a Deployment.
pub(crate) const STAYS: &str = "stays";
/// Takes one, in a ScaledJob.
pub(crate) const ONCE: &str = "once";

/// A side's namespace, and how its agents work.
pub(crate) struct Side {
    pub(crate) namespace: &'static str,
    pub(crate) work: Work,
    /// What the agents of each kind have.
    pub(crate) capabilities: fn(Kind) -> Vec<(&'static str, &'static str)>,
    /// What kind the pods are of, by the name of the Deployment or ScaledJob.
    pub(crate) kind: fn(&str) -> Kind,
}

/// Plays until it is dropped.
pub(crate) struct Player {
    playing: JoinHandle<()>,
}

impl Player {
    pub(crate) fn start(api: &Api, sides: Vec<Side>) -> Player {
        let mut events = api.watch_pods(LABEL);
        let mut play = Play {
            api: api.clone(),
            sides,
            pods: HashMap::new(),
        };
        let playing = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                play.take(event);
            }
        });
        Player { playing }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.playing.abort();
    }
}

struct Play {
    api: Api,
    sides: Vec<Side>,
    /// What was told to each pod, by its uid.
    pods: HashMap<String, watch::Sender<Word>>,
}

impl Play {
    fn take(&mut self, event: PodEvent) {
        let pod = match event {
            PodEvent::Is(pod) => pod,
            PodEvent::Gone(uid) => {
                if let Some(word) = self.pods.remove(&uid) {
                    word.send_modify(|word| word.is_gone = true);
                }
                return;
            }
        };
        if !self.pods.contains_key(&pod.uid) && pod.is_running && !pod.is_over {
            self.begin(&pod);
        }
        let (Some(grace), Some(word)) = (pod.grace, self.pods.get(&pod.uid)) else {
            // A pod that is deleted before it ran has no process to wait for.
            if pod.grace.is_some() && !pod.is_running && !pod.is_over && !pod.node.is_empty() {
                let api = self.api.clone();
                tokio::spawn(async move { api.pod_ended(&pod).await });
            }
            return;
        };
        word.send_if_modified(|word| {
            let is_new = word.killed_at.is_none();
            word.killed_at
                .get_or_insert(Instant::now() + Duration::from_secs(grace));
            is_new
        });
    }

    fn begin(&mut self, pod: &Pod) {
        let Some(side) = self
            .sides
            .iter()
            .find(|side| side.namespace == pod.namespace)
        else {
            return;
        };
        let kind = (side.kind)(&pod.name);
        let (send, word) = watch::channel(Word::default());
        self.pods.insert(pod.uid.clone(), send);
        let diary = side.work.diary.clone();
        diary.begins(&pod.name, kind, &pod.node);
        let agent = Agent {
            work: side.work.clone(),
            name: pod.name.clone(),
            kind,
            capabilities: (side.capabilities)(kind),
            word: word.clone(),
        };
        let (api, pod) = (self.api.clone(), pod.clone());
        let is_once = pod.labels.get(LABEL).is_some_and(|label| label == ONCE);
        tokio::spawn(async move {
            agent.live().await;
            // A Deployment's container would start again; here it ends only when told.
            if is_once {
                api.pod_succeeded(&pod).await;
            }
            // Told now, later by whoever clears up after its Job, or never.
            let mut word = word;
            let told = word
                .wait_for(|word| word.killed_at.is_some() || word.is_gone)
                .await;
            if told.is_ok_and(|word| !word.is_gone) {
                api.pod_ended(&pod).await;
            }
        });
    }
}

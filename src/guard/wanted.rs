//! Which pods are to be marked and which not, by what is known.
//!
//! May import: its siblings, ports. Invariants: a pod is idle only by readings of all
//! its pools that began after this replica came to lead and after the pod was
//! marked; what is not known leaves it as it is; what was just written is not written
//! again before it is seen.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{election::Lead, marks};
use crate::ports::writes::{AgentPod, AgentPodsSeen, Annotations, Need, PodName};

/// After a write that failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// After many.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A write, as it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: PodName,
    pub(super) pod: Arc<AgentPod>,
    /// Is it marked then?
    pub(super) marks: bool,
    pub(super) changes: Annotations,
}

/// What this replica remembers of each pod that it has written to in this term.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    term: u64,
    pods: HashMap<Box<str>, Memory>,
}

#[derive(Debug)]
struct Memory {
    /// What was written and is not seen yet.
    written: Option<bool>,
    /// When it was marked.
    marked_at: Option<Instant>,
    /// A write is under way.
    is_writing: bool,
    failures: u32,
    not_before: Instant,
}

// === impl Wanted ===

impl Wanted {
    /// What is to be written now: those that failed least first, and among them
    /// what marks before what clears.
    pub(super) fn changes(
        &mut self,
        lead: Lead,
        needs: &[Need],
        seen: &AgentPodsSeen,
        now: Instant,
    ) -> Vec<Change> {
        if self.term != lead.term {
            // Another may have written meanwhile.
            self.pods.clear();
            self.term = lead.term;
        }
        let uids: HashMap<_, _> = seen.pods.values().map(|pod| (&pod.uid, pod)).collect();
        self.pods.retain(|uid, memory| {
            let pod = uids.get(uid);
            if pod.is_some_and(|pod| memory.written == Some(marks::is_marked(pod))) {
                memory.written = None;
            }
            pod.is_some()
        });
        let by_namespace = by_namespace(needs);
        let mut changes = Vec::new();
        for (name, pod) in &seen.pods {
            let memory = self.pods.get(&pod.uid);
            let is_marked = memory
                .and_then(|memory| memory.written)
                .unwrap_or_else(|| marks::is_marked(pod));
            let wait = memory.is_some_and(|memory| memory.is_writing || now < memory.not_before);
            if wait {
                continue;
            }
            let own = by_namespace.get(&*name.namespace);
            let own = own.into_iter().flatten().filter(|need| need.has(name));
            let since = memory.and_then(|memory| memory.marked_at);
            let since = since.map_or(lead.since, |marked| marked.max(lead.since));
            let Some(is_busy) = is_busy(own, &name.name, since) else {
                continue;
            };
            if is_busy != is_marked {
                let failures = memory.map_or(0, |memory| memory.failures);
                let changed = match is_busy {
                    true => marks::mark(pod),
                    false => marks::clear(pod),
                };
                let change = Change {
                    name: name.clone(),
                    pod: Arc::clone(pod),
                    marks: is_busy,
                    changes: changed,
                };
                changes.push((failures, Reverse(is_busy), change));
            }
        }
        changes.sort_by_key(|(failures, marks, _)| (*failures, *marks));
        changes.into_iter().map(|(_, _, change)| change).collect()
    }

    /// When a write that failed may be tried again.
    pub(super) fn next_try(&self, now: Instant) -> Option<Instant> {
        let moments = self.pods.values().map(|memory| memory.not_before);
        moments.filter(|moment| *moment > now).min()
    }

    /// A write begins.
    pub(super) fn begins(&mut self, change: &Change, now: Instant) {
        let memory = self.pods.entry(change.pod.uid.clone());
        let memory = memory.or_insert(Memory {
            written: None,
            marked_at: None,
            is_writing: false,
            failures: 0,
            not_before: now,
        });
        memory.is_writing = true;
    }

    /// A write has ended, well or not.
    pub(super) fn ended(&mut self, change: &Change, well: bool, now: Instant) {
        let Some(memory) = self.pods.get_mut(&change.pod.uid) else {
            return;
        };
        memory.is_writing = false;
        if well {
            memory.written = Some(change.marks);
            memory.marked_at = change.marks.then_some(now);
            memory.failures = 0;
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << memory.failures.min(10));
        memory.not_before = now + pause.min(LONGEST_PAUSE);
        memory.failures = memory.failures.saturating_add(1);
    }
}

fn by_namespace(needs: &[Need]) -> BTreeMap<&str, Vec<&Need>> {
    let mut by: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for need in needs {
        by.entry(&*need.object.namespace).or_default().push(need);
    }
    by
}

/// `None` where nobody knows.
fn is_busy<'a>(
    needs: impl Iterator<Item = &'a &'a Need>,
    agent: &str,
    since: Instant,
) -> Option<bool> {
    let mut idle = None;
    for need in needs {
        // An old reading that says so is right about as often as a new one, and
        // a mark too many harms nobody.
        if need.is_busy(agent) && need.read_at.is_some() {
            return Some(true);
        }
        let knows = need.read_at.is_some_and(|read_at| read_at >= since);
        idle = Some(idle.unwrap_or(true) && knows);
    }
    idle.filter(|idle| *idle).map(|_| false)
}

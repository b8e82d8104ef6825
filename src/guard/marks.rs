//! Marks on pods: which annotations a busy agent's pod has, and how what was there
//! before comes back.
//!
//! May import: ports. Invariant: what the guard did not set, it never takes away;
//! a note on the pod says what it set, so that any replica can take it back.

use std::collections::BTreeMap;

use crate::ports::writes::{AgentPod, Annotations};

/// Kubernetes: of the pods of a `ReplicaSet`, those with the lowest go first.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// cluster-autoscaler: a node with such a pod is not taken away.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Karpenter: the same.
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// The guard's note: what it set, with what was there before.
pub const NOTE: &str = "azp-scaler/marks";

/// What a busy agent's pod has. Kubernetes: no cost is higher.
const MARKS: [(&str, &str); 3] = [
    (DELETION_COST, "2147483647"),
    (SAFE_TO_EVICT, "false"),
    (DO_NOT_DISRUPT, "true"),
];

/// Has the guard marked it?
pub(super) fn is_marked(pod: &AgentPod) -> bool {
    pod.annotations.contains_key(NOTE)
}

/// What marks a pod.
pub(super) fn mark(pod: &AgentPod) -> Annotations {
    let mut changes = Annotations::new();
    let mut note: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (key, value) in MARKS {
        let before = pod.annotations.get(key).map(|before| &**before);
        // The pod's template may say it already.
        if before != Some(value) {
            note.insert(key, before);
            changes.insert(key.into(), Some(value.into()));
        }
    }
    // A map of texts always becomes JSON.
    let note = serde_json::to_string(&note).unwrap_or_default();
    changes.insert(NOTE.into(), Some(note.into()));
    changes
}

/// What takes the marks of a pod away. What somebody else has changed since stays.
pub(super) fn clear(pod: &AgentPod) -> Annotations {
    let note = pod.annotations.get(NOTE);
    // One that cannot be read says nothing of what was set, so nothing is taken.
    let note: BTreeMap<Box<str>, Option<Box<str>>> = note
        .and_then(|note| serde_json::from_str(note).ok())
        .unwrap_or_default();
    let mut changes = Annotations::new();
    for (key, value) in MARKS {
        let is_ours = pod.annotations.get(key).is_some_and(|now| &**now == value);
        if let Some(before) = note.get(key)
            && is_ours
        {
            changes.insert(key.into(), before.clone());
        }
    }
    changes.insert(NOTE.into(), None);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotations: &[(&str, &str)]) -> AgentPod {
        let annotations = annotations.iter();
        AgentPod {
            uid: "u".into(),
            annotations: annotations
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
            is_leaving: false,
        }
    }

    fn changed(mut pod: AgentPod, changes: Annotations) -> AgentPod {
        for (key, value) in changes {
            match value {
                Some(value) => pod.annotations.insert(key, value),
                None => pod.annotations.remove(&key),
            };
        }
        pod
    }

    #[test]
    fn what_was_there_before_comes_back() {
        for before in [
            &[][..],
            &[(DELETION_COST, "100")],
            &[(SAFE_TO_EVICT, "false"), (DO_NOT_DISRUPT, "true")],
            &[(SAFE_TO_EVICT, "true"), (DELETION_COST, "-5")],
            &[(DELETION_COST, "2147483647")],
        ] {
            let before = pod(before);
            let marked = changed(before.clone(), mark(&before));
            assert!(is_marked(&marked) && !is_marked(&before));
            for (key, value) in MARKS {
                assert_eq!(&*marked.annotations[key], value);
            }
            assert_eq!(changed(marked.clone(), clear(&marked)), before);
        }
    }

    #[test]
    fn what_the_template_says_is_not_written() {
        let template = pod(&[(SAFE_TO_EVICT, "false"), (DO_NOT_DISRUPT, "true")]);
        let keys: Vec<_> = mark(&template).into_keys().collect();
        assert_eq!(keys, [NOTE.into(), DELETION_COST.into()]);
    }

    #[test]
    fn what_somebody_else_has_set_since_stays() {
        let before = pod(&[]);
        let mut marked = changed(before.clone(), mark(&before));
        marked.annotations.insert(DELETION_COST.into(), "7".into());
        let cleared = changed(marked.clone(), clear(&marked));
        assert_eq!(cleared, pod(&[(DELETION_COST, "7")]));
        // And where the note is not ours, only that goes.
        let odd = pod(&[(NOTE, "odd"), (SAFE_TO_EVICT, "false")]);
        assert_eq!(
            changed(odd.clone(), clear(&odd)),
            pod(&[(SAFE_TO_EVICT, "false")])
        );
    }
}

//! The pods that a render would start: of workloads, Jobs, ScaledJobs and pods
//! of `helm test` alike.

use serde_json::Value;

use super::render::{Document, Render, at, items, text};

/// A pod template, or a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pod<'a> {
    pub(crate) document: &'a Document,
    /// Its `metadata`.
    pub(crate) metadata: &'a Value,
    /// Its `spec`.
    pub(crate) spec: &'a Value,
}

/// Where each kind has its pod.
const PLACES: &[(&str, &str)] = &[
    ("Pod", ""),
    ("Deployment", "/spec/template"),
    ("ReplicaSet", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
    ("ScaledJob", "/spec/jobTargetRef/template"),
];

/// Every pod of the chart's own.
pub(crate) fn pods(render: &Render) -> Vec<Pod<'_>> {
    let pod = |document| {
        let (_, place) = PLACES
            .iter()
            .find(|(kind, _)| *kind == Document::kind(document))?;
        let template = document.at(place);
        Some(Pod {
            document,
            metadata: at(template, "/metadata"),
            spec: at(template, "/spec"),
        })
    };
    render.own().filter_map(pod).collect()
}

// === impl Pod ===

impl<'a> Pod<'a> {
    /// Its containers, those that only begin it included.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let first = items(self.spec, "/initContainers");
        first.iter().chain(items(self.spec, "/containers"))
    }

    pub(crate) fn service_account(&self) -> &'a str {
        match text(self.spec, "/serviceAccountName") {
            "" => "default",
            name => name,
        }
    }
}

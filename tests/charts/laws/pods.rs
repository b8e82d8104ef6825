//! What within a pod belongs together: mounts and volumes, probes and ports, names.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    pods::{Pod, pods},
    render::{Render, at, items, text},
};

pub(super) fn fit(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in pods(render) {
        let about = pod.document.about();
        let found = volumes(&pod)
            .into_iter()
            .chain(ports(&pod))
            .chain(names(&pod));
        problems.extend(found.map(|what| format!("{about}: {what}")));
    }
    problems
}

fn volumes(pod: &Pod<'_>) -> Vec<String> {
    let claims = items(&pod.document.value, "/spec/volumeClaimTemplates").iter();
    let claims = claims.map(|claim| text(claim, "/metadata/name"));
    let volumes = items(pod.spec, "/volumes").iter();
    let there: BTreeSet<&str> = volumes
        .map(|volume| text(volume, "/name"))
        .chain(claims)
        .collect();
    let mut mounted = BTreeSet::new();
    let mut problems = Vec::new();
    for container in pod.containers() {
        let mut places = BTreeSet::new();
        for mount in items(container, "/volumeMounts") {
            let (name, place) = (text(mount, "/name"), text(mount, "/mountPath"));
            mounted.insert(name);
            if !there.contains(name) {
                problems.push(format!("mounts {name}, and there is no volume {name}"));
            }
            if !places.insert(place) {
                problems.push(format!("mounts two volumes at {place}"));
            }
        }
    }
    let idle = there.difference(&mounted);
    problems.extend(idle.map(|name| format!("nobody mounts the volume {name}")));
    problems
}

fn ports(pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for container in pod.containers() {
        let there = items(container, "/ports");
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            for way in ["httpGet", "tcpSocket"] {
                let port = at(container, &format!("/{probe}/{way}/port"));
                let has = |one: &Value| match port {
                    Value::String(name) => text(one, "/name") == name,
                    number => at(one, "/containerPort") == number,
                };
                if !port.is_null() && !there.iter().any(has) {
                    let port = port
                        .as_str()
                        .map_or_else(|| port.to_string(), str::to_owned);
                    problems.push(format!("{probe}: there is no port {port}"));
                }
            }
        }
    }
    problems
}

fn names(pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut containers = BTreeSet::new();
    for container in pod.containers() {
        let name = text(container, "/name");
        if !containers.insert(name) {
            problems.push(format!("two containers {name}"));
        }
        let mut variables = BTreeSet::new();
        for variable in items(container, "/env") {
            let variable = text(variable, "/name");
            if !variables.insert(variable) {
                problems.push(format!(
                    "container {name} has the variable {variable} twice"
                ));
            }
        }
    }
    problems
}

//! Restricted Pod Security, as Kubernetes' standard defines it and with a root
//! file system that cannot be written; tokens of the API; images.

use serde_json::Value;

use crate::{
    chart::yaml,
    pods::{Pod, pods},
    render::{Document, Render, at, items, text, texts},
};

/// Kinds of volumes that the restricted standard allows.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub(super) fn restricted(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in pods(render) {
        let about = pod.document.about();
        problems.extend(
            of_pod(&pod)
                .into_iter()
                .map(|what| format!("{about}: {what}")),
        );
        for container in pod.containers() {
            let name = text(container, "/name");
            let found = of_container(render, &pod, container).into_iter();
            problems.extend(found.map(|what| format!("{about}: container {name}: {what}")));
        }
    }
    problems
}

fn of_pod(pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod
            .spec
            .get(key)
            .is_some_and(|value| *value != Value::Bool(false))
        {
            problems.push(key.to_owned());
        }
    }
    for volume in items(pod.spec, "/volumes") {
        let kinds = volume.as_object().into_iter().flat_map(|map| map.keys());
        let others = kinds.filter(|key| *key != "name" && !VOLUMES.contains(&key.as_str()));
        problems.extend(others.map(|kind| format!("a volume of the kind {kind}")));
    }
    if !items(pod.spec, "/securityContext/sysctls").is_empty() {
        problems.push("sysctls".to_owned());
    }
    problems
}

fn of_container(render: &Render, pod: &Pod<'_>, container: &Value) -> Vec<String> {
    let own = at(container, "/securityContext");
    // What the container does not say, its pod says.
    let either = |pointer: &str| match at(own, pointer) {
        Value::Null => at(at(pod.spec, "/securityContext"), pointer),
        value => value,
    };
    let mut problems = Vec::new();
    let mut want = |what: &str, kept: bool| {
        if !kept {
            problems.push(what.to_owned());
        }
    };
    want("runAsNonRoot is not true", *either("/runAsNonRoot") == true);
    want("runAsUser is 0", *either("/runAsUser") != 0);
    let profile = text(either("/seccompProfile"), "/type");
    want(
        "seccompProfile is missing",
        ["RuntimeDefault", "Localhost"].contains(&profile),
    );
    want(
        "allowPrivilegeEscalation is not false",
        *at(own, "/allowPrivilegeEscalation") == false,
    );
    want(
        "readOnlyRootFilesystem is not true",
        *at(own, "/readOnlyRootFilesystem") == true || may_write(render, pod, container),
    );
    want("is privileged", *at(own, "/privileged") != true);
    want("procMount", at(own, "/procMount").is_null());
    let dropped = items(own, "/capabilities/drop");
    want("does not drop ALL", dropped.iter().any(|one| *one == "ALL"));
    for added in items(own, "/capabilities/add") {
        want(&format!("adds {added}"), *added == "NET_BIND_SERVICE");
    }
    for port in items(container, "/ports") {
        want("hostPort", port.get("hostPort").is_none());
    }
    problems
}

/// May this container write to its own root? The standard lets all; of ours, those
/// may not that have no reason.
fn may_write(render: &Render, pod: &Pod<'_>, container: &Value) -> bool {
    let ours = text(container, "/image").contains("azp-scaler/");
    // A container that starts again in its pod finds its volumes as they were: an
    // agent that lives on writes into the container, which is then new.
    let agent = text(container, "/name") == "agent";
    let lives_on = pod.document.kind() == "Deployment";
    !ours || agent && (lives_on || told_to_write(render, pod))
}

/// Does the example say so of the profile whose pod this is, or of all profiles?
fn told_to_write(render: &Render, pod: &Pod<'_>) -> bool {
    let profile = text(pod.metadata, "/labels/azp-agent~1profile");
    let places = [
        format!("/profiles/{profile}/readOnlyRootFilesystem"),
        "/defaults/readOnlyRootFilesystem".to_owned(),
    ];
    render.example.files.iter().any(|(path, values)| {
        let values = yaml(values).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        places.iter().any(|place| *at(&values, place) == false)
    })
}

pub(super) fn no_socket(render: &Render) -> Vec<String> {
    let sockets = ["docker.sock", "containerd.sock", "crio.sock"];
    let found = sockets.iter().filter(|name| render.text.contains(**name));
    found.map(|name| (*name).to_owned()).collect()
}

/// Is something granted to this account, here or by whoever named it?
fn granted(render: &Render, pod: &Pod<'_>) -> bool {
    let (name, namespace) = (pod.service_account(), pod.document.namespace_in(render));
    if render.find("ServiceAccount", namespace, name).is_none() && render.chosen(name) {
        return true;
    }
    let bindings = render
        .documents
        .iter()
        .filter(|one| one.kind().ends_with("RoleBinding"));
    bindings
        .flat_map(|one| {
            items(&one.value, "/subjects")
                .iter()
                .map(move |who| (one, who))
        })
        .any(|(one, who)| {
            let at = match text(who, "/namespace") {
                "" => one.namespace_in(render),
                at => at,
            };
            text(who, "/name") == name && at == namespace
        })
}

pub(super) fn api_tokens(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in pods(render) {
        let namespace = pod.document.namespace_in(render);
        let account = render.find("ServiceAccount", namespace, pod.service_account());
        let by_account =
            account.map_or(&Value::Null, |one| one.at("/automountServiceAccountToken"));
        let mounted = match at(pod.spec, "/automountServiceAccountToken") {
            Value::Null => *by_account != false,
            own => *own != false,
        };
        if mounted && !granted(render, &pod) {
            problems.push(format!(
                "{}: mounts a token of {}, to which nothing is granted",
                pod.document.about(),
                pod.service_account()
            ));
        }
    }
    problems
}

pub(super) fn images(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in pods(render) {
        for container in pod.containers() {
            let image = text(container, "/image");
            let last = image.rsplit('/').next().unwrap_or_default();
            let (_, tag) = last.split_once([':', '@']).unwrap_or_default();
            let what = match tag {
                "" => "has no tag",
                "latest" => "is latest, which changes",
                _ => continue,
            };
            problems.push(format!("{}: image {image} {what}", pod.document.about()));
        }
    }
    problems.extend(render.own().filter_map(template_left));
    problems
}

/// What a template has left behind where a value should be.
fn template_left(document: &Document) -> Option<String> {
    let left = |text: &&str| text.contains("<no value>") || text.contains("%!");
    let found = texts(&document.value).into_iter().find(left)?;
    Some(format!("{}: {found}", document.about()))
}

//! What objects name, and whether it is there: in the render, in Kubernetes
//! itself, or in the hands of whoever chose the name in the values.

use serde_json::Value;

use crate::{
    pods::{Pod, pods},
    render::{Document, Render, at, items, map, text},
};

/// Something that is named.
#[derive(Debug)]
struct Reference<'a> {
    kind: &'a str,
    name: &'a str,
    namespace: &'a str,
    /// The keys in it that are named.
    keys: Vec<&'a str>,
}

/// Roles that every cluster has.
const ROLES: &[&str] = &["view", "edit", "admin", "cluster-admin"];

pub(super) fn are_there(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in pods(render) {
        let found = of_pod(render, &pod).into_iter();
        problems.extend(found.filter_map(|one| missing(render, pod.document, &one)));
    }
    for document in render.own() {
        let found = of_object(render, document).into_iter();
        problems.extend(found.filter_map(|one| missing(render, document, &one)));
    }
    problems
}

fn missing(render: &Render, from: &Document, to: &Reference<'_>) -> Option<String> {
    let say = |what: String| Some(format!("{} names {what}", from.about()));
    if to.name.is_empty() {
        return say(format!("a {} without a name", to.kind));
    }
    if to.kind == "ClusterRole" && ROLES.contains(&to.name)
        || to.kind == "ServiceAccount" && to.name == "default"
    {
        return None;
    }
    let made_by_certificate = |certificate: &Document| {
        certificate.text("/spec/secretName") == to.name
            && certificate.namespace_in(render) == to.namespace
    };
    if to.kind == "Secret" && render.of_kind("Certificate").any(made_by_certificate) {
        return None;
    }
    let Some(target) = render.find(to.kind, to.namespace, to.name) else {
        if render.chosen(to.name) {
            return None;
        }
        return say(format!(
            "{} {} in {}, which is not there",
            to.kind, to.name, to.namespace
        ));
    };
    let has = |key: &str| {
        let mut places = ["/data", "/stringData", "/binaryData"].into_iter();
        places.any(|place| map(&target.value, place).contains_key(key))
    };
    let absent = to.keys.iter().find(|key| !has(key))?;
    say(format!(
        "{absent} in {} {}, which it has not",
        to.kind, to.name
    ))
}

/// What a pod takes its settings, secrets, rights and volumes from.
fn of_pod<'a>(render: &'a Render, pod: &Pod<'a>) -> Vec<Reference<'a>> {
    let namespace = pod.document.namespace_in(render);
    let mut found = Vec::new();
    let mut add = |kind, source: &'a Value, key: &str, keys: Vec<&'a str>| {
        if !source.is_null() && *at(source, "/optional") != true {
            let name = text(source, key);
            found.push(Reference {
                kind,
                name,
                namespace,
                keys,
            });
        }
    };
    let sources = items(pod.spec, "/volumes").iter();
    let sources = sources
        .flat_map(|volume| std::iter::once(volume).chain(items(volume, "/projected/sources")));
    for source in sources {
        let (config, secret) = (at(source, "/configMap"), at(source, "/secret"));
        add("ConfigMap", config, "/name", keys(config));
        // A volume and a projected source name it differently.
        let key = if secret.get("secretName").is_some() {
            "/secretName"
        } else {
            "/name"
        };
        add("Secret", secret, key, keys(secret));
        add(
            "PersistentVolumeClaim",
            at(source, "/persistentVolumeClaim"),
            "/claimName",
            Vec::new(),
        );
    }
    for container in pod.containers() {
        for from in items(container, "/envFrom") {
            add("ConfigMap", at(from, "/configMapRef"), "/name", Vec::new());
            add("Secret", at(from, "/secretRef"), "/name", Vec::new());
        }
        for from in items(container, "/env") {
            for (kind, place) in [
                ("ConfigMap", "/valueFrom/configMapKeyRef"),
                ("Secret", "/valueFrom/secretKeyRef"),
            ] {
                add(
                    kind,
                    at(from, place),
                    "/name",
                    vec![text(at(from, place), "/key")],
                );
            }
        }
    }
    for secret in items(pod.spec, "/imagePullSecrets") {
        add("Secret", secret, "/name", Vec::new());
    }
    add(
        "ServiceAccount",
        pod.spec,
        "/serviceAccountName",
        Vec::new(),
    );
    found.retain(|one| !(one.kind == "ServiceAccount" && one.name.is_empty()));
    found
}

fn keys(source: &Value) -> Vec<&str> {
    items(source, "/items")
        .iter()
        .map(|item| text(item, "/key"))
        .collect()
}

/// What objects other than pods name.
fn of_object<'a>(render: &'a Render, document: &'a Document) -> Vec<Reference<'a>> {
    let own = document.namespace_in(render);
    let mut found = Vec::new();
    let mut add = |kind, name, namespace, keys| {
        found.push(Reference {
            kind,
            name,
            namespace,
            keys,
        });
    };
    match document.kind() {
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = document.text("/roleRef/kind");
            let within = if role == "Role" { own } else { "" };
            add(role, document.text("/roleRef/name"), within, Vec::new());
            for who in items(&document.value, "/subjects") {
                let at = match text(who, "/namespace") {
                    "" => own,
                    at => at,
                };
                add(text(who, "/kind"), text(who, "/name"), at, Vec::new());
            }
        }
        "TriggerAuthentication" | "ClusterTriggerAuthentication" => {
            for (place, kind) in [
                ("/spec/secretTargetRef", "Secret"),
                ("/spec/configMapTargetRef", "ConfigMap"),
            ] {
                for target in items(&document.value, place) {
                    // KEDA looks for those of a ClusterTriggerAuthentication in
                    // its own namespace, of which the values tell.
                    if !own.is_empty() {
                        let key = vec![text(target, "/key")];
                        add(kind, text(target, "/name"), own, key);
                    }
                }
            }
        }
        "ScaledObject" | "ScaledJob" => {
            if document.kind() == "ScaledObject" {
                let kind = match document.text("/spec/scaleTargetRef/kind") {
                    "" => "Deployment",
                    kind => kind,
                };
                add(
                    kind,
                    document.text("/spec/scaleTargetRef/name"),
                    own,
                    Vec::new(),
                );
            }
            for trigger in items(&document.value, "/spec/triggers") {
                let reference = at(trigger, "/authenticationRef");
                let kind = match text(reference, "/kind") {
                    "" => "TriggerAuthentication",
                    kind => kind,
                };
                let within = if kind.starts_with("Cluster") { "" } else { own };
                if !reference.is_null() {
                    add(kind, text(reference, "/name"), within, Vec::new());
                }
            }
        }
        "Ingress" | "HTTPRoute" => {
            let rules = items(&document.value, "/spec/rules").iter();
            let services = rules.flat_map(|rule| {
                let paths = items(rule, "/http/paths").iter();
                let of_ingress = paths.map(|path| text(path, "/backend/service/name"));
                let of_route = items(rule, "/backendRefs")
                    .iter()
                    .map(|to| text(to, "/name"));
                of_ingress.chain(of_route)
            });
            for name in services {
                add("Service", name, own, Vec::new());
            }
        }
        _ => {}
    }
    found
}

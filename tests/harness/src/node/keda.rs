//! KEDA as people install it: its own manifests, its three programs as pods, its
//! own certificates.
//!
//! What differs from KEDA's manifests, so that it is ready in seconds: the images
//! are those that were imported; a pod is asked at once whether it is ready; and
//! the one operator does not elect itself, since it ends once, when it has made
//! its certificates, and would wait for its own lease.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use crate::control_plane::{START, Site};
use crate::error::{Doing, Error, Result};
use crate::kubectl::Kubectl;

/// The namespace that KEDA's manifests name.
pub(crate) const NAMESPACE: &str = "keda";

/// A program of ours, the image that KEDA's manifests name, and where they want
/// the program in it.
pub(crate) const IMAGES: [(&str, &str, &str); 3] = [
    ("keda-operator", "ghcr.io/kedacore/keda:main", "/keda"),
    (
        "keda-adapter",
        "ghcr.io/kedacore/keda-metrics-apiserver:main",
        "/keda-adapter",
    ),
    (
        "keda-webhooks",
        "ghcr.io/kedacore/keda-admission-webhooks:main",
        "/keda-admission-webhooks",
    ),
];

/// A metric that nobody has. KEDA's adapter asks the operator for it, once it has
/// a connection, and until then lets the question wait.
const NO_METRIC: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/keda/s0-none?labelSelector=scaledobject.keda.sh%2Fname%3Dnone";

/// What the operator says to that.
const NO_OBJECT: &str = "\"none\" not found";

/// Applies KEDA's manifests; its pods become ready by themselves, see
/// [`until_ready`].
pub(crate) fn apply(site: &Site<'_>, kubectl: &Kubectl) -> Result<()> {
    let manifests = site.tools.path("keda-manifests")?;
    let manifests = manifests
        .canonicalize()
        .doing(|| format!("resolving {}", manifests.display()))?;
    let directory = site.directory.join("keda");
    fs::create_dir_all(&directory).doing(|| format!("making {}", directory.display()))?;
    let file = directory.join("kustomization.yaml");
    let base = relative(&directory, &manifests.join("default"));
    fs::write(&file, kustomization(&base)).doing(|| format!("writing {}", file.display()))?;
    let directory = directory.display().to_string();
    kubectl.run(&["apply", "--server-side", "--kustomize", &directory], "")?;
    Ok(())
}

/// Waits until its pods are ready and the HPA can read its metrics.
pub(crate) fn until_ready(kubectl: &Kubectl) -> Result<()> {
    let timeout = format!("--timeout={}s", START.as_secs());
    let in_namespace = format!("--namespace={NAMESPACE}");
    let available = ["wait", "--for=condition=Available", &timeout];
    let pods = ["deployment", "--all", &in_namespace];
    let service = ["apiservice/v1beta1.external.metrics.k8s.io"];
    kubectl.run(&[&available[..], &pods].concat(), "")?;
    kubectl.run(&[&available[..], &service].concat(), "")?;
    let deadline = Instant::now() + START;
    loop {
        match kubectl.run(&["get", "--raw", NO_METRIC], "") {
            Ok(_) => return Ok(()),
            Err(Error::Kubectl { stderr, .. }) if stderr.contains(NO_OBJECT) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            // A service that is being replaced has no event to wait for.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn kustomization(base: &Path) -> String {
    let container = "/spec/template/spec/containers/0";
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{}]
patches:
- target: {{kind: Deployment, name: keda-operator}}
  patch: |-
    - {{op: add, path: {container}/args/-, value: --leader-elect=false}}
- target: {{kind: Deployment}}
  patch: |-
    - {{op: replace, path: {container}/imagePullPolicy, value: IfNotPresent}}
    - {{op: replace, path: {container}/readinessProbe/initialDelaySeconds, value: 1}}
    - {{op: add, path: {container}/readinessProbe/periodSeconds, value: 1}}
",
        base.display()
    )
}

/// The way from one absolute directory to another: kustomize takes no other.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let up = from
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|_| Component::ParentDir);
    let down = to
        .components()
        .filter(|part| matches!(part, Component::Normal(_)));
    up.chain(down).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_manifests_is_relative() {
        let way = relative(Path::new("/tmp/a/keda"), Path::new("/home/x/default"));
        assert_eq!(way, Path::new("../../../home/x/default"));
    }
}

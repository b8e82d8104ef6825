//! Where the agent's software is, for which platform, and what this pod is
//! called.
//!
//! May import: its siblings. Invariant: what is guessed is what `start.sh` would
//! take, or what the image of this project has.

use std::{
    env, fs,
    path::{Component, Path, PathBuf},
};

use super::Environment;

/// Where the image of this project has the agent's software.
const BAKED_IN: &str = "/azp/agent";

/// The folder of the agent's software: as given, else the current one where
/// that is it (start.sh works in its own), else the image's.
pub(super) fn folder(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| {
        let here = env::current_dir().ok();
        here.filter(|folder| folder.join("config.sh").is_file())
            .unwrap_or_else(|| PathBuf::from(BAKED_IN))
    })
}

/// Does this folder of jobs hold the agent's folder or the user's home? What is
/// emptied must not.
pub(super) fn holds_more_than_work(agent: &Path, work: &Path, user: Option<&Path>) -> bool {
    let work = real(&agent.join(work));
    let mut kept = [Some(agent), user].into_iter().flatten();
    kept.any(|kept| real(kept).starts_with(&work))
}

/// Without links, where it is there, and without `..`.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let mut real = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => drop(real.pop()),
                Component::CurDir => {}
                part => real.push(part),
            }
        }
        real
    })
}

/// The platform of a package. start.sh: `TARGETARCH` names it whole; Docker puts
/// its own name of the architecture into the same variable.
pub(super) fn platform(environment: &impl Environment) -> String {
    let named = environment.variable("TARGETARCH");
    let named = named.as_deref().unwrap_or(env::consts::ARCH);
    let known = [
        ("amd64", "linux-x64"),
        ("x86_64", "linux-x64"),
        ("arm64", "linux-arm64"),
        ("aarch64", "linux-arm64"),
        ("arm", "linux-arm"),
    ];
    let found = known.iter().find(|(name, _)| *name == named);
    found.map_or(named, |(_, platform)| platform).to_owned()
}

/// The name of this host; Kubernetes: the pod's.
pub(super) fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The namespace of this pod, where it is one that may speak to its cluster.
pub(super) fn namespace() -> Option<String> {
    let path = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let name = fs::read_to_string(path).ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

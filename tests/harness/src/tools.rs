//! Where the built programs are. `tools/build --list` is the one that knows:
//! names, versions and places are never repeated here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Error, Result};

/// The programs that `make tools` builds.
#[derive(Debug, Clone)]
pub struct Tools {
    by_name: BTreeMap<String, Tool>,
}

#[derive(Debug, Clone)]
struct Tool {
    version: String,
    path: PathBuf,
}

impl Tools {
    /// Asks `tools/build --list`. Builds nothing.
    ///
    /// # Errors
    /// When the script cannot be run or prints what is not its format.
    pub fn locate() -> Result<Tools> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/build");
        let output = Command::new("bash")
            .arg(&script)
            .arg("--list")
            .output()
            .doing(|| format!("running bash {}", script.display()))?;
        if !output.status.success() {
            return Err(Error::ToolList(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ));
        }
        Tools::parse(&String::from_utf8_lossy(&output.stdout))
    }

    pub(crate) fn parse(list: &str) -> Result<Tools> {
        let mut by_name = BTreeMap::new();
        for line in list.lines() {
            let [name, version, path, _state] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(Error::ToolList(format!("cannot read the line {line:?}")));
            };
            let tool = Tool {
                version: version.to_owned(),
                path: path.into(),
            };
            by_name.insert(name.to_owned(), tool);
        }
        Ok(Tools { by_name })
    }

    /// The path of a program.
    ///
    /// # Errors
    /// When it has not been built; the message says `make tools`.
    pub fn path(&self, name: &str) -> Result<&Path> {
        match self.by_name.get(name) {
            Some(tool) if tool.path.exists() => Ok(&tool.path),
            Some(tool) => Err(Error::ToolMissing {
                name: name.to_owned(),
                path: tool.path.clone(),
            }),
            None => Err(Error::ToolList(format!("it names no {name}"))),
        }
    }

    /// The version of a program, as in `v1.37.2`; empty for an unknown name.
    pub fn version(&self, name: &str) -> &str {
        self.by_name.get(name).map_or("", |tool| &tool.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_said_with_its_remedy() {
        let tools = Tools::parse("etcd\tv3.7.3\t/nowhere/etcd\tmissing\n").unwrap();
        let message = tools.path("etcd").unwrap_err().to_string();
        assert!(message.contains("/nowhere/etcd"), "{message}");
        assert!(message.contains("make tools"), "{message}");
    }

    #[test]
    fn the_script_names_every_program_of_a_cluster() {
        let tools = Tools::locate().unwrap();
        for name in [
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubectl",
            "keda-operator",
            "keda-adapter",
            "keda-manifests",
            "kubelet",
            "kube-proxy",
            "containerd",
            "containerd-shim-runc-v2",
            "ctr",
            "loopback",
            "ptp",
            "host-local",
            "portmap",
            "pause",
            "coredns",
            "keda-webhooks",
            "kwok",
        ] {
            assert!(
                tools.version(name).starts_with('v'),
                "{name} has no version"
            );
        }
    }
}

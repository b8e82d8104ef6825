//! The files that the programs of a node read.
//!
//! Imports the place alone. The invariant: no program is told to write outside
//! of the cluster's directory, or of what node.sh puts in the place of /run,
//! /var/lib and /var/log.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::certificates::Certificates;
use crate::error::{Doing, Result};
use crate::tools::Tools;

/// What Kubernetes calls the node.
pub(crate) const HOSTNAME: &str = "node";

/// The plugins that give a pod its network, by containerd's order.
pub(super) const PLUGINS: [&str; 4] = ["loopback", "ptp", "host-local", "portmap"];

/// What the settings speak of.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    /// The cluster's directory.
    pub(crate) directory: &'a Path,
    pub(crate) place: &'a Place,
    pub(crate) certificates: &'a Certificates,
    /// The name of the image of the process that holds a pod's namespaces.
    pub(crate) pause: &'a str,
}

impl Settings<'_> {
    /// The node's own directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.join("node")
    }

    /// Where containerd is reached, from the host too.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("containerd.sock")
    }

    /// Writes them all.
    pub(crate) fn write(&self, tools: &Tools) -> Result<()> {
        let home = self.home();
        let networks = home.join("networks");
        let plugins = home.join("plugins");
        for directory in [&networks, &plugins] {
            fs::create_dir_all(directory).doing(|| format!("making {}", directory.display()))?;
        }
        for name in PLUGINS {
            let link = plugins.join(name);
            symlink(tools.path(name)?, &link).doing(|| format!("linking {}", link.display()))?;
        }
        for (path, text) in [
            (home.join("containerd.toml"), self.containerd()),
            (networks.join("10-azp.conflist"), self.network()),
            (home.join("kubelet.yaml"), self.kubelet()),
            (home.join("kube-proxy.yaml"), self.kube_proxy()),
        ] {
            fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn containerd(&self) -> String {
        format!(
            r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
# Of no use here; and some make directories of their own.
disabled_plugins = [
  "io.containerd.image-verifier.v1.bindir",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"

[plugins.'io.containerd.internal.v1.opt']
  path = "{home}/opt"

[plugins.'io.containerd.cri.v1.images']
  snapshotter = "@SNAPSHOTTER@"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{pause}"

# What is imported is unpacked where pods look for it.
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
  platform = "linux"
  snapshotter = "@SNAPSHOTTER@"

[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE nobody lowers a score, and runc dies of trying.
  restrict_oom_score_adj = true
  cdi_spec_dirs = ["/run/cdi"]
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{home}/plugins"]
    conf_dir = "{home}/networks"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
            socket = self.socket().display(),
            home = self.home().display(),
            pause = self.pause,
        )
    }

    /// A link of its own for each pod, routed and never bridged.
    fn network(&self) -> String {
        format!(
            r#"{{"cniVersion": "1.0.0", "name": "azp", "plugins": [
  {{"type": "ptp", "ipam": {{
    "type": "host-local",
    "ranges": [[{{"subnet": "{}"}}]],
    "routes": [{{"dst": "0.0.0.0/0"}}]
  }}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}, "backend": "nftables"}}
]}}
"#,
            self.place.pods()
        )
    }

    fn kubelet(&self) -> String {
        format!(
            "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {authority}}}
authorization: {{mode: Webhook}}
tlsCertFile: {certificate}
tlsPrivateKeyFile: {key}
clusterDNS: [{dns}]
clusterDomain: cluster.local
# The host's names are none of the pods' business.
resolvConf: ''
containerRuntimeEndpoint: unix://{socket}
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failCgroupV1: false
failSwapOn: false
# The machine is shared with whoever starts a cluster on it.
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
evictionHard: {{imagefs.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, memory.available: 0%}}
imageGCHighThresholdPercent: 100
maxPods: 200
volumePluginDir: /var/lib/kubelet/volume-plugins
# A Secret that changes is seen by its pods within seconds and not minutes.
syncFrequency: 2s
# A test that makes a hundred pods waits for none of these.
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
registryPullQPS: 0
",
            authority = self.certificates.authority.display(),
            certificate = self.certificates.server.0.display(),
            key = self.certificates.server.1.display(),
            dns = self.place.dns_service(),
            socket = self.socket().display(),
            cgroup = self.place.name(),
        )
    }

    fn kube_proxy(&self) -> String {
        format!(
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: {HOSTNAME}
clientConnection: {{kubeconfig: {kubeconfig}}}
# Whoever is no pod, the host above all, gets its answers through the node.
clusterCIDR: {pods}
detectLocalMode: ClusterCIDR
# These belong to the whole machine.
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
",
            kubeconfig = self.directory.join("kubeconfig").display(),
            pods = self.place.pods(),
        )
    }
}

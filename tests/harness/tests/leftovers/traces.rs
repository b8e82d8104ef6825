//! What a cluster can leave on a machine, and how it is found: by the mark on its
//! processes, by the name of its node's place, by what the machine had before.
//!
//! May import: nothing of the harness, so that it does not see with its eyes.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The processes that bear the mark of a cluster in this directory.
pub(crate) fn processes_of(directory: &Path) -> Vec<String> {
    let mark = format!("AZP_HARNESS_DIRECTORY={}", directory.display());
    let bears_mark = |environment: Vec<u8>| {
        environment
            .split(|&byte| byte == 0)
            .any(|entry| entry == mark.as_bytes())
    };
    processes()
        // Those of others cannot be read, and are none of ours.
        .filter(|process| fs::read(process.join("environ")).is_ok_and(bears_mark))
        .map(|process| fs::read_to_string(process.join("comm")).unwrap_or_default())
        .collect()
}

/// The keeper's pid: a bash that was started for this directory.
pub(crate) fn keeper_of(directory: &Path) -> String {
    let end = format!("\0keeper\0{}\0", directory.display());
    let is_keeper = |line: Vec<u8>| line.ends_with(end.as_bytes());
    let found = processes()
        .find(|process| fs::read(process.join("cmdline")).is_ok_and(is_keeper))
        .expect("a keeper");
    let pid = found.file_name().expect("a pid");
    pid.to_string_lossy().into_owned()
}

/// Whether nothing is left of a process but what its parent has yet to read.
fn is_dead(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    status.contains("\nState:\tZ") || status.contains("\nState:\tX")
}

fn processes() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc")
        .expect("/proc can be read")
        .filter_map(|entry| Some(entry.ok()?.path()))
}

/// Where the traces of one cluster with a node would be.
pub(crate) struct Traces {
    directory: PathBuf,
    name: String,
}

impl Traces {
    /// Of a cluster that runs.
    pub(crate) fn of(directory: &Path) -> Traces {
        let place = fs::read_to_string(directory.join("place")).expect("a node's place");
        let (name, _lock) = place.split_once(' ').expect("a name and a lock");
        Traces {
            directory: directory.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Those that are there now, each with its kind.
    pub(crate) fn look(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut add = |kind: &str, what: String| found.push(format!("{kind} {}", what.trim()));
        for process in processes_of(&self.directory) {
            add("process", process);
        }
        // Whoever is in a cgroup of the node, bears the mark or not.
        for process in processes().filter(|process| !is_dead(process)) {
            let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
            if groups.contains(&self.name) {
                add("process", process.display().to_string());
            }
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten() {
            for place in [hierarchy.path(), hierarchy.path().join(&self.name)] {
                if place.ends_with(&self.name) && place.exists() {
                    add("cgroup", place.display().to_string());
                }
            }
        }
        let mentions = |text: String, what: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.contains(what));
            lines.map(str::to_owned).collect()
        };
        for link in mentions(said("ip", &["-brief", "link"]), &self.name) {
            add("link", link);
        }
        for route in mentions(said("ip", &["route", "show", "table", "all"]), &self.name) {
            add("route", route);
        }
        let directory = self.directory.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
        for mount in mentions(mounts, &directory) {
            add("mount", mount);
        }
        for number in 0..16 {
            let lock = format!("/run/azp-node-{number}.lock");
            let text = fs::read_to_string(lock).unwrap_or_default();
            if text.contains(&self.name) {
                add("place", text);
            }
        }
        if self.directory.exists() {
            add("file", directory);
        }
        found
    }
}

/// What kubelet, containerd, CNI plugins and kube-proxy change where nobody keeps
/// them from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Machine(BTreeMap<&'static str, String>);

impl Machine {
    /// The same once more. A setting that was not there before is left out: that
    /// of connection tracking comes with its module, which the kernel loads.
    pub(crate) fn look_again(&self) -> Machine {
        let Machine(mut seen) = Machine::look();
        seen.retain(|what, _| self.0.contains_key(what));
        Machine(seen)
    }

    pub(crate) fn look() -> Machine {
        let mut seen = BTreeMap::new();
        for setting in [
            "/proc/sys/vm/overcommit_memory",
            "/proc/sys/vm/panic_on_oom",
            "/proc/sys/kernel/panic",
            "/proc/sys/kernel/panic_on_oops",
            "/proc/sys/kernel/keys/root_maxkeys",
            "/proc/sys/net/netfilter/nf_conntrack_max",
        ] {
            match fs::read_to_string(setting) {
                Ok(value) => drop(seen.insert(setting, value)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{setting}: {error}"),
            }
        }
        for place in [
            "/etc/cni",
            "/etc/kubernetes",
            "/opt/cni",
            "/opt/containerd",
            "/opt/nri",
            "/run/containerd",
            "/run/netns",
            "/usr/libexec/kubernetes",
            "/var/lib/cni",
            "/var/lib/containerd",
            "/var/lib/kubelet",
            "/var/log/containers",
            "/var/log/pods",
        ] {
            let entries = fs::read_dir(place).into_iter().flatten().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
            names.sort();
            seen.insert(place, format!("{} {names:?}", Path::new(place).exists()));
        }
        seen.insert("tables of nft", said("nft", &["list", "tables"]));
        Machine(seen)
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

//! A real node: kubelet, containerd, runc, CNI plugins and kube-proxy, in
//! namespaces of their own; CoreDNS and KEDA are pods on it.
//!
//! Imports what starts processes and asks the apiserver, and knows nothing of
//! the cluster that it belongs to. The invariant: whatever a node puts on its
//! host outside of its namespaces bears the name of its place, so that `clear.sh`
//! finds it without being told. What node.sh switches on in the host's root cgroup
//! is no thing of the node's, and stays.

mod image;
pub(crate) mod keda;
mod place;
mod settings;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::certificates::Certificates;
use crate::control_plane::START;
use crate::error::{Doing, Error, Result};
use crate::kubectl::Kubectl;
use crate::process::{Process, command, note};
use crate::tools::Tools;

pub use image::ProgramImage;
pub(crate) use place::Place;
use settings::{HOSTNAME, PLUGINS, Settings};

const NODE: &str = include_str!("node.sh");
const SYSTEM: &str = include_str!("system.yaml");
const EMULATOR: &str = include_str!("emulator.yaml");

const PAUSE: &str = "localhost/azp-cluster/pause:1";
const COREDNS: &str = "localhost/azp-cluster/coredns:1";

/// The namespace of the emulator.
pub(crate) const EMULATOR_NAMESPACE: &str = "azure";

/// Programs that a node takes from the system, and Debian's package of each.
const SYSTEM_PROGRAMS: [(&str, &str); 6] = [
    ("runc", "runc"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

/// What a node puts others over, so that a cluster cannot lie there.
const COVERED: [&str; 5] = ["/run", "/var/lib", "/var/log", "/proc", "/sys"];

/// Built programs that run where others are covered.
const NODE_PROGRAMS: [&str; 4] = [
    "containerd",
    "containerd-shim-runc-v2",
    "kubelet",
    "kube-proxy",
];

/// How long a path to a socket may be.
const SOCKET_PATH: usize = 107;

/// How a node is to be.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// Archives of images, as `docker save` and `images/build` write them, that
    /// are there before the first pod.
    pub images: Vec<PathBuf>,
    /// The name of an image of azp-scaler, whose emulator of Azure DevOps then
    /// runs as `http://emulator.azure.svc:8100`.
    pub emulator: Option<String>,
}

/// A running node. Dropping it ends every process on it.
#[derive(Debug)]
pub struct Node {
    directory: PathBuf,
    ctr: PathBuf,
    /// Numbers the runs of ctr, since their notes for the keeper need names.
    runs: AtomicU32,
    process: Process,
    go: File,
    emulator: bool,
    // Dropped last: a place is free when nobody is in it.
    place: Place,
}

impl Node {
    /// Fails when the machine has not what a node needs.
    pub(crate) fn check_machine(directory: &Path, tools: &Tools) -> Result<()> {
        let own = fs::metadata("/proc/self").doing(|| "looking at this process".to_owned())?;
        if own.uid() != 0 {
            return Err(Error::NotRoot);
        }
        for (program, package) in SYSTEM_PROGRAMS {
            let is_there = |place: PathBuf| place.join(program).is_file();
            if !std::env::split_paths(&search_path()).any(is_there) {
                return Err(Error::SystemProgramMissing { program, package });
            }
        }
        check_tools(tools)?;
        let too_long =
            directory.as_os_str().as_bytes().len() + "/containerd.sock.ttrpc".len() > SOCKET_PATH;
        match (covered(directory), too_long) {
            (None, false) => Ok(()),
            (Some(covered), _) => Err(Error::UnfitDirectory {
                directory: directory.to_owned(),
                why: format!("a node has a {covered} of its own"),
            }),
            (None, true) => Err(Error::UnfitDirectory {
                directory: directory.to_owned(),
                why: "the path of its socket would be too long".to_owned(),
            }),
        }
    }

    /// Starts the node up to its link and containerd: the apiserver listens on
    /// the link. The rest follows by [`Node::go`].
    pub(crate) fn start(
        directory: &Path,
        place: Place,
        tools: &Tools,
        certificates: &Certificates,
        wanted: &NodeOptions,
    ) -> Result<Node> {
        let settings = Settings {
            directory,
            place: &place,
            certificates,
            pause: PAUSE,
        };
        settings.write(tools)?;
        let script = settings.home().join("node.sh");
        fs::write(&script, NODE).doing(|| format!("writing {}", script.display()))?;
        let ctr = tools.path("ctr")?.to_owned();
        let process = start_process(&settings, tools)?;
        process.line_after("linked", START)?;
        let go = settings.home().join("go");
        let go = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&go)
            .doing(|| format!("opening {}", go.display()))?;
        Ok(Node {
            directory: directory.to_owned(),
            ctr,
            runs: AtomicU32::new(0),
            process,
            go,
            emulator: wanted.emulator.is_some(),
            place,
        })
    }

    /// Imports the images of the node's own pods, of KEDA if it is wanted, and
    /// those that are named.
    pub(crate) fn import_first(&self, tools: &Tools, keda: bool, named: &[PathBuf]) -> Result<()> {
        self.process
            .until_ready(START, || self.ctr(&["version"]).is_ok())?;
        let archive = self.directory.join("node/image.tar");
        let own = [("pause", PAUSE, "/pause"), ("coredns", COREDNS, "/coredns")];
        let keda = keda::IMAGES.iter().filter(|_| keda);
        for &(program, name, path) in own.iter().chain(keda) {
            let program = tools.path(program)?;
            ProgramImage {
                name,
                program,
                path,
            }
            .write(&archive)?;
            self.import(&archive)?;
        }
        fs::remove_file(&archive).doing(|| format!("removing {}", archive.display()))?;
        named.iter().try_for_each(|archive| self.import(archive))
    }

    /// Starts kubelet and kube-proxy, now that the apiserver is ready, and waits
    /// until the node is.
    pub(crate) fn go(&self, kubectl: &Kubectl) -> Result<()> {
        (&self.go)
            .write_all(b"go\n")
            .doing(|| "telling the node to go on".to_owned())?;
        self.process.line_after("started", START)?;
        let apply = SYSTEM
            .replace("@IMAGE@", COREDNS)
            .replace("@ADDRESS@", &self.place.dns_service().to_string());
        kubectl.run(&["apply", "--server-side", "--filename=-"], &apply)?;
        let node = format!("node/{HOSTNAME}");
        let timeout = format!("--timeout={}s", START.as_secs());
        kubectl.run(&["wait", "--for=create", &node, &timeout], "")?;
        kubectl.run(&["wait", "--for=condition=Ready", &node, &timeout], "")?;
        Ok(())
    }

    /// Waits until pods find names.
    pub(crate) fn until_names_resolve(&self, kubectl: &Kubectl) -> Result<()> {
        available(kubectl, "coredns", "kube-system")
    }

    /// Runs the emulator of Azure DevOps, by an image of azp-scaler that is there.
    pub(crate) fn run_emulator(&self, kubectl: &Kubectl, image: &str) -> Result<()> {
        let address = self.place.emulator_service().to_string();
        let apply = EMULATOR
            .replace("@IMAGE@", image)
            .replace("@ADDRESS@", &address);
        kubectl.run(&["apply", "--server-side", "--filename=-"], &apply)?;
        available(kubectl, "emulator", EMULATOR_NAMESPACE)
    }

    /// Imports an archive of images, as `docker save` and `images/build` write
    /// them. A pod uses them with `imagePullPolicy: Never` or `IfNotPresent`.
    ///
    /// # Errors
    /// With containerd's own message when it refuses.
    pub fn import(&self, archive: &Path) -> Result<()> {
        let archive = archive.display().to_string();
        self.ctr(&["--namespace=k8s.io", "images", "import", &archive])
            .map(|_| ())
    }

    /// This machine, as the node and its pods reach it: what a test serves to
    /// pods listens here. The apiserver does too.
    pub fn host_address(&self) -> Ipv4Addr {
        self.place.host()
    }

    /// The node, as this machine reaches it. Pods and services are reached by
    /// their own addresses.
    pub fn address(&self) -> Ipv4Addr {
        self.place.node()
    }

    /// Where the emulator is reached from this machine, if it was asked for.
    pub fn emulator_url(&self) -> Option<String> {
        let address = self.place.emulator_service();
        self.emulator.then(|| format!("http://{address}:8100"))
    }

    /// Fails when a program of the node has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.process.check()
    }

    fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let name = format!("ctr-{}", self.runs.fetch_add(1, Ordering::Relaxed));
        let what = || format!("running ctr {}", arguments.join(" "));
        let output = command(&self.directory, &name, &self.ctr)
            .arg("--address")
            .arg(self.directory.join("containerd.sock"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .doing(what)?;
        let _ = fs::remove_file(note(&self.directory, &name));
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Containerd {
            arguments: arguments.join(" "),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// What of a node lies over a path, if anything does.
fn covered(path: &Path) -> Option<&'static str> {
    COVERED.into_iter().find(|each| path.starts_with(each))
}

/// Fails when a program would not be there on the node, neither by its name nor
/// where its links lead.
fn check_tools(tools: &Tools) -> Result<()> {
    for &name in NODE_PROGRAMS.iter().chain(&PLUGINS) {
        let path = tools.path(name)?;
        let resolved = path
            .canonicalize()
            .doing(|| format!("resolving {}", path.display()))?;
        for path in [path, &resolved] {
            if let Some(covered) = covered(path) {
                return Err(Error::CoveredTool {
                    name: name.to_owned(),
                    path: path.to_owned(),
                    covered,
                });
            }
        }
    }
    Ok(())
}

fn available(kubectl: &Kubectl, deployment: &str, namespace: &str) -> Result<()> {
    kubectl.run(
        &[
            "wait",
            "--for=condition=Available",
            &format!("deployment/{deployment}"),
            &format!("--namespace={namespace}"),
            &format!("--timeout={}s", START.as_secs()),
        ],
        "",
    )?;
    Ok(())
}

/// Administrators have these, and not every user's PATH does.
fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

fn start_process(settings: &Settings<'_>, tools: &Tools) -> Result<Process> {
    let Settings {
        directory, place, ..
    } = settings;
    let containerd = tools.path("containerd")?;
    // containerd looks for its shim on the PATH.
    let shim = tools.path("containerd-shim-runc-v2")?;
    let mut path = shim.parent().unwrap_or(shim).as_os_str().to_owned();
    path.push(":");
    path.push(search_path());
    let text = |path: &Path| path.display().to_string();
    let environment = [
        ("PATH", path.to_string_lossy().into_owned()),
        ("AZP_NODE_OWNER", std::process::id().to_string()),
        ("AZP_NODE_NAME", place.name().to_owned()),
        ("AZP_NODE_DIRECTORY", text(&settings.home())),
        ("AZP_NODE_LOGS", text(&directory.join("logs"))),
        ("AZP_NODE_HOST", place.host().to_string()),
        ("AZP_NODE_ADDRESS", place.node().to_string()),
        ("AZP_NODE_RANGE", place.range()),
        ("AZP_NODE_HOSTNAME", HOSTNAME.to_owned()),
        ("AZP_NODE_CONTAINERD", text(containerd)),
        ("AZP_NODE_KUBELET", text(tools.path("kubelet")?)),
        ("AZP_NODE_KUBE_PROXY", text(tools.path("kube-proxy")?)),
        ("AZP_NODE_KUBECONFIG", text(&directory.join("kubeconfig"))),
    ];
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let script = text(&settings.home().join("node.sh"));
    let arguments = [
        "--mount",
        "--pid",
        "--net",
        "--propagation=private",
        "--fork",
        "--kill-child",
        "bash",
        &script,
    ];
    Process::start(
        directory,
        "node",
        Path::new("unshare"),
        arguments,
        &environment,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_node_covers_is_said_before_the_start() {
        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("kubelet");
        std::os::unix::fs::symlink("/proc/version", &link).unwrap();
        let list = |kubelet: &Path| {
            let names = NODE_PROGRAMS.iter().chain(&PLUGINS);
            let lines = names.map(|&name| {
                let path = match name {
                    "kubelet" => kubelet,
                    _ => Path::new("/usr/bin/env"),
                };
                format!("{name}\tv1\t{}\tthere\n", path.display())
            });
            Tools::parse(&lines.collect::<String>()).unwrap()
        };
        check_tools(&list(Path::new("/usr/bin/env"))).unwrap();
        for kubelet in [&link, Path::new("/proc/version")] {
            let said = check_tools(&list(kubelet)).unwrap_err().to_string();
            assert!(said.contains("kubelet at /proc/version"), "{said}");
            assert!(said.contains("AZP_TOOLS_DIR"), "{said}");
        }
    }
}

//! The promise of the harness: whatever ends a cluster's owner, nothing of the
//! cluster is left.
//!
//! Needs the programs of `make tools`, and root for those with a node; fails
//! without them.

#[path = "leftovers/traces.rs"]
mod traces;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use azp_harness::{ProgramImage, Tools, http};
use traces::{Machine, Traces, processes_of};

fn azp_cluster(action: &str, directory: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_azp-cluster"))
        .args([action, "--hpa-sync-period", "2s", "--dir"])
        .arg(directory)
        .args(flags)
        .output()
        .expect("azp-cluster runs")
}

#[track_caller]
fn up(directory: &Path, flags: &[&str]) -> String {
    let up = azp_cluster("up", directory, flags);
    assert!(up.status.success(), "{}", said(&up));
    said(&up)
}

/// A directory that is not there yet, in one that goes with the test; and with it
/// goes a cluster that a failed test has left in it.
struct Place {
    parent: tempfile::TempDir,
    directory: PathBuf,
}

impl Place {
    fn new() -> Place {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let directory = parent.path().canonicalize().expect("it exists");
        Place {
            parent,
            directory: directory.join("cluster"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.directory.exists() {
            azp_cluster("down", &self.directory, &[]);
        }
    }
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[track_caller]
fn kill(pid: &str) {
    let killed = Command::new("kill").args(["-KILL", pid]).status();
    assert!(killed.expect("kill runs").success(), "{pid} was there");
}

fn owner_of(directory: &Path) -> String {
    fs::read_to_string(directory.join(".azp-cluster")).expect("the mark")
}

#[track_caller]
fn until_gone(directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while directory.exists() {
        assert!(
            Instant::now() < deadline,
            "{} is still there",
            directory.display()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// kubectl, as a user of the cluster runs it.
#[track_caller]
fn kubectl(directory: &Path, arguments: &[&str]) -> String {
    let tools = Tools::locate().expect("the list of tools");
    let output = Command::new(tools.path("kubectl").expect("kubectl"))
        .args(arguments)
        .env("KUBECONFIG", directory.join("kubeconfig"))
        .output()
        .expect("kubectl runs");
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

#[test]
fn a_killed_owner_leaves_neither_processes_nor_files() {
    let place = Place::new();
    let directory = &place.directory;
    up(directory, &["--no-node"]);
    let running = processes_of(directory);
    // etcd, apiserver, scheduler, controller-manager, KEDA's operator and adapter.
    assert_eq!(running.len(), 6, "{running:?}");

    let again = up(directory, &["--no-node"]);
    assert!(again.contains("runs already"), "{again}");
    assert!(again.contains("export KUBECONFIG="), "{again}");

    kill(&owner_of(directory));
    until_gone(directory);
    assert_eq!(processes_of(directory), Vec::<String>::new());

    let down = said(&azp_cluster("down", directory, &[]));
    assert!(down.contains("no cluster is running"), "{down}");
}

#[test]
fn what_is_not_a_cluster_is_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let precious = directory.path().join("precious");
    fs::write(&precious, "data").expect("it can be written");
    for action in ["up", "down"] {
        let output = azp_cluster(action, directory.path(), &["--no-node"]);
        assert!(!output.status.success(), "{action}: {}", said(&output));
        assert!(
            said(&output).contains("not a cluster's directory"),
            "{}",
            said(&output)
        );
    }
    assert!(precious.exists());
}

/// Held by each test with a node: a start clears what the test beside it has
/// killed and still looks for.
static NODES: Mutex<()> = Mutex::new(());

/// A pod that serves the apiserver's answers to whoever asks it, and a service.
const PROBE: &str = "apiVersion: v1
kind: Pod
metadata: {name: probe, labels: {app: probe}}
spec:
  containers:
  - name: probe
    image: localhost/probe:1
    imagePullPolicy: Never
    # By name: through DNS, the service's address, the apiserver's certificate.
    env: [{name: KUBERNETES_SERVICE_HOST, value: kubernetes.default.svc}]
    args: [proxy, --port=8001, --address=0.0.0.0, --accept-hosts=.*]
    readinessProbe: {tcpSocket: {port: 8001}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: probe}
spec: {selector: {app: probe}, ports: [{port: 80, targetPort: 8001}]}
";

#[test]
fn a_node_runs_pods_and_goes_without_a_trace() {
    let _turn = NODES.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new();
    let directory = &place.directory;
    let tools = Tools::locate().expect("the list of tools");
    let archive = place.parent.path().join("probe.tar");
    let image = ProgramImage {
        name: "localhost/probe:1",
        program: tools.path("kubectl").expect("kubectl"),
        path: "/kubectl",
    };
    image.write(&archive).expect("the image is written");
    let machine = Machine::look();

    up(directory, &["--image", &archive.display().to_string()]);
    let traces = Traces::of(directory);
    let seen = traces.look();
    for what in ["process", "cgroup", "link", "route", "place"] {
        let found = seen.iter().any(|trace| trace.starts_with(what));
        assert!(found, "a running node has a {what}: {seen:?}");
    }
    let keda = kubectl(directory, &["get", "pods", "--namespace=keda"]);
    assert_eq!(keda.matches("1/1").count(), 3, "{keda}");

    let objects = place.parent.path().join("probe.yaml");
    fs::write(&objects, PROBE).expect("it can be written");
    let objects = objects.display().to_string();
    kubectl(directory, &["apply", "--filename", &objects]);
    let ready = [
        "wait",
        "--for=condition=Ready",
        "pod/probe",
        "--timeout=60s",
    ];
    kubectl(directory, &ready);
    let logs = kubectl(directory, &["logs", "probe"]);
    assert!(logs.contains("Starting to serve"), "{logs}");
    let from_inside = ["exec", "probe", "--", "/kubectl", "get", "--raw=/readyz"];
    assert_eq!(kubectl(directory, &from_inside).trim(), "ok");
    // By address, from outside: the pod itself, and its service.
    for (what, port) in [
        ("pod/probe -o=jsonpath={.status.podIP}", 8001),
        ("service/probe -o=jsonpath={.spec.clusterIP}", 80),
    ] {
        let words: Vec<&str> = std::iter::once("get").chain(what.split(' ')).collect();
        let address = format!("{}:{port}", kubectl(directory, &words));
        let answer = http::request("GET", &address, "/readyz", &[], "").expect(what);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{what}");
    }

    let down = azp_cluster("down", directory, &[]);
    assert!(down.status.success(), "{}", said(&down));
    assert_eq!(traces.look(), Vec::<String>::new());
    assert_eq!(machine.look_again(), machine);
}

#[test]
fn a_killed_node_is_cleared_by_its_keeper_or_by_the_next_start() {
    let _turn = NODES.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new();
    let directory = &place.directory;
    let machine = Machine::look();
    up(directory, &["--no-keda"]);
    let traces = Traces::of(directory);
    kill(&owner_of(directory));
    until_gone(directory);
    assert_eq!(traces.look(), Vec::<String>::new());

    // Without a keeper everything stays, and runs.
    up(directory, &["--no-keda"]);
    kill(&traces::keeper_of(directory));
    kill(&owner_of(directory));
    assert!(!traces.look().is_empty());
    let other = Place::new();
    let other = &other.directory;
    up(other, &["--no-keda"]);
    assert_eq!(traces.look(), Vec::<String>::new());
    assert!(!directory.exists());

    let others = Traces::of(other);
    let down = azp_cluster("down", other, &[]);
    assert!(down.status.success(), "{}", said(&down));
    assert_eq!(others.look(), Vec::<String>::new());
    assert_eq!(machine.look_again(), machine);
}

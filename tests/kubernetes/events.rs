//! Events on scaling objects: the programs that users get, on a real apiserver, with
//! the rights that the chart grants, and as kubectl shows what they write.

use std::path::Path;

use azp_harness::{Cluster, Process, http};
use serde_json::Value;

use crate::site::{SOON, allow, cluster, namespace, service_account};

const SPACE: &str = "events";

/// What `writers.events.enabled` of the chart grants, and the Lease.
const LEASE: &str = "{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [guard], verbs: [get, patch, update]}";
const OBJECTS: &str =
    "{apiGroups: [keda.sh], resources: [scaledobjects, scaledjobs], verbs: [list, watch]}";
const EVENTS: &str = "{apiGroups: [events.k8s.io], resources: [events], verbs: [create, list]}";

/// A running `azp-scaler serve`.
struct Replica {
    process: Process,
    http: String,
}

impl Replica {
    fn start(cluster: &Cluster, kubeconfig: &Path, azure: &str, name: &str) -> Self {
        let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
        let (namespaces, identity) = (
            format!("--namespaces={SPACE}"),
            format!("--identity={name}"),
        );
        let lease = format!("--lease={SPACE}/guard");
        let flags = [
            "serve",
            "--grpc-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
            "--poll-interval=1s",
            "--idle-interval=1s",
            "--cluster=required",
            "--scaler-address=azp-scaler.keda:9090",
            "--writers=events",
            &kubeconfig,
            &namespaces,
            &identity,
            &lease,
        ];
        let program = env!("CARGO_BIN_EXE_azp-scaler").as_ref();
        let variables = [("AZP_URL", azure), ("AZP_TOKEN", "token")];
        let process = cluster.spawn(&format!("scaler-{name}"), program, &flags, &variables);
        let process = process.unwrap();
        let http = process.line_after("http listening on ", SOON).unwrap();
        Self { process, http }
    }

    fn metric(&self, line: &str) -> Option<f64> {
        let text = http::request("GET", &self.http, "/metrics", &[], "")
            .ok()?
            .body;
        let found = text.lines().find_map(|of| of.strip_prefix(line))?;
        found.trim().parse().ok()
    }

    fn writes(&self, outcome: &str) -> Option<f64> {
        self.metric(&format!(
            "azp_writes_total{{outcome=\"{outcome}\",writer=\"events\"}}"
        ))
    }
}

/// The Events of a scaling object, oldest first: type, reason and note.
fn events(cluster: &Cluster, object: &str) -> Vec<[String; 3]> {
    let of = format!("--field-selector=involvedObject.name={object}");
    let space = format!("--namespace={SPACE}");
    let said = cluster
        .kubectl(&["get", "events", &space, &of, "--output=json"])
        .unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    let mut events = said["items"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.sort_by_key(|event| text(&event["eventTime"]));
    events
        .iter()
        .map(|event| [&event["type"], &event["reason"], &event["message"]].map(text))
        .collect()
}

fn object(cluster: &Cluster, name: &str, pool: &str) {
    let object = format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{namespace: {SPACE}, name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  triggers:
  - type: external-push
    metadata: {{scalerAddress: 'azp-scaler.keda:9090', poolName: {pool}}}
"
    );
    cluster.apply(&object).unwrap();
}

fn until(cluster: &Cluster, what: &str, mut holds: impl FnMut() -> bool) {
    let seen = || Ok(holds().then_some(()));
    let waited = cluster.until(SPACE, what, SOON, seen);
    waited.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_wrong_pool_is_told_once_and_its_correction_once_whoever_leads() {
    let (cluster, _turn) = cluster();
    namespace(cluster, SPACE);
    cluster
        .apply("apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {namespace: events, name: guard}\n")
        .unwrap();
    // Without the last of its rights it says which is missing, and goes on.
    let kubeconfig = service_account(cluster, SPACE, &format!("[{LEASE}, {OBJECTS}]"));
    let program = env!("CARGO_BIN_EXE_azp-scaler").as_ref();
    let flags = ["emulator", "--listen", "127.0.0.1:0", "--pool", "linux"];
    let emulator = cluster
        .spawn("emulator-events", program, &flags, &[])
        .unwrap();
    let azure = emulator.line_after("emulator listening on http://", SOON);
    let azure = format!("http://{}/contoso", azure.unwrap());
    object(cluster, "linux", "linx");
    let one = Replica::start(cluster, &kubeconfig, &azure, "one");
    until(cluster, "a refusal", || {
        one.writes("forbidden") >= Some(1.0)
    });
    let log = one.process.log_tail();
    let rule = r#"{apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "list"]} in namespace events"#;
    assert!(log.replace('\\', "").contains(rule), "{log}");
    let rules = format!("[{LEASE}, {OBJECTS}, {EVENTS}]");
    allow(cluster, SPACE, SPACE, &rules);

    until(cluster, "an Event", || !events(cluster, "linux").is_empty());
    let told = events(cluster, "linux");
    let [kind, reason, note] = &told[0];
    assert_eq!(
        (kind.as_str(), reason.as_str()),
        ("Warning", "PoolNotFound")
    );
    assert!(
        note.contains("pool linx is not there") && note.contains("check its name"),
        "{note}"
    );
    let describe = ["describe", "scaledobject", "linux", "--namespace=events"];
    let described = cluster.kubectl(&describe).unwrap();
    assert!(
        described.contains("PoolNotFound") && described.contains("check its name"),
        "{described}"
    );

    // Another leads, and looks at both for as long as it takes to tell of a new one.
    one.process.kill();
    let two = Replica::start(cluster, &kubeconfig, &azure, "two");
    until(cluster, "another that leads", || {
        two.metric("azp_leader") == Some(1.0)
    });
    object(cluster, "other", "othr");
    until(cluster, "the other's Event", || {
        !events(cluster, "other").is_empty()
    });
    assert_eq!(events(cluster, "linux"), told);

    object(cluster, "linux", "linux");
    until(cluster, "an end", || events(cluster, "linux").len() > 1);
    object(cluster, "other", "linux");
    until(cluster, "the other's end", || {
        events(cluster, "other").len() > 1
    });
    object(cluster, "third", "thrd");
    until(cluster, "the third's Event", || {
        !events(cluster, "third").is_empty()
    });
    let all = events(cluster, "linux");
    let end = [
        "Normal",
        "Recovered",
        "it is well again; over: PoolNotFound",
    ];
    assert_eq!(
        (all.len(), &all[0], all[1].each_ref().map(String::as_str)),
        (2, &told[0], end)
    );
    assert_eq!(events(cluster, "other").len(), 2);
    until(cluster, "all are counted", || {
        two.writes("done") == Some(4.0)
    });
}

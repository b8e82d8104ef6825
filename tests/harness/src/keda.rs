//! KEDA's operator and metrics adapter, as processes beside the control plane.
//!
//! KEDA 2.21: the operator asks the scalers and serves what it learns by gRPC;
//! the adapter serves that as `external.metrics.k8s.io`, which the HPA reads
//! through the apiserver's aggregation layer.

use std::net::TcpStream;

use crate::control_plane::{START, Site};
use crate::error::Result;
use crate::http;
use crate::kubectl::Kubectl;
use crate::process::Process;

/// The namespace that KEDA takes for its own.
const NAMESPACE: &str = "keda";

/// Registers KEDA's kinds and waits until the apiserver serves them.
pub(crate) fn define(site: &Site<'_>, kubectl: &Kubectl) -> Result<()> {
    kubectl.run(&["create", "namespace", NAMESPACE], "")?;
    let definitions = site.tools.path("keda-manifests")?.join("crd/bases");
    let definitions = definitions.display().to_string();
    // Server-side, since the definitions are longer than an annotation can be.
    kubectl.run(&["apply", "--server-side", "--filename", &definitions], "")?;
    let timeout = format!("--timeout={}s", START.as_secs());
    kubectl.run(
        &[
            "wait",
            "--for=condition=Established",
            "--filename",
            &definitions,
            &timeout,
        ],
        "",
    )?;
    Ok(())
}

/// Starts the operator; it becomes ready by itself, see [`until_ready`].
pub(crate) fn operator(site: &Site<'_>) -> Result<Process> {
    let ports = site.ports;
    site.start(
        "keda-operator",
        &[
            format!("--kubeconfig={}", site.kubeconfig()),
            format!(
                "--metrics-bind-address=127.0.0.1:{}",
                ports.operator_metrics
            ),
            format!(
                "--health-probe-bind-address=127.0.0.1:{}",
                ports.operator_health
            ),
            format!(
                "--metrics-service-bind-address=127.0.0.1:{}",
                ports.operator_grpc
            ),
            format!("--cert-dir={}", site.certificates.directory.display()),
            "--enable-webhook-patching=false".to_owned(),
            "--enable-apiservice-patching=false".to_owned(),
        ],
        &[
            // Empty: all namespaces.
            ("WATCH_NAMESPACE", ""),
            ("POD_NAMESPACE", NAMESPACE),
            ("POD_NAME", "keda-operator"),
            ("KEDA_CLUSTER_OBJECT_NAMESPACE", NAMESPACE),
        ],
    )
}

/// Starts the metrics adapter.
pub(crate) fn adapter(site: &Site<'_>) -> Result<Process> {
    let kubeconfig = site.kubeconfig();
    let certificates = &site.certificates;
    site.start(
        "keda-adapter",
        &[
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            format!("--lister-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", site.ports.adapter),
            format!("--port={}", site.ports.adapter_metrics),
            format!(
                "--metrics-service-address=127.0.0.1:{}",
                site.ports.operator_grpc
            ),
            format!("--cert-dir={}", certificates.directory.display()),
            format!("--client-ca-file={}", certificates.authority.display()),
            format!("--tls-cert-file={}", certificates.server.0.display()),
            format!("--tls-private-key-file={}", certificates.server.1.display()),
        ],
        &[("WATCH_NAMESPACE", ""), ("POD_NAMESPACE", NAMESPACE)],
    )
}

/// Waits until the operator is ready and the apiserver reaches the adapter.
pub(crate) fn until_ready(
    site: &Site<'_>,
    kubectl: &Kubectl,
    operator: &Process,
    adapter: &Process,
) -> Result<()> {
    let health = format!("127.0.0.1:{}", site.ports.operator_health);
    operator.until_ready(START, || {
        http::request("GET", &health, "/readyz", &[], "").is_ok_and(|answer| answer.status == 200)
    })?;
    // Registered only when the adapter listens: the apiserver looks at once, and
    // after a failure it takes its time to look again.
    adapter.until_ready(START, || {
        TcpStream::connect(("127.0.0.1", site.ports.adapter)).is_ok()
    })?;
    kubectl.run(
        &["apply", "--server-side", "--filename=-"],
        &registration(site.ports.adapter),
    )?;
    let available = kubectl.run(
        &[
            "wait",
            "--for=condition=Available",
            "apiservice/v1beta1.external.metrics.k8s.io",
            &format!("--timeout={}s", START.as_secs()),
        ],
        "",
    );
    adapter.check()?;
    available.map(|_| ())
}

/// An ExternalName service is how the apiserver finds a server outside of it.
fn registration(port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: keda-metrics-apiserver, namespace: {NAMESPACE}}}
spec: {{type: ExternalName, externalName: localhost}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: v1beta1.external.metrics.k8s.io}}
spec:
  group: external.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {{name: keda-metrics-apiserver, namespace: {NAMESPACE}, port: {port}}}
"
    )
}

//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler: their
//! command lines, and what tells that each is ready.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use crate::certificates::{Certificates, PROXY_CLIENT};
use crate::error::{Doing, Error, Result};
use crate::hex::hex;
use crate::http;
use crate::kubectl::Kubectl;
use crate::process::Process;
use crate::tools::Tools;

/// How long a program may take until it is ready. On two busy cores the whole
/// cluster takes 10 to 20 s; what takes longer than this is stuck.
pub(crate) const START: Duration = Duration::from_secs(120);

/// The apiserver's name among the programs.
pub(crate) const API_SERVER: &str = "kube-apiserver";

/// The ports of a cluster, all on 127.0.0.1 but that of an apiserver with a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) apiserver: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
    pub(crate) operator_metrics: u16,
    pub(crate) operator_health: u16,
    pub(crate) operator_grpc: u16,
    pub(crate) adapter: u16,
    pub(crate) adapter_metrics: u16,
}

impl Ports {
    /// Asks the system for free ports. All are held until all are found, so
    /// that no two are the same.
    pub(crate) fn find() -> Result<Ports> {
        let mut held = Vec::new();
        let mut next = || -> Result<u16> {
            let what = || "looking for a free port".to_owned();
            let listener = TcpListener::bind("127.0.0.1:0").doing(what)?;
            let port = listener.local_addr().doing(what)?.port();
            held.push(listener);
            Ok(port)
        };
        Ok(Ports {
            etcd: next()?,
            etcd_peer: next()?,
            apiserver: next()?,
            controller_manager: next()?,
            scheduler: next()?,
            operator_metrics: next()?,
            operator_health: next()?,
            operator_grpc: next()?,
            adapter: next()?,
            adapter_metrics: next()?,
        })
    }
}

/// What every start needs.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) tools: &'a Tools,
    pub(crate) ports: Ports,
    pub(crate) certificates: Certificates,
    /// Where the apiserver listens: where a node reaches it, if there is one.
    pub(crate) address: Ipv4Addr,
    /// The addresses of services.
    pub(crate) services: String,
}

impl Site<'_> {
    /// Starts a tool in the cluster's directory.
    pub(crate) fn start(
        &self,
        name: &str,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Result<Process> {
        Process::start(
            self.directory,
            name,
            self.tools.path(name)?,
            arguments,
            environment,
        )
    }

    /// The file by which every client reaches the apiserver.
    pub(crate) fn kubeconfig(&self) -> String {
        self.directory.join("kubeconfig").display().to_string()
    }
}

/// Writes the kubeconfig and the apiserver's list of tokens: one, of the only
/// user, who may do everything. Pods reach the apiserver too, so it is a secret.
pub(crate) fn write_access(site: &Site<'_>) -> Result<()> {
    let token = random_token()?;
    let kubeconfig = format!(
        "apiVersion: v1
kind: Config
clusters:
- name: azp-cluster
  cluster:
    server: https://{}:{}
    certificate-authority: {}
users:
- name: admin
  user:
    token: {token}
contexts:
- name: azp-cluster
  context: {{cluster: azp-cluster, user: admin}}
current-context: azp-cluster
",
        site.address,
        site.ports.apiserver,
        site.certificates.authority.display(),
    );
    let tokens = format!("{token},admin,admin,system:masters\n");
    for (name, text) in [("kubeconfig", kubeconfig), ("tokens.csv", tokens)] {
        let path = site.directory.join(name);
        fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn random_token() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(hex(&bytes))
}

/// Starts etcd and waits until it answers.
pub(crate) fn etcd(site: &Site<'_>) -> Result<Process> {
    let client = format!("http://127.0.0.1:{}", site.ports.etcd);
    let peer = format!("http://127.0.0.1:{}", site.ports.etcd_peer);
    let etcd = site.start(
        "etcd",
        &[
            format!("--data-dir={}", site.directory.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // Nothing here outlives the processes, so no write has to.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ],
        &[],
    )?;
    etcd.until_ready(START, || {
        http::request("GET", &client, "/readyz", &[], "").is_ok_and(|answer| answer.status == 200)
    })?;
    Ok(etcd)
}

/// Starts the apiserver and waits until it is ready.
pub(crate) fn apiserver(site: &Site<'_>, kubectl: &Kubectl) -> Result<Process> {
    let certificates = &site.certificates;
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    // Loopback is no endpoint that Kubernetes accepts; without a node nobody asks
    // for the service `kubernetes`.
    let reconciler = match site.address.is_loopback() {
        true => "none",
        false => "lease",
    };
    let apiserver = site.start(
        API_SERVER,
        &[
            format!("--etcd-servers=http://127.0.0.1:{}", site.ports.etcd),
            format!("--bind-address={}", site.address),
            format!("--advertise-address={}", site.address),
            format!("--endpoint-reconciler-type={reconciler}"),
            format!("--secure-port={}", site.ports.apiserver),
            file("tls-cert-file", &certificates.server.0),
            file("tls-private-key-file", &certificates.server.1),
            file("client-ca-file", &certificates.authority),
            file("token-auth-file", &site.directory.join("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            file("service-account-key-file", &certificates.service_account.0),
            file(
                "service-account-signing-key-file",
                &certificates.service_account.1,
            ),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-cluster-ip-range={}", site.services),
            "--allow-privileged=true".to_owned(),
            // How logs and exec come from a node.
            file("kubelet-client-certificate", &certificates.kubelet_client.0),
            file("kubelet-client-key", &certificates.kubelet_client.1),
            file("kubelet-certificate-authority", &certificates.authority),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            // The aggregation layer, through which the HPA reads KEDA's metrics.
            file("requestheader-client-ca-file", &certificates.authority),
            format!("--requestheader-allowed-names={PROXY_CLIENT}"),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            file("proxy-client-cert-file", &certificates.proxy_client.0),
            file("proxy-client-key-file", &certificates.proxy_client.1),
        ],
        &[],
    )?;
    until_ready(&apiserver, kubectl)?;
    Ok(apiserver)
}

/// Waits until the apiserver is ready.
pub(crate) fn until_ready(apiserver: &Process, kubectl: &Kubectl) -> Result<()> {
    apiserver.until_ready(START, || {
        kubectl
            .run(&["get", "--raw=/readyz", "--request-timeout=5s"], "")
            .is_ok()
    })
}

/// Starts the controllers. The horizontal pod autoscaler is among them.
pub(crate) fn controller_manager(site: &Site<'_>, hpa_sync_period: Duration) -> Result<Process> {
    site.start(
        "kube-controller-manager",
        &[
            format!("--kubeconfig={}", site.kubeconfig()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", site.ports.controller_manager),
            format!(
                "--service-account-private-key-file={}",
                site.certificates.service_account.1.display()
            ),
            format!("--root-ca-file={}", site.certificates.authority.display()),
            "--leader-elect=false".to_owned(),
            // It makes this directory, by default under /usr.
            format!(
                "--flex-volume-plugin-dir={}",
                site.directory.join("volume-plugins").display()
            ),
            // The default of 20 is for controllers that share an apiserver with a
            // thousand nodes; a hundred Jobs would take half a minute to end.
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
            format!(
                "--horizontal-pod-autoscaler-sync-period={}ms",
                hpa_sync_period.as_millis()
            ),
        ],
        &[],
    )
}

/// Starts the scheduler. Without a node it is here so that pods are Pending for
/// the reason that they would have on a full cluster.
pub(crate) fn scheduler(site: &Site<'_>) -> Result<Process> {
    site.start(
        "kube-scheduler",
        &[
            format!("--kubeconfig={}", site.kubeconfig()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", site.ports.scheduler),
            "--leader-elect=false".to_owned(),
        ],
        &[],
    )
}

/// Waits until the controllers work: the service account of a namespace is the
/// first thing that they make.
pub(crate) fn until_controllers_work(kubectl: &Kubectl, program: &Process) -> Result<()> {
    let waited = kubectl.run(
        &[
            "wait",
            "--for=create",
            "serviceaccount/default",
            "--namespace=default",
            &format!("--timeout={}s", START.as_secs()),
        ],
        "",
    );
    // The log of a controller-manager that died tells more than kubectl does.
    program.check()?;
    waited.map(|_| ())
}

//! Two replicas of the scaler, and the one address by which KEDA reaches whichever
//! lives: what a Service does.
//!
//! May import: the harness. Invariant: a replica that is killed comes back at its own
//! address, under its own identity, with nothing in its memory.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use azp_harness::{Cluster, Process, http};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    failure::Failure,
    objects::{LEASE, OURS},
};

const READY: Duration = Duration::from_secs(60);

/// The metric that must stay 0.
const LOST: &str = "azp_busy_agents_lost_total";

pub(crate) struct Scalers {
    replicas: Vec<Replica>,
    forwarding: JoinHandle<()>,
}

struct Replica {
    process: Process,
    http: String,
}

/// A Service: each connection goes to the next replica that takes it.
pub(crate) struct Service {
    listener: TcpListener,
    /// What a trigger's `scalerAddress` says.
    pub(crate) address: String,
    replicas: [String; 2],
}

impl Service {
    pub(crate) async fn bind() -> Result<Service, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        Ok(Service {
            listener,
            address,
            replicas: [free_address()?, free_address()?],
        })
    }

    async fn forward(self) {
        let (next, replicas) = (AtomicUsize::new(0), Arc::new(self.replicas));
        // An error is of one connection, and KEDA tries again.
        loop {
            let Ok((mut from, _)) = self.listener.accept().await else {
                continue;
            };
            let first = next.fetch_add(1, Ordering::Relaxed);
            let replicas = Arc::clone(&replicas);
            tokio::spawn(async move {
                for turn in [first, first + 1] {
                    if let Ok(mut to) = TcpStream::connect(&replicas[turn % 2]).await {
                        // Ends with either side.
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                        return;
                    }
                }
            });
        }
    }
}

impl Scalers {
    /// Starts both, in a namespace that is there.
    pub(crate) fn start(
        cluster: &Cluster,
        service: Service,
        organization: &str,
    ) -> Result<Scalers, Failure> {
        let mut replicas = Vec::new();
        for (name, address) in ["one", "other"].into_iter().zip(&service.replicas) {
            let at = free_address()?;
            let flags = [
                "serve".to_owned(),
                format!("--grpc-listen={address}"),
                format!("--http-listen={at}"),
                "--cluster=required".to_owned(),
                format!("--kubeconfig={}", cluster.kubeconfig().display()),
                format!("--namespaces={OURS}"),
                format!("--scaler-address={}", service.address),
                "--writers=busy-marks,direct-scale-up".to_owned(),
                format!("--lease={OURS}/{LEASE}"),
                format!("--identity={name}"),
                // One request a second for the pool, whatever there is of agents: an
                // autoscaler's look that comes before the reading costs a period more.
                "--poll-interval=1s".to_owned(),
                "--idle-interval=2s".to_owned(),
                // So that what hangs is asked again before the HPA's next look.
                "--request-timeout=5s".to_owned(),
            ];
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let program: &Path = env!("CARGO_BIN_EXE_azp-scaler").as_ref();
            let variables = [("AZP_URL", organization), ("AZP_TOKEN", "token")];
            let process = cluster.spawn(
                &format!("scaler-{name}-{OURS}"),
                program,
                &flags,
                &variables,
            )?;
            process.line_after("http listening on ", READY)?;
            replicas.push(Replica { process, http: at });
        }
        let forwarding = tokio::spawn(service.forward());
        Ok(Scalers {
            replicas,
            forwarding,
        })
    }

    /// SIGKILL, and a new one at once, as a kubelet would start it.
    pub(crate) fn kill(&self, replica: usize) -> Result<(), Failure> {
        let replica = &self.replicas[replica];
        replica.process.kill();
        replica.process.start_again()?;
        replica.process.line_after("http listening on ", READY)?;
        Ok(())
    }

    /// How many busy agents were lost, by the word of all replicas since their starts.
    pub(crate) fn lost(&self) -> Result<f64, Failure> {
        let mut lost = 0.0;
        for replica in &self.replicas {
            let metrics = http::request("GET", &replica.http, "/metrics", &[], "")?.body;
            let lines = metrics.lines().filter(|line| line.starts_with(LOST));
            for line in lines {
                let value = line.rsplit(' ').next().unwrap_or_default();
                lost += value.parse::<f64>()?;
            }
        }
        Ok(lost)
    }

    /// The ends of the logs, for the message of a failure.
    pub(crate) fn logs(&self) -> String {
        let logs = self
            .replicas
            .iter()
            .map(|replica| replica.process.log_tail());
        logs.collect::<Vec<_>>().join("\n--\n")
    }
}

impl Drop for Scalers {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

fn free_address() -> Result<String, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

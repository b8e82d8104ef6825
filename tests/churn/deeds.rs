//! Does to a run what was planned.
//!
//! May import: the plan, the api, the scalers, the emulator. Invariant: a deed that
//! begins ends: a node comes back, a program is started again, a fault is lifted.

use std::{sync::Arc, time::Duration};

use azp_harness::Cluster;
use azp_scaler::emulator::{EmulatorHandle, Fault};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    api::Api,
    chaos::{Deed, Planned},
    failure::{Failure, Outcome},
    load::Kind,
    objects::{OURS, STOCK, name},
    scalers::Scalers,
};

/// How long a node is away that is drained.
const AWAY: Duration = Duration::from_secs(30);

/// Whom deeds befall. Clones are the same.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) api: Api,
    pub(crate) scalers: Arc<Scalers>,
    pub(crate) emulator: EmulatorHandle,
}

impl Ground {
    /// Does them all at their moments, and says which were done. Each is told.
    pub(crate) async fn suffer(
        self,
        plan: Vec<Planned>,
        began: Instant,
    ) -> Result<Vec<Deed>, Failure> {
        let mut done = Vec::new();
        let mut under_way: JoinSet<Outcome> = JoinSet::new();
        for (number, (at, deed)) in plan.into_iter().enumerate() {
            sleep_until(began + at).await;
            println!("{:6.0} s: {}", began.elapsed().as_secs_f64(), told(&deed));
            let ground = self.clone();
            under_way.spawn(async move { ground.suffers(deed, number).await });
            done.push(deed);
        }
        while let Some(ended) = under_way.join_next().await {
            ended??;
        }
        Ok(done)
    }

    async fn suffers(self, deed: Deed, number: usize) -> Outcome {
        match deed {
            Deed::Drain { node } => self.drain(&format!("kwok-{node}")).await,
            Deed::Rollout => {
                for (namespace, kind) in [
                    (OURS, Kind::Deploy),
                    (STOCK, Kind::Deploy),
                    (STOCK, Kind::Build),
                ] {
                    self.api.roll_out(namespace, name(kind), number).await;
                }
            }
            Deed::KillScaler { replica } => {
                spawn_blocking(move || self.scalers.kill(replica)).await??;
            }
            Deed::KillOperator => self.restart("keda-operator").await?,
            Deed::KillAdapter => self.restart("keda-adapter").await?,
            Deed::KillApiServer => {
                spawn_blocking(move || {
                    self.cluster.stop_api_server()?;
                    self.cluster.start_api_server()
                })
                .await??;
            }
            Deed::Fault { kind, route, lasts } => {
                let fault = Fault {
                    route: route.map(Into::into),
                    ..Fault::new(kind)
                };
                self.emulator.set_fault(fault);
                sleep(lasts).await;
                self.emulator.clear_faults();
            }
        }
        Ok(())
    }

    async fn drain(&self, node: &str) {
        self.api.cordon(node, true).await;
        for pod in self.api.pods_on(node).await.unwrap_or_default() {
            self.api.evict(&pod).await;
        }
        sleep(AWAY).await;
        self.api.cordon(node, false).await;
    }

    async fn restart(&self, program: &'static str) -> Outcome {
        let cluster = Arc::clone(&self.cluster);
        spawn_blocking(move || {
            let program = cluster.program(program)?;
            program.kill();
            program.start_again()
        })
        .await??;
        Ok(())
    }
}

fn told(deed: &Deed) -> String {
    match deed {
        Deed::Drain { node } => format!("node kwok-{node} is drained"),
        Deed::Rollout => "the Deployments are rolled out".to_owned(),
        Deed::KillScaler { replica } => format!("replica {replica} of the scaler is killed"),
        Deed::KillOperator => "KEDA's operator is killed".to_owned(),
        Deed::KillAdapter => "KEDA's adapter is killed".to_owned(),
        Deed::KillApiServer => "the apiserver is killed".to_owned(),
        Deed::Fault { kind, route, lasts } => {
            let route = route.unwrap_or("everything");
            format!(
                "Azure DevOps fails for {:.0} s: {kind:?} on {route}",
                lasts.as_secs_f64()
            )
        }
    }
}

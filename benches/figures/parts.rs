//! The parts that several benches put together: an emulator and a scaler in
//! this process, and the calls that KEDA makes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use azp_scaler::{
    app::App,
    config::{ClusterConfig, ServeConfig, TenancyConfig, TokenConfig},
    domain::organization::OrganizationUrl,
    emulator::{Emulator, EmulatorHandle, Settings},
    grpc::proto::{ScaledObjectRef, external_scaler_client::ExternalScalerClient},
    scaler::Scaler,
    shutdown::Shutdown,
};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

pub const HOOK_SECRET: &str = "bench";

/// A scaler that reads an emulator, both over loopback.
pub struct Parts {
    scaler: Arc<Scaler>,
    pub emulator: EmulatorHandle,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    shutdown: Shutdown,
}

impl Parts {
    /// Starts both; the scaler reads each pool every `poll_interval`.
    pub async fn start(poll_interval: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/contoso", listener.local_addr().unwrap());
        let emulator = Emulator::new(Settings::default()).unwrap();
        let (handle, shutdown) = (emulator.handle(), Shutdown::new());
        tokio::spawn(emulator.run(listener, shutdown.stop()));
        let app = App::build(config(&url, poll_interval)).await.unwrap();
        let addresses = app.addresses().unwrap();
        let scaler = app.scaler();
        tokio::spawn(app.run(shutdown.clone()));
        Self {
            scaler,
            emulator: handle,
            grpc: addresses.grpc,
            http: addresses.http,
            shutdown,
        }
    }

    /// What answers behind the server.
    pub fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    pub async fn client(&self) -> ExternalScalerClient<Channel> {
        client(self.grpc).await
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.shutdown.cut_now();
    }
}

pub async fn client(address: SocketAddr) -> ExternalScalerClient<Channel> {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
    ExternalScalerClient::new(channel.tcp_nodelay(true).connect().await.unwrap())
}

/// The metadata that KEDA sends for a trigger moved over from `azure-pipelines`.
pub fn scaling_object(name: &str, pool: &str) -> ScaledObjectRef {
    let metadata = [
        ("scalerAddress", "azp-scaler.keda.svc.cluster.local:9090"),
        ("poolName", pool),
        ("targetPipelinesQueueLength", "1"),
        ("activationTargetPipelinesQueueLength", "0"),
    ];
    ScaledObjectRef {
        name: name.to_owned(),
        namespace: "ci".to_owned(),
        scaler_metadata: metadata
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

/// A runtime as the program has it.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn config(url: &str, poll_interval: Duration) -> ServeConfig {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    ServeConfig {
        tenancy: TenancyConfig::single(
            OrganizationUrl::parse(url).unwrap(),
            TokenConfig::Fixed("bench".to_owned().into()),
        ),
        cluster: ClusterConfig::off(),
        guard: None,
        grpc_listen: any_port,
        tls: None,
        http_listen: any_port,
        poll_interval,
        idle_interval: poll_interval,
        max_stale: Duration::from_secs(300),
        learn: Duration::ZERO,
        forget_after: Duration::from_secs(600),
        max_pools: 2_000,
        max_scaling_objects: 10_000,
        request_timeout: Duration::from_secs(30),
        body_cap: 256 << 20,
        hook_secret: Some(HOOK_SECRET.to_owned().into()),
        drain_delay: Duration::ZERO,
        drain_deadline: Duration::from_secs(1),
        log: "off".to_owned(),
        log_json: None,
    }
}

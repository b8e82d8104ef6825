//! `azp-scaler emulator`.
//!
//! May import: emulator, config, telemetry. Invariant: the first line on
//! standard output is the address.

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::{
    config::EmulatorConfig,
    emulator::{AgentPackage, Emulator, Settings},
    shutdown::{Grace, Shutdown},
    telemetry::logs,
};

/// Serves until SIGTERM.
pub(super) async fn emulator(config: EmulatorConfig) -> anyhow::Result<()> {
    logs::start("info", None)?;
    let packages = config.packages.into_iter().map(|package| AgentPackage {
        platform: package.platform,
        version: package.version,
        file: package.file,
    });
    let emulator = Emulator::new(Settings {
        token: config.token,
        pools: config.pools,
        packages: packages.collect(),
        ..Settings::default()
    })?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; choose another --listen",
            config.listen
        )
    })?;
    println!("emulator listening on http://{}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let signals = shutdown.clone();
    let no_grace = Grace {
        delay: Duration::ZERO,
        deadline: Duration::from_secs(3),
    };
    tokio::select! {
        served = emulator.run(listener, shutdown.stop()) => Ok(served?),
        // Once the steps are taken, the emulator has ended.
        signal = signals.run_on_signal(no_grace) => Ok(signal?),
    }
}

//! `azp-scaler emulator`.
//!
//! May import: emulator, config, telemetry. Invariant: the first line on
//! standard output is the address.

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::{
    config::EmulatorConfig,
    emulator::{Emulator, Settings},
    shutdown::{Grace, Shutdown},
    telemetry::logs,
};

/// Serves until SIGTERM.
pub(super) async fn emulator(config: EmulatorConfig) -> anyhow::Result<()> {
    logs::start("info", None)?;
    let emulator = Emulator::new(Settings {
        token: config.token,
        pools: config.pools,
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
        delay: std::time::Duration::ZERO,
        deadline: std::time::Duration::from_secs(3),
    };
    let (served, signal) = tokio::join!(emulator.run(listener, shutdown.stop()), async move {
        tokio::select! {
            result = signals.run_on_signal(no_grace) => result,
            // The server is gone: nothing is left to wait for.
            () = signals.stop() => Ok(()),
        }
    },);
    signal?;
    Ok(served?)
}

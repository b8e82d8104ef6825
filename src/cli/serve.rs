//! `azp-scaler serve`.
//!
//! May import: app, config, telemetry. Invariant: the first two lines on
//! standard output are the addresses, so that whoever starts it with port 0
//! learns where it listens.

use crate::{app::App, config::ServeConfig, telemetry::logs};

/// Serves until SIGTERM.
pub(super) async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    logs::start(&config.log, config.log_json)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        organization = %config.url,
        poll_interval = ?config.poll_interval,
        learn = ?config.learn,
        hooks = config.hook_secret.is_some(),
        "azp-scaler starts"
    );
    if config.url.is_in_clear_text() {
        tracing::warn!(
            organization = %config.url,
            "the token travels in clear text; give the organization an https:// address"
        );
    }
    let app = App::build(config).await?;
    let addresses = app.addresses()?;
    println!("grpc listening on {}", addresses.grpc);
    println!("http listening on {}", addresses.http);
    app.run_until_signal().await
}

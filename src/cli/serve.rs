//! `azp-scaler serve`.
//!
//! May import: app, config, telemetry. Invariant: the first two lines on
//! standard output are the addresses, so that whoever starts it with port 0
//! learns where it listens.

use crate::{app::App, config::ServeConfig, telemetry::logs};

/// Serves until SIGTERM.
pub(super) async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    logs::start(&config.log, config.log_json)?;
    let tenancy = &config.tenancy;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        organizations = tenancy.rules.organizations.len(),
        credentials = tenancy.credentials.len(),
        cluster = config.cluster.access.is_some(),
        tls = config.tls.is_some(),
        poll_interval = ?config.poll_interval,
        learn = ?config.learn,
        hooks = config.hook_secret.is_some(),
        "azp-scaler starts"
    );
    if let Some(guard) = &config.guard {
        let writers: Vec<_> = guard.writers.iter().map(|writer| writer.as_str()).collect();
        tracing::info!(
            writers = writers.join(","),
            dry_run = guard.dry_run,
            lease = format!("{}/{}", guard.lease_namespace, guard.lease_name),
            "what may write to the cluster"
        );
    }
    for organization in &tenancy.rules.organizations {
        if organization.is_in_clear_text() {
            tracing::warn!(
                %organization,
                "the token travels in clear text; give the organization an https:// address"
            );
        }
    }
    if config.cluster.access.is_some() && config.cluster.addresses.is_empty() {
        tracing::warn!(
            "--scaler-address is not set: after each start the scaler learns from KEDA's calls \
             which triggers point at it, and answers for shared pools only then"
        );
    }
    let app = App::build(config).await?;
    let addresses = app.addresses()?;
    println!("grpc listening on {}", addresses.grpc);
    println!("http listening on {}", addresses.http);
    Box::pin(app.run_until_signal()).await
}

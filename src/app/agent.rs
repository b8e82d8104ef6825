//! `azp-agent`, put together.
//!
//! May import: everything below. Invariant: the token is used here to make a
//! client and to register, and handed to nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{self, Ending, LifeError, Software, Surroundings, board::Board, door},
    azure::{Client, ClientSettings, Credential},
    config::{ConnectionSettings, TokenConfig, agent::RunConfig},
    domain::organization::OrganizationUrl,
    http,
};

/// Runs an agent to its end, which `stop` brings about.
///
/// # Errors
/// Its surroundings cannot be set up, or it could not be registered.
pub async fn run(config: RunConfig, stop: CancellationToken) -> anyhow::Result<Ending> {
    let (client, credential) = client(&config.organization, &config.token, &config.connection)?;
    let client: Arc<Client> = Arc::new(client);
    let board = Board::new(
        config.organization.as_str(),
        &config.pool,
        &config.name,
        config.session_check,
    );
    let path = config.socket.display().to_string();
    let opened = door::open(&config.socket);
    let opened = opened.with_context(|| format!("AZP_SOCKET: cannot answer probes at {path}"))?;
    let (at, shown) = (config.socket.clone(), board.clone());
    let answering = tokio::spawn(async move { door::answer(opened, &at, shown).await });
    if let Some(address) = config.metrics_listen {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("AZP_METRICS_LISTEN: cannot listen at {address}"))?;
        let serving = http::agent::serve(listener, board.clone());
        tokio::spawn(async move {
            // The agent and its job go on without it.
            if let Err(error) = serving.await {
                tracing::error!(%error, "metrics are served no more");
            }
        });
    }
    let socket = config.socket.clone();
    let surroundings = Surroundings {
        registrations: client.clone(),
        tokens: Arc::new(credential),
        software: Software::new(client.clone(), &config.platform),
        board,
        stop,
    };
    let ending = agent::live(config, surroundings).await;
    answering.abort();
    // Whoever asks from now on learns that nobody is there.
    let _ = std::fs::remove_file(socket);
    ending.map_err(LifeError::into)
}

/// A client of the organization, and the credential that it shows.
pub(crate) fn client(
    organization: &OrganizationUrl,
    token: &TokenConfig,
    connection: &ConnectionSettings,
) -> anyhow::Result<(Client, Credential)> {
    let credential = Credential::new(token, connection).context("the credential")?;
    let settings = ClientSettings::new(organization.clone(), credential.clone());
    let client = Client::new(settings.with(connection)).context("the organization")?;
    Ok((client, credential))
}

/// Whether this process was told to stop before it could listen: process 1 of a
/// container never sees a signal that nobody heeds.
#[derive(Debug)]
pub struct EarlySignals(Arc<AtomicBool>);

impl EarlySignals {
    /// Heeds the signals of [`stop_on_signal`] from now on. To be called first of
    /// all; it starts no thread.
    ///
    /// # Errors
    /// The system refuses.
    pub fn heed() -> anyhow::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
            signal_hook::flag::register(signal, told.clone()).context("heeding signals")?;
        }
        Ok(Self(told))
    }

    /// Whether one has come.
    #[must_use]
    pub fn told(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Cancelled by every signal by which a system or a terminal ends a program; more of them change nothing, since the only
/// way to end a job is SIGKILL. At once where one came earlier.
///
/// # Errors
/// The system refuses.
pub fn stop_on_signal(early: &EarlySignals) -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    let mut quit = signal(SignalKind::quit()).context("SIGQUIT")?;
    let stop = CancellationToken::new();
    if early.told() {
        stop.cancel();
    }
    let stopped = stop.clone();
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                Some(()) = hangup.recv() => "SIGHUP",
                // The stop signal of some images.
                Some(()) = quit.recv() => "SIGQUIT",
                else => return,
            };
            if stopped.is_cancelled() {
                tracing::info!(
                    signal,
                    "already leaving; only SIGKILL ends a job before its end"
                );
            } else {
                tracing::info!(signal, "told to stop");
            }
            stopped.cancel();
        }
    });
    Ok(stop)
}

//! TLS on the gRPC port: certificates that are taken up while it runs.
//!
//! May import: its siblings, config (where the files are), telemetry.
//! Invariant: what serves is whole. Files that cannot be used leave the old
//! certificate in place, and are told once; open connections keep what they
//! began with. One crypto provider, and nothing of a key in a message.

mod files;
mod handshakes;
mod validity;

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use self::files::TlsError;
pub(super) use self::handshakes::{Handshakes, Secured};
use self::{
    files::{Identity, Pem},
    validity::Validity,
};
use crate::{config::TlsFiles, telemetry::metrics::Metrics};

/// How often the files are looked at. Kubernetes: a mounted Secret follows its
/// object within about a minute, so this adds little.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Files that cannot be used are told when this many looks in a row found the
/// same: a certificate and its key are not always written in one step.
const LOOKS_UNTIL_TOLD: u32 = 2;

/// TLS for the gRPC port.
pub struct Tls {
    files: TlsFiles,
    serving: Serving,
    /// Of what the files held when they were taken up.
    fingerprint: u64,
    ends: Timestamp,
    told: Validity,
    complaint: Option<Complaint>,
}

/// What new connections are served with. Clones are one.
#[derive(Clone)]
pub(super) struct Serving(Arc<ArcSwap<ServerConfig>>);

/// Why the files cannot be used now.
struct Complaint {
    what: String,
    looks: u32,
}

// === impl Tls ===

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Where they cannot be used, with flag, file and remedy.
    pub async fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let pem = Pem::read(&files).await?;
        let identity = Identity::of(&pem, &files)?;
        Ok(Self {
            fingerprint: pem.fingerprint(),
            serving: Serving(Arc::new(ArcSwap::new(identity.config))),
            ends: identity.ends,
            told: Validity::Long,
            complaint: None,
            files,
        })
    }

    /// What new connections are served with, now and after each change.
    pub(super) fn serving(&self) -> Serving {
        self.serving.clone()
    }

    /// Looks at the files again and again.
    pub(super) async fn keep_up(mut self, metrics: &Metrics) -> Infallible {
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            metrics.tls_certificate_ends(self.ends.as_second());
            self.tell_validity(Timestamp::now());
            looks.tick().await;
            match self.look().await {
                Ok(()) => self.complaint = None,
                Err(error) => self.complain(error.to_string()),
            }
            tracing::trace!(file = %self.files.cert.display(), "looked at the files of TLS");
        }
    }

    /// Takes up what the files hold, if that is new.
    async fn look(&mut self) -> Result<(), TlsError> {
        let pem = Pem::read(&self.files).await?;
        let fingerprint = pem.fingerprint();
        if fingerprint == self.fingerprint {
            return Ok(());
        }
        let identity = Identity::of(&pem, &self.files)?;
        self.serving.0.store(identity.config);
        self.fingerprint = fingerprint;
        self.ends = identity.ends;
        self.told = Validity::Long;
        tracing::info!(ends = %self.ends, "the certificate of the gRPC port was read again: new connections get it");
        Ok(())
    }

    fn complain(&mut self, what: String) {
        let before = self.complaint.take();
        let looks = match before {
            Some(before) if before.what == what => before.looks.saturating_add(1),
            _ => 1,
        };
        if looks < LOOKS_UNTIL_TOLD {
            tracing::debug!(reason = what, "the files of TLS cannot be used yet");
        } else if looks == LOOKS_UNTIL_TOLD {
            tracing::warn!(
                reason = what,
                "the files of TLS changed and cannot be used; the certificate from before stays"
            );
        }
        self.complaint = Some(Complaint { what, looks });
    }

    /// Warns once as the end comes near, and once when it has come.
    fn tell_validity(&mut self, now: Timestamp) {
        let validity = Validity::of(self.ends, now);
        if validity == self.told {
            return;
        }
        self.told = validity;
        let (ends, file) = (self.ends, self.files.cert.display());
        match validity {
            Validity::Long => {}
            Validity::Short => tracing::warn!(%file, %ends, "--tls-cert ends soon; renew it"),
            Validity::Over => {
                tracing::warn!(%file, %ends, "--tls-cert has ended; KEDA refuses it until it is renewed");
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tls = f.debug_struct("Tls");
        tls.field("files", &self.files).finish_non_exhaustive()
    }
}

// === impl Serving ===

impl Serving {
    fn now(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

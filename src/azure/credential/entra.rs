//! A token from an authority, kept for all who share the identity.
//!
//! May import: its siblings, ports. Invariants: at most one exchange is under
//! way, whoever waits for it or goes away; an authority that fails is left alone
//! for a while, and a token that has life in it is used meanwhile.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::exchange::{Exchange, Failure, Given};
use crate::ports::ReadError;

/// A new token is asked for when the old one has less life than this, or than
/// a tenth of what it had.
const LEAST_LIFE: Duration = Duration::from_secs(60);

/// After a failure; twice as long after each further one, up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How often a token is replaced at most because the service refused it.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(60);

/// An identity, and the token that it has at present.
pub(super) struct Entra {
    exchange: Exchange,
    state: Mutex<State>,
}

/// A token, and when it ends.
pub(in crate::azure) struct Bearer {
    pub(super) token: SecretString,
    lives: Duration,
    ends: Instant,
    expires: Timestamp,
}

type Outcome = Result<Arc<Bearer>, ReadError>;

#[derive(Default)]
struct State {
    bearer: Option<Arc<Bearer>>,
    under_way: Option<Shared<BoxFuture<'static, Outcome>>>,
    failed: Option<Failed>,
    /// When the last token was replaced that the service had refused.
    replaced: Option<Instant>,
}

struct Failed {
    error: ReadError,
    times: u32,
    /// Until then the authority is left alone.
    rests: Instant,
}

// === impl Entra ===

impl Entra {
    pub(super) fn new(exchange: Exchange) -> Self {
        Self {
            exchange,
            state: Mutex::default(),
        }
    }

    /// A token with life in it.
    pub(super) async fn token(self: &Arc<Self>) -> Outcome {
        let waiting = {
            let mut state = self.state();
            let now = Instant::now();
            match state.bearer.clone().filter(|bearer| now < bearer.ends) {
                Some(bearer) => {
                    if bearer.is_old(now) {
                        // In the background; what comes of it is for later.
                        let _ = self.begin(&mut state, now);
                    }
                    return Ok(bearer);
                }
                None => self.begin(&mut state, now)?,
            }
        };
        waiting.await
    }

    /// Another token than one that the service refused. One exchange a minute:
    /// what is wrong may as well be the organization.
    pub(super) async fn replace(self: &Arc<Self>, refused: &Arc<Bearer>) -> Option<Arc<Bearer>> {
        let waiting = {
            let mut state = self.state();
            let now = Instant::now();
            if let Some(other) = &state.bearer
                && !Arc::ptr_eq(other, refused)
                && now < other.ends
            {
                return Some(Arc::clone(other));
            }
            let lately = |replaced| now.saturating_duration_since(replaced) < BETWEEN_REFUSALS;
            match &state.under_way {
                // Another reading was refused with it a moment before this one.
                Some(under_way) => under_way.clone(),
                None if state.replaced.is_some_and(lately) => return None,
                None => {
                    state.replaced = Some(now);
                    self.begin(&mut state, now).ok()?
                }
            }
        };
        let bearer = waiting.await.ok()?;
        // A metadata service has a cache of its own.
        let same = bearer.token.expose_secret() == refused.token.expose_secret();
        (!same).then_some(bearer)
    }

    pub(super) fn expires(&self) -> Option<Timestamp> {
        let state = self.state();
        state.bearer.as_ref().map(|bearer| bearer.expires)
    }

    /// The exchange that is under way, or a new one unless the authority rests.
    /// It runs to its end though all who wait for it may go away.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        now: Instant,
    ) -> Result<Shared<BoxFuture<'static, Outcome>>, ReadError> {
        if let Some(under_way) = &state.under_way {
            return Ok(under_way.clone());
        }
        if let Some(failed) = state.failed.as_ref().filter(|failed| now < failed.rests) {
            return Err(failed.error.clone());
        }
        let entra = Arc::clone(self);
        Ok(self.start(state, async move { entra.exchange.run().await }))
    }

    /// Lets an exchange run, which whoever wants may wait for.
    fn start(
        self: &Arc<Self>,
        state: &mut State,
        exchange: impl Future<Output = Result<Given, Failure>> + Send + 'static,
    ) -> Shared<BoxFuture<'static, Outcome>> {
        let entra = Arc::clone(self);
        let task = tokio::spawn(async move { entra.end(exchange.await) });
        let entra = Arc::clone(self);
        let shared = async move {
            task.await.unwrap_or_else(|error| {
                // It panicked, or the process ends. The next one is a new one.
                entra.state().under_way = None;
                let (authority, detail) = ("the authority".into(), error.to_string().into());
                Err(ReadError::AuthorityFailed { authority, detail })
            })
        };
        let shared = shared.boxed().shared();
        state.under_way = Some(shared.clone());
        shared
    }

    /// Notes what came of an exchange.
    fn end(&self, outcome: Result<Given, Failure>) -> Outcome {
        let mut state = self.state();
        state.under_way = None;
        let now = Instant::now();
        match outcome {
            Ok(given) => {
                if state.failed.take().is_some() {
                    tracing::info!("the authority gives out tokens again");
                }
                let bearer = Arc::new(Bearer::new(given, now));
                state.bearer = Some(Arc::clone(&bearer));
                Ok(bearer)
            }
            Err(Failure { error, pause }) => {
                let times = state.failed.as_ref().map_or(0, |failed| failed.times);
                if times == 0 && state.bearer.is_some() {
                    // Whoever waits tells it; behind a good token nobody does.
                    tracing::warn!(%error, "no new token; the old one is used while it lives");
                }
                let rest = FIRST_REST
                    .saturating_mul(1 << times.min(8))
                    .min(LONGEST_REST);
                let rest = rest.max(pause.unwrap_or_default());
                state.failed = Some(Failed {
                    error: error.clone(),
                    times: times.saturating_add(1),
                    rests: now + rest,
                });
                Err(error)
            }
        }
    }

    /// A panic elsewhere breaks no rule between the fields.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Bearer ===

impl Bearer {
    fn new(given: Given, now: Instant) -> Self {
        let lives = given.lives;
        let expires = SignedDuration::try_from(lives)
            .ok()
            .and_then(|lives| Timestamp::now().checked_add(lives).ok());
        Self {
            token: given.token,
            lives,
            ends: now + lives,
            expires: expires.unwrap_or(Timestamp::MAX),
        }
    }

    /// Is it time for another? Of a very short life half is used.
    fn is_old(&self, now: Instant) -> bool {
        let left = self.ends.saturating_duration_since(now);
        left < LEAST_LIFE.max(self.lives / 10).min(self.lives / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConnectionSettings, IdentityConfig, IdentityEndpoint};

    #[tokio::test]
    async fn an_exchange_that_panics_is_not_waited_for_again() {
        let endpoint = IdentityEndpoint::Metadata("http://127.0.0.1:1/".parse().unwrap());
        let identity = IdentityConfig::Managed {
            client_id: None,
            endpoint,
        };
        let exchange = Exchange::new(&identity, &ConnectionSettings::default()).unwrap();
        let entra = Arc::new(Entra::new(exchange));
        let panicking = entra.start(&mut entra.state(), async { panic!("for the test") });
        let Err(error) = panicking.await else {
            panic!("a token out of a panic");
        };
        assert_eq!(error.kind(), "authority-failed");
        assert!(entra.state().under_way.is_none());
    }
}

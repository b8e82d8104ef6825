//! A source: one organization read with one credential.
//!
//! May import: domain, ports, telemetry. Invariant: whoever reads takes a place
//! first and then waits until the service may be asked, so that a pause that
//! one pool was told of holds every pool of the source, those that waited for a
//! place included.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use super::parallel_jobs::ParallelJobs;
use crate::{
    domain::organization::OrganizationUrl,
    ports::{AgentPools, ReadError, Reading, Standing, placeholders::Placeholders},
    telemetry::metrics::{AzureRoute, Metrics},
};

/// What tells sources apart: pools are shared by those who read the same
/// organization with the same credential, and by nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceId {
    /// The organization.
    pub organization: OrganizationUrl,
    /// The credential's name; never a part of the credential itself.
    pub credential: Box<str>,
}

/// Within which bounds a source is read.
#[derive(Clone, Copy, Debug)]
pub struct SourceSettings {
    /// How many readings are under way at once, and half as many look-ups; the
    /// others wait for a place.
    pub places: usize,
    /// How long one reading may take, all pages of a list together.
    pub longest_reading: Duration,
}

/// Where pools are read from.
pub struct Source {
    id: SourceId,
    api: Arc<dyn AgentPools>,
    settings: SourceSettings,
    readings: Semaphore,
    /// Apart, so that pools which cannot be found never hold up those which are.
    lookups: Semaphore,
    quota: Arc<Quota>,
    of_a_trigger: bool,
    /// Those of the organization, where they cap numbers.
    parallel_jobs: Option<ParallelJobs>,
    metrics: Arc<Metrics>,
}

/// What the service has asked of a credential: all sources that use it share
/// one, since the service limits the rate of an identity.
#[derive(Debug, Default)]
pub struct Quota {
    quiet_until: Mutex<Option<Instant>>,
}

/// What came of a reading.
pub(super) struct Asked<T> {
    /// When the service was asked.
    pub(super) at: Instant,
    /// What it said.
    pub(super) outcome: Result<T, ReadError>,
}

// === impl Source ===

impl Source {
    /// A source that reads through `api`.
    #[must_use]
    pub fn new(
        id: SourceId,
        api: Arc<dyn AgentPools>,
        settings: SourceSettings,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            id,
            api,
            settings,
            readings: Semaphore::new(settings.places.max(1)),
            lookups: Semaphore::new(settings.places.div_ceil(2).max(1)),
            quota: Arc::default(),
            of_a_trigger: false,
            parallel_jobs: None,
            metrics,
        }
    }

    /// The same source, which shares the quota of its credential.
    #[must_use]
    pub fn with_quota(mut self, quota: Arc<Quota>) -> Self {
        self.quota = quota;
        self
    }

    /// The same source, whose token a trigger has brought along: nobody vouches
    /// for it before the service has taken it.
    #[must_use]
    pub const fn of_a_trigger(mut self) -> Self {
        self.of_a_trigger = true;
        self
    }

    /// The same source, whose numbers are capped by the parallel jobs of the
    /// organization.
    #[must_use]
    pub fn capped(mut self) -> Self {
        self.parallel_jobs = Some(ParallelJobs::default());
        self
    }

    /// The parallel jobs of the organization, where they cap numbers.
    #[must_use]
    pub const fn parallel_jobs(&self) -> Option<&ParallelJobs> {
        self.parallel_jobs.as_ref()
    }

    /// Has a trigger brought its token along?
    #[must_use]
    pub const fn is_of_a_trigger(&self) -> bool {
        self.of_a_trigger
    }

    /// Within which bounds it is read.
    #[must_use]
    pub const fn settings(&self) -> SourceSettings {
        self.settings
    }

    /// What tells it apart.
    #[must_use]
    pub fn id(&self) -> &SourceId {
        &self.id
    }

    /// The organization that it reads.
    #[must_use]
    pub fn organization(&self) -> &OrganizationUrl {
        &self.id.organization
    }

    /// How long the service wants to be left alone yet, where it does.
    #[must_use]
    pub fn pause_left(&self) -> Option<Duration> {
        self.quota.pause_left()
    }

    /// Asks the service, once there is a place and it may be asked.
    pub(super) async fn ask<'a, T>(
        &'a self,
        route: AzureRoute,
        read: impl FnOnce(&'a dyn AgentPools) -> BoxFuture<'a, Reading<T>>,
    ) -> Asked<T> {
        let places = match route {
            AzureRoute::Pool => &self.lookups,
            AzureRoute::UnfinishedJobs | AzureRoute::ParallelJobs => &self.readings,
        };
        // Nobody closes the semaphore, so there is always a place to come.
        let _place = places.acquire().await;
        while let Some(left) = self.pause_left() {
            sleep(left).await;
        }
        let at = Instant::now();
        let limit = self.settings.longest_reading;
        let reading = timeout(limit, read(&*self.api)).await;
        let Reading { outcome, pause } = reading.unwrap_or(Reading {
            outcome: Err(ReadError::TimedOut { limit }),
            pause: None,
        });
        self.metrics
            .azure_request(route, outcome.as_ref().err(), at.elapsed());
        if let Some(pause) = pause {
            self.quota.pause(pause);
        }
        Asked { at, outcome }
    }

    /// The way to write to its pools, by the very client that reads them.
    #[must_use]
    pub fn placeholders(&self) -> Option<Arc<dyn Placeholders>> {
        Arc::clone(&self.api).placeholders()
    }

    /// How the client stands with the service.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.api.standing()
    }

    /// For how long a reading may be under way or wait for its place before
    /// something must be wrong, with this many pools: each place may have to
    /// see all of its share through.
    pub(super) fn patience(&self, pools: usize) -> Duration {
        let turns = pools / self.settings.places.max(1) + 2;
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        self.settings.longest_reading.saturating_mul(turns)
    }

    /// Has the service not wanted a pause for this long?
    pub(super) fn was_open_for(&self, time: Duration) -> bool {
        self.quota
            .quiet_until()
            .is_none_or(|until| until.elapsed() > time)
    }
}

// === impl Quota ===

impl Quota {
    fn pause_left(&self) -> Option<Duration> {
        let left = self
            .quiet_until()?
            .saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// The service asked for a pause; an earlier, longer one stays.
    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut quiet = self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *quiet = Some(quiet.map_or(until, |before| before.max(until)));
    }

    fn quiet_until(&self) -> Option<Instant> {
        *self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

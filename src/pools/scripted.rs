//! A source of pools that says what a test tells it to, and counts.
//!
//! May import: domain, ports. Invariant: what was not scripted fails the test.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;

use super::{Source, SourceId, SourceSettings};
use crate::{
    domain::{
        demand::Demands,
        job::{JobRequest, JobState, RequestId},
        organization::OrganizationUrl,
        parallel_jobs::Usage,
        pool::{Pool, PoolId, PoolRef},
    },
    ports::{AgentPools, ReadError, Reading},
};

/// What the next readings of job requests say, until told otherwise.
#[derive(Clone)]
pub(crate) enum Says {
    Jobs(Vec<JobRequest>),
    Fails(ReadError),
    /// Never answers.
    Hangs,
}

#[derive(Default)]
pub(crate) struct Script {
    pools: Mutex<HashMap<String, u32>>,
    says: Mutex<Option<Says>>,
    /// Queues that say something else than `says`.
    says_of: Mutex<HashMap<PoolId, Says>>,
    usage: Mutex<Option<Result<Usage, ReadError>>>,
    pause: Mutex<Option<Duration>>,
    /// How long each answer takes.
    takes: Mutex<Duration>,
    lookups_hang: AtomicBool,
    /// Are the pools Microsoft's?
    pub(crate) hosted: AtomicBool,
    pub(crate) lookups: AtomicUsize,
    pub(crate) readings: AtomicUsize,
    pub(crate) usage_readings: AtomicUsize,
}

// === impl Script ===

impl Script {
    /// Pools by name and number; their queues say `says`.
    pub(crate) fn new(pools: &[(&str, u32)], says: Says) -> Arc<Self> {
        let script = Self::default();
        *script.pools.lock().unwrap() = pools
            .iter()
            .map(|(name, id)| ((*name).to_owned(), *id))
            .collect();
        script.now(says);
        Arc::new(script)
    }

    pub(crate) fn now(&self, says: Says) {
        *self.says.lock().unwrap() = Some(says);
    }

    /// What one queue says from now on.
    pub(crate) fn now_of(&self, pool: u32, says: Says) {
        self.says_of.lock().unwrap().insert(PoolId(pool), says);
    }

    /// What the next readings of parallel jobs say, until told otherwise.
    pub(crate) fn usage(&self, usage: Result<Usage, ReadError>) {
        *self.usage.lock().unwrap() = Some(usage);
    }

    pub(crate) fn usage_readings(&self) -> usize {
        self.usage_readings.load(Ordering::SeqCst)
    }

    pub(crate) fn pause_next(&self, pause: Duration) {
        *self.pause.lock().unwrap() = Some(pause);
    }

    /// From now on, no look-up is answered.
    pub(crate) fn lookups_hang(&self) {
        self.lookups_hang.store(true, Ordering::SeqCst);
    }

    pub(crate) fn take(&self, time: Duration) {
        *self.takes.lock().unwrap() = time;
    }

    pub(crate) fn renumber(&self, name: &str, id: u32) {
        self.pools.lock().unwrap().insert(name.to_owned(), id);
    }

    pub(crate) fn readings(&self) -> usize {
        self.readings.load(Ordering::SeqCst)
    }

    fn known(&self, wanted: &PoolRef) -> Option<Pool> {
        let pools = self.pools.lock().unwrap();
        let (name, id) = pools.iter().find(|(name, id)| match wanted {
            PoolRef::Name(wanted) => **wanted == ***name,
            PoolRef::Id(wanted) => wanted.0 == **id,
        })?;
        Some(Pool {
            id: PoolId(*id),
            name: name.as_str().into(),
            is_hosted: self.hosted.load(Ordering::SeqCst),
        })
    }

    fn not_found(pool: &PoolRef) -> ReadError {
        ReadError::PoolNotFound {
            pool: pool.to_string().into(),
        }
    }
}

impl AgentPools for Script {
    fn pool<'a>(&'a self, pool: &'a PoolRef) -> BoxFuture<'a, Reading<Pool>> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let found = self.known(pool).ok_or_else(|| Self::not_found(pool));
        let hangs = self.lookups_hang.load(Ordering::SeqCst);
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Reading {
                outcome: found,
                pause: None,
            }
        })
    }

    fn unfinished_jobs(&self, pool: PoolId) -> BoxFuture<'_, Reading<Vec<JobRequest>>> {
        self.readings.fetch_add(1, Ordering::SeqCst);
        let of_pool = self.says_of.lock().unwrap().get(&pool).cloned();
        let says = of_pool.or_else(|| self.says.lock().unwrap().clone());
        let says = says.expect("the test did not say what to answer");
        let pause = self.pause.lock().unwrap().take();
        let gone = self.known(&PoolRef::Id(pool)).is_none();
        let takes = *self.takes.lock().unwrap();
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            let outcome = match says {
                _ if gone => Err(Self::not_found(&PoolRef::Id(pool))),
                Says::Jobs(jobs) => Ok(jobs),
                Says::Fails(error) => Err(error),
                Says::Hangs => std::future::pending().await,
            };
            Reading { outcome, pause }
        })
    }

    fn parallel_jobs(&self) -> BoxFuture<'_, Reading<Usage>> {
        self.usage_readings.fetch_add(1, Ordering::SeqCst);
        let usage = self.usage.lock().unwrap().clone();
        let outcome = usage.expect("the test did not say what to answer");
        Box::pin(std::future::ready(Reading {
            outcome,
            pause: None,
        }))
    }
}

/// What the sources of tests are told apart by.
pub(crate) fn source_id() -> SourceId {
    SourceId {
        organization: organization(),
        credential: "default".into(),
    }
}

/// A source that reads this script.
pub(crate) fn source(script: &Arc<Script>) -> Arc<Source> {
    Arc::new(plain_source(script))
}

/// The same, whose numbers are capped.
pub(crate) fn capped_source(script: &Arc<Script>) -> Arc<Source> {
    Arc::new(plain_source(script).capped())
}

fn plain_source(script: &Arc<Script>) -> Source {
    let settings = SourceSettings {
        places: 8,
        longest_reading: Duration::from_secs(30),
    };
    let api = Arc::clone(script) as Arc<dyn AgentPools>;
    Source::new(source_id(), api, settings, Arc::default())
}

pub(crate) fn organization() -> OrganizationUrl {
    OrganizationUrl::parse("https://dev.azure.com/contoso").unwrap()
}

/// Jobs that wait, numbered from 1, each with these demands.
pub(crate) fn queued(count: u64, demands: &[&str]) -> Vec<JobRequest> {
    let demands = Arc::new(Demands::read(demands));
    (1..=count)
        .map(|id| JobRequest {
            id: RequestId(id),
            state: JobState::Queued,
            demands: Arc::clone(&demands),
            queued_at: None,
            agent: None,
            matched_agents: None,
            pipeline: None,
            run: None,
        })
        .collect()
}

//! The cap: what the parallel jobs of an organization leave of the numbers.
//!
//! May import: its siblings, pools, domain. Invariants: whatever is told of a pool
//! (to KEDA, to the guard, in metrics, to people) is told with one cap, made from
//! the latest readings of all pools of the organization; where the parallel jobs
//! are not known, or not any more, there is none, and that is never an error.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use tokio::time::timeout;

use super::{
    FIRST_SNAPSHOT_WAIT, Inner,
    pool_decision::{Decided, PoolDecision},
    registered::Registered,
    status::{ParallelJobsGauges, ParallelJobsStatus},
};
use crate::{
    domain::{
        number::{Cap, Number},
        parallel_jobs::{Asker, Held, Line, Share, Usage},
        pool::PoolId,
    },
    pools::{Source, SourceId, UsageView, WatchedPool},
    telemetry::scrape::ParallelJobsKnown,
};

/// A decision as it is told: with the cap of the moment.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) decided: Arc<Decided>,
    cap: Option<(Share, Arc<Held>)>,
}

/// What was last made of one pool, so that it is made once for each change.
#[derive(Default)]
pub(super) struct CapMemory {
    line: Mutex<Option<Made<Line>>>,
    held: Mutex<Option<(Share, Made<Held>)>>,
}

/// Something that was made from a decision and a reading.
struct Made<T> {
    decided: Arc<Decided>,
    usage: Arc<Usage>,
    made: Arc<T>,
}

/// The lines of an organization, by pool.
type Lines = BTreeMap<PoolId, Arc<Line>>;

/// How each source's parallel jobs were last shared.
#[derive(Default)]
pub(super) struct Shares(Mutex<HashMap<SourceId, Shared>>);

/// One of them, with all that it was made from.
struct Shared {
    stamp: Stamp,
    usage: Arc<Usage>,
    lines: Lines,
    share: Option<Share>,
}

/// While it stays the same, so do all lines: the readings and the decisions so
/// far. Nobody looks through all pools for each of them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    readings: u64,
    decisions: u64,
}

// === impl Told ===

impl Told {
    /// The number of a trigger; `None` where it took no part.
    pub(super) fn number(&self, registered: &Registered) -> Option<Number> {
        let (index, number) = self.decided.uncapped_number(registered)?;
        Some(match &self.cap {
            Some((share, held)) => {
                let cap = Cap {
                    limit: share.limit,
                    in_use: share.in_use(),
                };
                number.with_held(held.of(index), cap)
            }
            None => number,
        })
    }

    /// Why the job at this position of the queue gets no agent yet; `None` where
    /// the parallel jobs do not keep it waiting.
    pub(super) fn why_held(&self, position: usize) -> Option<String> {
        let (share, held) = self.cap.as_ref()?;
        held.has(position).then(|| {
            let (limit, in_use) = (share.limit, share.in_use());
            let are = if in_use == 1 { "is" } else { "are" };
            format!(
                "it waits for a parallel job, and gets an agent when there is one for it: the \
                 organization has {limit}, of which {in_use} {are} in use"
            )
        })
    }
}

impl Deref for Told {
    type Target = Decided;

    fn deref(&self) -> &Decided {
        &self.decided
    }
}

// === impl CapMemory ===

impl CapMemory {
    fn line(&self, decided: &Arc<Decided>, usage: &Arc<Usage>) -> Arc<Line> {
        let mut known = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.is_of(decided, usage)) {
            return Arc::clone(&known.made);
        }
        let (contenders, askers) = (decided.contenders(), askers(decided));
        let parts = (&*contenders, &*askers);
        let line = Line::new(&decided.queue, &decided.decision, parts, usage);
        known.insert(Made::new(decided, usage, line)).made.clone()
    }

    fn held(&self, decided: &Arc<Decided>, usage: &Arc<Usage>, share: &Share) -> Arc<Held> {
        if !share.is_short() {
            return Arc::default();
        }
        let mut known = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, known)) = known.as_ref()
            && of == share
            && known.is_of(decided, usage)
        {
            return Arc::clone(&known.made);
        }
        let (contenders, askers) = (decided.contenders(), askers(decided));
        let parts = (&*contenders, &*askers);
        let held = Held::new(&decided.queue, &decided.decision, parts, usage, share);
        let (_, made) = known.insert((*share, Made::new(decided, usage, held)));
        Arc::clone(&made.made)
    }
}

// === impl Made ===

impl<T> Made<T> {
    fn new(decided: &Arc<Decided>, usage: &Arc<Usage>, made: T) -> Self {
        Self {
            decided: Arc::clone(decided),
            usage: Arc::clone(usage),
            made: Arc::new(made),
        }
    }

    fn is_of(&self, decided: &Arc<Decided>, usage: &Arc<Usage>) -> bool {
        Arc::ptr_eq(&self.decided, decided) && Arc::ptr_eq(&self.usage, usage)
    }
}

// === impl Shares ===

impl Shares {
    /// What was made at this stamp.
    fn known(&self, source: &SourceId, usage: &Arc<Usage>, stamp: Stamp) -> Option<Option<Share>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = known.get(source)?;
        (of.stamp == stamp && Arc::ptr_eq(&of.usage, usage)).then_some(of.share)
    }

    fn share(
        &self,
        source: &SourceId,
        usage: &Arc<Usage>,
        stamp: Stamp,
        lines: Lines,
    ) -> Option<Share> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = known.get_mut(source)
            && Arc::ptr_eq(&of.usage, usage)
            && is_same(&of.lines, &lines)
        {
            of.stamp = stamp;
            return of.share;
        }
        let share = Share::new(usage, lines.iter().map(|(pool, line)| (*pool, &**line)));
        let made = Shared {
            stamp,
            usage: Arc::clone(usage),
            lines,
            share,
        };
        known.insert(source.clone(), made);
        share
    }

    /// Keeps what these sources have.
    fn retain(&self, sources: &[Arc<Source>]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| sources.iter().any(|source| source.id() == id));
    }
}

fn is_same(one: &Lines, other: &Lines) -> bool {
    let pairs = || one.iter().zip(other);
    one.len() == other.len()
        && pairs().all(|((pool, line), (other_pool, other_line))| {
            pool == other_pool && Arc::ptr_eq(line, other_line)
        })
}

// === impl Inner ===

impl Inner {
    /// The decision as it is told now.
    pub(super) fn told(
        &self,
        watched: &WatchedPool,
        decision: &PoolDecision,
        decided: Arc<Decided>,
    ) -> Told {
        let max_stale = self.settings.max_stale;
        let view = watched.source().parallel_jobs().map(|of| of.view());
        let usage = view.as_ref().and_then(|view| view.usage(max_stale));
        // Agents of Microsoft's pools use parallel jobs of another kind.
        let usage = usage.filter(|_| !watched.pool().is_hosted);
        let cap = usage.and_then(|usage| {
            let share = self.share(watched.source(), usage)?;
            let held = decision.caps.held(&decided, usage, &share);
            Some((share, held))
        });
        Told { decided, cap }
    }

    /// How the parallel jobs that this source has read are shared among the pools
    /// of its organization, whichever credential reads them.
    fn share(&self, source: &Source, usage: &Arc<Usage>) -> Option<Share> {
        usage.limit?;
        // Before looking: what changes meanwhile is looked at the next time.
        let stamp = Stamp {
            readings: *self.pools.readings().borrow(),
            decisions: self.registry.decisions.load(Ordering::Relaxed),
        };
        if let Some(share) = self.shares.known(source.id(), usage, stamp) {
            return share;
        }
        let mut pools: BTreeMap<PoolId, Arc<WatchedPool>> = BTreeMap::new();
        for watched in self.pools.all() {
            let is_meant = watched
                .source()
                .organization()
                .is_same(source.organization())
                && !watched.pool().is_hosted;
            let rank = |of: &WatchedPool| {
                let id = of.source().id();
                (id != source.id(), id.credential.clone())
            };
            let known = pools.get(&watched.pool().id);
            if is_meant && known.is_none_or(|known| rank(&watched) < rank(known)) {
                pools.insert(watched.pool().id, watched);
            }
        }
        let line = |(pool, watched): (PoolId, Arc<WatchedPool>)| {
            let view = watched.view();
            let snapshot = view.snapshot.as_ref()?;
            if snapshot.is_stale(self.settings.max_stale) {
                // Its jobs count as those of a pool that nobody watches.
                return None;
            }
            let decision = self.decision(&watched);
            let decided = self.decide(&decision, snapshot, None);
            Some((pool, decision.caps.line(&decided, usage)))
        };
        let lines = pools.into_iter().filter_map(line).collect();
        self.shares.share(source.id(), usage, stamp, lines)
    }

    /// A first answer must not be one without a cap, only since the pool was
    /// faster.
    pub(super) async fn first_usage(&self, watched: &WatchedPool) {
        let Some(parallel_jobs) = watched.source().parallel_jobs() else {
            return;
        };
        let mut views = parallel_jobs.views();
        // Time out or not, what is known then is what counts.
        let _ = timeout(FIRST_SNAPSHOT_WAIT, views.wait_for(UsageView::is_known)).await;
    }

    /// What people are told of the parallel jobs of a pool's organization; `None`
    /// where they are not asked for.
    pub(super) fn parallel_jobs_status(
        &self,
        watched: &WatchedPool,
        told: Option<&Told>,
    ) -> Option<ParallelJobsStatus> {
        let view = watched.source().parallel_jobs()?.view();
        let usage = view.usage(self.settings.max_stale);
        let share = told
            .and_then(|told| told.cap.as_ref())
            .map(|(share, _)| share);
        let read_at = view.reading.as_ref().map(|reading| reading.read_at);
        Some(ParallelJobsStatus {
            is_known: usage.is_some(),
            limit: usage.and_then(|usage| usage.limit),
            in_use: share.map(Share::in_use).or(usage.map(|usage| usage.used)),
            in_use_elsewhere: share.map(|share| share.elsewhere),
            jobs_held_back: share.map_or(0, Share::without),
            age_seconds: read_at.map(|at| at.elapsed().as_secs_f64()),
            failure: view.failure.as_ref().map(super::explain::failure_status),
        })
    }

    /// The same in numbers, for each organization once: by the first credential
    /// that has read it.
    pub(super) fn parallel_jobs_gauges(&self) -> Vec<ParallelJobsGauges> {
        let mut sources = self.registry.sources.all();
        self.shares.retain(&sources);
        sources.sort_by_cached_key(|source| {
            let view = source.parallel_jobs().map(|of| of.view());
            let unread = view.is_none_or(|view| view.reading.is_none());
            (unread, source.id().credential.clone())
        });
        let mut gauges: BTreeMap<String, ParallelJobsGauges> = BTreeMap::new();
        for source in sources {
            let Some(view) = source.parallel_jobs().map(|of| of.view()) else {
                continue;
            };
            let usage = view.usage(self.settings.max_stale);
            let share = usage.and_then(|usage| self.share(&source, usage));
            let in_use = share.map(|share| share.in_use());
            let made = || ParallelJobsGauges {
                organization: source.organization().label().to_owned(),
                known: ParallelJobsKnown {
                    limit: share.map(|share| share.limit.into()),
                    used: usage.map(|usage| in_use.unwrap_or(usage.used).into()),
                    held_back: usage.map(|_| share.map_or(0, |share| share.without().into())),
                    failures_in_a_row: view.failure.as_ref().map_or(0, |failure| failure.times),
                },
            };
            gauges
                .entry(source.organization().identity())
                .or_insert_with(made);
        }
        gauges.into_values().collect()
    }
}

fn askers(decided: &Decided) -> Vec<Asker> {
    let triggers = decided.triggers.iter();
    let asker = |registered: &Arc<Registered>| {
        let declared = registered.declared.as_ref();
        Asker {
            jobs_per_agent: registered.trigger.jobs_per_agent,
            starts_none: declared
                .is_some_and(|declared| declared.paused || declared.scaling_out_paused),
        }
    };
    triggers.map(asker).collect()
}

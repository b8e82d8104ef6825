//! What keeps each scaling object from scaling, for the guard to tell.
//!
//! May import: its siblings, pools, ports, domain. Invariants: the words are those
//! that KEDA and the status page are told; only scaling objects that the cluster
//! declares are told of; what nobody has tried yet is not known, and is no trouble.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    Inner, Scaler,
    answer::Unanswered,
    codes::{notice_of, of_reading},
    declarations::{Entry, TriggerKey},
    explain::decided,
    needs::names_a_variable,
    pool_decision::Decided,
    registered::Registered,
};
use crate::{
    domain::{
        claim::Contender,
        decision::{Waiting, WhyUnclaimed},
        declared::{Declared, Kind},
        notice::{Code, Notice},
        profile::ScalingObject,
    },
    pools::{Found, PoolAddress, PoolKey, WatchedPool},
    ports::{
        ReadError,
        notices::{Noticed, Notices, Seen},
    },
};

type Objects = BTreeMap<(ScalingObject, Kind), Noticed>;

/// A trigger whose pool is read.
struct Reads {
    declared: Arc<Declared>,
    registered: Arc<Registered>,
}

impl Notices for Scaler {
    fn notices(&self) -> Option<Vec<Noticed>> {
        notices(&self.inner)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.pools.readings().subscribe()
    }
}

fn notices(inner: &Inner) -> Option<Vec<Noticed>> {
    let entries = inner.registry.known.entries()?;
    let ways: HashMap<_, _> = inner.pools.ways().into_iter().collect();
    let called = called(inner);
    let refused: HashMap<_, _> = inner.registry.refusals.all().into_iter().collect();
    let mut objects = Objects::new();
    let mut pools: HashMap<PoolKey, (Arc<WatchedPool>, Vec<Reads>)> = HashMap::new();
    for (key, entry) in entries {
        let declared = &entry.declared;
        if let Some(twin) = &entry.twin {
            for declared in [declared, twin] {
                let shared = notice_of(&Unanswered::OneName);
                noticed(&mut objects, declared).add(Seen::Jobs, shared);
            }
        }
        let noticed = noticed(&mut objects, declared);
        for form in forms(&key, &entry, &called, &refused) {
            let outcome = form.and_then(|registered| {
                let watched = read(inner, &registered, &ways)?;
                Ok((watched, registered))
            });
            match outcome {
                Ok((watched, registered)) => {
                    let pool = pools.entry(watched.key().clone());
                    let (_, reads) = pool.or_insert_with(|| (watched, Vec::new()));
                    reads.push(Reads {
                        declared: Arc::clone(declared),
                        registered,
                    });
                }
                Err((seen, notice)) => noticed.add(seen, notice),
            }
        }
    }
    for (watched, reads) in pools.into_values() {
        add_jobs(inner, &watched, &reads, &mut objects);
    }
    Some(objects.into_values().collect())
}

fn noticed<'a>(objects: &'a mut Objects, declared: &Declared) -> &'a mut Noticed {
    let key = (declared.object.clone(), declared.kind);
    objects.entry(key).or_insert_with(|| Noticed {
        object: declared.object.clone(),
        kind: declared.kind,
        uid: declared.uid.clone(),
        seen: Seen::Jobs,
        notices: Vec::new(),
    })
}

// === impl Noticed ===

impl Noticed {
    /// What one of its triggers adds.
    fn add(&mut self, seen: Seen, notice: Option<Notice>) {
        self.seen = self.seen.min(seen);
        let Some(notice) = notice else {
            return;
        };
        match self.notices.iter_mut().find(|of| of.code == notice.code) {
            Some(of) => of.join(&notice),
            None => self.notices.push(notice),
        }
    }
}

/// How far one trigger got, where its pool is not read.
type Stuck = (Seen, Option<Notice>);

/// The triggers that KEDA has called for with the values of variables.
fn called(inner: &Inner) -> HashMap<TriggerKey, Vec<Arc<Registered>>> {
    let mut called: HashMap<TriggerKey, Vec<Arc<Registered>>> = HashMap::new();
    for (key, registered) in &inner.registry.called {
        if key.variables != 0 && inner.registry.is_current(&registered) {
            let of = called.entry((key.object.clone(), key.trigger));
            of.or_default().push(registered);
        }
    }
    called
}

/// What a declared trigger is in earnest, or why it is nothing.
fn forms(
    key: &TriggerKey,
    entry: &Entry,
    called: &HashMap<TriggerKey, Vec<Arc<Registered>>>,
    refused: &HashMap<ScalingObject, Arc<Unanswered>>,
) -> Vec<Result<Arc<Registered>, Stuck>> {
    let called = called.get(key).into_iter().flatten().cloned();
    let mut forms: Vec<_> = called.collect();
    let written = entry.written.iter();
    forms.extend(written.filter(|of| !names_a_variable(of)).cloned());
    if !forms.is_empty() {
        return forms.into_iter().map(Ok).collect();
    }
    // Where only KEDA knows what is meant, what it was told last is what is known.
    let refused = entry.refused.as_ref().or_else(|| refused.get(&key.0));
    let notice = refused.and_then(|refused| notice_of(refused));
    let seen = match notice {
        Some(_) => Seen::Reading,
        None => Seen::Nothing,
    };
    vec![Err((seen, notice))]
}

/// The pool of a trigger, where it is read well enough to scale by.
fn read(
    inner: &Inner,
    registered: &Registered,
    ways: &HashMap<PoolAddress, Found>,
) -> Result<Arc<WatchedPool>, Stuck> {
    let pool = registered.trigger.pool.to_string();
    let fails = |error: &ReadError| Err((Seen::Reading, Some(of_reading(&pool, error))));
    let watched = match ways.get(&registered.address) {
        Some(Found::Yes(watched)) => watched,
        Some(Found::No(failure)) => return fails(&failure.error),
        Some(Found::NotYet) => return Err((Seen::Nothing, None)),
        None => {
            let limit = inner.pools.limit();
            let full = (ways.len() as u64 >= limit).then(|| {
                notice_of(&Unanswered::TooMany {
                    what: "pools",
                    limit,
                    flag: "--max-pools",
                })
            });
            return Err(match full.flatten() {
                Some(notice) => (Seen::Reading, Some(notice)),
                None => (Seen::Nothing, None),
            });
        }
    };
    let view = watched.view();
    let snapshot = view.snapshot.as_ref();
    let good = snapshot.filter(|snapshot| !snapshot.is_stale(inner.settings.max_stale));
    match (good, &view.failure, snapshot) {
        // Nobody waits for what does not pass.
        (_, Some(failure), _) if !failure.error.may_pass() => fails(&failure.error),
        (Some(_), _, _) => Ok(Arc::clone(watched)),
        (None, Some(failure), _) => fails(&failure.error),
        (None, None, Some(snapshot)) => {
            let late = Unanswered::Late {
                pool,
                age: snapshot.age(),
                pause: registered.source.pause_left(),
            };
            Err((Seen::Reading, notice_of(&late)))
        }
        (None, None, None) => Err((Seen::Nothing, None)),
    }
}

/// What becomes of the jobs of a pool.
fn add_jobs(inner: &Inner, watched: &Arc<WatchedPool>, reads: &[Reads], objects: &mut Objects) {
    let pool = watched.pool();
    let decided = decided(inner, watched, &watched.view());
    let contenders = decided.as_deref().map(Decided::contenders);
    let waiting = decided.as_deref().zip(contenders.as_deref());
    let waiting = waiting
        .map(|(decided, contenders)| decided.decision.waiting(&decided.queue, contenders))
        .unwrap_or_default();
    for Reads {
        declared,
        registered,
    } in reads
    {
        let noticed = noticed(objects, declared);
        if pool.is_hosted {
            let verdict = format!("pool {}: {HOSTED}", pool.name);
            let hosted = Notice::new(Code::PoolHosted, &pool.name, &verdict);
            noticed.add(Seen::Jobs, Some(hosted));
        }
        let learns = inner.check_learning(registered).is_err();
        let index = decided
            .as_deref()
            .filter(|_| !learns)
            .and_then(|of| of.index(registered));
        let (Some(index), Some(decided), Some(contenders)) = (index, &decided, &contenders) else {
            noticed.add(Seen::Reading, None);
            continue;
        };
        let of = Of {
            pool: &pool.name,
            decided,
            contender: &contenders[index],
            registered,
            declared,
            waiting: &waiting,
        };
        noticed.add(Seen::Jobs, of.unmatched());
        noticed.add(Seen::Jobs, of.limited());
    }
}

/// In words that the status page has as well.
pub(super) const HOSTED: &str = "this pool is hosted by Microsoft: no agent of yours can join it";

/// One trigger and the jobs of its pool.
struct Of<'a> {
    pool: &'a str,
    decided: &'a Decided,
    contender: &'a Contender<'a>,
    registered: &'a Registered,
    declared: &'a Declared,
    waiting: &'a [Waiting],
}

// === impl Of ===

impl Of<'_> {
    /// Jobs that nobody takes, for another reason than a limit.
    fn unmatched(&self) -> Option<Notice> {
        let Self { pool, declared, .. } = self;
        let mut unmatched = self
            .waiting
            .iter()
            .filter(|kind| kind.why != WhyUnclaimed::Limit);
        let first = unmatched.next()?;
        let more = first.jobs - 1 + unmatched.map(|kind| kind.jobs).sum::<usize>();
        let job = &self.decided.queue.jobs()[first.oldest];
        let refusal = self.contender.profile.fits(job).err()?.to_string();
        let others = match more {
            0 => String::new(),
            _ => format!(" and {more} more"),
        };
        let verdict = format!(
            "job {}{others} of pool {pool}: no profile takes it, so no agent is started for it; \
             {} does not take it: {refusal}",
            job.id.0, declared.object
        );
        let about = format!("{pool} {refusal}");
        Some(Notice::with_remedy(Code::JobsUnmatched, &about, &verdict))
    }

    /// Jobs that it would take, if it might have more agents.
    fn limited(&self) -> Option<Notice> {
        let Self { pool, declared, .. } = self;
        let (_, number) = self.decided.uncapped_number(self.registered)?;
        let tally = number.tally();
        let profile = self.contender.profile;
        let beyond = if profile.shares_the_pool() {
            let fits = |kind: &&Waiting| {
                let job = &self.decided.queue.jobs()[kind.oldest];
                kind.why == WhyUnclaimed::Limit && profile.fits(job).is_ok()
            };
            let kinds = self.waiting.iter().filter(fits);
            kinds.map(|kind| kind.jobs as u64).sum()
        } else {
            let limit = self.contender.limit.map_or(u64::MAX, u64::from);
            tally.unfinished().saturating_sub(limit)
        };
        let queued = u64::from(tally.queued);
        if declared.paused || declared.scaling_out_paused {
            let waits = match declared.paused {
                true if profile.shares_the_pool() => beyond,
                _ => beyond.max(queued),
            };
            let verdict = format!(
                "it is paused, and KEDA starts no agents for it: {}",
                wait(waits, pool)
            );
            let notice = Notice::with_remedy(Code::PausedWithJobs, pool, &verdict);
            return (waits > 0).then_some(notice);
        }
        let most = declared.max_agents;
        let verdict = format!(
            "it has {most} agents at most (maxReplicaCount), which is reached: {}",
            wait(beyond, pool)
        );
        let about = format!("{pool} {most}");
        let notice = Notice::with_remedy(Code::AtMaximum, &about, &verdict);
        (beyond > 0).then_some(notice)
    }
}

fn wait(jobs: u64, pool: &str) -> String {
    match jobs {
        1 => format!("1 job of pool {pool} waits"),
        _ => format!("{jobs} jobs of pool {pool} wait"),
    }
}

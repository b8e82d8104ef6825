//! The reasons: what the status page and the metrics tell of each pool.
//!
//! May import: its siblings, pools, domain. Invariant: what is told comes from
//! the very decision that the answers come from.

use std::sync::Arc;

use super::{
    Inner,
    answer::Unanswered,
    codes::{code_of, code_of_reading},
    notices::HOSTED,
    parallel_jobs::Told,
    registered::Registered,
    status::{FailureStatus, JobStatus, PoolStatus, ProfileStatus, RefusedStatus, Status, Wanted},
};
use crate::{
    domain::{
        claim::Claim,
        decision::Verdict,
        declared::Kind,
        job::{JobRequest, JobState},
        notice::Code,
        pool::Queue,
        profile::{Matching, Profile, ScalingObject},
    },
    pools::{Failure, View, WatchedPool},
};

/// A page for people: nobody reads more, and queues may hold 100,000 jobs.
const JOBS_SHOWN: usize = 5_000;
const JOBS_SHOWN_OF_A_POOL: usize = 1_000;

/// Of a job that runs on a pod which is going.
const GOING: &str = "its agent's pod is going and is no replica any more, so the Deployment's number leaves it \
                     out";

/// More refusals than this for one job are summed up.
const REASONS_SHOWN: usize = 10;

/// What the scaler knows of the pools, as far as it is asked for.
pub(super) fn status(inner: &Inner, wanted: &Wanted) -> Status {
    let named = wanted.pool.as_ref().map(|pool| pool.to_lowercase());
    let meant = |pool: &str| {
        named
            .as_ref()
            .is_none_or(|named| *named == pool.to_lowercase())
    };
    let mut left = JOBS_SHOWN;
    let mut pools = Vec::new();
    for watched in inner
        .pools
        .all()
        .iter()
        .filter(|watched| meant(&watched.pool().name))
    {
        let pool = pool_status(inner, watched, wanted, left.min(JOBS_SHOWN_OF_A_POOL));
        left -= pool.jobs.len();
        pools.push(pool);
    }
    for (address, failure) in inner.pools.not_found() {
        let pool = address.pool.to_string();
        if meant(&pool) {
            pools.push(PoolStatus {
                failure: failure.as_ref().map(failure_status),
                profiles: inner
                    .registry
                    .roster(&address.source.organization, &address.pool)
                    .triggers()
                    .iter()
                    .filter(|trigger| wanted.means(&trigger.key.object))
                    .map(|trigger| profile_status(inner, trigger, None, None))
                    .collect(),
                ..empty_pool(address.source.organization.to_string(), pool)
            });
        }
    }
    if wanted.object.is_some() {
        pools.retain(|pool| !pool.profiles.is_empty());
    }
    pools.sort_by(|a, b| (&a.organization, &a.pool).cmp(&(&b.organization, &b.pool)));
    Status {
        version: env!("CARGO_PKG_VERSION"),
        learning_seconds_left: inner
            .registry
            .learning_left()
            .map(|left| left.as_secs_f64()),
        pools,
        refused: refused(inner, wanted),
    }
}

fn refused(inner: &Inner, wanted: &Wanted) -> Vec<RefusedStatus> {
    let mut refused = inner.registry.refusals.all();
    refused.retain(|(object, _)| wanted.means(object));
    refused.sort_by(|(one, _), (other, _)| one.cmp(other));
    let status = |(object, why): (ScalingObject, Arc<Unanswered>)| RefusedStatus {
        namespace: object.namespace.into(),
        name: object.name.into(),
        code: code_of(&why).map(Code::name),
        why: why.to_string(),
    };
    refused.into_iter().map(status).collect()
}

pub(super) fn decided(inner: &Inner, watched: &Arc<WatchedPool>, view: &View) -> Option<Told> {
    let snapshot = view.snapshot.as_ref()?;
    let decision = inner.decision(watched);
    let decided = inner.decide(&decision, snapshot, None);
    Some(inner.told(watched, &decision, decided))
}

/// How many jobs of a queue are in each state that an unfinished job can have.
pub(super) fn counts(queue: Option<&Queue>) -> [(&'static str, u64); 3] {
    let mut counts =
        [JobState::Queued, JobState::Assigned, JobState::Running].map(|state| (state.name(), 0));
    for job in queue.map_or(&[][..], Queue::jobs) {
        for (name, count) in &mut counts {
            *count += u64::from(*name == job.state.name());
        }
    }
    counts
}

fn unclaimed(decided: Option<&Told>) -> u64 {
    decided.map_or(0, |decided| decided.decision.unclaimed() as u64)
}

fn empty_pool(organization: String, pool: String) -> PoolStatus {
    PoolStatus {
        organization,
        pool,
        pool_id: None,
        age_seconds: None,
        failure: None,
        queued: 0,
        assigned: 0,
        running: 0,
        unclaimed: 0,
        parallel_jobs: None,
        profiles: Vec::new(),
        jobs: Vec::new(),
        jobs_not_shown: 0,
    }
}

fn pool_status(
    inner: &Inner,
    watched: &Arc<WatchedPool>,
    wanted: &Wanted,
    shown: usize,
) -> PoolStatus {
    let view = watched.view();
    let decided = decided(inner, watched, &view);
    let queue = view.snapshot.as_ref().map(|snapshot| &*snapshot.queue);
    let jobs = decided.as_ref().map(|decided| jobs(decided, wanted, shown));
    let (jobs, jobs_not_shown) = jobs.unwrap_or_default();
    let [(_, queued), (_, assigned), (_, running)] = counts(queue);
    let profiles = inner.decision(watched).triggers();
    PoolStatus {
        pool_id: Some(watched.pool().id.0),
        age_seconds: view
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.age().as_secs_f64()),
        failure: view.failure.as_ref().map(failure_status),
        queued,
        assigned,
        running,
        unclaimed: unclaimed(decided.as_ref()),
        parallel_jobs: inner.parallel_jobs_status(watched, decided.as_ref()),
        profiles: profiles
            .iter()
            .filter(|profile| wanted.means(&profile.key.object))
            .map(|profile| profile_status(inner, profile, decided.as_ref(), Some(watched)))
            .collect(),
        jobs_not_shown,
        jobs,
        ..empty_pool(
            watched.source().organization().to_string(),
            watched.pool().name.to_string(),
        )
    }
}

pub(super) fn failure_status(failure: &Failure) -> FailureStatus {
    FailureStatus {
        kind: failure.error.kind(),
        code: code_of_reading(&failure.error).name(),
        message: failure.error.to_string(),
        times: failure.times,
    }
}

fn profile_status(
    inner: &Inner,
    registered: &Registered,
    decided: Option<&Told>,
    watched: Option<&WatchedPool>,
) -> ProfileStatus {
    let max_stale = inner.settings.max_stale;
    let number = decided.and_then(|decided| decided.number(registered));
    let mut notices = registered.trigger.notices.clone();
    let snapshot = watched.and_then(|watched| watched.view().snapshot);
    let stale = snapshot.is_some_and(|snapshot| snapshot.is_stale(max_stale));
    if stale {
        notices.push("KEDA is told an error: the last reading is older than --max-stale");
    }
    if let Some(declared) = &registered.declared {
        notices.extend(registered.trigger.contradictions(declared));
        if declared.paused {
            notices.push("it is paused, and KEDA starts no agents for it: its jobs go to others");
        }
    }
    if watched.is_some_and(|watched| watched.pool().is_hosted) {
        notices.push(HOSTED);
    }
    ProfileStatus {
        namespace: registered.key.object.namespace.to_string(),
        name: registered.key.object.name.to_string(),
        kind: registered.declared.as_ref().map(|of| match of.kind {
            Kind::ScaledObject => "ScaledObject",
            Kind::ScaledJob => "ScaledJob",
        }),
        max_agents: registered.declared.as_ref().map(|of| of.max_agents),
        jobs_per_agent: registered.trigger.jobs_per_agent,
        matches: matches(&registered.profile),
        placeholder: inner.placeholder_of(registered).map(Into::into),
        number: number.filter(|_| !stale).map(|number| number.value()),
        sum: number.filter(|_| !stale).map(|number| number.to_string()),
        notices,
    }
}

fn matches(profile: &Profile) -> String {
    match &profile.matching {
        Matching::Any => "any job".to_owned(),
        Matching::Capabilities(offer) => {
            let requires = match offer.requires() {
                [] => String::new(),
                names => format!(", if it asks for {}", names.join(" and ")),
            };
            format!(
                "a job whose demands are met by {}{requires}",
                offer.capabilities()
            )
        }
        Matching::Demands(rule) => {
            format!(
                "a job by KEDA's comparison with {:?}",
                rule.demands().join(",")
            )
        }
        Matching::Parent(parent) => {
            format!("a job that Azure DevOps matched to agent {parent:?}")
        }
    }
}

/// The jobs that are asked for, and how many of them are left out.
fn jobs(decided: &Told, wanted: &Wanted, shown: usize) -> (Vec<JobStatus>, u64) {
    let contenders = decided.contenders();
    let is_meant = |position: usize, job: &JobRequest| {
        let mut by = decided.decision.counted_by(job, position, &contenders);
        wanted.job.is_none_or(|id| id == job.id.0)
            && match &wanted.object {
                Some(object) => by.any(|index| decided.triggers[index].key.object == *object),
                None if wanted.unclaimed => {
                    let claim = decided.decision.claim(position);
                    claim == Claim::Unclaimed && by.next().is_none()
                }
                None => true,
            }
    };
    let mut jobs = Vec::new();
    let mut not_shown = 0;
    for (position, job) in decided.queue.jobs().iter().enumerate() {
        if !is_meant(position, job) {
            continue;
        }
        if jobs.len() < shown {
            let verdict = decided.decision.verdict(job, position, &contenders);
            let mut status = job_status(job, &verdict, decided);
            if let Some(held) = decided.why_held(position) {
                status.why.insert(0, held);
            }
            let mut by = decided.decision.counted_by(job, position, &contenders);
            if by.any(|index| contenders[index].runs_on_the_way_out(job)) {
                status.why.push(GOING.to_owned());
            }
            jobs.push(status);
        } else {
            not_shown += 1;
        }
    }
    (jobs, not_shown)
}

fn job_status(job: &JobRequest, verdict: &Verdict, decided: &Told) -> JobStatus {
    let name = |index: usize| decided.triggers[index].key.object.to_string();
    let claimed = verdict.claim.contender().into_iter();
    let counted_by = claimed.chain(verdict.counted_apart_by.iter().copied());
    JobStatus {
        id: job.id.0,
        state: job.state.name(),
        queued_at: job.queued_at.map(|at| at.to_string()),
        demands: job.demands.texts().map(ToOwned::to_owned).collect(),
        agent: job.agent.as_deref().map(ToOwned::to_owned),
        pipeline: job.pipeline.as_deref().map(ToOwned::to_owned),
        run: job.run.as_deref().map(ToOwned::to_owned),
        counted_by: counted_by.map(name).collect(),
        why: why(job, verdict, name),
    }
}

fn why(job: &JobRequest, verdict: &Verdict, name: impl Fn(usize) -> String) -> Vec<String> {
    let mut why = Vec::new();
    match verdict.claim {
        Claim::Owned(index) => {
            let agent = job.agent.as_deref().unwrap_or_default();
            why.push(format!(
                "{} has it: agent {agent} bears its name",
                name(index)
            ));
        }
        Claim::Placed(index) if verdict.others.is_empty() => {
            why.push(format!(
                "{} has it: no other profile could take it",
                name(index)
            ));
        }
        Claim::Placed(index) => {
            let others: Vec<_> = verdict
                .others
                .iter()
                .take(REASONS_SHOWN)
                .map(|i| name(*i))
                .collect();
            why.push(format!(
                "{} has it: by limits, specificity, priority and name it comes before {}",
                name(index),
                others.join(", ")
            ));
        }
        Claim::Unclaimed if verdict.counted_apart_by.is_empty() => {
            why.push("no profile takes it, so no agent is started for it".to_owned());
        }
        Claim::Unclaimed => {}
        Claim::Over => {
            why.push("its agent's pod has ended, so it needs no agent any more".to_owned());
        }
    }
    for index in &verdict.counted_apart_by {
        why.push(format!("{} counts it by KEDA's own rule", name(*index)));
    }
    for (index, refusal) in verdict.refusals.iter().take(REASONS_SHOWN) {
        why.push(format!("{} does not take it: {refusal}", name(*index)));
    }
    if let more @ 1.. = verdict.refusals.len().saturating_sub(REASONS_SHOWN) {
        why.push(format!("and {more} more profiles do not take it"));
    }
    for text in job.demands.unreadable() {
        why.push(format!(
            "{text:?} is no demand by Azure's grammar and was passed over"
        ));
    }
    why
}

//! The status page in words that a pipeline's author understands.
//!
//! May import: domain, its siblings. Invariants: pure; `Err` holds the words for
//! what is not there; what is on the page cannot do anything to a terminal.

use std::fmt::{self, Write as _};

use crate::{
    cli::{
        plain::Plain,
        status_page::{JobStatus, ParallelJobs, PoolStatus, ProfileStatus, StatusPage},
    },
    domain::{notice::Code, profile::ScalingObject},
};

/// Nobody reads more jobs of one scaling object.
const JOBS_TOLD: usize = 50;

/// A text that grows by lines.
#[derive(Default)]
struct Lines(String);

// === impl Lines ===

impl Lines {
    fn add(&mut self, depth: usize, line: impl fmt::Display) {
        // Writing into memory does not fail.
        let _ = writeln!(self.0, "{:1$}{2}", "", 2 * depth, Plain(line));
    }

    fn all(&mut self, depth: usize, lines: &[String]) {
        for line in lines {
            self.add(depth, line);
        }
    }
}

/// Who counts a job and why, or why nobody does.
pub(super) fn job(page: &StatusPage, id: u64) -> Result<String, String> {
    let mut lines = Lines::default();
    for pool in &page.pools {
        for job in pool.jobs.iter().filter(|job| job.id == id) {
            lines.add(
                0,
                format_args!("job {id} of {} is {}", place(pool), state(job)),
            );
            lines.add(1, format_args!("asks for: {}", demands(job)));
            match job.counted_by.as_slice() {
                [] => lines.add(1, "nobody counts it:"),
                by => lines.add(1, format_args!("{} counts it:", by.join(", "))),
            }
            lines.all(2, &job.why);
            // One that runs has its agent.
            if job.counted_by.is_empty() && job.state != "running" {
                lines.add(1, Code::JobsUnmatched.facts().remedy);
            }
            lines.add(1, read(pool));
            parallel_jobs(&mut lines, pool);
        }
    }
    if !lines.0.is_empty() {
        return Ok(lines.0);
    }
    lines.add(
        0,
        format_args!(
            "no pool that the scaler reads has an unfinished job {id}: it is finished, or waits \
             for an approval, a check or an earlier stage, or its pool is asked for by no \
             scaling object"
        ),
    );
    lines.add(1, "the number is that of the job request, not of the run");
    if page.pools.is_empty() {
        lines.add(1, "the scaler reads no pool");
    }
    for pool in &page.pools {
        lines.add(1, format_args!("{}: {}", place(pool), read(pool)));
    }
    Err(lines.0)
}

/// How the number of a scaling object came about.
pub(super) fn object(page: &StatusPage, object: &ScalingObject) -> Result<String, String> {
    let mut lines = Lines::default();
    let is_it =
        |namespace: &str, name: &str| namespace == &*object.namespace && name == &*object.name;
    for refused in &page.refused {
        if is_it(&refused.namespace, &refused.name) {
            lines.add(0, format_args!("{object} gets no answer: {}", refused.why));
        }
    }
    for pool in &page.pools {
        let profiles = pool.profiles.iter();
        for profile in profiles.filter(|profile| is_it(&profile.namespace, &profile.name)) {
            let kind = profile.kind.as_deref();
            let kind = kind.map_or_else(String::new, |kind| format!(" ({kind})"));
            let number = number(profile);
            lines.add(
                0,
                format_args!("{object}{kind} on {}: {number}", place(pool)),
            );
            lines.add(1, read(pool));
            parallel_jobs(&mut lines, pool);
            lines.add(1, format_args!("takes {}", profile.matches));
            lines.all(1, &limits(profile));
            if let Some(placeholder) = &profile.placeholder {
                lines.add(
                    1,
                    format_args!(
                        "{placeholder} holds its place while it has no agent, and is none"
                    ),
                );
            }
            for notice in &profile.notices {
                lines.add(1, format_args!("notice: {notice}"));
            }
            jobs(&mut lines, pool);
        }
    }
    if !lines.0.is_empty() {
        learning(&mut lines, page);
        return Ok(lines.0);
    }
    lines.add(
        0,
        format_args!(
            "the scaler knows no {object}: KEDA has not called for it, or no trigger of it has this \
             scaler's address; look at its conditions (kubectl describe) and at KEDA's log"
        ),
    );
    learning(&mut lines, page);
    Err(lines.0)
}

/// Each pool and number, and the jobs that nobody takes.
pub(super) fn everything(page: &StatusPage) -> String {
    let mut lines = Lines::default();
    for pool in &page.pools {
        let PoolStatus {
            queued,
            assigned,
            running,
            ..
        } = pool;
        lines.add(
            0,
            format_args!(
                "{}: {queued} queued, {assigned} assigned, {running} running; {}",
                place(pool),
                read(pool)
            ),
        );
        parallel_jobs(&mut lines, pool);
        for profile in &pool.profiles {
            let ProfileStatus {
                namespace, name, ..
            } = profile;
            lines.add(1, format_args!("{namespace}/{name}: {}", number(profile)));
            for notice in &profile.notices {
                lines.add(2, format_args!("notice: {notice}"));
            }
        }
        if pool.unclaimed > 0 {
            lines.add(1, format_args!("nobody counts {}:", pool.unclaimed));
            for job in pool.jobs.iter().take(JOBS_TOLD) {
                lines.add(
                    2,
                    format_args!("job {}, {}, asks for: {}", job.id, state(job), demands(job)),
                );
                lines.all(3, &job.why);
            }
            left_out(&mut lines, pool);
        }
    }
    for refused in &page.refused {
        let (namespace, name) = (&refused.namespace, &refused.name);
        lines.add(
            0,
            format_args!("{namespace}/{name} gets no answer: {}", refused.why),
        );
    }
    if page.pools.is_empty() && page.refused.is_empty() {
        lines.add(
            0,
            "no scaling object asks for a pool yet: KEDA calls once in each pollingInterval",
        );
    }
    learning(&mut lines, page);
    lines.0
}

fn jobs(lines: &mut Lines, pool: &PoolStatus) {
    if pool.jobs.is_empty() {
        return;
    }
    lines.add(1, "counts these jobs:");
    for job in pool.jobs.iter().take(JOBS_TOLD) {
        let first = job.why.first().map_or("", String::as_str);
        lines.add(2, format_args!("job {}, {}: {first}", job.id, state(job)));
    }
    left_out(lines, pool);
}

fn left_out(lines: &mut Lines, pool: &PoolStatus) {
    let untold = pool.jobs.len().saturating_sub(JOBS_TOLD) as u64;
    if let more @ 1.. = pool.jobs_not_shown + untold {
        lines.add(2, format_args!("and {more} more"));
    }
}

fn learning(lines: &mut Lines, page: &StatusPage) {
    if let Some(left) = page.learning_seconds_left {
        lines.add(
            0,
            format_args!(
                "the scaler (version {}) started a moment ago and learns for {left:.0} s yet which \
                 scaling objects there are; until then it gives no number",
                page.version
            ),
        );
    }
}

fn place(pool: &PoolStatus) -> String {
    format!("pool {} ({})", pool.pool, pool.organization)
}

/// How old what is told is, and what keeps it from being new.
fn read(pool: &PoolStatus) -> String {
    let age = pool.age_seconds;
    let age = age.map_or_else(
        || "not read yet".to_owned(),
        |age| format!("read {age:.0} s ago"),
    );
    match &pool.failure {
        None => age,
        Some(failure) => format!(
            "{age}; reading it fails, {} in a row: {}",
            count(failure.times.into(), "time"),
            failure.message
        ),
    }
}

/// What the parallel jobs of the organization are, where they cap anything.
fn parallel_jobs(lines: &mut Lines, pool: &PoolStatus) {
    let Some(of) = &pool.parallel_jobs else {
        return;
    };
    let ParallelJobs {
        limit,
        in_use,
        jobs_held_back,
        ..
    } = of;
    let in_use = in_use.unwrap_or(0);
    let told = match limit {
        _ if !of.is_known => "not known, so they cap nothing".to_owned(),
        None => format!("no limit; {in_use} in use"),
        Some(limit) => {
            let elsewhere = of.in_use_elsewhere.unwrap_or(0);
            let waits = count(*jobs_held_back, "job");
            format!(
                "{limit}, of which {in_use} in use ({elsewhere} by pools that are not read here); \
                 {waits} without one"
            )
        }
    };
    let age = of
        .age_seconds
        .map_or_else(String::new, |age| format!("; read {age:.0} s ago"));
    let failure = of.failure.as_ref().map_or_else(String::new, |failure| {
        format!(
            "; reading them fails, {} in a row: {}",
            count(failure.times.into(), "time"),
            failure.message
        )
    });
    lines.add(
        1,
        format_args!("parallel jobs of the organization: {told}{age}{failure}"),
    );
}

fn number(profile: &ProfileStatus) -> String {
    let Some((number, sum)) = profile.number.zip(profile.sum.as_ref()) else {
        return "no number yet".to_owned();
    };
    match u64::from(profile.jobs_per_agent) {
        per_agent @ 2.. => format!(
            "{} for {sum} ({per_agent} jobs for each agent)",
            count(number.div_ceil(per_agent), "agent")
        ),
        _ => sum.clone(),
    }
}

fn limits(profile: &ProfileStatus) -> Vec<String> {
    let Some(most) = profile.max_agents else {
        return Vec::new();
    };
    let wanted = profile
        .number
        .unwrap_or(0)
        .div_ceil(profile.jobs_per_agent.max(1).into());
    let most = u64::from(most);
    let reached = if wanted >= most {
        ", which is reached: jobs beyond it wait"
    } else {
        ""
    };
    vec![format!(
        "has {} at most (maxReplicaCount){reached}",
        count(most, "agent")
    )]
}

fn state(job: &JobStatus) -> String {
    let mut state = job.state.clone();
    if let Some(agent) = &job.agent {
        let _ = write!(state, " on agent {agent}");
    }
    if let Some(at) = &job.queued_at {
        // To the second is enough.
        let at = at.split('.').next().unwrap_or_default();
        let at = at.trim_end_matches('Z');
        let since = match job.state.as_str() {
            "queued" => " since",
            _ => ", queued at",
        };
        let _ = write!(state, "{since} {at}Z");
    }
    for (what, text) in [("pipeline", &job.pipeline), ("run", &job.run)] {
        if let Some(text) = text {
            let _ = write!(state, ", {what} {text}");
        }
    }
    state
}

fn demands(job: &JobStatus) -> String {
    if job.demands.is_empty() {
        return "nothing".to_owned();
    }
    job.demands.join(", ")
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests;

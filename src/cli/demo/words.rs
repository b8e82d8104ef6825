//! What is seen, in words: the same for the table, the lines and the summary.
//!
//! May import: its siblings. Invariant: pure; a reason is the scaler's own.

use std::{collections::HashSet, fmt};

use super::{
    day::Wave,
    pages::{Counts, Pool},
    replicas::Deployment,
    stage::View,
};
use crate::cli::status_page::{JobStatus, PoolStatus};

/// Lines of reasons, so that the table fits into a terminal of 24.
const ROWS_OF_REASONS: usize = 7;

/// Lines for one job; the summary tells all.
const ROWS_OF_A_REASON: usize = 3;

/// A terminal has 80 columns, of which two are a margin.
const WIDTH: usize = 78;

/// The agents of one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agents {
    pub(super) pods: u32,
    starting: u32,
    busy: u32,
}

/// The queue and what came of it.
pub(super) fn jobs(counts: &Counts) -> String {
    let waiting = counts.queued + counts.assigned;
    format!(
        "{waiting} queued, {} running, {} done, {} canceled, {} lost",
        counts.running, counts.succeeded, counts.canceled, counts.lost
    )
}

/// What Azure DevOps is asked.
pub(super) fn requests(view: &View) -> String {
    format!(
        "{} to Azure DevOps so far; KEDA's own trigger: {}",
        view.requests, view.built_in
    )
}

/// The number with its sum, without the parts that are nothing.
pub(super) fn number(profile: &str, status: &PoolStatus) -> String {
    let mut profiles = status.profiles.iter();
    let profile = profiles.find(|candidate| candidate.name == profile);
    let Some(sum) = profile.and_then(|profile| profile.sum.as_deref()) else {
        return "not known yet".to_owned();
    };
    let (number, parts) = sum.split_once(" = ").unwrap_or((sum, ""));
    let parts: Vec<_> = parts
        .split(" + ")
        .filter(|part| !part.is_empty() && !part.starts_with("0 "))
        .collect();
    match parts.as_slice() {
        [] => number.to_owned(),
        parts => format!("{number} = {}", parts.join(" + ")),
    }
}

/// The agents of a Deployment, by the names in the pool.
pub(super) fn agents(deployment: &Deployment, pool: &Pool) -> Agents {
    let (pods, starting) = deployment.pods();
    let prefix = format!("{}-", deployment.profile().name);
    let busy = pool
        .agents
        .iter()
        .filter(|agent| agent.request_id.is_some() && agent.name.starts_with(&prefix));
    // The pool was read a moment before.
    let busy = u32::try_from(busy.count()).map_or(pods, |busy| busy.min(pods - starting));
    Agents {
        pods,
        starting,
        busy,
    }
}

/// Some reasons: why the pool cannot be read, if it cannot; then jobs that nobody
/// takes, those that wait, and the others; one of each run.
pub(super) fn reasons(status: &PoolStatus) -> Vec<String> {
    let mut jobs: Vec<_> = status.jobs.iter().collect();
    jobs.sort_by_key(|job| (!job.counted_by.is_empty(), job.state == "running"));
    let mut seen = HashSet::new();
    jobs.retain(|job| seen.insert((&job.pipeline, &job.counted_by, job.state == "running")));
    let failure = status.failure.iter().map(|failure| failure.message.clone());
    let reasons = jobs.into_iter().map(|job| {
        if job.counted_by.is_empty() {
            reason(job)
        } else {
            // Who else does not take it is of no interest, once somebody does.
            told(job, job.why.first().into_iter())
        }
    });
    let rows = failure.chain(reasons).flat_map(|text| {
        let mut rows = wrapped(&text);
        if rows.len() > ROWS_OF_A_REASON {
            rows.truncate(ROWS_OF_A_REASON);
            rows[ROWS_OF_A_REASON - 1].push_str(" …");
        }
        rows
    });
    rows.take(ROWS_OF_REASONS).collect()
}

/// Why a job is where it is.
pub(super) fn reason(job: &JobStatus) -> String {
    told(job, job.why.iter())
}

fn told<'a>(job: &JobStatus, why: impl Iterator<Item = &'a String>) -> String {
    let pipeline = job.pipeline.as_deref().unwrap_or("of no pipeline");
    let state = match job.state.as_str() {
        "running" => "runs",
        "assigned" => "has its agent",
        _ => "waits",
    };
    let why: Vec<&str> = why.map(String::as_str).collect();
    format!("#{} {pipeline} {state}: {}", job.id, why.join("; "))
}

/// In lines of a terminal's width.
fn wrapped(text: &str) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match rows.last_mut() {
            Some(row) if row.chars().count() + 1 + word.chars().count() <= WIDTH => {
                row.push(' ');
                row.push_str(word);
            }
            Some(_) => rows.push(format!("    {word}")),
            None => rows.push(word.to_owned()),
        }
    }
    rows
}

// === impl Wave ===

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (jobs, demand) = match self.count {
            1 => ("job", "demands"),
            _ => ("jobs", "demand"),
        };
        write!(f, "{} queues {} {jobs}", self.pipeline, self.count)?;
        match self.demands {
            [] => f.write_str(" that any agent can run")?,
            demands => write!(f, " that {demand} {}", demands.join(", "))?,
        }
        f.write_str(if self.hook {
            " (a service hook tells)"
        } else {
            ""
        })
    }
}

// === impl Agents ===

impl Agents {
    /// One sign for each.
    pub(super) fn drawn(self) -> String {
        let idle = self.pods - self.starting - self.busy;
        [("●", self.busy), ("○", idle), ("·", self.starting)]
            .map(|(sign, count)| sign.repeat(count as usize))
            .concat()
    }
}

impl fmt::Display for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} agents, {} busy", self.pods, self.busy)?;
        match self.starting {
            0 => Ok(()),
            starting => write!(f, ", {starting} starting"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status_page::ProfileStatus;

    #[test]
    fn a_number_is_told_without_the_parts_that_are_nothing() {
        for (sum, expected) in [
            (
                Some("7 = 3 queued + 0 assigned + 4 running"),
                "7 = 3 queued + 4 running",
            ),
            (Some("0 = 0 queued + 0 assigned + 0 running"), "0"),
            (Some("10 = 10 queued + 0 running"), "10 = 10 queued"),
            (None, "not known yet"),
        ] {
            let profile = ProfileStatus {
                name: "linux".to_owned(),
                sum: sum.map(ToOwned::to_owned),
                ..ProfileStatus::default()
            };
            let status = PoolStatus {
                profiles: vec![profile],
                ..PoolStatus::default()
            };
            assert_eq!(number("linux", &status), expected);
        }
    }

    #[test]
    fn jobs_that_nobody_takes_come_first_and_one_of_each_run() {
        let job = |id, state: &str, pipeline: &str, counted_by: &[&str]| JobStatus {
            id,
            state: state.to_owned(),
            pipeline: Some(pipeline.to_owned()),
            counted_by: counted_by.iter().map(|&name| name.to_owned()).collect(),
            why: vec!["so".to_owned()],
            ..JobStatus::default()
        };
        let status = PoolStatus {
            jobs: vec![
                job(1, "running", "web", &["ci/linux"]),
                job(2, "queued", "web", &["ci/linux"]),
                job(3, "queued", "web", &["ci/linux"]),
                job(4, "queued", "mainframe", &[]),
            ],
            ..PoolStatus::default()
        };
        let expected = [
            "#4 mainframe waits: so",
            "#2 web waits: so",
            "#1 web runs: so",
        ];
        assert_eq!(reasons(&status), expected);
    }
}

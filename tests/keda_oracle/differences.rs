//! Where the scaler means to differ from KEDA: the first table of
//! `docs/keda-differences.md`.
//!
//! May import: cases. Invariant: a row says for which cases it holds and what the
//! scaler's answer is instead, exactly; what no row explains must be equal.

use azp_scaler::domain::trigger::keys::find;

use crate::case::{Case, Step, agent, with_jobs};

/// One difference.
pub struct Difference {
    /// Its name on the page.
    pub name: &'static str,
    /// Which cases it is about.
    pub applies: fn(&Case) -> bool,
    /// What the scaler does there.
    pub here: Here,
    /// A case in which the two sides differ by it and by nothing else.
    pub shown_by: fn() -> Case,
}

/// What the scaler does in place of what KEDA does.
pub enum Here {
    /// No number, but an error that says why.
    Refused,
    /// What KEDA says to this trigger.
    AsToTrigger(fn(Case) -> Case),
    /// Counts none of the jobs, since another scaling object has them all.
    CountsNone,
}

/// Azure DevOps: `$top` gives at most this many.
const TOP: u64 = 200;

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "jobs-to-fetch",
        applies: |case| {
            // Both refuse it beside the other key, and what is no number.
            let window = match case.value("jobsToFetch") {
                None => Some(TOP),
                Some(_) if is_written(case, "fetchUnfinishedJobsOnly") => None,
                Some(text) => text.parse::<u64>().ok().filter(|n| n.to_string() == text),
            };
            let reads_all = case.value("parent").is_some() || reads_unfinished_only(case);
            !reads_all && window.is_some_and(|window| case.jobs() > window.min(TOP))
        },
        here: Here::AsToTrigger(|case| {
            case.with("jobsToFetch", "")
                .with("fetchUnfinishedJobsOnly", "true")
        }),
        shown_by: || with_jobs(3, "java").with("jobsToFetch", "2"),
    },
    Difference {
        name: "one-job-one-agent",
        applies: |case| {
            case.neighbour && case.value("parent").is_none() && case.value("demands").is_none()
        },
        here: Here::CountsNone,
        shown_by: || Case {
            neighbour: true,
            ..with_jobs(3, "java")
        },
    },
    Difference {
        name: "strategy",
        applies: |case| case.value("strategy") == Some("accurate"),
        // Where no job is on its way to an agent, which KEDA's key counts too.
        here: Here::AsToTrigger(|case| case.with("scaleOnInFlight", "false")),
        shown_by: || {
            let mut case = with_jobs(3, "java");
            case.past.insert(0, agent("runner", "java", true));
            case.past.push(Step::Hour);
            case.with("strategy", "accurate")
        },
    },
    Difference {
        name: "unknown-key",
        applies: |case| case.trigger.keys().any(|key| find(key).is_none()),
        here: Here::Refused,
        shown_by: || with_jobs(1, "java").with("Demands", "docker"),
    },
    Difference {
        name: "number-without-meaning",
        applies: |case| {
            let number = |key| case.value(key).and_then(|text| text.parse::<i64>().ok());
            let beyond = |key, least| {
                number(key).is_some_and(|number| !(least..=i64::from(u32::MAX)).contains(&number))
            };
            beyond("targetPipelinesQueueLength", 1)
                || beyond("poolID", 0)
                || number("activationTargetPipelinesQueueLength").is_some_and(|least| least < 0)
        },
        here: Here::Refused,
        shown_by: || with_jobs(1, "java").with("targetPipelinesQueueLength", "0"),
    },
    Difference {
        name: "too-much-text",
        applies: |case| {
            let items = case.value("demands").unwrap_or_default().split(',').count();
            items > 500 && case.value("parent").is_none()
        },
        here: Here::Refused,
        shown_by: || with_jobs(1, "java").with("demands", &"java,".repeat(501)),
    },
    Difference {
        name: "organization-not-named",
        applies: |case| {
            case.value("organizationURL").is_none()
                && case.value("organizationURLFromEnv").is_none()
        },
        here: Here::AsToTrigger(|case| case.with("organizationURL", "{url}")),
        shown_by: || with_jobs(1, "java").with("organizationURL", ""),
    },
    Difference {
        name: "organization-with-slash",
        applies: |case| case.value("organizationURL") == Some("{url}/"),
        here: Here::AsToTrigger(|case| case.with("organizationURL", "{url}")),
        shown_by: || with_jobs(1, "java").with("organizationURL", "{url}/"),
    },
];

fn reads_unfinished_only(case: &Case) -> bool {
    let flag = case.value("fetchUnfinishedJobsOnly").unwrap_or_default();
    ["1", "t", "T", "true", "TRUE", "True"].contains(&flag)
}

/// Is there anything, be it white space? KEDA looks for keys that cannot go
/// together before it takes that off.
fn is_written(case: &Case, key: &str) -> bool {
    case.trigger.get(key).is_some_and(|value| !value.is_empty())
}

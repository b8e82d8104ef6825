//! What goes over the wire, as JSON.
//!
//! The shapes are those of the agent's routes of Azure DevOps; only the body of
//! a job's message and of a `StandIn` message are the emulator's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `{"count":…,"value":[…]}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Listing<T> {
    pub(crate) value: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pool {
    pub(crate) id: i64,
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AgentRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) enabled: Option<bool>,
    pub(crate) authorization: Option<Authorization>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Authorization {
    pub(crate) authorization_url: Option<String>,
    pub(crate) client_id: Option<String>,
}

/// An agent as `config.sh` registers it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewAgent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i64>,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) os_description: &'a str,
    pub(crate) enabled: bool,
    pub(crate) max_parallelism: u32,
    pub(crate) provisioning_state: &'static str,
    pub(crate) authorization: NewAuthorization<'a>,
    pub(crate) system_capabilities: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewAuthorization<'a> {
    pub(crate) public_key: PublicKey<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PublicKey<'a> {
    pub(crate) exponent: &'a str,
    pub(crate) modulus: &'a str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) access_token: String,
    pub(crate) expires_in: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewSession<'a> {
    pub(crate) owner_name: &'a str,
    pub(crate) agent: SessionAgent<'a>,
    pub(crate) system_capabilities: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionAgent<'a> {
    pub(crate) id: i64,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) os_description: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionAnswer {
    pub(crate) session_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub(crate) message_id: i64,
    pub(crate) message_type: String,
    /// JSON as text.
    #[serde(default)]
    pub(crate) body: String,
}

/// The body of a `PipelineAgentJobRequest`. The real one is far larger.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobRequest {
    pub(crate) request_id: i64,
    pub(crate) job_id: String,
    pub(crate) job_display_name: String,
    pub(crate) plan_id: String,
    pub(crate) lock_token: String,
    /// Shell texts, one after the other.
    #[serde(default)]
    pub(crate) steps: Vec<String>,
    /// How long a job without steps lasts, in seconds.
    #[serde(default)]
    pub(crate) duration: f64,
    /// How a job without steps ends.
    #[serde(default)]
    pub(crate) outcome: Option<JobResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobCancellation {
    pub(crate) job_id: String,
    /// As .NET writes it, `00:05:00`.
    #[serde(default)]
    pub(crate) timeout: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentRefresh {
    pub(crate) target_version: Option<String>,
}

/// A crash on demand; no message of Azure DevOps.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Crash {
    Exit { code: i32 },
    Kill,
    KillWorker,
}

/// How a job ended. Azure DevOps: `TaskResult`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum JobResult {
    Succeeded,
    SucceededWithIssues,
    Failed,
    Canceled,
    Skipped,
    Abandoned,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestUpdate {
    pub(crate) request_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<JobResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Renewed {
    pub(crate) locked_until: Option<jiff::Timestamp>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FeedLines<'a> {
    pub(crate) count: usize,
    pub(crate) value: &'a [String],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobCompleted<'a> {
    pub(crate) name: &'static str,
    pub(crate) job_id: &'a str,
    pub(crate) request_id: i64,
    pub(crate) result: JobResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Package {
    pub(crate) version: PackageVersion,
    pub(crate) download_url: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PackageVersion {
    major: u64,
    minor: u64,
    patch: u64,
}

/// What an error's body says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ErrorBody {
    pub(crate) message: Option<String>,
    pub(crate) type_key: Option<String>,
    /// Of the route that gives out tokens.
    pub(crate) error: Option<String>,
    #[serde(rename = "error_description")]
    pub(crate) error_description: Option<String>,
}

// === impl JobResult ===

/// What is added to a result for the worker's exit code.
const EXIT_CODES: i32 = 100;

const RESULTS: [JobResult; 6] = [
    JobResult::Succeeded,
    JobResult::SucceededWithIssues,
    JobResult::Failed,
    JobResult::Canceled,
    JobResult::Skipped,
    JobResult::Abandoned,
];

impl JobResult {
    /// The worker's exit code. Agent: `Util/TaskResultUtil.cs`.
    pub(crate) fn exit_code(self) -> i32 {
        EXIT_CODES + self as i32
    }

    /// What a worker's exit code means; `None` for one that no worker chooses.
    pub(crate) fn of_exit_code(code: i32) -> Option<Self> {
        RESULTS
            .into_iter()
            .find(|result| result.exit_code() == code)
    }
}

// === impl PackageVersion ===

impl std::fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            major,
            minor,
            patch,
        } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

// === impl JobCancellation ===

impl JobCancellation {
    /// How long the job may take to end, in seconds; a minute when unreadable.
    pub(crate) fn seconds(&self) -> u64 {
        let mut parts = self.timeout.split(':').rev();
        let mut part = |unit: u64| -> Option<u64> {
            let whole = parts.next()?.split('.').next()?;
            Some(whole.parse::<u64>().ok()?.saturating_mul(unit))
        };
        match (part(1), part(60), part(3600)) {
            (Some(seconds), Some(minutes), hours) => seconds + minutes + hours.unwrap_or_default(),
            _ => 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_results_are_one_to_one() {
        for result in RESULTS {
            assert_eq!(JobResult::of_exit_code(result.exit_code()), Some(result));
        }
        assert_eq!(JobResult::Canceled.exit_code(), 103);
        for code in [0, 1, 99, 106, 137] {
            assert_eq!(JobResult::of_exit_code(code), None);
        }
    }

    #[test]
    fn a_cancellation_says_how_long_the_job_may_take() {
        for (timeout, seconds) in [
            ("00:05:00", 300),
            ("01:00:30.5000000", 3630),
            ("", 60),
            ("soon", 60),
        ] {
            let cancellation = JobCancellation {
                job_id: String::new(),
                timeout: timeout.into(),
            };
            assert_eq!(cancellation.seconds(), seconds, "{timeout:?}");
        }
    }
}

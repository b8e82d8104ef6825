//! `azp-scaler explain`: its flags and what they become.
//!
//! May import: its siblings, domain. Invariant: it asks a scaler's HTTP port,
//! which holds no secret, so none is sent.

use url::{Position, Url};

use super::ConfigError;
use crate::domain::profile::ScalingObject;

/// The flags of `explain`, as text.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The scaler of a cluster is asked through a port of this machine:
  kubectl port-forward -n keda service/azp-scaler 8080")]
pub struct ExplainArgs {
    /// The number of a job request, or a scaling object; nothing for an overview.
    #[arg(value_name = "JOB | NAMESPACE/NAME", value_parser = subject)]
    subject: Option<Subject>,

    /// The HTTP port of a running scaler.
    #[arg(
        long,
        env = "AZP_STATUS_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,

    /// The scaler's own JSON instead of words.
    #[arg(long)]
    json: bool,
}

/// What is to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// Every pool in short.
    #[default]
    Everything,
    /// A job request.
    Job(u64),
    /// A scaling object's number.
    Object(ScalingObject),
}

/// What `explain` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainConfig {
    /// What is to be explained.
    pub subject: Subject,
    /// The scaler, as `HOST:PORT`.
    pub at: String,
    /// The path and query of the question.
    pub path: String,
    /// JSON instead of words.
    pub json: bool,
}

// === impl ExplainArgs ===

impl ExplainArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// Each flag that cannot be used, with a remedy.
    pub fn resolve(self) -> Result<ExplainConfig, ConfigError> {
        let mut problems = ConfigError::default();
        let subject = self.subject.unwrap_or_default();
        match problems.take("--server", question(&self.server, &subject)) {
            Some((at, path)) => Ok(ExplainConfig {
                subject,
                at,
                path,
                json: self.json,
            }),
            None => Err(problems),
        }
    }
}

fn subject(text: &str) -> Result<Subject, String> {
    if let Ok(job) = text.parse() {
        return Ok(Subject::Job(job));
    }
    let object = ScalingObject::parse(text).map(Subject::Object);
    object.ok_or_else(|| "write the number of a job request, or NAMESPACE/NAME".to_owned())
}

/// Whom to ask, and what.
fn question(server: &str, subject: &Subject) -> Result<(String, String), String> {
    let wrong = |what: &str| format!("{what}; write http://HOST:PORT");
    let mut url = Url::parse(server).map_err(|error| wrong(&format!("is no URL ({error})")))?;
    if url.scheme() != "http" {
        return Err(wrong(
            "is not http, which is all that the scaler's HTTP port speaks",
        ));
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(wrong("names no host"));
    };
    let at = format!("{host}:{port}");
    let path = format!("{}/status", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_fragment(None);
    url.query_pairs_mut().clear().extend_pairs(match subject {
        Subject::Everything => [("unclaimed", "true".to_owned())],
        Subject::Job(job) => [("job", job.to_string())],
        Subject::Object(object) => [("object", object.to_string())],
    });
    Ok((at, url[Position::BeforePath..].to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn check(flags: &[&str], expected: Result<(&str, &str), &str>) {
        let program = Program::try_parse_from([&["azp-scaler"], flags].concat());
        let resolved = program
            .map_err(|error| error.to_string())
            .and_then(|program| program.args.resolve().map_err(|error| error.to_string()));
        match (resolved, expected) {
            (Ok(config), Ok(expected)) => {
                assert_eq!((&*config.at, &*config.path), expected, "{flags:?}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{flags:?}: {error}"),
            (got, expected) => panic!("{flags:?}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn flags_become_a_question() {
        Program::command().debug_assert();
        check(&[], Ok(("127.0.0.1:8080", "/status?unclaimed=true")));
        check(&["90403"], Ok(("127.0.0.1:8080", "/status?job=90403")));
        check(
            &["ci/linux", "--server", "http://azp-scaler.keda/base/"],
            Ok(("azp-scaler.keda:80", "/base/status?object=ci%2Flinux")),
        );
        check(
            &["a b/c&d", "--server=http://[::1]:9?x#y"],
            Ok(("[::1]:9", "/status?object=a+b%2Fc%26d")),
        );
        check(&["linux"], Err("write the number of a job request"));
        check(&["--server=https://x"], Err("--server: is not http"));
        check(&["--server=localhost"], Err("--server: is no URL"));
    }
}

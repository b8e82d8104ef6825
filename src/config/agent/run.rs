//! `azp-agent run`: its flags and what they become.
//!
//! May import: its siblings, domain. Invariant: whatever `start.sh` reads from
//! the environment means the same here; the token is behind no flag.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::builder::FalseyValueParser;

use super::{
    ConfigError, Environment, Whole, ask, credential,
    credential::{Names, TokenPlace},
    handover::{Secrets, variables},
    home,
};
use crate::{
    config::{
        ConnectionSettings, TokenConfig,
        pool_writes::cluster_name,
        quantity,
        serve::{address, log_json},
    },
    domain::{capability::Capabilities, organization::OrganizationUrl},
};

/// Where teams have their AWS profiles mounted.
const AWS_CONFIG: &str = "/aws_config";

/// start.sh: the pool and the folder of jobs, where nothing is set.
const POOL: &str = "Default";
const WORK: &str = "_work";

/// The same for what start.sh does not know.
const LEAVE_WITHIN: &str = "2m";
const SESSION_CHECK: &str = "5m";
const LOG: &str = "info";

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// The flags of `run`, as text.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints these comments as they are"
)]
#[command(after_help = "\
The token comes from the environment, never from a flag: AZP_TOKEN, or AZP_TOKEN_FILE, or AZP_CLIENTID \
with AZP_CLIENTSECRET and AZP_TENANTID, or workload identity (AZURE_CLIENT_ID, AZURE_TENANT_ID, \
AZURE_FEDERATED_TOKEN_FILE). It is hidden from jobs before any can start.

Exit codes: 0 left as it should, no longer registered; 1 the agent could not be set up or kept \
running; 69 still registered, since the server did not answer; 75 still registered, with a job that no \
listener could take; 77 still registered, since the credential may not remove it; 78 the configuration \
is wrong; with --job-outcome 102 the job failed, 103 it was cancelled, 105 it was abandoned, 120 \
its outcome is not known.")]
pub struct RunArgs {
    /// The organization or collection, such as https://dev.azure.com/contoso.
    #[arg(long, env = "AZP_URL", value_name = "URL")]
    url: Option<String>,

    /// The agent pool.
    #[arg(long, env = "AZP_POOL", value_name = "NAME", default_value = POOL)]
    pool: String,

    /// The agent's name in its pool. Unset: the host's name, which in Kubernetes is the pod's.
    #[arg(long, env = "AZP_AGENT_NAME", value_name = "NAME")]
    name: Option<String>,

    /// What tells this cluster from others that use the same pools, as --cluster-name of azp-scaler.
    /// An agent that is called like its pod says so, and azp-scaler's reaper takes it out of its pool
    /// when its pod is gone. Unset: it never does.
    #[arg(long, env = "AZP_CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<String>,

    /// The folder of jobs, in the agent's folder unless it begins with a slash.
    #[arg(long, env = "AZP_WORK", value_name = "PATH", default_value = WORK)]
    work: String,

    /// A file that holds the token. It is removed once it is read, so that jobs cannot read it;
    /// where that cannot be done, it is followed, and a warning says that jobs can read it.
    #[arg(long, env = "AZP_TOKEN_FILE", value_name = "PATH")]
    pub(super) token_file: Option<String>,

    /// The client id of an application in Entra ID; its secret comes by AZP_CLIENTSECRET.
    #[arg(long, env = "AZP_CLIENTID", value_name = "ID")]
    client_id: Option<String>,

    /// The tenant of that application.
    #[arg(long, env = "AZP_TENANTID", value_name = "ID")]
    tenant_id: Option<String>,

    /// What the agent can do, as in the trigger of its scaling object: docker, java=17.
    #[arg(
        long,
        env = "AZP_CAPABILITIES",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true
    )]
    capabilities: String,

    /// Run one job, deregister and exit: for Jobs.
    #[arg(long, env = "AZP_ONCE", value_parser = FalseyValueParser::new(), conflicts_with = "once_loop")]
    once: bool,

    /// Run one job after the other, each with a fresh listener and an empty work folder: for
    /// Deployments.
    #[arg(long, env = "AZP_ONCE_LOOP", value_parser = FalseyValueParser::new())]
    once_loop: bool,

    /// Leave after so long without a job, such as 5m. Unset: never.
    #[arg(long, env = "AZP_IDLE_TIMEOUT", value_name = "DURATION")]
    idle_timeout: Option<String>,

    /// Exit with the outcome of the job (with --once): see the exit codes.
    #[arg(long, env = "AZP_JOB_OUTCOME", value_parser = FalseyValueParser::new(), requires = "once")]
    job_outcome: bool,

    /// How long to try to deregister while the server does not answer. A job is waited for however
    /// long it takes.
    #[arg(
        long,
        env = "AZP_LEAVE_WITHIN",
        value_name = "DURATION",
        default_value = LEAVE_WITHIN
    )]
    leave_within: String,

    /// How often the server is asked whether it still sees the agent, while no job runs.
    #[arg(
        long,
        env = "AZP_SESSION_CHECK",
        value_name = "DURATION",
        default_value = SESSION_CHECK
    )]
    session_check: String,

    /// The folder of the agent's software; without config.sh in it, the package that the
    /// organization names is unpacked there. Unset: the current folder where that holds config.sh,
    /// else /azp/agent.
    #[arg(long, env = "AZP_AGENT_HOME", value_name = "PATH")]
    home: Option<String>,

    /// Certificate authorities (PEM) that are trusted beside the system's, also by the agent.
    #[arg(long, env = "AZP_CA", value_name = "PATH")]
    ca: Option<String>,

    /// A file, or a folder with a file `config`, that becomes ~/.aws/config where it is there.
    #[arg(long, env = "AZP_AWS_CONFIG", value_name = "PATH", default_value = AWS_CONFIG)]
    aws_config: String,

    /// Where to serve Prometheus metrics, such as 0.0.0.0:9465. Unset: nowhere.
    #[arg(long, env = "AZP_METRICS_LISTEN", value_name = "ADDRESS")]
    metrics_listen: Option<String>,

    /// Where probe and status are answered.
    #[arg(long, env = "AZP_SOCKET", value_name = "PATH", default_value = ask::SOCKET)]
    socket: String,

    /// What is logged: a level, or a filter of tracing.
    #[arg(long, env = "AZP_LOG", value_name = "FILTER", default_value = LOG)]
    log: String,

    /// text or json. Unset: json, unless standard error is a terminal.
    #[arg(long, env = "AZP_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
}

/// How many jobs an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One after the other, by one listener.
    Keep,
    /// One.
    Once,
    /// One after the other, each by a listener and in a work folder of its own.
    OnceLoop,
}

/// What `run` needs to know.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The organization or collection.
    pub organization: OrganizationUrl,
    /// The agent pool's name.
    pub pool: Box<str>,
    /// The agent's name.
    pub name: Box<str>,
    /// The folder of jobs, as `config.sh` is told.
    pub work: PathBuf,
    /// The folder of the agent's software.
    pub home: PathBuf,
    /// Its platform, such as `linux-x64`.
    pub platform: String,
    /// Where the credential comes from.
    pub token_place: TokenPlace,
    /// The credential.
    pub token: TokenConfig,
    /// The secrets of the environment, for `config.sh` alone.
    pub secrets: Secrets,
    /// How the organization and the authority are reached.
    pub connection: ConnectionSettings,
    /// What the agent declares.
    pub capabilities: Capabilities,
    /// Whose agent it is: the pod's namespace where it is known.
    pub owner: Option<String>,
    /// The cluster of its pod, where it was told and the agent is called like the pod.
    pub cluster: Option<Box<str>>,
    /// How many jobs it runs.
    pub mode: Mode,
    /// It leaves after so long without a job.
    pub idle_timeout: Option<Duration>,
    /// Is the outcome of the job the exit code?
    pub job_outcome: bool,
    /// How long a silent server is asked to deregister the agent.
    pub leave_within: Duration,
    /// How often the server is asked whether it sees the agent.
    pub session_check: Duration,
    /// A file or folder of AWS profiles, which need not be there.
    pub aws_config: PathBuf,
    /// The home of the user, where it is known.
    pub user_home: Option<PathBuf>,
    /// Where metrics are served.
    pub metrics_listen: Option<SocketAddr>,
    /// Where probe and status are answered.
    pub socket: PathBuf,
    /// The environment of what is started, without secrets.
    pub variables: Vec<(OsString, OsString)>,
    /// What is logged.
    pub log: String,
    /// As JSON? `None`: where standard error is no terminal.
    pub log_json: Option<bool>,
}

// === impl RunArgs ===

impl RunArgs {
    /// The file that holds the token.
    #[must_use]
    pub fn token_file(&self) -> Option<PathBuf> {
        path(self.token_file.as_deref())
    }

    /// Checks everything.
    ///
    /// # Errors
    /// Every problem at once, each with its flag or variable and a remedy.
    pub fn resolve(&self, secrets: &Secrets) -> Result<RunConfig, ConfigError> {
        let mut problems = ConfigError::default();
        let whole = Whole { secrets };
        match self.read(&whole, secrets, &mut problems) {
            Some(config) if problems.problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    /// `None` only where a problem was noted.
    fn read(
        &self,
        environment: &impl Environment,
        secrets: &Secrets,
        problems: &mut ConfigError,
    ) -> Option<RunConfig> {
        let organization = organization(self.url.clone(), problems);
        let name = named(self.name.clone()).or_else(home::host);
        if name.is_none() {
            problems.add(
                "AZP_AGENT_NAME",
                "is not set, and the host has no name; set it",
            );
        }
        let cluster = named(self.cluster_name.clone()).map(|text| cluster_name(&text));
        let cluster = problems.take("AZP_CLUSTER_NAME", cluster.transpose());
        let work = PathBuf::from(or(&self.work, WORK));
        let names = Names {
            client: named(self.client_id.clone()),
            tenant: named(self.tenant_id.clone()),
        };
        let token = credential::read(&names, secrets, environment, problems);
        let capabilities = self.capabilities(problems);
        let idle_timeout = named(self.idle_timeout.clone()).map(|text| {
            let bounds = seconds(1)..=seconds(7 * DAY);
            problems.take("AZP_IDLE_TIMEOUT", quantity::duration(&text, bounds))
        });
        let leave = quantity::duration(
            or(&self.leave_within, LEAVE_WITHIN),
            seconds(1)..=seconds(DAY),
        );
        let leave_within = problems.take("AZP_LEAVE_WITHIN", leave);
        let check = Duration::from_millis(100)..=seconds(60 * MINUTE);
        let check = quantity::duration(or(&self.session_check, SESSION_CHECK), check);
        let session_check = problems.take("AZP_SESSION_CHECK", check);
        let metrics_listen = named(self.metrics_listen.clone())
            .map(|text| problems.take("AZP_METRICS_LISTEN", address(&text)));
        let log_json = problems.take(
            "AZP_LOG_FORMAT",
            log_json(named(self.log_format.clone()).as_deref()),
        );
        let folder = home::folder(path(self.home.as_deref()));
        let user_home = environment.variable("HOME").map(PathBuf::from);
        if self.once_loop && home::holds_more_than_work(&folder, &work, user_home.as_deref()) {
            let what = "holds the agent's own folder or the user's home, and would be emptied after \
                        each job with --once-loop; name a folder of its own, such as _work";
            problems.add("AZP_WORK", what);
        }
        let (token_place, token) = token?;
        // By another name nobody could find its pod.
        let is_its_pods = name.is_some() && name == home::host();
        let cluster = cluster?.filter(|_| is_its_pods);
        Some(RunConfig {
            organization: organization?,
            pool: or(&self.pool, POOL).into(),
            name: name?.into(),
            work,
            home: folder,
            platform: home::platform(environment),
            token_place,
            token,
            secrets: secrets.clone(),
            connection: ConnectionSettings {
                ca: path(self.ca.as_deref()),
                ..ConnectionSettings::default()
            },
            capabilities: capabilities?,
            owner: home::namespace(),
            cluster,
            mode: self.mode(),
            idle_timeout: idle_timeout.flatten(),
            job_outcome: self.job_outcome,
            leave_within: leave_within?,
            session_check: session_check?,
            aws_config: or(&self.aws_config, AWS_CONFIG).into(),
            user_home,
            metrics_listen: metrics_listen.flatten(),
            socket: or(&self.socket, ask::SOCKET).into(),
            variables: variables(),
            log: or(&self.log, LOG).to_owned(),
            log_json: log_json?,
        })
    }

    fn mode(&self) -> Mode {
        match (self.once, self.once_loop) {
            (true, _) => Mode::Once,
            (false, true) => Mode::OnceLoop,
            (false, false) => Mode::Keep,
        }
    }

    fn capabilities(&self, problems: &mut ConfigError) -> Option<Capabilities> {
        match Capabilities::parse(&self.capabilities) {
            Ok(capabilities) => Some(capabilities),
            Err(errors) => {
                for error in errors {
                    problems.add("AZP_CAPABILITIES", error);
                }
                None
            }
        }
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What was given; start.sh takes an empty variable for one that is not set.
fn named(given: Option<String>) -> Option<String> {
    given
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

fn path(given: Option<&str>) -> Option<PathBuf> {
    given.filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// What was given, or what stands for nothing.
fn or<'a>(given: &'a str, usual: &'a str) -> &'a str {
    match given.trim() {
        "" => usual,
        given => given,
    }
}

/// The organization, or the problem noted.
pub(super) fn organization(
    url: Option<String>,
    problems: &mut ConfigError,
) -> Option<OrganizationUrl> {
    let Some(url) = named(url) else {
        let what = "is not set; set the organization's address, such as \
                    https://dev.azure.com/contoso";
        problems.add("AZP_URL", what);
        return None;
    };
    problems.take("AZP_URL", OrganizationUrl::parse(&url))
}

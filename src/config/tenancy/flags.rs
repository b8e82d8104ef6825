//! The flags about organizations and tokens.
//!
//! May import: its siblings, domain. Invariant: there is an organization and a
//! credential for it, out of the two variables, the file, or both.

use std::path::PathBuf;

use super::{
    super::{ConfigError, Environment, secrets::Places},
    ParallelJobs, TenancyConfig, TokenConfig,
};
use crate::domain::organization::OrganizationUrl;

/// The flags, as text.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints these comments as they are"
)]
pub struct TenancyArgs {
    /// The organization: https://dev.azure.com/ORGANIZATION or https://HOST/COLLECTION.
    #[arg(long, env = "AZP_URL", value_name = "URL", hide_env_values = true)]
    url: Option<String>,

    /// A file that holds the token; instead of AZP_TOKEN. It is read again when it changes.
    #[arg(long, env = "AZP_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,

    /// A YAML file of organizations, credentials and who may use them; beside AZP_URL and AZP_TOKEN
    /// or instead of them. See docs/tenancy.md.
    #[arg(long, env = "AZP_TENANCY", value_name = "PATH")]
    tenancy: Option<PathBuf>,

    /// What the parallel jobs of an organization are to the numbers: cap reads them and starts no
    /// agents for more jobs than may run at once; ignore does without. For organizations that say
    /// nothing of it in the file. See docs/parallel-jobs.md.
    #[arg(
        long,
        env = "AZP_PARALLEL_JOBS",
        value_name = "WHAT",
        default_value = "ignore"
    )]
    parallel_jobs: String,
}

// === impl TenancyArgs ===

impl TenancyArgs {
    /// `None` only where a problem was noted.
    pub(in crate::config) fn read(
        &self,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<TenancyConfig> {
        let usual = problems.take("--parallel-jobs", ParallelJobs::parse(&self.parallel_jobs));
        let config = self.read_organizations(environment, problems)?;
        Some(config.with_parallel_jobs(usual?))
    }

    fn read_organizations(
        &self,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<TenancyConfig> {
        let file = match self.tenancy.as_deref().map(TenancyConfig::load) {
            None => None,
            Some(Ok(file)) => Some(file),
            Some(Err(error)) => {
                problems.problems.extend(error.problems);
                return None;
            }
        };
        if file.is_some() && self.url.is_none() && !self.names_a_token(environment) {
            return file;
        }
        let url = self.url(problems);
        let token = self.token(environment, problems);
        let single = TenancyConfig::single(url?, token?);
        let Some(file) = file else {
            return Some(single);
        };
        match single.merged(file) {
            Ok(both) => Some(both),
            Err(error) => {
                problems.problems.extend(error.problems);
                None
            }
        }
    }

    fn names_a_token(&self, environment: &impl Environment) -> bool {
        self.token_file.is_some() || environment.variable("AZP_TOKEN").is_some()
    }

    fn url(&self, problems: &mut ConfigError) -> Option<OrganizationUrl> {
        let Some(text) = self.url.as_deref() else {
            let what = "is not set; set AZP_URL to https://dev.azure.com/ORGANIZATION or \
                https://HOST/COLLECTION, or give a file by --tenancy";
            problems.add("AZP_URL", what);
            return None;
        };
        problems.take("AZP_URL or --url", OrganizationUrl::parse(text))
    }

    /// A file is read here too, so that a wrong one is told at the start.
    fn token(
        &self,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<TokenConfig> {
        let places = Places {
            variable: "AZP_TOKEN",
            file_flag: "AZP_TOKEN_FILE or --token-file",
            file: self.token_file.as_deref(),
        };
        let before = problems.problems.len();
        let token = places.read(environment, problems);
        if token.is_none() && problems.problems.len() == before {
            let what = "is not set; set AZP_TOKEN, or AZP_TOKEN_FILE (--token-file) to a file \
                that holds a personal access token with the scope Agent Pools (Read)";
            problems.add("AZP_TOKEN", what);
        }
        token.map(|token| match &self.token_file {
            Some(path) => TokenConfig::File(path.clone()),
            None => TokenConfig::Fixed(token),
        })
    }
}

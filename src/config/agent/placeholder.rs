//! `azp-agent placeholder`: its flags, and the file of placeholders.
//!
//! May import: its siblings, domain, bounded. Invariants: the file holds no secret,
//! and is either whole or refused with every problem that it has; an owner's mark
//! is never empty, since it is all that tells its placeholders from other agents.

use std::{path::PathBuf, time::Duration};

use super::{
    ConfigError, Environment, Process, Whole, credential,
    credential::Names,
    handover::{SECRETS, Secrets},
    run::organization,
};
use crate::{
    bounded::read_text,
    config::{
        ConnectionSettings, TokenConfig, quantity,
        tree::{self, Fields, Notes, Place, Value},
    },
    domain::{
        capability::{Capabilities, CapabilityValue},
        leftover::PLACEHOLDER,
        organization::OrganizationUrl,
        placeholder::Placeholder,
        pool::same_name,
    },
};

/// Thousands of placeholders are below it; in bytes.
const LARGEST: u64 = 1 << 20;

/// The longest name of an owner, an agent or a pool, in characters.
const LONGEST_NAME: usize = 256;

/// Azure DevOps: an agent tells no value of 1024 characters or more.
const LONGEST_VALUE: usize = 1023;

/// The flags of `placeholder apply` and `placeholder remove`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints these comments as they are"
)]
#[command(after_help = "\
The file:
  organization: https://dev.azure.com/contoso   # or AZP_URL
  owner: ci/agents                              # only agents with this mark are touched
  placeholders:
  - name: linux-placeholder
    pool: k8s-linux
    capabilities: docker, java=17

The token comes from the environment, as for azp-agent run. It needs the scope Agent Pools (Read & \
manage) and the role Administrator on the pools.

Exit codes: 0 all is as the file says; 1 the server refused it for another reason, or a pool is not \
there; 69 the server did not answer for --within; 73 an agent of a placeholder's name is somebody \
else's: no agent is touched; 75 a placeholder that was to go has an agent that runs by its name; 77 the \
credential may not do this, or there is none; 78 the configuration or the file is wrong.")]
pub struct PlaceholderArgs {
    /// The file that names the owner and the placeholders.
    #[arg(long, value_name = "PATH")]
    file: PathBuf,

    /// A pool to look at beside those of the file: the owner's placeholders that are there go. May be
    /// given again.
    #[arg(long, value_name = "POOL")]
    also_pool: Vec<String>,

    /// How long to try again what fails in passing.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    within: String,

    /// The organization or collection, where the file names none.
    #[arg(long, env = "AZP_URL", value_name = "URL")]
    url: Option<String>,

    /// The client id of an application in Entra ID; its secret comes by AZP_CLIENTSECRET.
    #[arg(long, env = "AZP_CLIENTID", value_name = "ID")]
    client_id: Option<String>,

    /// The tenant of that application.
    #[arg(long, env = "AZP_TENANTID", value_name = "ID")]
    tenant_id: Option<String>,

    /// Certificate authorities (PEM) that are trusted beside the system's.
    #[arg(long, env = "AZP_CA", value_name = "PATH")]
    ca: Option<String>,
}

/// What `placeholder` needs to know.
#[derive(Clone, Debug)]
pub struct PlaceholderConfig {
    /// The organization or collection.
    pub organization: OrganizationUrl,
    /// The credential.
    pub token: TokenConfig,
    /// How the organization is reached.
    pub connection: ConnectionSettings,
    /// The mark.
    pub owner: Box<str>,
    /// The pools that are looked at, each once, with their placeholders.
    pub pools: Vec<(Box<str>, Vec<Placeholder>)>,
    /// How long is tried again what fails in passing.
    pub within: Duration,
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
struct File {
    organization: Option<OrganizationUrl>,
    owner: Box<str>,
    pools: Vec<(Box<str>, Vec<Placeholder>)>,
}

// === impl PlaceholderArgs ===

impl PlaceholderArgs {
    /// Checks everything, and reads the file and the secrets.
    ///
    /// # Errors
    /// Every problem at once, each with its flag, variable or line and a remedy.
    pub fn resolve(self) -> Result<PlaceholderConfig, ConfigError> {
        let mut problems = ConfigError::default();
        let secrets = Secrets::of(SECRETS, &Process);
        let environment = Whole { secrets: &secrets };
        let config = self.read(&environment, &secrets, &mut problems);
        match config {
            Some(config) if problems.problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    /// `None` only where a problem was noted.
    fn read(
        self,
        environment: &impl Environment,
        secrets: &Secrets,
        problems: &mut ConfigError,
    ) -> Option<PlaceholderConfig> {
        let name = self.file.display().to_string();
        let text = problems.take(&name, read_text(&self.file, LARGEST));
        let file = text.and_then(|text| File::parse(&text, &mut Notes::new(&name, problems)));
        // A variable that a chart leaves blank is there and empty.
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let names = Names {
            client: given(self.client_id),
            tenant: given(self.tenant_id),
        };
        let token = match environment.variable("AZP_TOKEN_FILE") {
            // No job runs here, so that the file can stay.
            Some(file) if names.client.is_none() => Some(TokenConfig::File(file.into())),
            _ => credential::read(&names, secrets, environment, problems).map(|(_, token)| token),
        };
        let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
        let within = problems.take("--within", quantity::duration(&self.within, bounds));
        let mut file = file?;
        for pool in &self.also_pool {
            let pool = short(pool.trim()).map(|pool| in_pool(&mut file.pools, pool));
            problems.take("--also-pool", pool);
        }
        let organization = match file.organization {
            Some(organization) => Some(organization),
            None => organization(self.url, problems),
        };
        Some(PlaceholderConfig {
            organization: organization?,
            token: token?,
            connection: ConnectionSettings {
                ca: given(self.ca).map(PathBuf::from),
                ..ConnectionSettings::default()
            },
            owner: file.owner,
            pools: file.pools,
            within: within?,
        })
    }
}

// === impl File ===

impl File {
    fn parse(text: &str, notes: &mut Notes<'_>) -> Option<Self> {
        let before = notes.count();
        let tree = tree::parse(text, notes)?;
        if matches!(tree.value, Value::Nothing) {
            notes.whole("is empty; it needs owner and placeholders");
            return None;
        }
        let known = ["organization", "owner", "placeholders"];
        let top = Place::whole(&tree).fields(&known, notes)?;
        let organization = top
            .text("organization", notes)
            .and_then(|(place, url)| place.take(OrganizationUrl::parse(url), notes));
        let owner = top.require("owner", notes);
        let owner = owner.and_then(|owner| named(&owner, notes));
        let mut pools = Vec::new();
        if let Some(list) = top.require("placeholders", notes) {
            // An owner may have none left.
            let none = matches!(list.value(), Value::List(items) if items.is_empty());
            let list = if none { None } else { list.list(notes) };
            for place in list.unwrap_or_default() {
                add(&mut pools, &place, notes);
            }
        }
        let file = Self {
            organization,
            owner: owner?,
            pools,
        };
        (notes.count() == before).then_some(file)
    }
}

/// Reads one placeholder.
fn add(
    pools: &mut Vec<(Box<str>, Vec<Placeholder>)>,
    place: &Place<'_>,
    notes: &mut Notes<'_>,
) -> Option<()> {
    let fields = place.fields(&["name", "pool", "capabilities"], notes)?;
    let name = fields.require("name", notes);
    let name = name.and_then(|name| named(&name, notes));
    let pool = fields.require("pool", notes);
    let pool = pool.and_then(|pool| named(&pool, notes));
    let capabilities = capabilities(&fields, notes);
    let placeholder = Placeholder {
        name: name?,
        capabilities: capabilities?,
    };
    let there = in_pool(pools, &pool?);
    if there
        .iter()
        .any(|one| same_name(&one.name, &placeholder.name))
    {
        let what = format_args!("{:?} stands there twice for this pool", placeholder.name);
        place.note(what, notes);
    }
    there.push(placeholder);
    Some(())
}

/// The placeholders of this pool, however its name is spelt.
fn in_pool<'p>(
    pools: &'p mut Vec<(Box<str>, Vec<Placeholder>)>,
    pool: &str,
) -> &'p mut Vec<Placeholder> {
    let known = pools.iter().position(|(known, _)| same_name(known, pool));
    let index = known.unwrap_or_else(|| {
        pools.push((pool.into(), Vec::new()));
        pools.len() - 1
    });
    &mut pools[index].1
}

fn named(place: &Place<'_>, notes: &mut Notes<'_>) -> Option<Box<str>> {
    let text = place.text(notes)?;
    place.take(short(text).map(Into::into), notes)
}

/// A name stands in lists and messages, so it is one short line.
fn short(name: &str) -> Result<&str, String> {
    if name.is_empty() {
        return Err("is empty; write a name".to_owned());
    }
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "is no name: more than {LONGEST_NAME} characters, or a line break"
        ));
    }
    Ok(name)
}

/// None are given where the agents have nothing but what every agent has.
fn capabilities(fields: &Fields<'_>, notes: &mut Notes<'_>) -> Option<Capabilities> {
    let Some(place) = fields.get("capabilities") else {
        return Some(Capabilities::default());
    };
    // Text, as in a trigger, where an empty one is none as well.
    let text = match place.value() {
        Value::Text(text) => text,
        Value::Nothing => "",
        _ => place.text(notes)?,
    };
    let capabilities = match Capabilities::parse(text) {
        Ok(capabilities) => capabilities,
        Err(problems) => {
            for problem in problems {
                place.note(problem, notes);
            }
            return None;
        }
    };
    if capabilities.get(PLACEHOLDER).is_some() {
        let what = format_args!("{PLACEHOLDER} is the mark of the owner; leave it out");
        place.note(what, notes);
    }
    let long = capabilities.iter().find(|capability| {
        matches!(&capability.value, CapabilityValue::Text(text) if text.chars().count() > LONGEST_VALUE)
    });
    if let Some(long) = long {
        let what = format_args!(
            "the value of {} is longer than {LONGEST_VALUE} characters, which no agent tells; \
             shorten it",
            long.name
        );
        place.note(what, notes);
    }
    Some(capabilities)
}

#[cfg(test)]
#[path = "placeholder_tests.rs"]
mod tests;

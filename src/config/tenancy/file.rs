//! The tenancy file: organizations, credentials, own tokens.
//!
//! May import: its siblings, domain, bounded. Invariant: what the file leaves out is
//! never wider than what its reader would expect: a key without a value is a
//! problem, not «all»; an organization that a credential names is on the list.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{
    super::{
        ConfigError, Environment, Process, quantity, secrets,
        tree::{self, Fields, Notes, Place, Value},
    },
    ConnectionConfig, ConnectionSettings, CredentialConfig, ParallelJobs, ProxyConfig, ProxyLogin,
    TenancyConfig, sources,
};
use crate::{
    bounded::read_text,
    domain::{
        organization::OrganizationUrl,
        pool::{PoolId, PoolRef},
        tenancy::{CredentialRule, NamespacePattern, Rules},
    },
};

/// Ten thousand credentials are below it; in bytes.
const LARGEST: u64 = 4 << 20;

const CONNECTION: [&str; 6] = [
    "ca",
    "proxy",
    "proxyFile",
    "noProxy",
    "requestTimeout",
    "connectTimeout",
];

const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

// === impl TenancyConfig ===

impl TenancyConfig {
    /// Reads a file, and the environment where the file refers to it.
    ///
    /// # Errors
    /// Every problem at once, each with its line and a remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut problems = ConfigError::default();
        let config = Self::read(path, &Process, &mut problems);
        config.ok_or(problems)
    }

    /// Reads a file; `None` only where a problem was noted.
    pub(in crate::config) fn read(
        path: &Path,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<Self> {
        let name = path.display().to_string();
        let text = problems.take(&name, read_text(path, LARGEST))?;
        Self::parse(&text, environment, &mut Notes::new(&name, problems))
    }

    pub(super) fn parse(
        text: &str,
        environment: &impl Environment,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let before = notes.count();
        let tree = tree::parse(text, notes)?;
        if matches!(tree.value, Value::Nothing) {
            notes.whole("is empty; it needs credentials, or ownTokens and organizations");
            return None;
        }
        let known = ["organizations", "authority", "credentials", "ownTokens"];
        let top = Place::whole(&tree).fields(&known, notes)?;
        let (connections, parallel_jobs) = organizations(&top, notes);
        let mut config = Self {
            rules: Rules::default(),
            connections,
            parallel_jobs,
            authority: authority(&top, notes),
            credentials: Vec::new(),
        };
        let closed = top.get("organizations").is_some();
        for place in list(&top, "credentials", notes) {
            config.add(&place, closed, environment, notes);
        }
        config.rules.own_tokens = own_tokens(&top, notes);
        config.rules.organizations = config.organizations().cloned().collect();
        if notes.count() == before {
            config.check(notes);
        }
        (notes.count() == before).then_some(config)
    }

    fn organizations(&self) -> impl Iterator<Item = &OrganizationUrl> {
        self.connections.iter().map(|known| &known.organization)
    }

    /// Reads one credential. `closed`: the file has a list of organizations.
    fn add(
        &mut self,
        place: &Place<'_>,
        closed: bool,
        environment: &impl Environment,
        notes: &mut Notes<'_>,
    ) {
        let own = ["name", "organizations", "namespaces", "pools"];
        let known = [&own[..], &sources::KINDS].concat();
        let Some(fields) = place.fields(&known, notes) else {
            return;
        };
        let name = self.name(&fields, notes);
        let organizations = self.sent_to(&fields, closed, notes);
        let namespaces = fields.get("namespaces");
        let namespaces = namespaces.map(|place| patterns(&place, notes));
        let pools = fields.get("pools").map(|place| pools(&place, notes));
        let token = sources::token(&fields, environment, notes);
        let (Some(name), Some(token)) = (name, token) else {
            return;
        };
        self.rules.credentials.push(CredentialRule {
            name: name.clone(),
            organizations,
            namespaces,
            pools,
        });
        self.credentials.push(CredentialConfig { name, token });
    }

    fn name(&self, fields: &Fields<'_>, notes: &mut Notes<'_>) -> Option<Box<str>> {
        let place = fields.require("name", notes)?;
        let name = place.text(notes)?;
        let part = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
        if name.len() > 63 || !name.chars().all(part) {
            place.note(
                format_args!("{name:?} is no name; use up to 63 letters, digits, -, _ and ."),
                notes,
            );
            return None;
        }
        if self.credentials.iter().any(|known| &*known.name == name) {
            place.note(format_args!("{name:?} is taken; choose another"), notes);
            return None;
        }
        Some(name.into())
    }

    /// Where a credential is sent. An organization keeps the spelling in which
    /// it came first.
    fn sent_to(
        &mut self,
        fields: &Fields<'_>,
        closed: bool,
        notes: &mut Notes<'_>,
    ) -> Vec<OrganizationUrl> {
        let Some(place) = fields.get("organizations") else {
            if let [only] = &*self.connections
                && closed
            {
                return vec![only.organization.clone()];
            }
            let what = "organizations is missing; name those that it may be sent to";
            fields.place.note(what, notes);
            return Vec::new();
        };
        let mut sent_to: Vec<OrganizationUrl> = Vec::new();
        for place in place.list(notes).unwrap_or_default() {
            let Some(url) = url(&place, notes) else {
                continue;
            };
            let known = self
                .organizations()
                .find(|known| known.is_same(&url))
                .cloned();
            let organization = match known {
                Some(known) => known,
                None if closed => {
                    let what = format!("{url} is not among organizations above; add it there");
                    place.note(what, notes);
                    continue;
                }
                None => {
                    self.connections.push(ConnectionConfig {
                        organization: url.clone(),
                        settings: ConnectionSettings::default(),
                    });
                    url
                }
            };
            if sent_to.contains(&organization) {
                place.note(format_args!("{organization} stands there twice"), notes);
            } else {
                sent_to.push(organization);
            }
        }
        sent_to
    }

    /// What no part can tell alone.
    fn check(&self, notes: &mut Notes<'_>) {
        let rules = &self.rules;
        if rules.credentials.is_empty() && rules.own_tokens.is_empty() {
            notes.whole("has neither credentials nor ownTokens, so that nobody could use anything");
        }
        if rules.organizations.is_empty() {
            notes.whole("has no organization; name those that requests may go to");
        }
    }
}

fn list<'t>(fields: &Fields<'t>, key: &str, notes: &mut Notes<'_>) -> Vec<Place<'t>> {
    let place = fields.get(key);
    place
        .and_then(|place| place.list(notes))
        .unwrap_or_default()
}

/// How each is reached, and whether its parallel jobs cap the numbers where it says so.
fn organizations(
    top: &Fields<'_>,
    notes: &mut Notes<'_>,
) -> (Vec<ConnectionConfig>, Vec<(OrganizationUrl, ParallelJobs)>) {
    let mut connections: Vec<ConnectionConfig> = Vec::new();
    let mut parallel_jobs = Vec::new();
    for place in list(top, "organizations", notes) {
        let known = [&["url", "parallelJobs"][..], &CONNECTION].concat();
        let Some(fields) = place.fields(&known, notes) else {
            continue;
        };
        let settings = connection(&fields, notes);
        let said = fields.text("parallelJobs", notes);
        let said = said.and_then(|(place, word)| place.take(ParallelJobs::parse(word), notes));
        let Some(place) = fields.require("url", notes) else {
            continue;
        };
        let Some(organization) = url(&place, notes) else {
            continue;
        };
        let twice = |known: &ConnectionConfig| known.organization.is_same(&organization);
        if connections.iter().any(twice) {
            place.note(format_args!("{organization} stands there twice"), notes);
        }
        parallel_jobs.extend(said.map(|said| (organization.clone(), said)));
        connections.push(ConnectionConfig {
            organization,
            settings,
        });
    }
    (connections, parallel_jobs)
}

fn url(place: &Place<'_>, notes: &mut Notes<'_>) -> Option<OrganizationUrl> {
    let text = place.text(notes)?;
    place.take(OrganizationUrl::parse(text), notes)
}

fn authority(top: &Fields<'_>, notes: &mut Notes<'_>) -> ConnectionSettings {
    let fields = top
        .get("authority")
        .and_then(|place| place.fields(&CONNECTION, notes));
    fields
        .map(|fields| connection(&fields, notes))
        .unwrap_or_default()
}

fn connection(fields: &Fields<'_>, notes: &mut Notes<'_>) -> ConnectionSettings {
    let ca = fields
        .text("ca", notes)
        .map(|(_, path)| PathBuf::from(path));
    let mut timeout = |key| {
        let (place, text) = fields.text(key, notes)?;
        let bounds = Duration::from_millis(100)..=LONGEST_TIMEOUT;
        place.take(quantity::duration(text, bounds), notes)
    };
    ConnectionSettings {
        ca,
        request_timeout: timeout("requestTimeout"),
        connect_timeout: timeout("connectTimeout"),
        proxy: proxy(fields, notes),
    }
}

fn proxy(fields: &Fields<'_>, notes: &mut Notes<'_>) -> Option<ProxyConfig> {
    let except = fields.text("noProxy", notes);
    let (place, text) = match (fields.text("proxy", notes), fields.text("proxyFile", notes)) {
        (None, None) => {
            if let Some((place, _)) = except {
                place.note("means nothing without proxy or proxyFile", notes);
            }
            return None;
        }
        (Some(_), Some((place, _))) => {
            place.note("and proxy are both there; keep one of them", notes);
            return None;
        }
        (Some((place, text)), None) => (place, SecretString::from(text)),
        (None, Some((place, path))) => {
            let read = secrets::from_file(Path::new(path));
            let text = place.take(read, notes)?;
            (place, text)
        }
    };
    let in_file = fields.get("proxyFile").is_some();
    let (url, login) = place.take(proxy_url(text.expose_secret(), in_file), notes)?;
    Some(ProxyConfig {
        url,
        login,
        except: except.map(|(_, hosts)| hosts.into()),
    })
}

/// The proxy's address apart from who signs in there. No problem repeats any of
/// it, since a password may be within.
fn proxy_url(text: &str, in_file: bool) -> Result<(Url, Option<ProxyLogin>), &'static str> {
    const FORM: &str = "is no proxy; write http://HOST:PORT or https://HOST:PORT";
    let mut url = Url::parse(text).map_err(|_| FORM)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(FORM);
    }
    if url.username().is_empty() && url.password().is_none() {
        return Ok((url, None));
    }
    if !in_file {
        return Err(
            "holds a user name or password; put the whole URL in a file and name that in \
            proxyFile",
        );
    }
    let decoded = |text: &str| {
        let pairs = format!("={}", text.replace('+', "%2B"));
        let mut pairs = url::form_urlencoded::parse(pairs.as_bytes());
        pairs
            .next()
            .map(|(_, text)| text.into_owned())
            .unwrap_or_default()
    };
    let login = ProxyLogin {
        user: decoded(url.username()).into(),
        password: decoded(url.password().unwrap_or_default()).into(),
    };
    // Never fails for a URL with a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok((url, Some(login)))
}

fn own_tokens(top: &Fields<'_>, notes: &mut Notes<'_>) -> Vec<NamespacePattern> {
    let place = top.get("ownTokens");
    let fields = place.and_then(|place| place.fields(&["namespaces"], notes));
    let namespaces = fields.and_then(|fields| fields.require("namespaces", notes));
    namespaces
        .map(|place| patterns(&place, notes))
        .unwrap_or_default()
}

fn patterns(place: &Place<'_>, notes: &mut Notes<'_>) -> Vec<NamespacePattern> {
    let places = place.list(notes).unwrap_or_default();
    let pattern = |place: Place<'_>| {
        let text = place.text(notes)?;
        place.take(NamespacePattern::parse(text), notes)
    };
    places.into_iter().filter_map(pattern).collect()
}

fn pools(place: &Place<'_>, notes: &mut Notes<'_>) -> Vec<PoolRef> {
    let places = place.list(notes).unwrap_or_default();
    let pool = |place: Place<'_>| match place.value() {
        Value::Number(number) => {
            let id = u32::try_from(*number);
            let id = id.map_err(|_| "is no pool's number; a name of digits stands in quotes");
            place.take(id, notes).map(|id| PoolRef::Id(PoolId(id)))
        }
        _ => place.text(notes).map(|name| PoolRef::Name(name.into())),
    };
    places.into_iter().filter_map(pool).collect()
}

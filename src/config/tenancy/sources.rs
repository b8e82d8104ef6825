//! Where the tenancy file says that tokens come from.
//!
//! May import: its siblings. Invariant: no secret stands in the file, and where
//! one was written there by mistake, no problem repeats it.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::{
    super::{
        Environment, secrets,
        tree::{Fields, Notes, Place, Value},
    },
    Application, IdentityConfig, IdentityEndpoint, SecretSource, TokenConfig,
};

/// The keys of a credential, of which it has one.
pub(super) const KINDS: [&str; 4] = [
    "personalAccessToken",
    "workloadIdentity",
    "clientSecret",
    "managedIdentity",
];

/// Entra ID: the authority of the public cloud.
const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com/";

/// Azure: the instance metadata service, reached from the machine alone.
const METADATA: &str = "http://169.254.169.254/";

/// The one token of a credential.
pub(super) fn token(
    fields: &Fields<'_>,
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<TokenConfig> {
    let found: Vec<(&str, Place<'_>)> = KINDS
        .iter()
        .filter_map(|kind| Some((*kind, fields.get(kind)?)))
        .collect();
    let [(kind, place)] = &*found else {
        let what = format!("has {} of {}; it needs one", found.len(), KINDS.join(", "));
        fields.place.note(what, notes);
        return None;
    };
    match *kind {
        "personalAccessToken" => in_file(place, notes),
        "workloadIdentity" => workload(place, environment, notes).map(TokenConfig::Identity),
        "clientSecret" => client_secret(place, environment, notes).map(TokenConfig::Identity),
        _ => managed(place, environment, notes).map(TokenConfig::Identity),
    }
}

fn in_file(place: &Place<'_>, notes: &mut Notes<'_>) -> Option<TokenConfig> {
    if !matches!(place.value(), Value::Map(_)) {
        let what = "is no place for the token itself; put it in a file and write {file: PATH}";
        place.note(what, notes);
        return None;
    }
    let fields = place.fields(&["file"], notes)?;
    let path = fields.require("file", notes)?.text(notes)?;
    Some(TokenConfig::File(path.into()))
}

fn workload(
    place: &Place<'_>,
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<IdentityConfig> {
    let known = ["clientId", "tenantId", "tokenFile", "authority"];
    let fields = settings(place, &known, notes)?;
    let application = application(&fields, place, environment, notes);
    let variable = "AZURE_FEDERATED_TOKEN_FILE";
    let token_file = setting(&fields, place, ("tokenFile", variable), environment, notes);
    Some(IdentityConfig::Workload {
        application: application?,
        token_file: token_file?.into(),
    })
}

fn client_secret(
    place: &Place<'_>,
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<IdentityConfig> {
    let known = ["clientId", "tenantId", "secretFile", "authority"];
    let fields = settings(place, &known, notes)?;
    let application = application(&fields, place, environment, notes);
    let file = fields.as_ref().and_then(|fields| fields.get("secretFile"));
    let secret = match file {
        Some(place) => place
            .text(notes)
            .map(|path| SecretSource::File(PathBuf::from(path))),
        None => from_variable(
            "AZURE_CLIENT_SECRET",
            "secretFile",
            place,
            environment,
            notes,
        )
        .map(SecretSource::Fixed),
    };
    Some(IdentityConfig::Secret {
        application: application?,
        secret: secret?,
    })
}

fn managed(
    place: &Place<'_>,
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<IdentityConfig> {
    let fields = settings(place, &["clientId", "endpoint"], notes)?;
    let client_id = fields.as_ref().and_then(|fields| fields.get("clientId"));
    let client_id = match client_id {
        Some(place) => Some(identifier(&place, place.text(notes)?, notes)?),
        None => None,
    };
    let endpoint = fields.as_ref().and_then(|fields| fields.get("endpoint"));
    let endpoint = match endpoint {
        Some(place) => IdentityEndpoint::Metadata(near(&place, notes)?),
        None => platform(place, environment, notes)?,
    };
    Some(IdentityConfig::Managed {
        client_id,
        endpoint,
    })
}

/// What the platform names, else the metadata service.
fn platform(
    place: &Place<'_>,
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<IdentityEndpoint> {
    let url = match environment.variable("IDENTITY_ENDPOINT") {
        Some(url) => url,
        None => {
            let url = Url::parse(METADATA).map_err(|error| error.to_string());
            return place.take(url, notes).map(IdentityEndpoint::Metadata);
        }
    };
    let url = Url::parse(&url).map_err(|error| format!("IDENTITY_ENDPOINT is no URL ({error})"));
    let url = place.take(url, notes)?;
    let name = "IDENTITY_HEADER";
    let header = from_variable(name, "endpoint", place, environment, notes)?;
    Some(IdentityEndpoint::Platform { url, header })
}

/// The map of a kind; nothing at all where all of it comes from the environment.
#[expect(
    clippy::option_option,
    reason = "outside: is it in order? inside: is it there?"
)]
fn settings<'t>(
    place: &Place<'t>,
    known: &[&str],
    notes: &mut Notes<'_>,
) -> Option<Option<Fields<'t>>> {
    if matches!(place.value(), Value::Nothing) {
        return Some(None);
    }
    place.fields(known, notes).map(Some)
}

fn application(
    fields: &Option<Fields<'_>>,
    place: &Place<'_>,
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<Application> {
    let mut id = |key, variable| {
        let text = setting(fields, place, (key, variable), environment, notes)?;
        identifier(place, &text, notes)
    };
    let client_id = id("clientId", "AZURE_CLIENT_ID");
    let tenant_id = id("tenantId", "AZURE_TENANT_ID");
    let authority = fields.as_ref().and_then(|fields| fields.get("authority"));
    let authority = match authority {
        Some(place) => place
            .text(notes)
            .and_then(|text| secure(&place, text, notes)),
        None => {
            let text = environment.variable("AZURE_AUTHORITY_HOST");
            secure(place, text.as_deref().unwrap_or(PUBLIC_CLOUD), notes)
        }
    };
    Some(Application {
        client_id: client_id?,
        tenant_id: tenant_id?,
        authority: authority?,
    })
}

/// What the file says, else the variable.
fn setting(
    fields: &Option<Fields<'_>>,
    place: &Place<'_>,
    (key, variable): (&str, &str),
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<String> {
    if let Some(own) = fields.as_ref().and_then(|fields| fields.get(key)) {
        return own.text(notes).map(str::to_owned);
    }
    let value = environment.variable(variable);
    let value = value.filter(|value| !value.trim().is_empty());
    if value.is_none() {
        place.note(
            format_args!("{key} is missing; write it, or set {variable}"),
            notes,
        );
    }
    value.map(|value| value.trim().to_owned())
}

fn from_variable(
    variable: &str,
    key: &str,
    place: &Place<'_>,
    environment: &impl Environment,
    notes: &mut Notes<'_>,
) -> Option<SecretString> {
    let Some(value) = environment.variable(variable) else {
        place.note(
            format_args!("{key} is missing; write it, or set {variable}"),
            notes,
        );
        return None;
    };
    let checked = secrets::checked(&value);
    place.take(
        checked.map_err(|error| format!("{variable} {error}")),
        notes,
    )
}

/// A number of Entra ID's, or a domain: a part of a path.
fn identifier(place: &Place<'_>, text: &str, notes: &mut Notes<'_>) -> Option<Box<str>> {
    let part = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    let good = text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if good && text.chars().all(part) {
        return Some(text.into());
    }
    let what = "clientId and tenantId are letters, digits, -, _ and .; copy them from Entra ID";
    place.note(what, notes);
    None
}

/// An address to which secrets go.
fn secure(place: &Place<'_>, text: &str, notes: &mut Notes<'_>) -> Option<Url> {
    let url = address(place, text, notes)?;
    let own = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !own {
        let what = "the authority has no TLS, and the secret would travel in clear text; write \
            https://";
        place.note(what, notes);
        return None;
    }
    Some(url)
}

/// An address of this machine.
fn near(place: &Place<'_>, notes: &mut Notes<'_>) -> Option<Url> {
    let text = place.text(notes)?;
    address(place, text, notes)
}

fn address(place: &Place<'_>, text: &str, notes: &mut Notes<'_>) -> Option<Url> {
    let url = Url::parse(text.trim());
    let good = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
    };
    let url = url.ok().filter(good);
    if url.is_none() {
        place.note("is no address; write https://HOST/", notes);
    }
    url
}

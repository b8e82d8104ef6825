//! The credential of `azp-agent`: which of the ways of `start.sh` is meant.
//!
//! May import: its siblings. Invariant: the order is that of `start.sh`: a file
//! of a token, then an application, then a token; what is passed over is told.

use std::path::PathBuf;

use url::Url;

use super::{ConfigError, Environment, handover::Secrets};
use crate::config::{Application, IdentityConfig, SecretSource, TokenConfig};

/// Who gives out tokens where the environment names nobody else.
const AUTHORITY: &str = "https://login.microsoftonline.com/";

/// Where the credential comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// A file that stays where it is.
    File,
    /// `AZP_TOKEN`, or a file that was taken away.
    Token,
    /// An application with a secret.
    ClientSecret,
    /// An application that proves itself by a token of the cluster.
    WorkloadIdentity,
}

/// The names of an application, as flags have them.
pub(super) struct Names {
    pub(super) client: Option<String>,
    pub(super) tenant: Option<String>,
}

/// The credential, or the problem noted.
pub(super) fn read(
    names: &Names,
    secrets: &Secrets,
    environment: &impl Environment,
    problems: &mut ConfigError,
) -> Option<(TokenPlace, TokenConfig)> {
    if let Some(file) = &secrets.readable {
        return Some((TokenPlace::File, TokenConfig::File(file.path.clone())));
    }
    let federated = environment
        .variable("AZURE_FEDERATED_TOKEN_FILE")
        .map(PathBuf::from);
    let secret = environment.variable("AZP_CLIENTSECRET");
    match (
        &names.client,
        environment.variable("AZP_TOKEN"),
        secret,
        federated,
    ) {
        (Some(_), _, Some(secret), _) => {
            let application = application(names, environment, problems)?;
            let secret = SecretSource::Fixed(secret.into());
            let identity = IdentityConfig::Secret {
                application,
                secret,
            };
            Some((TokenPlace::ClientSecret, TokenConfig::Identity(identity)))
        }
        // The webhook of workload identity sets its variables for every container,
        // so that a token that was given on purpose comes first.
        (Some(_), _, None, Some(token_file)) | (None, None, _, Some(token_file)) => {
            let application = application(names, environment, problems)?;
            let identity = IdentityConfig::Workload {
                application,
                token_file,
            };
            Some((
                TokenPlace::WorkloadIdentity,
                TokenConfig::Identity(identity),
            ))
        }
        (Some(_), None, None, None) => {
            problems.add(
                "AZP_CLIENTSECRET",
                "is not set, and AZP_CLIENTID is; give its secret, or run the pod with workload \
                 identity",
            );
            None
        }
        (_, Some(token), _, _) => Some((TokenPlace::Token, TokenConfig::Fixed(token.into()))),
        (None, None, _, None) => {
            problems.add(
                "AZP_TOKEN",
                "is not set; set it (from a Secret), or AZP_TOKEN_FILE, or AZP_CLIENTID with \
                 AZP_CLIENTSECRET and AZP_TENANTID, or run the pod with workload identity",
            );
            None
        }
    }
}

fn application(
    names: &Names,
    environment: &impl Environment,
    problems: &mut ConfigError,
) -> Option<Application> {
    let mut id = |given: &Option<String>, own: &str, other: &str| {
        let id = given.clone().or_else(|| environment.variable(other));
        if id.is_none() {
            let what = format!("is not set, nor is {other}; set one of them");
            problems.add(own, what);
        }
        id
    };
    let client_id = id(&names.client, "AZP_CLIENTID", "AZURE_CLIENT_ID");
    let tenant_id = id(&names.tenant, "AZP_TENANTID", "AZURE_TENANT_ID");
    let host = environment
        .variable("AZURE_AUTHORITY_HOST")
        .unwrap_or_else(|| AUTHORITY.to_owned());
    let authority = Url::parse(&host).map_err(|error| format!("{error}; write https://HOST/"));
    let authority = problems.take("AZURE_AUTHORITY_HOST", authority);
    Some(Application {
        client_id: client_id?.into(),
        tenant_id: tenant_id?.into(),
        authority: authority?,
    })
}

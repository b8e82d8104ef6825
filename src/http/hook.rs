//! `POST /hooks/azure-devops`: «poll now».
//!
//! May import: scaler's questions, domain, telemetry. Invariant: only 202, 401,
//! 413 and 503 come out. Azure DevOps: 408, 502, 503 and 504 are tried again;
//! 410 ends a subscription at once, and anything else puts it on probation, in
//! which events are lost. A body is believed only so far as to choose whom to
//! wake, and nothing of it is logged.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_LENGTH, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

use super::Shared;
use crate::{
    domain::organization::OrganizationUrl, scaler::answers::Answers,
    telemetry::metrics::HookOutcome,
};

/// The largest body in bytes. Azure DevOps: sends 2 MB at most.
const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// How long a body may take.
const LONGEST_BODY: Duration = Duration::from_secs(10);

/// Bodies in memory at a time; more deliveries are asked to come again.
pub(super) const BODIES_AT_A_TIME: usize = 16;

/// An event names one organization, perhaps in two or three containers.
const MOST_CONTAINERS: usize = 8;

/// The header that holds the secret, where basic authentication does not.
const SECRET_HEADER: &str = "x-azp-hook-secret";

/// What comes out.
#[derive(Debug)]
enum Delivery {
    Accepted(usize),
    Refused(HookOutcome, &'static str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Woken {
    pools_woken: usize,
}

/// What is looked at of an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    resource_containers: HashMap<String, Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    base_url: Option<String>,
}

pub(super) async fn azure_devops<A: Answers>(
    State(shared): State<Arc<Shared<A>>>,
    request: Request,
) -> Response {
    let delivery = match deliver(&shared, request).await {
        Ok(pools_woken) => Delivery::Accepted(pools_woken),
        Err((outcome, message)) => Delivery::Refused(outcome, message),
    };
    shared.site.metrics.hook(delivery.outcome());
    tracing::debug!(?delivery, "a service hook");
    delivery.into_response()
}

/// How many pools were woken, or why none.
async fn deliver<A: Answers>(
    shared: &Shared<A>,
    request: Request,
) -> Result<usize, (HookOutcome, &'static str)> {
    let site = &shared.site;
    let (head, body) = request.into_parts();
    // First, so that a stranger learns nothing and takes no memory.
    authenticate(&head.headers, site.hook_secret.as_ref())?;
    if site.shutdown.is_draining() {
        return Err((HookOutcome::Draining, "the scaler is shutting down"));
    }
    if announced_length(&head.headers).is_some_and(|length| length > LARGEST_BODY) {
        return Err(TOO_LARGE);
    }
    let Ok(_place) = shared.hook_bodies.try_acquire() else {
        return Err((HookOutcome::Busy, "too many deliveries at once"));
    };
    let body = match timeout(LONGEST_BODY, whole(body)).await {
        Ok(body) => body?,
        Err(_) => return Err((HookOutcome::Unfinished, "the body did not come in time")),
    };
    Ok(wake(&*site.answers, &organizations(&body)))
}

const TOO_LARGE: (HookOutcome, &str) = (
    HookOutcome::TooLarge,
    "the body is larger than 2 MiB, which Azure DevOps never sends",
);

/// Azure DevOps: signs nothing, but sends basic authentication or a header of
/// the user's choice.
fn authenticate(
    headers: &HeaderMap,
    secret: Option<&SecretString>,
) -> Result<(), (HookOutcome, &'static str)> {
    let Some(secret) = secret else {
        let message = "the scaler has no hook secret; set AZP_HOOK_SECRET or --hook-secret-file";
        return Err((HookOutcome::Unauthorized, message));
    };
    let secret = secret.expose_secret().as_bytes();
    let in_header = headers.get(SECRET_HEADER).map(|value| value.as_bytes());
    let is_right = |given: &[u8]| bool::from(given.ct_eq(secret));
    if in_header.is_some_and(is_right) || basic_password(headers).as_deref().is_some_and(is_right) {
        return Ok(());
    }
    let message = "the hook secret is missing or wrong; send it as the header X-Azp-Hook-Secret \
        or as the password of basic authentication";
    Err((HookOutcome::Unauthorized, message))
}

fn basic_password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut credentials = BASE64_STANDARD.decode(credentials.trim()).ok()?;
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    Some(credentials.split_off(colon + 1))
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body, if it stays below the bound.
async fn whole(body: Body) -> Result<Vec<u8>, (HookOutcome, &'static str)> {
    let mut parts = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| (HookOutcome::Unfinished, "the body was cut off"))?;
        if whole.len() + part.len() > LARGEST_BODY {
            return Err(TOO_LARGE);
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

/// The organizations that an event names; none where it is not clear, and then
/// all are meant.
#[must_use]
pub fn organizations(body: &[u8]) -> BTreeSet<OrganizationUrl> {
    let Ok(event) = serde_json::from_slice::<Event>(body) else {
        return BTreeSet::new();
    };
    if event.resource_containers.len() > MOST_CONTAINERS {
        return BTreeSet::new();
    }
    let containers = event.resource_containers.into_values();
    let urls = containers.filter_map(|container| container.base_url);
    let organizations = urls.map(|url| {
        // Who writes http may stand behind a proxy that the scaler asks by https.
        let https = url.starts_with("https://");
        OrganizationUrl::parse(&url).ok().filter(|_| https)
    });
    organizations.collect::<Option<_>>().unwrap_or_default()
}

/// Wakes the pools of these organizations, or all where none has any: an
/// organization has more than one address (dev.azure.com/NAME and
/// NAME.visualstudio.com), and reading once too often costs less than a job that
/// waits.
fn wake(answers: &impl Answers, organizations: &BTreeSet<OrganizationUrl>) -> usize {
    let woken = organizations.iter().map(|one| answers.nudge(Some(one)));
    match woken.sum() {
        0 => answers.nudge(None),
        woken => woken,
    }
}

// === impl Delivery ===

impl Delivery {
    const fn outcome(&self) -> HookOutcome {
        match self {
            Self::Accepted(_) => HookOutcome::Accepted,
            Self::Refused(outcome, _) => *outcome,
        }
    }

    const fn status(&self) -> StatusCode {
        match self.outcome() {
            HookOutcome::Accepted => StatusCode::ACCEPTED,
            HookOutcome::Unauthorized => StatusCode::UNAUTHORIZED,
            HookOutcome::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            HookOutcome::Draining | HookOutcome::Busy | HookOutcome::Unfinished => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

impl IntoResponse for Delivery {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            Self::Accepted(pools_woken) => (status, Json(Woken { pools_woken })).into_response(),
            Self::Refused(HookOutcome::Unauthorized, message) => {
                let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"azp-scaler hooks\"")];
                (status, challenge, format!("{message}\n")).into_response()
            }
            Self::Refused(_, message) => (status, format!("{message}\n")).into_response(),
        }
    }
}

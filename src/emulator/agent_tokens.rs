//! The authority of the organization itself, where an agent's listener gets its
//! token.
//!
//! May import: the shared state, the wire. Invariant: who cannot show what the
//! agent was registered with gets nothing.

use axum::{
    body::Body,
    http::{Method, StatusCode},
    response::Response,
};
use serde_json::json;

use super::{
    organization::{ClientId, Refusal, TOKEN_LIFETIME},
    refusals_azure::method_not_allowed,
    state::Shared,
    wire::{self, Family},
};

/// The largest form that is read.
const FORM_CAP: usize = 64 << 10;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `POST oauth2/token`, a form.
///
/// The real agent signs a JWT with the private key of what it was registered
/// with. There is no RSA in here, so that the assertion is `CLIENT.MODULUS`: the
/// client's guid and the modulus, which is a secret in here.
pub(super) async fn give(shared: &Shared, method: &Method, body: Body) -> Response {
    if method != Method::POST {
        return method_not_allowed(method);
    }
    let Ok(body) = axum::body::to_bytes(body, FORM_CAP).await else {
        return refuse(
            "invalid_request",
            "the form is cut off or larger than 64 KB",
        );
    };
    let form: Vec<_> = url::form_urlencoded::parse(&body).collect();
    let field = |name: &str| {
        let found = form.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    };
    if field("grant_type") != "client_credentials" {
        return refuse(
            "unsupported_grant_type",
            "grant_type is not client_credentials",
        );
    }
    if field("client_assertion_type") != ASSERTION_TYPE {
        return refuse(
            "invalid_request",
            "client_assertion_type is not that of a JWT",
        );
    }
    let organization = shared.organization();
    let token = field("client_assertion")
        .split_once('.')
        .and_then(|(client, modulus)| {
            let client = wire::number(Family::Client, client).map(ClientId)?;
            organization.agent_token(client, modulus).ok()
        });
    match token {
        Some(token) => {
            let answer = json!({
                "access_token": token, "token_type": "JWT", "expires_in": TOKEN_LIFETIME.as_secs(),
            });
            wire::answer(StatusCode::OK, &answer)
        }
        None => refuse("invalid_client", &Refusal::NoSuchClient.to_string()),
    }
}

/// ASSUMPTION(agent-token-refusal): 400, as OAuth has it, with `invalid_client`
/// where the agent is gone or was registered again.
fn refuse(error: &str, words: &str) -> Response {
    let body = json!({"error": error, "error_description": words});
    wire::answer(StatusCode::BAD_REQUEST, &body)
}

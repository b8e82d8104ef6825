//! Credentials, as the emulator checks them, and what a bad one gets.
//!
//! May import: the shared state, the wire's error body, the sign-in answers. Invariant: the
//! answer depends on the method, as with the real service: a client that only
//! looks for 401 fails here too.

use axum::{
    http::{HeaderMap, Method, header},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::{
    faults,
    organization::{AgentId, Refusal},
    route::Route,
    state::Shared,
    wire,
};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A person or a program with a token of its own.
    Person,
    /// A listener, with the token that its agent was given.
    Agent(AgentId),
}

/// What a request brought along.
enum Credential {
    /// `Authorization: Basic`: a personal access token, under any user name.
    Token(String),
    /// `Authorization: Bearer`.
    Bearer(String),
    /// Nothing, or nothing readable.
    None,
}

/// Passes a request whose token is right, or any that is not empty where no
/// token is wanted. A token of the emulator's authority is right until its end.
///
/// # Errors
/// The answer that such a credential gets.
pub(super) fn check(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, Box<Response>> {
    let credential = read(headers);
    let token = match &credential {
        Credential::Token(token) | Credential::Bearer(token) => token.as_str(),
        Credential::None => "",
    };
    let holder = match &credential {
        Credential::Bearer(token) => shared.organization().holder(token),
        Credential::Token(_) | Credential::None => None,
    };
    if let Some(Ok(agent)) = holder {
        return Ok(Caller::Agent(agent));
    }
    let given = match &credential {
        Credential::Bearer(_) if holder.is_some() => Some(false),
        // Azure Pipelines agent: config.sh shows a token of Entra ID as a password,
        // where it is told `--auth PAT`.
        Credential::Bearer(token) | Credential::Token(token) => {
            shared.authority().judges(token, shared.clock.now())
        }
        Credential::None => None,
    };
    let right = match (given, shared.token().as_ref()) {
        (Some(good), _) => good,
        (None, Some(wanted)) => {
            bool::from(wanted.expose_secret().as_bytes().ct_eq(token.as_bytes()))
        }
        (None, None) => true,
    };
    if right && !token.is_empty() {
        return Ok(Caller::Person);
    }
    // Azure DevOps: a PATCH gets 401 where GET and POST get the sign-in page.
    // ASSUMPTION(bad-token-put-delete): PUT and DELETE are answered like PATCH.
    let page = matches!(*method, Method::GET | Method::POST | Method::HEAD);
    let suppressed = headers
        .get("x-tfs-fedauthredirect")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"suppress"));
    Err(Box::new(match credential {
        Credential::Bearer(_) if !suppressed => faults::redirect(),
        Credential::Token(_) | Credential::None if page => faults::sign_in_page(),
        _ => wire::unauthorized(),
    }))
}

fn read(headers: &HeaderMap) -> Credential {
    let value = headers.get(header::AUTHORIZATION);
    let Some((scheme, rest)) = value
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
    else {
        return Credential::None;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Credential::Bearer(rest.into());
    }
    let decoded = BASE64_STANDARD.decode(rest).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.split_once(':')) {
        Some((_, token)) if scheme.eq_ignore_ascii_case("basic") => Credential::Token(token.into()),
        _ => Credential::None,
    }
}

// === impl Caller ===

impl Caller {
    /// May it use this route at all?
    ///
    /// Azure DevOps: an agent's token is good for the agent's own affairs.
    /// ASSUMPTION(agent-token-scope): which routes these are.
    pub(super) fn may(self, route: &Route, method: &Method) -> Result<(), Refusal> {
        match self {
            Self::Agent(agent) if !route.is_of_agents(method) => Err(Refusal::NotItsOwn(agent)),
            Self::Agent(_) | Self::Person => Ok(()),
        }
    }

    /// May it do what is this agent's affair?
    pub(super) fn speaks_for(self, agent: AgentId) -> Result<(), Refusal> {
        match self {
            Self::Agent(own) if own != agent => Err(Refusal::NotItsOwn(own)),
            Self::Agent(_) | Self::Person => Ok(()),
        }
    }
}

//! Where a request of Azure's leads.
//!
//! May import: the organization's numbers, guids. Invariant: whatever the path,
//! there is an answer; what nobody knows is [`Route::Other`].

use axum::http::Method;

use super::{
    organization::{AgentId, SessionId},
    queues_azure,
    wire::{Family, number},
};
use crate::domain::{job::RequestId, pool::PoolId};

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Pools,
    Pool(PoolId),
    JobRequests(PoolId),
    JobRequest(PoolId, RequestId),
    Agents(PoolId),
    Agent(PoolId, AgentId),
    UserCapabilities(PoolId, AgentId),
    Queue(u32),
    ResourceUsage,
    /// What follows is what an agent itself asks for. A guid that nobody gave
    /// out is `None`.
    ConnectionData,
    AgentToken,
    Packages,
    /// By platform and version.
    Package(Box<str>, Box<str>),
    Sessions(PoolId),
    Session(PoolId, Option<SessionId>),
    Messages(PoolId),
    Message(PoolId, u64),
    Feed(Option<RequestId>),
    PlanEvents,
    Other,
}

// === impl Route ===

impl Route {
    /// Reads what follows `_apis/`.
    pub(super) fn of(below: &str) -> Self {
        let below = below.trim_end_matches('/').to_ascii_lowercase();
        let mut parts = below.split('/');
        let (area, resource) = (parts.next(), parts.next());
        let rest: Vec<_> = parts.collect();
        match (area, resource) {
            (Some("distributedtask"), Some("pools")) => {}
            (Some("distributedtask"), Some("queues")) => return queues_azure::route(&rest),
            (Some("distributedtask"), Some("resourceusage")) if rest.is_empty() => {
                return Self::ResourceUsage;
            }
            (Some("distributedtask"), Some("packages")) => return Self::of_packages(&rest),
            (Some("distributedtask"), Some("hubs")) => return Self::of_hubs(&rest),
            (Some("connectiondata"), None) => return Self::ConnectionData,
            (Some("oauth2"), Some("token")) if rest.is_empty() => return Self::AgentToken,
            _ => return Self::Other,
        }
        let Some(pool) = rest.first() else {
            return Self::Pools;
        };
        let Ok(pool) = pool.parse().map(PoolId) else {
            return Self::Other;
        };
        let word = rest.get(2).copied();
        let id = word.map(str::parse::<u32>);
        match (rest.get(1).copied(), id, rest.get(3).copied(), rest.len()) {
            (None, ..) => Self::Pool(pool),
            (Some("jobrequests"), None, ..) => Self::JobRequests(pool),
            (Some("jobrequests"), Some(Ok(id)), None, _) => {
                Self::JobRequest(pool, RequestId(id.into()))
            }
            (Some("agents"), None, ..) => Self::Agents(pool),
            (Some("agents"), Some(Ok(id)), None, _) => Self::Agent(pool, id),
            (Some("agents"), Some(Ok(id)), Some("usercapabilities"), 4) => {
                Self::UserCapabilities(pool, id)
            }
            (Some("sessions"), None, ..) => Self::Sessions(pool),
            (Some("sessions"), Some(_), None, _) => Self::Session(pool, word.and_then(session)),
            (Some("messages"), None, ..) => Self::Messages(pool),
            (Some("messages"), Some(Ok(id)), None, _) => Self::Message(pool, id.into()),
            _ => Self::Other,
        }
    }

    fn of_packages(rest: &[&str]) -> Self {
        match rest {
            ["agent"] => Self::Packages,
            ["agent", platform, version] => Self::Package((*platform).into(), (*version).into()),
            _ => Self::Other,
        }
    }

    fn of_hubs(rest: &[&str]) -> Self {
        match rest {
            [_, "plans", _, "timelines", _, "records", job, "feed"] => {
                Self::Feed(number(Family::Job, job).map(RequestId))
            }
            [_, "plans", _, "events"] => Self::PlanEvents,
            _ => Self::Other,
        }
    }

    /// Is it one that an agent's own token is good for?
    pub(super) fn is_of_agents(&self, method: &Method) -> bool {
        match self {
            Self::ConnectionData
            | Self::Packages
            | Self::Package(..)
            | Self::Sessions(_)
            | Self::Session(..)
            | Self::Messages(_)
            | Self::Message(..)
            | Self::Feed(_)
            | Self::PlanEvents => true,
            Self::JobRequest(..) => method == Method::PATCH,
            _ => false,
        }
    }

    /// It, with numbers left out.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::Pool(_) => "pools/{id}",
            Self::JobRequests(_) => "pools/{id}/jobrequests",
            Self::JobRequest(..) => "pools/{id}/jobrequests/{id}",
            Self::Agents(_) => "pools/{id}/agents",
            Self::Agent(..) => "pools/{id}/agents/{id}",
            Self::UserCapabilities(..) => "pools/{id}/agents/{id}/usercapabilities",
            Self::Queue(_) => "queues/{id}",
            Self::ResourceUsage => "resourceusage",
            Self::ConnectionData => "connectionData",
            Self::AgentToken => "oauth2/token",
            Self::Packages => "packages/agent",
            Self::Package(..) => "packages/agent/{platform}/{version}",
            Self::Sessions(_) => "pools/{id}/sessions",
            Self::Session(..) => "pools/{id}/sessions/{id}",
            Self::Messages(_) => "pools/{id}/messages",
            Self::Message(..) => "pools/{id}/messages/{id}",
            Self::Feed(_) => "hubs/{hub}/plans/{id}/timelines/{id}/records/{id}/feed",
            Self::PlanEvents => "hubs/{hub}/plans/{id}/events",
            Self::Other => "other",
        }
    }
}

/// A session's number from its guid.
pub(super) fn session(text: &str) -> Option<SessionId> {
    number(Family::Session, text).map(SessionId)
}

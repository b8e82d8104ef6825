//! Azure DevOps' JSON: envelopes, errors, timestamps, links, pools.
//!
//! May import: the organization. Invariant: written from what the service is
//! known to send, never from what the client reads: members that have their
//! default are absent, timestamps have 0 to 7 fraction digits.

mod agent;
mod guid;
mod job;
mod message;

use std::fmt;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::json;

pub(super) use self::{
    agent::{AgentOptions, AgentRow, SessionRow},
    guid::{Family, guid, number},
    job::{JobRow, Matches, result},
    message::MessageRow,
};
use super::organization::Pool;

/// The content type of every JSON answer.
///
/// ASSUMPTION(content-type-version): it names the API version, as a parameter.
pub(super) const JSON: &str = "application/json; charset=utf-8; api-version=7.1";

/// Where the organization is, as the client spelt it: what links start with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a>(pub(super) &'a str);

/// Azure DevOps: the envelope of every list.
#[derive(Serialize)]
pub(super) struct Listing<T> {
    count: usize,
    value: Vec<T>,
}

/// A moment, with as many digits as the service would write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(Timestamp);

/// `{"web":{"href":…},"self":{"href":…}}`.
#[derive(Serialize)]
pub(super) struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    web: Option<Href>,
    #[serde(rename = "self")]
    own: Href,
}

#[derive(Serialize)]
struct Href {
    href: String,
}

/// A pool, as `GET pools` has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolRow<'a> {
    created_on: Stamp,
    auto_provision: bool,
    auto_update: bool,
    auto_size: bool,
    target_size: Option<u32>,
    agent_cloud_id: Option<u32>,
    created_by: Person,
    owner: Person,
    id: u32,
    scope: String,
    name: &'a str,
    is_hosted: bool,
    pool_type: &'static str,
    size: usize,
    is_legacy: bool,
    options: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    id: String,
    display_name: &'static str,
    unique_name: &'static str,
}

/// Azure DevOps: the body of every error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    #[serde(rename = "$id")]
    id: &'static str,
    inner_exception: (),
    message: &'a str,
    type_name: String,
    type_key: &'a str,
    error_code: i32,
    event_id: i32,
}

/// An answer in JSON.
pub(super) fn answer<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static(JSON));
            (status, [kind], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer of the emulator is no JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An error as the service words it. Clients go by `typeKey`.
pub(super) fn error(status: StatusCode, type_key: &str, message: &str) -> Response {
    let namespace = "Microsoft.TeamFoundation.DistributedTask.WebApi";
    let body = ErrorBody {
        id: "1",
        inner_exception: (),
        message,
        type_name: format!("{namespace}.{type_key}, {namespace}"),
        type_key,
        error_code: 0,
        event_id: 3000,
    };
    answer(status, &body)
}

/// What a client asks first. The service's own says much more.
pub(super) fn connection_data() -> Response {
    let admin = Person::admin();
    let user = json!({
        "id": admin.id, "providerDisplayName": admin.display_name, "isActive": true,
    });
    let body = json!({
        "authenticatedUser": user,
        "authorizedUser": user,
        "instanceId": guid(Family::Organization, 1),
        "deploymentType": "hosted",
    });
    answer(StatusCode::OK, &body)
}

/// Azure DevOps: the 401 of a credential that nobody knows.
pub(super) fn unauthorized() -> Response {
    error(
        StatusCode::UNAUTHORIZED,
        "UnauthorizedRequestException",
        "TF400813: The user '' is not authorized to access this resource.",
    )
}

// === impl Site ===

impl Site<'_> {
    /// Where the emulator itself is: `http://HOST`, without an organization.
    pub(super) fn host(&self) -> &str {
        let rest = self.0.find("://").map_or(0, |at| at + 3);
        let end = self.0[rest..].find('/').map(|at| rest + at);
        &self.0[..end.unwrap_or(self.0.len())]
    }

    fn agent_links(self, pool: u32, agent: u32) -> Links {
        let base = self.0;
        let own = format!("{base}/_apis/distributedtask/pools/{pool}/agents/{agent}");
        let web = format!("{base}/_settings/agentpools?view=jobs&poolId={pool}&agentId={agent}");
        Links::new(own, Some(web))
    }
}

// === impl Links ===

impl Links {
    fn new(own: String, web: Option<String>) -> Self {
        Self {
            web: web.map(|href| Href { href }),
            own: Href { href: own },
        }
    }
}

// === impl Listing ===

impl<T> FromIterator<T> for Listing<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        let value: Vec<T> = rows.into_iter().collect();
        let count = value.len();
        Self { count, value }
    }
}

// === impl Stamp ===

impl Stamp {
    /// Azure DevOps: .NET's ticks of 100 ns, so up to seven digits.
    pub(super) fn ticks(moment: Timestamp) -> Self {
        Self::cut(moment, |nanoseconds| nanoseconds / 100 * 100)
    }

    /// What went through SQL Server's `datetime` comes in steps of 1/300 s:
    /// `.89`, `.5033333`.
    pub(super) fn stored(moment: Timestamp) -> Self {
        Self::cut(moment, |nanoseconds| {
            let steps = nanoseconds * 300 / 1_000_000_000;
            (steps * 10_000_000 / 300) * 100
        })
    }

    fn cut(moment: Timestamp, cut: impl FnOnce(i64) -> i64) -> Self {
        let fraction = cut(moment.subsec_nanosecond().into());
        let fraction = i32::try_from(fraction).unwrap_or_default();
        Self(Timestamp::new(moment.as_second(), fraction).unwrap_or(moment))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without a precision, zeros at the end are left out.
        self.0.fmt(f)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl PoolRow ===

impl<'a> PoolRow<'a> {
    pub(super) fn new(pool: &'a Pool) -> Self {
        Self {
            created_on: Stamp::stored(pool.created_at),
            auto_provision: false,
            auto_update: true,
            auto_size: true,
            target_size: None,
            agent_cloud_id: None,
            created_by: Person::admin(),
            owner: Person::admin(),
            id: pool.id.0,
            scope: guid(Family::Project, 1),
            name: &pool.name,
            is_hosted: false,
            pool_type: "automation",
            size: pool.agents().len(),
            is_legacy: false,
            options: "none",
        }
    }
}

impl Person {
    fn admin() -> Self {
        Self {
            id: guid(Family::Person, 1),
            display_name: "A. Admin",
            unique_name: "admin@example.org",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_as_many_digits_as_the_service_writes() {
        // the moment, as stored, in ticks
        for (moment, stored, ticks) in [
            (
                "2026-06-01T09:15:02Z",
                "2026-06-01T09:15:02Z",
                "2026-06-01T09:15:02Z",
            ),
            (
                "2026-06-01T09:15:02.891234567Z",
                "2026-06-01T09:15:02.89Z",
                "2026-06-01T09:15:02.8912345Z",
            ),
            (
                "2026-06-01T09:15:02.505Z",
                "2026-06-01T09:15:02.5033333Z",
                "2026-06-01T09:15:02.505Z",
            ),
        ] {
            let moment: Timestamp = moment.parse().unwrap();
            assert_eq!(Stamp::stored(moment).to_string(), stored);
            assert_eq!(Stamp::ticks(moment).to_string(), ticks);
        }
    }
}

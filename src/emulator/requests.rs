//! The count of Azure requests, by method and route.
//!
//! May import: nothing of ours. Invariant: routes are templates, never paths, so
//! the count stays small however many pools and agents there are.

use std::collections::BTreeMap;

use axum::http::Method;
use serde::Serialize;

/// How many requests of one method came for one route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteCount {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, or `OTHER`.
    pub method: &'static str,
    /// As in `pools/{id}/jobrequests`; `other` for what is none of them.
    pub route: &'static str,
    /// How many, those that a fault answered included.
    pub count: u64,
}

/// All Azure requests so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounts {
    /// All of them.
    pub total: u64,
    /// By route, then by method.
    pub by_route: Vec<RouteCount>,
}

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct RequestLog(BTreeMap<(&'static str, &'static str), u64>);

// === impl RequestLog ===

impl RequestLog {
    pub(super) fn add(&mut self, method: &Method, route: &'static str) {
        *self.0.entry((route, method_name(method))).or_default() += 1;
    }

    pub(super) fn counts(&self) -> RequestCounts {
        let by_route = self.0.iter();
        RequestCounts {
            total: self.0.values().sum(),
            by_route: by_route
                .map(|(&(route, method), &count)| RouteCount {
                    method,
                    route,
                    count,
                })
                .collect(),
        }
    }
}

impl RequestCounts {
    /// How many came for one route, whatever the method.
    #[must_use]
    pub fn of(&self, route: &str) -> u64 {
        let of_route = self.by_route.iter().filter(|row| row.route == route);
        of_route.map(|row| row.count).sum()
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

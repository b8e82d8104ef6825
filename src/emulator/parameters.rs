//! The query of a request to Azure's routes.
//!
//! May import: the refusals. Invariant: names compare without regard to case,
//! and what is no number is answered so.

use std::str::FromStr;

use axum::{extract::Query, http::Uri, response::Response};

use super::refusals_azure::bad_request;

/// The query's parameters, in their order.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

// === impl Parameters ===

impl Parameters {
    pub(super) fn read(uri: &Uri) -> Result<Self, axum::extract::rejection::QueryRejection> {
        Query::try_from_uri(uri).map(|Query(pairs)| Self(pairs))
    }

    /// The first of this name, whatever the case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Box<Response>> {
        let number = self.get(name).map(str::parse).transpose();
        number.map_err(|_| Box::new(bad_request(&format!("{name} is no number"))))
    }

    /// A list of numbers, separated by commas.
    pub(super) fn numbers(&self, name: &str) -> Result<Option<Vec<u32>>, Box<Response>> {
        let list = self
            .get(name)
            .map(|list| list.split(',').map(|id| id.trim().parse()).collect());
        let list: Option<Result<Vec<u32>, _>> = list;
        let wrong = |_| Box::new(bad_request(&format!("{name} is no list of numbers")));
        list.transpose().map_err(wrong)
    }
}

//! The questions that the servers put to the scaler.
//!
//! May import: its siblings, domain. Invariant: the servers know nothing of
//! pools; whatever answers them can be put in the scaler's place.

use std::{collections::HashMap, future::Future};

use futures::stream::BoxStream;

use super::{
    answer::{Answer, MetricSpec, Unanswered},
    status::{Gauges, Status, Wanted},
};
use crate::domain::organization::OrganizationUrl;

/// A call of KEDA's, for one trigger of one scaling object.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The scaling object's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The trigger's metadata.
    pub metadata: &'a HashMap<String, String>,
    /// Did it come over TLS, so that a token in it is nobody else's?
    pub encrypted: bool,
}

/// Answers for the servers.
pub trait Answers: Send + Sync + 'static {
    /// The metric of a trigger. Never touches the network.
    ///
    /// # Errors
    /// Where the trigger cannot be used.
    fn spec(&self, call: &Call<'_>) -> Result<MetricSpec, Unanswered>;

    /// The number and the activity, from memory.
    fn answer(&self, call: &Call<'_>) -> impl Future<Output = Result<Answer, Unanswered>> + Send;

    /// The activity as soon as it is known, then each change of it.
    ///
    /// # Errors
    /// Where the trigger cannot be used.
    fn activity(&self, call: &Call<'_>) -> Result<BoxStream<'static, bool>, Unanswered>;

    /// Reads the pools of an organization now, or all; tells how many.
    fn nudge(&self, organization: Option<&OrganizationUrl>) -> usize;

    /// What is known of the pools, for people.
    fn status(&self, wanted: &Wanted) -> Status;

    /// The numbers, for metrics.
    fn gauges(&self) -> Gauges;

    /// Names a loop that should have come round long ago.
    fn is_stuck(&self) -> Option<String>;
}

//! What a caller is told, and why it is sometimes told nothing.
//!
//! May import: domain, ports. Invariant: there is no answer «0» for a queue that
//! nobody has seen; that is an [`Unanswered`].

use std::time::Duration;

use super::newcomers::Crowded;
use crate::{
    domain::{number::Number, tenancy::Denied, trigger::TriggerError},
    ports::ReadError,
};

/// The answer to `GetMetrics` and `IsActive`, from one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number, with its parts.
    pub number: Number,
    /// Is the number above the trigger's activation?
    pub active: bool,
}

/// The metric of a trigger: what KEDA makes a horizontal pod autoscaler from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    /// Its name, without the prefix that KEDA gives it.
    pub name: String,
    /// Jobs for each agent.
    pub target: u32,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The trigger cannot be used as it is.
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    /// KEDA sent no name or namespace, or one longer than Kubernetes has.
    #[error("{0} of the scaling object is missing or longer than 253 characters")]
    ScalingObject(&'static str),
    /// A rule of tenancy stands against it. Nothing was sent.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The credential that the rules grant cannot be used.
    #[error(transparent)]
    Credential(ReadError),
    /// Only the cluster could know the Secret.
    #[error(
        "secretName: the scaler has no access to the cluster, so it can read no Secret; its operator turns it on by --cluster"
    )]
    NoCluster,
    /// More pools or scaling objects than the scaler was made for.
    #[error("the scaler already watches {limit} {what}; raise {flag} if that is meant")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// More unknown scaling objects at once than anybody has.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// The scaler has just started and does not know yet which other scaling
    /// objects share the pool.
    #[error(
        "the scaler started a moment ago and learns which scaling objects share pool {pool}; it answers in {left:.0?}"
    )]
    Learning {
        /// The pool as the trigger names it.
        pool: String,
        /// How long it takes yet.
        left: Duration,
    },
    /// The cluster was to say what the scaling object is, and has not yet.
    #[error(
        "the scaler has not seen the cluster's scaling objects yet, so it does not know whether this one makes Jobs; its log names the right that is missing; or write mode in the trigger"
    )]
    Blind,
    /// KEDA does not tell which of two things it asks for.
    #[error(
        "a ScaledObject and a ScaledJob of this name have the same trigger, and KEDA does not tell for which of them it asks: both are counted as the ScaledObject; rename one, or write mode in both"
    )]
    OneName,
    /// The pool's queue has not been read yet.
    #[error("pool {pool} has not been read yet; ask again in a moment")]
    NotReadYet {
        /// The pool as the trigger names it.
        pool: String,
    },
    /// The pool's queue could not be read, ever or for too long.
    #[error("pool {pool} {age}: {cause}", age = told(*.last_read))]
    Unreadable {
        /// The pool as the trigger names it.
        pool: String,
        /// How long ago it was read; `None` for never.
        last_read: Option<Duration>,
        /// Why it cannot be read now.
        cause: ReadError,
    },
    /// The snapshot is too old, though no reading failed: the service wanted a
    /// pause, or the watcher is late.
    #[error("pool {pool} was last read {age:.0?} ago; {}", why_late(*.pause))]
    Late {
        /// The pool as the trigger names it.
        pool: String,
        /// How old the snapshot is.
        age: Duration,
        /// For how long yet the service wants to be left alone.
        pause: Option<Duration>,
    },
}

fn told(last_read: Option<Duration>) -> String {
    match last_read {
        Some(age) => format!("was last read {age:.0?} ago"),
        None => "could not be read".to_owned(),
    }
}

fn why_late(pause: Option<Duration>) -> String {
    match pause {
        Some(left) => format!("Azure DevOps wants no request for {left:.0?} yet"),
        None => "the next reading is under way or waits for its turn".to_owned(),
    }
}

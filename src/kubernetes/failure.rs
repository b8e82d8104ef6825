//! What can go wrong between here and the apiserver.
//!
//! May import: nothing of ours. Invariant: every failure of a watch has one of a
//! few kinds and says what to do; one for want of a right names that right as a
//! role would have it.

use std::{error::Error, fmt};

use kube::runtime::watcher;

/// What a role must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, in the plural.
    pub resource: &'static str,
    /// What must be allowed.
    pub verbs: &'static [&'static str],
    /// The only object, where there is but one.
    pub name: Option<Box<str>>,
    /// The only namespace; `None` for all, so that it takes a `ClusterRole`.
    pub namespace: Option<Box<str>>,
}

/// Why something in the cluster cannot be read. Never the end of anything: it is
/// tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The apiserver cannot be reached, or the connection broke off.
    #[error("the apiserver cannot be reached: {cause}; check the network and its address")]
    Unreachable {
        /// The innermost reason.
        cause: Box<str>,
    },
    /// It does not know who asks.
    #[error("the apiserver does not know this service account or user: {message}")]
    Unauthorized {
        /// Its own words.
        message: Box<str>,
    },
    /// A right is missing.
    #[error("not allowed; give a role {rule}")]
    Forbidden {
        /// Which.
        rule: Rule,
    },
    /// There is no such kind of objects.
    #[error("the cluster has no {resource}.{group}; is KEDA installed?")]
    NotServed {
        /// The kind's API group.
        group: &'static str,
        /// The kind in the plural.
        resource: &'static str,
    },
    /// Any other status.
    #[error("the apiserver answered with status {code}: {message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// Its own words.
        message: Box<str>,
    },
    /// An answer of an unknown form.
    #[error("an answer of the apiserver cannot be read: {detail}")]
    Unreadable {
        /// Where it differs.
        detail: Box<str>,
    },
}

// === impl Rule ===

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            resource,
            verbs,
            ..
        } = self;
        write!(f, "{{apiGroups: [{group:?}], resources: [{resource:?}], ")?;
        if let Some(name) = &self.name {
            write!(f, "resourceNames: [{name:?}], ")?;
        }
        write!(f, "verbs: {verbs:?}}} ")?;
        match &self.namespace {
            Some(namespace) => write!(f, "in namespace {namespace}"),
            None => f.write_str("in all namespaces (a ClusterRole), or name yours by --namespaces"),
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Every kind, for tables and metrics.
    pub const KINDS: [&'static str; 6] = [
        "unreachable",
        "unauthorized",
        "forbidden",
        "not-served",
        "status",
        "unreadable",
    ];

    /// The kind, from a closed list.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        let index = match self {
            Self::Unreachable { .. } => 0,
            Self::Unauthorized { .. } => 1,
            Self::Forbidden { .. } => 2,
            Self::NotServed { .. } => 3,
            Self::Status { .. } => 4,
            Self::Unreadable { .. } => 5,
        };
        Self::KINDS[index]
    }

    /// A watch's failure; `None` where it only has to begin anew.
    pub(super) fn of_watch(error: &watcher::Error, rule: &Rule) -> Option<Self> {
        use watcher::Error::{
            InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
        };
        match error {
            InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
                Self::of(error, rule)
            }
            WatchError(status) => Self::of_status(status, rule),
            NoResourceVersion => Some(Self::Unreadable {
                detail: "it has no metadata.resourceVersion".into(),
            }),
        }
    }

    /// A request's failure; `None` where what was asked for is too old, which is
    /// usual after a pause.
    pub(super) fn of(error: &kube::Error, rule: &Rule) -> Option<Self> {
        match error {
            kube::Error::Api(status) => Self::of_status(status, rule),
            kube::Error::SerdeError(error) => Some(Self::Unreadable {
                detail: error.to_string().into(),
            }),
            error => Some(Self::Unreachable {
                cause: innermost(error),
            }),
        }
    }

    fn of_status(status: &kube::core::Status, rule: &Rule) -> Option<Self> {
        let message = || status.message.as_str().into();
        match status.code {
            // Kubernetes: the version to go on from has been compacted away.
            410 => None,
            401 => Some(Self::Unauthorized { message: message() }),
            403 => Some(Self::Forbidden { rule: rule.clone() }),
            404 => Some(Self::NotServed {
                group: rule.group,
                resource: rule.resource,
            }),
            code => Some(Self::Status {
                code,
                message: message(),
            }),
        }
    }

    /// Is nobody there to ask?
    pub(super) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// The outer errors say that something failed; the innermost says what.
fn innermost(error: &kube::Error) -> Box<str> {
    let mut cause: &dyn Error = error;
    // Not the auth error's sources: they may hold what a command printed.
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().into()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[track_caller]
    fn check(code: u16, kind: Option<&str>, part: &str) {
        let rule = Rule {
            group: "keda.sh",
            resource: "scaledobjects",
            verbs: &["list", "watch"],
            name: None,
            namespace: Some("ci".into()),
        };
        let error = kube::Error::Api(Status::failure("its words", "").with_code(code).boxed());
        let failure = Failure::of(&error, &rule);
        assert_eq!(failure.as_ref().map(Failure::kind), kind);
        let shown = failure
            .map(|failure| failure.to_string())
            .unwrap_or_default();
        assert!(shown.contains(part), "{shown}");
    }

    #[test]
    fn a_status_becomes_a_failure_with_a_remedy() {
        check(410, None, "");
        check(401, Some("unauthorized"), "its words");
        check(
            403,
            Some("forbidden"),
            r#"{apiGroups: ["keda.sh"], resources: ["scaledobjects"], verbs: ["list", "watch"]} in namespace ci"#,
        );
        check(404, Some("not-served"), "no scaledobjects.keda.sh; is KEDA");
        check(500, Some("status"), "500: its words");
    }

    #[test]
    fn a_rule_for_one_object_and_all_namespaces_says_both() {
        let rule = Rule {
            group: "",
            resource: "secrets",
            verbs: &["get", "watch"],
            name: Some("azp".into()),
            namespace: None,
        };
        let shown = rule.to_string();
        assert!(
            shown.contains(r#"resourceNames: ["azp"], verbs"#),
            "{shown}"
        );
        assert!(shown.contains("ClusterRole"), "{shown}");
    }
}

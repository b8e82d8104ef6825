//! The keys that a trigger's metadata may hold: one table for the parser, for
//! the nearest known key of a misspelt one, and for the README.
//!
//! May import: nothing of ours. Invariant: a key that is not here is an error.

/// One key of the trigger metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name, case-sensitive as in KEDA.
    pub name: &'static str,
    /// Whose key it is.
    pub origin: Origin,
    /// What holds where it is not given.
    pub default: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// KEDA's `azure-pipelines` trigger, with the same meaning.
    AzurePipelines,
    /// This project's own.
    Own,
    /// Of KEDA's connection to the scaler; read by KEDA, not by the scaler.
    Connection,
}

const fn key(
    origin: Origin,
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        origin,
        default,
        meaning,
    }
}

use Origin::{AzurePipelines, Connection, Own};

/// Every key there is.
pub const KEYS: &[Key] = &[
    key(
        AzurePipelines,
        "poolName",
        "",
        "the agent pool, by name; wins over `poolID`",
    ),
    key(
        AzurePipelines,
        "poolID",
        "",
        "the agent pool, by its number in the organization (not a project's queue id)",
    ),
    key(
        AzurePipelines,
        "organizationURL",
        "the scaler's own",
        "the organization; must be one that the scaler holds a credential for",
    ),
    key(
        AzurePipelines,
        "organizationURLFromEnv",
        "",
        "the same, out of the scale target's environment",
    ),
    key(
        AzurePipelines,
        "personalAccessTokenFromEnv",
        "",
        "a token of the trigger's own; used where the call comes over TLS and the namespace may bring one",
    ),
    key(
        AzurePipelines,
        "targetPipelinesQueueLength",
        "1",
        "jobs for each agent",
    ),
    key(
        AzurePipelines,
        "activationTargetPipelinesQueueLength",
        "0",
        "active when the number is above this",
    ),
    key(
        AzurePipelines,
        "demands",
        "",
        "KEDA's rule: demands compared as text, counted apart from other scaling objects",
    ),
    key(
        AzurePipelines,
        "requireAllDemands",
        "false",
        "with `demands`: the job's and the trigger's demands must be the same",
    ),
    key(
        AzurePipelines,
        "requireAllDemandsAndIgnoreOthers",
        "false",
        "with `demands`: the job must have all of the trigger's demands",
    ),
    key(
        AzurePipelines,
        "caseInsensitiveDemandsProcessing",
        "false",
        "with `demands`: compare without regard to case",
    ),
    key(
        AzurePipelines,
        "parent",
        "",
        "KEDA's rule: count the jobs that Azure DevOps matched to this template agent",
    ),
    key(
        AzurePipelines,
        "scaleOnInFlight",
        "true",
        "count jobs that already run",
    ),
    key(
        AzurePipelines,
        "jobsToFetch",
        "250",
        "accepted without effect: every unfinished job is read, however many",
    ),
    key(
        AzurePipelines,
        "fetchUnfinishedJobsOnly",
        "false",
        "accepted without effect: only unfinished jobs are read, always",
    ),
    key(
        Own,
        "capabilities",
        "",
        "what these agents have, such as `docker, java=17`; matched to demands by Azure's own rules",
    ),
    key(
        Own,
        "requires",
        "",
        "with `capabilities`: names that a job must ask for before these agents take it",
    ),
    key(
        Own,
        "mode",
        "as in the cluster",
        "`deployment` or `job` (a ScaledJob), where the scaler cannot look it up",
    ),
    key(
        Own,
        "strategy",
        "as in the cluster",
        "the ScaledJob's strategy, where the scaler cannot look it up: `default`, `eager`, `custom` or `accurate`",
    ),
    key(
        Own,
        "warmAgents",
        "0",
        "agents to keep beyond what the queue needs",
    ),
    key(
        Own,
        "priority",
        "0",
        "among equally specific profiles, the higher one gets the job",
    ),
    key(
        Own,
        "placeholder",
        "",
        "the agent that keeps the pool's jobs waiting while these agents are gone; it is none of them",
    ),
    key(
        Own,
        "directScaleUp",
        "false",
        "more agents at once, without waiting for the HPA, where the scaler may raise the Deployment",
    ),
    key(
        Own,
        "credential",
        "the one that fits",
        "a credential that the scaler holds, by name",
    ),
    key(
        Own,
        "secretName",
        "",
        "a Secret of this namespace that holds a token of the trigger's own",
    ),
    key(
        Own,
        "secretKey",
        "personalAccessToken",
        "with `secretName`: the key in it",
    ),
    key(
        Connection,
        "scalerAddress",
        "",
        "host and port of the scaler; read by KEDA",
    ),
    key(Connection, "enableTLS", "false", "read by KEDA"),
    key(Connection, "unsafeSsl", "false", "read by KEDA"),
    key(
        Connection,
        "tlsCertFile",
        "",
        "read by older versions of KEDA",
    ),
    key(
        Connection,
        "caCert",
        "",
        "belongs into a TriggerAuthentication; read by KEDA",
    ),
    key(
        Connection,
        "tlsClientCert",
        "",
        "belongs into a TriggerAuthentication; read by KEDA",
    ),
    key(
        Connection,
        "tlsClientKey",
        "",
        "belongs into a TriggerAuthentication; read by KEDA",
    ),
];

/// The key of exactly this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known key that a misspelt one most likely means.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(name, KEYS.iter().map(|key| key.name))
}

/// The known word that a misspelt one most likely means: the first of those with
/// the fewest edits, if they are few for its length.
#[must_use]
pub fn nearest_of<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // The comparison is quadratic in the length; no known word is this long.
    if name.chars().count() > 64 {
        return None;
    }
    let wanted = name.to_lowercase();
    let edits = |known: &str| strsim::osa_distance(&wanted, &known.to_lowercase());
    known
        .into_iter()
        .map(|known| (edits(known), known))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, known)| *edits <= known.len().max(6) / 3)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        let table = [
            ("poolname", Some("poolName")),
            ("PoolId", Some("poolID")),
            ("capabilites", Some("capabilities")),
            ("demand", Some("demands")),
            ("orgnizationURL", Some("organizationURL")),
            ("warmagent", Some("warmAgents")),
            ("somethingElseEntirely", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name), expected, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(100_000)), None);
    }
}

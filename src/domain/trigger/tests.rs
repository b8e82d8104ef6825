//! Triggers as people write them, well and badly.

use proptest::prelude::*;

use super::{Trigger, TriggerError, keys};
use crate::domain::{
    legacy::{Compare, DemandsRule},
    pool::PoolRef,
    profile::{Counting, Matching},
};

fn parse(metadata: &[(&str, &str)]) -> Result<Trigger, TriggerError> {
    Trigger::parse(metadata.iter().copied())
}

#[test]
fn a_trigger_of_kedas_own_is_read() {
    let trigger = parse(&[
        ("scalerAddress", "azp-scaler.keda:9090"),
        ("organizationURLFromEnv", "https://dev.azure.com/contoso/"),
        ("personalAccessTokenFromEnv", "s3cret"),
        ("poolName", "k8s linux"),
        ("poolID", "27"),
        ("demands", "java,docker"),
        ("requireAllDemands", "True"),
        ("targetPipelinesQueueLength", "2"),
        ("activationTargetPipelinesQueueLength", "5"),
        ("fetchUnfinishedJobsOnly", "true"),
    ])
    .unwrap();
    assert_eq!(trigger.organization.as_ref().unwrap().name(), "contoso");
    assert_eq!(trigger.pool, PoolRef::Name("k8s linux".into()));
    assert_eq!((trigger.jobs_per_agent, trigger.activation), (2, 5));
    let rule = DemandsRule::new("java,docker", Compare::Same, false);
    assert_eq!(trigger.profile.matching, Matching::Demands(rule));
    assert_eq!(trigger.profile.counting, Counting::Unfinished);
    assert!(trigger.brings_a_token && trigger.notices.is_empty());
    assert!(!format!("{trigger:?}").contains("s3cret"));
}

#[test]
fn a_placeholder_is_named_on_one_short_line() {
    let named = |name: &str| parse(&[("poolID", "27"), ("placeholder", name)]);
    let read = |name| named(name).unwrap().placeholder;
    assert_eq!(
        read(" linux-placeholder ").as_deref(),
        Some("linux-placeholder")
    );
    assert_eq!(read(" "), None);
    for name in ["a\nb", &"x".repeat(257)] {
        let error = named(name).unwrap_err().to_string();
        assert!(
            error.contains("placeholder: \"") && error.contains("is no agent's name"),
            "{error}"
        );
    }
}

#[test]
fn how_jobs_are_counted() {
    let check = |metadata: &[(&str, &str)], expected: Counting| {
        let metadata = [&[("poolID", "27")], metadata].concat();
        assert_eq!(
            parse(&metadata).unwrap().profile.counting,
            expected,
            "{metadata:?}"
        );
    };
    check(&[], Counting::Unfinished);
    check(&[("scaleOnInFlight", "false")], Counting::NotReceived);
    check(&[("mode", "job")], Counting::Unfinished);
    check(
        &[("mode", "job"), ("strategy", "eager")],
        Counting::Unbacked,
    );
    check(
        &[("mode", "job"), ("strategy", "accurate")],
        Counting::Unclaimed,
    );
}

#[test]
fn values_are_read_as_keda_reads_them() {
    let trigger = parse(&[
        ("organizationURL", "https://dev.azure.com/fabrikam"),
        ("organizationURLFromEnv", "https://dev.azure.com/contoso"),
        ("poolName", " linux\n"),
        ("demands", "\tjava, docker "),
        ("requireAllDemands", " "),
        ("scaleOnInFlight", " false "),
        ("jobsToFetch", "9999999999"),
        ("activationTargetPipelinesQueueLength", "-0"),
    ])
    .unwrap();
    // the environment goes before the trigger's own text
    assert_eq!(trigger.organization.as_ref().unwrap().name(), "contoso");
    assert_eq!(trigger.pool, PoolRef::Name("linux".into()));
    // white space within a list is part of its items
    let rule = DemandsRule::new("java, docker", Compare::JobWithinTrigger, false);
    assert_eq!(trigger.profile.matching, Matching::Demands(rule));
    assert_eq!(trigger.profile.counting, Counting::NotReceived);
    let pool = ("poolName", "linux");
    for number in ["07", "+7", "7.0", "7e1", "-", "9223372036854775808"] {
        for key in ["targetPipelinesQueueLength", "jobsToFetch", "poolID"] {
            check_problems(&[pool, (key, number)], &[&format!("{key}: \"{number}\"")]);
        }
    }
    check_problems(
        &[pool, ("jobsToFetch", "9"), ("parent", " ")],
        &["jobsToFetch: cannot go with parent"],
    );
}

fn check_problems(metadata: &[(&str, &str)], expected: &[&str]) {
    let error = parse(metadata).unwrap_err();
    let message = error.to_string();
    assert_eq!(error.problems().len(), expected.len(), "{message}");
    for part in expected {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(!message.contains("s3cret"), "{message}");
}

#[test]
fn all_problems_are_told_together() {
    let pool = ("poolName", "linux");
    check_problems(&[], &["poolName: is missing"]);
    check_problems(
        &[
            ("poolname", "linux"),
            ("organizationURL", "ftp://x"),
            ("mode", "pods"),
        ],
        &[
            "poolname: is no known key; did you mean poolName?",
            "poolName: is missing",
            "organizationURL: has the scheme",
            "mode: \"pods\" is none of deployment, job",
        ],
    );
    check_problems(
        &[pool, ("apiToken", "s3cret")],
        &["apiToken: is no known key"],
    );
    check_problems(
        &[
            pool,
            ("targetPipelinesQueueLength", "0"),
            ("priority", "high"),
        ],
        &[
            "\"0\" is no target",
            "priority: \"high\" is not a whole number",
        ],
    );
    check_problems(
        &[pool, ("capabilities", "a b, =1"), ("requires", "gpu")],
        &[
            "white space",
            "lacks a name",
            "\"gpu\" is not among the capabilities",
        ],
    );
    check_problems(
        &[
            pool,
            ("capabilities", "a"),
            ("demands", "a"),
            ("parent", "b"),
        ],
        &["cannot go with demands and parent"],
    );
    check_problems(&[pool, ("requires", "gpu")], &["needs capabilities"]);
    check_problems(
        &[
            pool,
            ("jobsToFetch", "9"),
            ("parent", "p"),
            ("fetchUnfinishedJobsOnly", "true"),
        ],
        &[
            "cannot go with parent",
            "cannot go with fetchUnfinishedJobsOnly",
        ],
    );
    check_problems(
        &[
            pool,
            ("mode", "job"),
            ("strategy", "accurate"),
            ("warmAgents", "2"),
        ],
        &["warmAgents: cannot be kept with the strategies accurate and eager"],
    );
    check_problems(
        &[
            pool,
            ("mode", "deployment"),
            ("strategy", "eager"),
            ("scaleOnInFlight", "maybe"),
        ],
        &["strategy: belongs to mode: job", "\"maybe\" is neither"],
    );
    check_problems(
        &[("poolName", "a\nb")],
        &["poolName: \"a\\nb\" is no pool's name"],
    );
    let large = "x,".repeat(10_000);
    check_problems(
        &[pool, ("demands", &large)],
        &[
            "the metadata: has 20020 bytes together",
            "demands: lists 10001 items",
        ],
    );
    let many = (0..501)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(",");
    check_problems(
        &[pool, ("capabilities", &many)],
        &["capabilities: lists 501 items"],
    );
    check_problems(&[("poolID", "-1")], &["poolID: \"-1\" is not"]);
}

#[test]
fn a_message_stays_short_whatever_comes_in() {
    let long = "x".repeat(100_000);
    let many: Vec<String> = (0..1_000).map(|n| format!("{n}-{long}")).collect();
    let metadata = many.iter().map(|key| (key.as_str(), long.as_str()));
    let message = Trigger::parse(metadata).unwrap_err().to_string();
    assert!(message.len() < 4_000, "{}", message.len());
}

proptest! {
    #[test]
    fn any_metadata_is_read_or_refused_without_a_panic(
        values in prop::collection::vec((0..keys::KEYS.len(), ".{0,20}"), 0..8),
    ) {
        let metadata = values.iter().map(|(key, value)| (keys::KEYS[*key].name, value.as_str()));
        let _ = Trigger::parse(metadata);
    }
}

//! Which pods are agents', which have ended, and which are going.
//!
//! May import: the pods and what they are made of. Invariant: what is told comes of
//! changes alone, and of the clock that a test gives.

use super::*;
use crate::domain::declared::{Declared, Strategy};

fn pod(namespace: &str, name: &str, uid: &str, has_ended: bool) -> Seen {
    Seen {
        name: PodName::new(namespace, name),
        pod: Arc::new(AgentPod {
            uid: uid.into(),
            annotations: BTreeMap::new(),
            is_leaving: false,
        }),
        has_ended,
    }
}

fn in_ci(name: &str) -> (Box<str>, Box<str>) {
    ("ci".into(), name.into())
}

fn object(name: &str) -> ScalingObject {
    let (namespace, name) = in_ci(name);
    ScalingObject { namespace, name }
}

fn named() -> Named {
    let names = [("ci", "agents"), ("build", "a-b")];
    names
        .map(|(namespace, name)| (namespace.into(), name.into()))
        .into()
}

#[test]
fn a_pod_is_an_agents_by_the_beginning_of_its_name() {
    for (namespace, name, expected) in [
        ("ci", "agents-7f9c-x1", true),
        ("ci", "agents-1", true),
        ("ci", "agents", false),
        ("ci", "agents2-1", false),
        ("build", "a-b-c", true),
        ("build", "a-c", false),
        ("build", "agents-1", false),
    ] {
        let got = is_named(&named(), &PodName::new(namespace, name));
        assert_eq!(got, expected, "{namespace}/{name}");
    }
}

/// A pod that goes is told until its job is over for Azure DevOps too, however it
/// ends: of Deployments alone, and of the longest name.
#[tokio::test(start_paused = true)]
async fn a_pod_of_a_deployment_is_going_until_long_after_it_went() {
    let now = Instant::now();
    let named = Named::from(["agents", "agents-big", "jobs"].map(in_ci));
    let objects = |name: &str| (in_ci(name), vec![object(name)]);
    let deployments = Deployments::from(["agents", "agents-big"].map(objects));
    let going = |name: &str, uid: &str, is_leaving| {
        let pod = AgentPod {
            is_leaving,
            ..(*pod("ci", name, uid, false).pod).clone()
        };
        Seen {
            pod: Arc::new(pod),
            ..self::pod("ci", name, uid, false)
        }
    };
    let told = |kept: &Kept| -> Vec<String> {
        let leaving = kept.leaving(&named, &deployments);
        let pods = leaving.iter().flat_map(|(object, pods)| {
            let told = move |pod| format!("{} {pod}", object.name);
            pods.iter().map(told)
        });
        pods.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let mut kept = Kept::default();
    let all = ["agents-1", "agents-2", "agents-big-1", "jobs-1", "others-1"];
    let all = all.map(|name| going(name, "u", false));
    kept.take(None, Change::All(all.into()), &named, now);
    assert!(told(&kept).is_empty());
    for name in ["agents-1", "agents-big-1", "jobs-1", "others-1"] {
        kept.take(None, Change::Is(going(name, "u", true)), &named, now);
    }
    let both = ["agents agents-1", "agents-big agents-big-1"];
    assert_eq!(told(&kept), both);
    // Gone, ended, and gone while nobody looked.
    kept.take(
        None,
        Change::Gone(going("agents-1", "u", true)),
        &named,
        now,
    );
    let ended = Seen {
        has_ended: true,
        ..going("agents-big-1", "u", true)
    };
    kept.take(None, Change::Is(ended), &named, now);
    assert_eq!(told(&kept), both);
    kept.take(None, Change::All(vec![]), &named, now);
    assert_eq!(told(&kept), both, "agents-2 was not going");
    kept.take(None, Change::Is(going("agents-1", "v", false)), &named, now);
    assert_eq!(told(&kept), both[1..], "another of its name");
    kept.of(&named, now + ENDED_FOR);
    assert!(told(&kept).is_empty());
}

#[test]
fn only_a_deployments_pods_are_no_replicas_while_they_go() {
    let declared = |name: &str, kind, deployment: Option<&str>| {
        let declared = Declared {
            object: object(name),
            kind,
            uid: "u".into(),
            strategy: Strategy::Default,
            agents_named: name.into(),
            min_agents: 0,
            max_agents: 1,
            paused: false,
            deployment: deployment.map(Into::into),
            scaling_out_paused: false,
            triggers: Vec::new(),
        };
        ((declared.object.clone(), kind), Arc::new(declared))
    };
    let declarations = Declarations {
        objects: [
            declared("a", Kind::ScaledObject, Some("a")),
            declared("stateful", Kind::ScaledObject, None),
            declared("job", Kind::ScaledJob, None),
        ]
        .into(),
        namespaces: None,
    };
    let expected = Deployments::from([(in_ci("a"), vec![object("a")])]);
    assert_eq!(of_deployments(&declarations), expected);
}

#[tokio::test(start_paused = true)]
async fn a_pod_has_ended_only_where_it_was_seen_to() {
    let now = Instant::now();
    let mut kept = Kept::default();
    let mut take = |namespace, change| {
        kept.take(namespace, change, &named(), now);
        kept.of(&named(), now)
    };
    let one = |has_ended| pod("ci", "agents-1", "u", has_ended);
    let other = || pod("build", "a-b-1", "v", false);
    // What had ended before it was known tells nothing.
    let seen = take(
        None,
        Change::All(vec![pod("ci", "agents-0", "u", true), one(false)]),
    );
    assert_eq!((seen.pods.len(), seen.ended.len()), (1, 0));
    let seen = take(Some("build"), Change::All(vec![other()]));
    assert_eq!((seen.pods.len(), seen.ended.len()), (2, 0));
    // A list of another namespace says nothing of it.
    let seen = take(Some("build"), Change::All(vec![]));
    assert_eq!(seen.ended.into_keys().collect::<Vec<_>>(), [other().name]);
    let seen = take(None, Change::Is(one(true)));
    assert!(seen.ended.contains_key(&one(true).name) && seen.pods.is_empty());
    // Another of the same name.
    take(None, Change::Is(one(false)));
    let seen = take(None, Change::Is(pod("ci", "agents-1", "w", false)));
    assert_eq!((seen.pods.len(), seen.ended.len()), (1, 2));
    // Whose scaling object is gone.
    kept.take(
        None,
        Change::Gone(pod("ci", "agents-1", "w", false)),
        &Named::new(),
        now,
    );
    assert_eq!(kept.ended.len(), 3);
    assert!(kept.of(&named(), now + ENDED_FOR).ended.is_empty());
}

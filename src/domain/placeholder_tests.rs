//! What there is to do in a pool, case by case, and the laws that hold in all.

use std::slice::from_ref;

use proptest::prelude::*;

use super::*;
use crate::domain::{demand::Demands, job::RequestId};

const OWNER: &str = "ci/agents";

fn placeholder(name: &str, capabilities: &str) -> Placeholder {
    Placeholder {
        name: name.into(),
        capabilities: Capabilities::parse(capabilities).unwrap(),
    }
}

/// The agent that a placeholder becomes.
fn registered(id: u32, placeholder: &Placeholder, owner: &str) -> RegisteredAgent {
    let Registration { name, system, user } = placeholder.registration(owner);
    RegisteredAgent {
        id: AgentId(id),
        name,
        version: VERSION.into(),
        enabled: true,
        online: false,
        assigned: None,
        last: None,
        created: None,
        status_changed: None,
        capabilities: system.into_iter().chain(user).collect(),
    }
}

/// A plan in one line.
fn told(wanted: &[Placeholder], agents: &[RegisteredAgent]) -> String {
    let plan = plan(OWNER, wanted, agents);
    let names = |placeholders: &[&Placeholder]| {
        let names = placeholders.iter().map(|placeholder| &*placeholder.name);
        names.collect::<Vec<_>>().join(",")
    };
    let changed = plan.changed.iter().map(|change| {
        let capabilities = if change.capabilities { " told" } else { "" };
        let disabled = if change.disabled { " enabled" } else { "" };
        format!("{}{capabilities}{disabled}", change.placeholder.name)
    });
    let surplus = plan.surplus.iter().map(|surplus| {
        let in_use = if surplus.in_use { " in use" } else { "" };
        format!("{}{in_use}", surplus.name)
    });
    let foreign = plan.foreign.iter().map(ToString::to_string);
    let parts = [
        ("missing", names(&plan.missing)),
        ("changed", changed.collect::<Vec<_>>().join(",")),
        ("right", names(&plan.right)),
        ("surplus", surplus.collect::<Vec<_>>().join(",")),
        ("foreign", foreign.collect::<Vec<_>>().join(",")),
    ];
    let parts = parts.into_iter().filter(|(_, what)| !what.is_empty());
    let parts = parts.map(|(part, what)| format!("{part}: {what}"));
    parts.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_pool_becomes_what_is_wanted() {
    let a = placeholder("a", "docker, java=17");
    let there = registered(1, &a, OWNER);
    let check = |wanted: &[Placeholder], agents: &[RegisteredAgent], expected: &str| {
        assert_eq!(told(wanted, agents), expected);
    };
    check(from_ref(&a), &[], "missing: a");
    check(from_ref(&a), from_ref(&there), "right: a");
    check(&[], from_ref(&there), "surplus: a");
    check(&[], &[], "");
    for other in ["docker", "docker, java=21", "docker, java=17, maven", ""] {
        let other = registered(1, &placeholder("A", other), OWNER);
        check(from_ref(&a), &[other], "changed: a told");
    }
    let disabled = RegisteredAgent {
        enabled: false,
        ..there.clone()
    };
    check(from_ref(&a), &[disabled], "changed: a enabled");
    let online = RegisteredAgent {
        online: true,
        ..there.clone()
    };
    check(from_ref(&a), from_ref(&online), "right: a");
    check(&[], &[online], "surplus: a in use");
    let busy = RegisteredAgent {
        assigned: Some(RequestId(7)),
        ..there
    };
    check(&[], &[busy], "surplus: a in use");
}

#[test]
fn what_is_somebody_elses_is_told_and_left() {
    let a = placeholder("a", "docker");
    let theirs = registered(1, &a, "ci/others");
    let expected = "foreign: agent \"a\" (1) is the placeholder of \"ci/others\"";
    assert_eq!(told(from_ref(&a), from_ref(&theirs)), expected);
    assert_eq!(told(&[], &[theirs]), "");
    let mut none = registered(1, &placeholder("A", "docker"), OWNER);
    none.capabilities.remove(PLACEHOLDER);
    let expected = "foreign: agent \"A\" (1) is no placeholder";
    assert_eq!(told(&[a], from_ref(&none)), expected);
    assert_eq!(told(&[], &[none]), "");
}

#[test]
fn case_and_what_agents_say_by_themselves_make_no_change() {
    let a = placeholder("a", "Docker, Agent.OS=Windows_NT");
    let mut there = registered(1, &placeholder("A", "dOCKER, agent.os=Windows_NT"), OWNER);
    // The service tells both maps; the reader lets the user's value win.
    there.capabilities.remove("Agent.OS");
    assert_eq!(told(&[a], &[there]), "right: a");
}

#[test]
fn a_placeholder_keeps_the_jobs_of_its_profile() {
    let a = placeholder("a", "docker, java=17");
    let agent = registered(1, &a, OWNER);
    let has: Capabilities = agent.capabilities.iter().collect();
    for demands in [
        &["docker", "java -equals 17"][..],
        &["Agent.Version -gtVersion 4.260.0"],
        &["Agent.OS -equals Linux", "Agent.OSArchitecture -equals X64"],
        &["InteractiveSession -equals False", "Agent.HomeDirectory"],
    ] {
        let demands = Demands::read(demands);
        assert_eq!(has.unmet(&demands), Vec::new());
        let profile = a.capabilities.clone().with_implicit();
        assert_eq!(profile.unmet(&demands), Vec::new(), "and so of its profile");
    }
    assert!(!has.unmet(&Demands::read(&["maven"])).is_empty());
}

proptest! {
    /// Whatever is there: who does the plan finds nothing to do then, and no agent
    /// without the mark is in it.
    #[test]
    fn a_plan_that_was_done_leaves_nothing_to_do(
        wanted in prop::collection::btree_map("[a-e]", "[x-z](=[1-2])?", 0..4),
        there in prop::collection::btree_map(
            "[a-e]",
            ("[x-z](=[1-2])?", any::<bool>(), any::<bool>()),
            0..5,
        ),
    ) {
        let wanted: Vec<Placeholder> = wanted.iter().map(|(n, c)| placeholder(n, c)).collect();
        let agent = |(id, (name, (capabilities, ours, enabled))): (u32, (&String, &(String, bool, bool)))| {
            let owner = if *ours { OWNER } else { "other" };
            let agent = registered(id, &placeholder(name, capabilities), owner);
            RegisteredAgent { enabled: *enabled, ..agent }
        };
        let agents: Vec<RegisteredAgent> = (1..).zip(&there).map(agent).collect();
        let first = plan(OWNER, &wanted, &agents);
        let touched: Vec<AgentId> = first.changed.iter().map(|change| change.id)
            .chain(first.surplus.iter().map(|surplus| surplus.id))
            .collect();
        for agent in &agents {
            let ours = owner_of(agent) == Some(OWNER);
            prop_assert!(ours || !touched.contains(&agent.id));
        }
        let left = agents.iter().filter(|agent| !touched.contains(&agent.id)).cloned();
        let changed = first.changed.iter().map(|change| (change.id.0, change.placeholder));
        let new = (100..).zip(first.missing.iter().copied());
        let made = changed.chain(new).map(|(id, one)| registered(id, one, OWNER));
        let agents: Vec<RegisteredAgent> = left.chain(made).collect();
        let second = plan(OWNER, &wanted, &agents);
        prop_assert_eq!(second.foreign, first.foreign);
        prop_assert!(second.missing.is_empty() && second.changed.is_empty());
        prop_assert!(second.surplus.is_empty());
    }
}

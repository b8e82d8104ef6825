//! The rule of leftovers: each reason once, and what no agent may say to be one.
//!
//! May import: the module that it tests. Invariant: the laws are tried on agents
//! that differ in everything that the rule looks at.

use proptest::prelude::*;

use super::*;
use crate::domain::registration::AgentId;

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + seconds).unwrap()
}

fn rule() -> LeftoverRule {
    LeftoverRule {
        owner: Some("ci".into()),
        name_prefix: "K8s-".into(),
        offline_for: HOUR,
    }
}

/// An agent that was killed in the namespace `ci`, long ago.
fn dead() -> RegisteredAgent {
    RegisteredAgent {
        id: AgentId(322),
        name: "k8s-7hq2p".into(),
        version: "4.260.0".into(),
        enabled: true,
        online: false,
        assigned: None,
        last: None,
        created: Some(at(-90_000)),
        status_changed: Some(at(-7200)),
        capabilities: [(OWNER.into(), "ci".into())].into(),
    }
}

/// What becomes of an agent that differs from a dead one in this.
fn check(differs: impl Fn(&mut RegisteredAgent), expected: Verdict) {
    let mut agent = dead();
    differs(&mut agent);
    assert_eq!(rule().judge(&agent, at(0)), expected, "{agent:?}");
}

fn leftover(seconds: u64) -> Verdict {
    Verdict::Leftover {
        offline_for: Duration::from_secs(seconds),
    }
}

#[test]
fn only_what_is_surely_dead_is_left_over() {
    let kept = Verdict::Kept;
    let short = |seconds| {
        let (offline_for, least) = (Duration::from_secs(seconds), HOUR);
        kept(Reason::OfflineTooShort { offline_for, least })
    };
    let request = RequestId(90409);
    check(|_| {}, leftover(7200));
    check(|agent| agent.enabled = false, leftover(7200));
    check(
        |agent| agent.assigned = Some(request),
        kept(Reason::Busy { request }),
    );
    check(|agent| agent.online = true, kept(Reason::Online));
    check(
        |agent| (agent.online, agent.enabled) = (true, false),
        kept(Reason::Online),
    );
    let mark = |agent: &mut RegisteredAgent, name: &str, value: &str| {
        agent.capabilities.insert(name.into(), value.into());
    };
    for value in ["", "true"] {
        check(
            |agent| mark(agent, "AZP-Agent.Placeholder", value),
            kept(Reason::Placeholder),
        );
    }
    check(|agent| agent.capabilities.clear(), kept(Reason::NotOurs));
    check(|agent| mark(agent, OWNER, "prod"), kept(Reason::NotOurs));
    check(|agent| mark(agent, OWNER, "ci2"), kept(Reason::NotOurs));
    check(|agent| agent.name = "vm-1".into(), kept(Reason::OtherName));
    check(
        |agent| agent.name = "a-k8s-1".into(),
        kept(Reason::OtherName),
    );
    check(
        |agent| agent.status_changed = Some(at(-3600)),
        leftover(3600),
    );
    check(|agent| agent.status_changed = Some(at(-3599)), short(3599));
    check(|agent| agent.status_changed = Some(at(60)), short(0));
    // It was never online.
    check(|agent| agent.status_changed = None, leftover(90_000));
    check(
        |agent| (agent.status_changed, agent.created) = (None, Some(at(-60))),
        short(60),
    );
    check(
        |agent| (agent.status_changed, agent.created) = (None, None),
        kept(Reason::TimeUnknown),
    );
}

#[test]
fn any_owner_and_any_name_may_be_meant() {
    let rule = LeftoverRule {
        owner: None,
        name_prefix: "".into(),
        ..rule()
    };
    let mut agent = dead();
    agent.name = "vm-1".into();
    agent.capabilities = [("AZP-AGENT".into(), "".into())].into();
    assert_eq!(rule.judge(&agent, at(0)), leftover(7200));
    agent.capabilities.clear();
    assert_eq!(rule.judge(&agent, at(0)), Verdict::Kept(Reason::NotOurs));
}

#[test]
fn a_verdict_reads_as_a_sentence() {
    let least = HOUR;
    for (verdict, expected) in [
        (leftover(59), "left over, offline for 59 s"),
        (leftover(200_000), "left over, offline for 2 d 7 h"),
        (leftover(7300), "left over, offline for 2 h 1 min"),
        (
            Verdict::Kept(Reason::OfflineTooShort {
                offline_for: Duration::from_secs(61),
                least,
            }),
            "kept: offline for 1 min 1 s only, of 1 h 0 min",
        ),
    ] {
        assert_eq!(verdict.to_string(), expected);
    }
}

/// Agents that are dead, or differ from that in one thing or several.
fn agents() -> impl Strategy<Value = RegisteredAgent> {
    let time = prop::option::weighted(0.9, (-20_000i64..2000).prop_map(at));
    let mark = prop_oneof![4 => Just(Some("ci")), 1 => Just(None), 1 => Just(Some("prod"))];
    let name = prop_oneof![4 => Just("k8s-1"), 1 => Just("vm-1")];
    let request = prop::option::weighted(0.3, (1u64..9).prop_map(RequestId));
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
    );
    (name, mark, flags, request, time.clone(), time).prop_map(
        |(name, mark, (enabled, online, placeholder), assigned, created, status_changed)| {
            let mark = mark.map(|mark| (OWNER.into(), mark.into()));
            let placeholder = placeholder.then(|| (PLACEHOLDER.into(), "1".into()));
            RegisteredAgent {
                name: name.into(),
                enabled,
                online,
                assigned,
                created,
                status_changed,
                capabilities: mark.into_iter().chain(placeholder).collect(),
                ..dead()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_agent_with_a_job_or_a_session_is_never_left_over(
        agent in agents(),
        any_owner in any::<bool>(),
        least in 0u64..10_000,
        now in -20_000i64..20_000,
    ) {
        let rule = LeftoverRule {
            owner: (!any_owner).then(|| "ci".into()),
            name_prefix: "".into(),
            offline_for: Duration::from_secs(least),
        };
        if let Verdict::Leftover { offline_for } = rule.judge(&agent, at(now)) {
            prop_assert!(agent.assigned.is_none() && !agent.online);
            prop_assert!(!agent.capabilities.contains_key(PLACEHOLDER));
            prop_assert!(agent.capabilities.contains_key(OWNER));
            prop_assert!(offline_for >= rule.offline_for);
        }
    }

    #[test]
    fn who_waits_longer_or_asks_for_less_finds_no_fewer(agent in agents(), later in 0i64..10_000) {
        let is_left = |rule: &LeftoverRule, now| matches!(rule.judge(&agent, at(now)), Verdict::Leftover { .. });
        if is_left(&rule(), 0) {
            prop_assert!(is_left(&rule(), later));
            let wider = LeftoverRule { owner: None, name_prefix: "".into(), offline_for: Duration::ZERO };
            prop_assert!(is_left(&wider, 0));
        }
    }
}

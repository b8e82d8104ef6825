//! Placeholders: made, healed, left alone, and taken away.

use std::sync::{Arc, atomic::Ordering};

use super::{
    field::{Field, JOB, Pool, agent, keeper, object, profile},
    world::{Cluster, Record, Replica, pass},
};
use crate::{
    domain::{leftover::PLACEHOLDER, placeholder::owner_of, registration::RegisteredAgent},
    ports::stands::{Stand, Stands},
    telemetry::metrics::{WriteOutcome, Writer},
};

pub(super) const KEEPS: &[Writer] = &[Writer::Placeholders];

/// As long as nobody may have wanted it before it goes.
pub(super) const GONE_FOR: u64 = 600;

/// Makes something of the cluster unknown.
type Doubt = fn(&mut Stands);

pub(super) struct Scene {
    pub(super) pool: Arc<Pool>,
    pub(super) field: Arc<Field>,
    pub(super) record: Arc<Record>,
    pub(super) one: Replica,
}

/// A replica that leads, over a pool that has these agents and is named by nobody yet.
pub(super) async fn scene(agents: Vec<RegisteredAgent>, dry_run: bool) -> Scene {
    let (pool, field) = (Pool::new(27, agents), Arc::new(Field::default()));
    let record = Arc::new(Record::default());
    let one = Replica::start_in("one", &record, (&Cluster::new(0), &field), KEEPS, dry_run);
    pass(1).await;
    assert!(one.leads());
    Scene {
        pool,
        field,
        record,
        one,
    }
}

impl Scene {
    pub(super) fn linux(&self) -> Stand {
        self.pool
            .stand(vec![profile("ci/linux", Some("held"), "docker, java=17")])
    }

    pub(super) fn count(&self, outcome: WriteOutcome) -> u64 {
        self.one.metrics.writes(Writer::Placeholders, outcome)
    }

    #[track_caller]
    pub(super) fn check_gauges(&self, kept: u32, others: u32, missing: u32) {
        let text = self.one.metrics.scrape().text();
        for (state, count) in [("kept", kept), ("others", others), ("missing", missing)] {
            let line = format!("azp_placeholders{{state=\"{state}\"}} {count}");
            assert!(text.lines().any(|told| told == line), "no {line} in {text}");
        }
    }
}

pub(super) fn mark(of: &str) -> Box<str> {
    keeper().mark(&object(of))
}

/// An agent that was registered as the placeholder of this owner.
pub(super) fn placeholder(
    id: u32,
    name: &str,
    owner: &str,
    has: &[(&str, &str)],
) -> RegisteredAgent {
    let has: Vec<_> = has.iter().copied().chain([(PLACEHOLDER, owner)]).collect();
    agent(id, name, &has)
}

#[tokio::test(start_paused = true)]
async fn it_is_there_as_soon_as_the_profile_is_declared() {
    let scene = scene(Vec::new(), false).await;
    pass(30).await;
    assert_eq!(
        scene.pool.looks.load(Ordering::SeqCst),
        0,
        "nobody names it"
    );
    scene.field.declare(vec![scene.linux()]);
    pass(1).await;
    let held = scene.pool.get("held");
    assert!(held.enabled && !held.online);
    assert_eq!(owner_of(&held), Some(&*mark("ci/linux")));
    for (name, value) in [
        ("java", "17"),
        ("docker", "true"),
        ("Agent.Version", "99.999.9"),
    ] {
        assert_eq!(&*held.capabilities[name], value, "{held:?}");
    }
    // Nothing is written again, and a look a minute is all that it costs.
    pass(600).await;
    assert_eq!(scene.pool.writes(), ["register held", "tell held"]);
    let looks = scene.pool.looks.load(Ordering::SeqCst);
    assert!((10..=12).contains(&looks), "{looks}");
    assert_eq!(scene.count(WriteOutcome::Done), 1);
    scene.check_gauges(1, 0, 0);

    // A trigger that names none has one all the same, and another with each edit
    // of what its agents have; the old one stays until its time.
    let unnamed = |has| scene.pool.stand(vec![profile("ci/linux", None, has)]);
    scene.field.declare(vec![unnamed("docker")]);
    pass(1).await;
    let given: Vec<_> = scene.pool.names();
    assert_eq!(given.len(), 2);
    assert!(
        given[1].starts_with("azp_placeholder_west_ci_linux_"),
        "{given:?}"
    );
    scene.field.declare(vec![unnamed("docker, maven")]);
    pass(1).await;
    assert_eq!(scene.pool.names().len(), 3);
    pass(GONE_FOR + 120).await;
    assert_eq!(scene.pool.names().len(), 1);
    assert!(
        scene
            .pool
            .get(&scene.pool.names()[0])
            .capabilities
            .contains_key("maven")
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_it_is_put_right_within_a_minute() {
    let scene = scene(Vec::new(), false).await;
    scene.field.declare(vec![scene.linux()]);
    pass(1).await;
    let whole = scene.pool.get("held").capabilities;
    let harms: [fn(&mut Vec<RegisteredAgent>); 4] = [
        |agents| agents.clear(),
        |agents| agents[0].enabled = false,
        |agents| drop(agents[0].capabilities.remove("java")),
        |agents| drop(agents[0].capabilities.insert("gpu".into(), "true".into())),
    ];
    for harm in harms {
        scene.pool.change(harm);
        pass(61).await;
        let held = scene.pool.get("held");
        assert!(held.enabled);
        assert_eq!(held.capabilities, whole);
    }
    assert_eq!(scene.count(WriteOutcome::Done), 5);
}

#[tokio::test(start_paused = true)]
async fn it_goes_once_its_profile_is_gone_for_long_enough() {
    let scene = scene(Vec::new(), false).await;
    let other = profile("ci/other", Some("other"), "");
    let both = scene
        .pool
        .stand(vec![profile("ci/linux", Some("held"), ""), other.clone()]);
    scene.field.declare(vec![both]);
    pass(1).await;
    scene.field.declare(vec![scene.pool.stand(vec![other])]);
    pass(GONE_FOR - 5).await;
    assert_eq!(scene.pool.names(), ["held", "other"]);
    pass(70).await;
    assert_eq!(scene.pool.names(), ["other"]);
    // And in a pool that nobody names any more, which is looked at no more then.
    scene.field.declare(Vec::new());
    pass(GONE_FOR + 130).await;
    assert_eq!(scene.pool.names(), [""; 0]);
    let looks = scene.pool.looks.load(Ordering::SeqCst);
    pass(600).await;
    assert_eq!(scene.pool.looks.load(Ordering::SeqCst), looks);
}

/// Each of these for two hours, and again for as long as half of the time in between.
#[tokio::test(start_paused = true)]
async fn on_a_doubt_it_stays() {
    let doubts: [(&str, Doubt); 3] = [
        ("the cluster is not seen", |stands| {
            stands.is_current = false;
        }),
        ("a trigger cannot be read", |stands| {
            stands.unclear.insert(object("ci/linux"));
        }),
        ("the namespace is watched no more", |stands| {
            stands.namespaces = Some(["build".into()].into());
        }),
    ];
    for (what, doubt) in doubts {
        for keep in [true, false] {
            let scene = scene(Vec::new(), false).await;
            scene.field.declare(vec![scene.linux()]);
            pass(1).await;
            let left = if keep {
                vec![scene.pool.stand(Vec::new())]
            } else {
                Vec::new()
            };
            scene.field.declare(left.clone());
            pass(GONE_FOR - 100).await;
            let mut stands = scene.field.get();
            doubt(&mut stands);
            scene.field.set(stands);
            pass(2 * 3600).await;
            assert_eq!(scene.pool.names(), ["held"], "{what}");
            if keep {
                // The time counts from anew.
                scene.field.declare(left);
                pass(GONE_FOR - 60).await;
                assert_eq!(scene.pool.names(), ["held"], "{what}");
                pass(130).await;
                assert_eq!(scene.pool.names(), [""; 0], "{what}");
            }
        }
    }
    // Nor while the cluster has told nothing, as after a start.
    let known = placeholder(1, "held", &mark("ci/linux"), &[]);
    let scene = scene(vec![known], false).await;
    scene.field.forget();
    pass(7200).await;
    assert_eq!(scene.pool.looks.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_used_or_wanted_again_stays() {
    let used: [fn(&mut RegisteredAgent); 2] =
        [|agent| agent.online = true, |agent| agent.assigned = JOB];
    for (index, used) in used.into_iter().enumerate() {
        for just_now in [false, true] {
            let scene = scene(Vec::new(), false).await;
            scene.field.declare(vec![scene.linux()]);
            pass(1).await;
            scene.field.declare(vec![scene.pool.stand(Vec::new())]);
            match just_now {
                true => *scene.pool.after_look.lock().unwrap() = Some(used),
                false => scene.pool.change(|agents| used(&mut agents[0])),
            }
            pass(GONE_FOR + 3600).await;
            assert_eq!(scene.pool.names(), ["held"], "{index} {just_now}");
        }
    }
    let scene = scene(Vec::new(), false).await;
    for _ in 0..6 {
        scene.field.declare(vec![scene.linux()]);
        pass(30).await;
        scene.field.declare(vec![scene.pool.stand(Vec::new())]);
        pass(GONE_FOR - 30).await;
    }
    assert_eq!(scene.pool.writes(), ["register held", "tell held"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_anybody_elses_is_left_alone() {
    let has = [("docker", "TRUE"), ("java", "17"), ("more", "1")];
    let disabled = RegisteredAgent {
        enabled: false,
        ..placeholder(1, "Held", "ci/agents", &has)
    };
    let others = [
        // Of the chart, of another cluster, of another scaler here, and of nobody.
        (placeholder(1, "Held", "ci/agents", &has), true),
        (
            placeholder(1, "held", "azp-scaler:east:azp/azp-scaler:ci/linux", &has),
            true,
        ),
        (
            placeholder(1, "held", "azp-scaler:west:azp/second:ci/linux", &has),
            true,
        ),
        (placeholder(1, "held", &mark("ci/first"), &has), true),
        (agent(1, "held", &has), true),
        (placeholder(1, "held", "ci/agents", &has[..1]), false),
        (agent(1, "held", &[]), false),
        (disabled, false),
    ];
    for (other, holds) in others {
        let scene = scene(vec![other.clone()], false).await;
        // Whose it is may still be wanted.
        let first = profile("ci/first", Some("first"), "");
        let held = profile("ci/linux", Some("held"), "docker, java=17");
        scene
            .field
            .declare(vec![scene.pool.stand(vec![first, held])]);
        pass(1).await;
        if owner_of(&other) != Some(&*mark("ci/first")) {
            pass(GONE_FOR + 3600).await;
        }
        assert_eq!(
            scene.pool.writes(),
            ["register first", "tell first"],
            "{other:?}"
        );
        assert_eq!(scene.pool.get(&other.name), other);
        let (others, missing) = if holds { (1, 0) } else { (0, 1) };
        scene.check_gauges(1, others, missing);
    }
    // And what others have kept for profiles that this cluster never had.
    let others = vec![
        placeholder(1, "a", "ci/agents", &[]),
        placeholder(2, "b", "azp-scaler:east:azp/azp-scaler:ci/gone", &[]),
        placeholder(3, "c", "azp-scaler:west:azp/second:ci/gone", &[]),
        agent(4, "azp_placeholder_west_ci_gone_00000000", &[]),
    ];
    let scene = scene(others, false).await;
    scene.field.declare(vec![scene.pool.stand(Vec::new())]);
    pass(GONE_FOR + 3600).await;
    assert_eq!(scene.pool.writes(), [""; 0]);
}

/// What this scaler kept before it started anew, for a profile that is gone.
#[tokio::test(start_paused = true)]
async fn a_mark_outlives_a_restart_and_a_secret_serves_its_namespace_alone() {
    for (only, expected) in [(None, 0), (Some("ci"), 0), (Some("build"), 1)] {
        let scene = scene(vec![placeholder(1, "old", &mark("ci/gone"), &[])], false).await;
        let stand = Stand {
            only: only.map(Into::into),
            ..scene.pool.stand(Vec::new())
        };
        scene.field.declare(vec![stand]);
        pass(GONE_FOR + 130).await;
        assert_eq!(scene.pool.names().len(), expected, "{only:?}");
    }
}

/// By its name and by its number, or with two credentials, one pool is one.
#[tokio::test(start_paused = true)]
async fn two_ways_to_one_pool_do_not_undo_each_other() {
    let scene = scene(Vec::new(), false).await;
    let mut second = scene
        .pool
        .stand(vec![profile("build/java", Some("java"), "java")]);
    second.key.credential = "two".into();
    scene.field.declare(vec![scene.linux(), second]);
    pass(GONE_FOR + 3600).await;
    let mut writes = scene.pool.writes();
    writes.sort();
    assert_eq!(
        writes,
        ["register held", "register java", "tell held", "tell java"]
    );
}

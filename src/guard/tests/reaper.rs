//! The reaper: what it takes out, and what it leaves on the least doubt.

use std::sync::{Arc, atomic::Ordering};

use super::{
    field::{Field, JOB, Pool, agent, left, profile},
    world::{Cluster, Record, Replica, pass},
};
use crate::{
    domain::{
        leftover::{CLUSTER, OWNER, PLACEHOLDER},
        registration::{AgentId, RegisteredAgent},
    },
    ports::{stands::Stands, writes::PodName},
    telemetry::metrics::{WriteOutcome, Writer},
};

const REAPS: &[Writer] = &[Writer::Reaper];

/// As long as one was seen to be offline before it goes.
const OFFLINE_FOR: u64 = 600;

/// Makes something of the cluster unknown.
type Doubt = fn(&mut Stands);

struct Scene {
    pool: Arc<Pool>,
    field: Arc<Field>,
    cluster: Arc<Cluster>,
    record: Arc<Record>,
    one: Replica,
}

/// A replica that leads, over a pool of these agents, in a cluster that has the pods
/// `agents-000` and `agents-001`.
async fn scene(agents: Vec<RegisteredAgent>, dry_run: bool) -> Scene {
    let (pool, field, cluster) = (
        Pool::new(27, agents),
        Arc::new(Field::default()),
        Cluster::new(2),
    );
    let record = Arc::new(Record::default());
    let one = Replica::start_in("one", &record, (&cluster, &field), REAPS, dry_run);
    field.declare(vec![pool.stand(vec![profile("ci/linux", None, "")])]);
    pass(1).await;
    assert!(one.leads());
    Scene {
        pool,
        field,
        cluster,
        record,
        one,
    }
}

impl Scene {
    fn count(&self, outcome: WriteOutcome) -> u64 {
        self.one.metrics.writes(Writer::Reaper, outcome)
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_goes_when_its_pod_is_gone_and_it_was_seen_offline_for_long_enough() {
    let scene = scene(vec![left(1, "agents-000"), left(2, "agents-gone")], false).await;
    pass(OFFLINE_FOR - 5).await;
    assert_eq!(scene.pool.names().len(), 2);
    pass(70).await;
    assert_eq!(scene.pool.names(), ["agents-000"]);
    pass(7200).await;
    assert_eq!(scene.pool.names(), ["agents-000"], "its pod is there");
    // From the end of its pod on it is a suspect.
    scene.cluster.end(&PodName::new("ci", "agents-000"));
    pass(OFFLINE_FOR - 65).await;
    assert_eq!(scene.pool.names(), ["agents-000"]);
    pass(130).await;
    assert_eq!(scene.pool.names(), [""; 0]);
    assert_eq!(scene.count(WriteOutcome::Done), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_one_goes_a_second() {
    let agents = (1..=100).map(|id| left(id, &format!("agents-gone{id}")));
    let scene = scene(agents.collect(), false).await;
    pass(OFFLINE_FOR - 1).await;
    let mut before = scene.pool.names().len();
    assert_eq!(before, 100);
    for _ in 0..300 {
        pass(1).await;
        let now = scene.pool.names().len();
        assert!(before - now <= 2, "{before} {now}");
        before = now;
    }
    assert_eq!(before, 0);
    assert_eq!(scene.count(WriteOutcome::Done), 100);
}

#[tokio::test(start_paused = true)]
async fn on_a_doubt_an_agent_stays() {
    let changed = |change: fn(&mut RegisteredAgent)| {
        let mut agent = left(1, "agents-gone");
        change(&mut agent);
        vec![agent]
    };
    let cases = [
        ("online", changed(|agent| agent.online = true)),
        ("busy", changed(|agent| agent.assigned = JOB)),
        (
            "no mark",
            changed(|agent| drop(agent.capabilities.remove(OWNER))),
        ),
        (
            "no cluster",
            changed(|agent| drop(agent.capabilities.remove(CLUSTER))),
        ),
        (
            "another cluster",
            changed(|agent| {
                agent.capabilities.insert(CLUSTER.into(), "east".into());
            }),
        ),
        (
            "another namespace",
            changed(|agent| {
                agent.capabilities.insert(OWNER.into(), "build".into());
            }),
        ),
        (
            "a placeholder",
            changed(|agent| {
                agent
                    .capabilities
                    .insert(PLACEHOLDER.into(), "ci/agents".into());
            }),
        ),
        (
            "another name",
            changed(|agent| agent.name = "other-1".into()),
        ),
        ("no dash", changed(|agent| agent.name = "agents".into())),
        (
            "a pod that is there",
            changed(|agent| agent.name = "agents-001".into()),
        ),
        ("somebody's own", vec![agent(1, "agents-gone", &[])]),
        (
            "a namesake",
            vec![left(1, "agents-gone"), left(2, "Agents-Gone")],
        ),
    ];
    for (what, agents) in cases {
        let scene = scene(agents.clone(), false).await;
        pass(OFFLINE_FOR + 3600).await;
        assert_eq!(scene.pool.names().len(), agents.len(), "{what}");
        assert_eq!(scene.pool.writes(), [""; 0], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_of_the_cluster_keeps_all() {
    let doubts: [(&str, Doubt); 4] = [
        ("the cluster is not seen", |stands| {
            stands.is_current = false;
        }),
        ("another namespace is watched", |stands| {
            stands.namespaces = Some(["build".into()].into());
        }),
        ("nobody names the pool", |stands| stands.all.clear()),
        ("no such agents are declared", |stands| {
            stands.all[0].profiles[0].agents_named = "x".into();
        }),
    ];
    for (what, doubt) in doubts {
        let scene = scene(vec![left(1, "agents-gone")], false).await;
        let known = scene.field.get();
        // Once in a while is enough.
        for _ in 0..10 {
            pass(OFFLINE_FOR - 120).await;
            let mut stands = scene.field.get();
            doubt(&mut stands);
            scene.field.set(stands);
            pass(200).await;
            scene.field.set(known.clone());
        }
        assert_eq!(scene.pool.names().len(), 1, "{what}");
        pass(OFFLINE_FOR + 130).await;
        assert_eq!(scene.pool.names().len(), 0, "{what}");
    }
    // A pod that is there, and that the watch has not told of.
    let scene = scene(vec![left(1, "agents-gone")], false).await;
    let pod = PodName::new("ci", "agents-gone");
    scene.cluster.hidden.lock().unwrap().insert(pod.clone());
    pass(OFFLINE_FOR + 3600).await;
    assert_eq!(scene.pool.names().len(), 1);
    scene.cluster.hidden.lock().unwrap().clear();
    pass(70).await;
    assert_eq!(scene.pool.names().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_in_between_is_seen_anew() {
    // Another number is another agent, and another time of going offline another going.
    let turns: [fn(&mut RegisteredAgent); 3] = [
        |agent| agent.id = AgentId(agent.id.0 + 1),
        |agent| {
            let before = agent.status_changed.map_or(0, jiff::Timestamp::as_second);
            agent.status_changed = Some(jiff::Timestamp::from_second(before + 300).unwrap());
        },
        |agent| agent.name = format!("{}x", agent.name).into(),
    ];
    for turn in turns {
        let scene = scene(vec![left(1, "agents-gone")], false).await;
        for _ in 0..6 {
            pass(OFFLINE_FOR - 120).await;
            scene.pool.change(|agents| turn(&mut agents[0]));
        }
        assert_eq!(scene.pool.names().len(), 1);
    }
    // In the very last moment, as the last look at it shows.
    let back: [fn(&mut RegisteredAgent); 3] = [
        |agent| agent.online = true,
        |agent| agent.assigned = JOB,
        |agent| agent.status_changed = Some(jiff::Timestamp::UNIX_EPOCH),
    ];
    for back in back {
        let scene = scene(vec![left(1, "agents-gone")], false).await;
        pass(OFFLINE_FOR - 30).await;
        *scene.pool.after_look.lock().unwrap() = Some(back);
        pass(61).await;
        assert_eq!(scene.pool.names().len(), 1);
        assert_eq!(scene.pool.writes(), [""; 0]);
    }
    // A server that was away for a while has shown nothing.
    let scene = scene(vec![left(1, "agents-gone")], false).await;
    pass(OFFLINE_FOR / 2).await;
    scene.pool.down.store(true, Ordering::SeqCst);
    pass(OFFLINE_FOR).await;
    scene.pool.down.store(false, Ordering::SeqCst);
    pass(OFFLINE_FOR - 120).await;
    assert_eq!(scene.pool.names().len(), 1);
    pass(200).await;
    assert_eq!(scene.pool.names().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_may_only_be_read_and_a_dry_run_lose_nothing() {
    let agents = || vec![left(1, "agents-a"), left(2, "agents-b")];
    let forbidden = scene(agents(), false).await;
    forbidden.pool.forbidden.store(true, Ordering::SeqCst);
    pass(OFFLINE_FOR + 300).await;
    assert_eq!(forbidden.pool.names().len(), 2);
    let count = forbidden.count(WriteOutcome::Forbidden);
    assert!((4..=6).contains(&count), "{count}: once a minute");
    let dry = scene(agents(), true).await;
    pass(OFFLINE_FOR + 600).await;
    assert_eq!(
        (dry.pool.names().len(), dry.count(WriteOutcome::DryRun)),
        (2, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_when_a_replica_leads() {
    let scene = scene(vec![left(1, "agents-gone")], false).await;
    let both = (&scene.cluster, &scene.field);
    let two = Replica::start_in("two", &scene.record, both, REAPS, false);
    pass(OFFLINE_FOR - 60).await;
    scene.one.way.cut.store(true, Ordering::SeqCst);
    pass(60).await;
    assert!(two.leads() && !scene.one.leads());
    pass(OFFLINE_FOR - 120).await;
    assert_eq!(scene.pool.names().len(), 1);
    pass(180).await;
    assert_eq!(scene.pool.names().len(), 0);
    assert_eq!(scene.count(WriteOutcome::Done), 0);
}

//! The whole path on real parts: the real kube-apiserver, controller-manager
//! and KEDA on one side, Azure DevOps' emulator on the other, and between them
//! the program that users get.
//!
//! Needs the programs of `make tools`, and fails without them.

// The parts are real, and so is their time; there is no runtime to block.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod changes;
mod direct_scale_up;
mod real;
mod replicas;
mod scaled_jobs;
mod tls;

use std::time::{Duration, Instant};

use azp_harness::Cluster;
use real::{
    AgentPlayer, Emulator, HPA_PERIOD, Jobs, Outcome, SOON, Scaler, Scaling, cluster,
    cluster_alone, deployment, namespace,
    steps::{POOL, as_harness_error, clear, deploy, deploy_in, until_pool},
};

/// Longer than any scenario.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[test]
fn twenty_jobs_take_a_deployment_from_zero_to_twenty_and_back() -> Outcome {
    let (cluster, _turn) = cluster_alone()?;
    let name = "up-and-down";
    let emulator = Emulator::start(cluster, name, POOL)?;
    // So seldom that only the service hook can be the reason for what follows.
    let scaler = Scaler::start(cluster, name, &emulator, Duration::from_secs(60))?;
    deploy(cluster, name, &emulator, &scaler)?;
    let _agents = AgentPlayer::start(cluster, name, &emulator, POOL)?;
    let mut watch = cluster.watch_replicas(name, name)?;
    assert_eq!(watch.replicas(), 0, "there are no jobs yet");

    emulator.queue(
        POOL,
        Jobs {
            count: 20,
            demands: &[],
            lasting: Duration::from_secs(5),
        },
    )?;
    let hook = Instant::now();
    scaler.hook()?;
    let first = watch.until("a first replica", SOON, |replicas| replicas > 0)?;
    let waited = first.at.duration_since(hook);
    println!(
        "first replica {} ms after the service hook",
        waited.as_millis()
    );
    assert!(
        waited <= Duration::from_secs(1),
        "the first replica came after {waited:?}; {watch}"
    );

    let all = watch.until("20 replicas", SOON, |replicas| replicas == 20)?;
    println!(
        "20 replicas {:.1} s after the service hook",
        all.at.duration_since(hook).as_secs_f32()
    );
    until_pool(cluster, name, &emulator, "all jobs to end", |pool| {
        pool.queued == 0 && pool.running == 0
    })?;
    assert_eq!(
        emulator.pool(POOL)?.lost,
        0,
        "no agent was killed at its job"
    );
    assert!(
        watch.history().iter().all(|change| change.replicas <= 20),
        "{watch}"
    );

    scaler.hook()?;
    let none = watch.until("no replica", SOON, |replicas| replicas == 0)?;
    println!(
        "back at 0 after {:.1} s",
        none.at.duration_since(hook).as_secs_f32()
    );
    clear(cluster, name)
}

/// 22 of 20 is inside the HPA's default tolerance of a tenth, in which it does
/// nothing: without `tolerance: "0"` both jobs would wait for ever.
#[test]
fn two_jobs_beside_twenty_busy_agents_get_two_more() -> Outcome {
    let (cluster, _turn) = cluster()?;
    let name = "tolerance";
    let emulator = Emulator::start(cluster, name, POOL)?;
    let scaler = Scaler::start(cluster, name, &emulator, Duration::from_secs(1))?;
    deploy(cluster, name, &emulator, &scaler)?;
    let _agents = AgentPlayer::start(cluster, name, &emulator, POOL)?;
    let mut watch = cluster.watch_replicas(name, name)?;

    emulator.queue(
        POOL,
        Jobs {
            count: 20,
            demands: &[],
            lasting: FOR_EVER,
        },
    )?;
    watch.until("20 replicas", SOON, |replicas| replicas == 20)?;
    until_pool(cluster, name, &emulator, "20 running jobs", |pool| {
        pool.running == 20
    })?;
    assert_eq!(
        watch.during(2 * HPA_PERIOD),
        [],
        "20 running jobs keep 20 agents"
    );

    emulator.queue(
        POOL,
        Jobs {
            count: 2,
            demands: &[],
            lasting: FOR_EVER,
        },
    )?;
    let asked = Instant::now();
    let both = watch.until("22 replicas", SOON, |replicas| replicas == 22)?;
    println!(
        "22 replicas after {:.1} s",
        both.at.duration_since(asked).as_secs_f32()
    );
    until_pool(cluster, name, &emulator, "22 running jobs", |pool| {
        pool.running == 22
    })?;
    clear(cluster, name)
}

/// Every fault but `empty-list`: that one is a whole and well-formed answer that
/// says there are no jobs, and nobody could tell it from the truth.
#[test]
fn replicas_never_fall_while_azure_devops_fails() -> Outcome {
    const FAULTS: [&str; 14] = [
        "unauthorized",
        "expired-token",
        "forbidden",
        "sign-in-page",
        "redirect",
        "too-many-requests",
        "server-error",
        "unavailable",
        "hang",
        "slow-body",
        "cut-body",
        "huge-body",
        "html",
        "unknown-shape",
    ];
    let (cluster, _turn) = cluster()?;
    let space = "faults";
    cluster.apply(&namespace(space))?;
    // Side by side, each with an Azure DevOps of its own: most of the time goes
    // into watching that nothing happens.
    let failures: Vec<String> = std::thread::scope(|scope| {
        let checks = FAULTS.map(|fault| {
            (
                fault,
                scope.spawn(move || replicas_hold_through(cluster, space, fault)),
            )
        });
        let outcomes = checks.map(|(fault, check)| (fault, check.join()));
        let failed = |(fault, outcome)| match outcome {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(format!("{fault}: {failure:?}")),
            Err(_) => Some(format!("{fault}: panicked, see above")),
        };
        outcomes.into_iter().filter_map(failed).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    clear(cluster, space)
}

fn replicas_hold_through(cluster: &Cluster, space: &str, fault: &str) -> Outcome {
    const BUSY: u32 = 5;
    let emulator = Emulator::start(cluster, fault, POOL)?;
    let scaler = Scaler::start(cluster, fault, &emulator, Duration::from_millis(500))?;
    for number in 1..=BUSY {
        emulator.add_agent(POOL, &format!("{fault}-{number}"))?;
    }
    emulator.queue(
        POOL,
        Jobs {
            count: BUSY,
            demands: &[],
            lasting: FOR_EVER,
        },
    )?;
    deploy_in(cluster, space, fault, &emulator, &scaler)?;
    let mut watch = cluster.watch_replicas(space, fault)?;
    watch.until("an agent for each job", SOON, |replicas| replicas == BUSY)?;

    emulator.fail(fault)?;
    let before = emulator.requests()?;
    cluster.until(space, "the fault to be met", SOON, || {
        let met = emulator
            .requests()
            .map_err(|failure| as_harness_error(&failure))?;
        // The second shows that the scaler was done with the first.
        Ok((met >= before + 2).then_some(()))
    })?;
    let changes = watch.during(4 * HPA_PERIOD);
    assert_eq!(
        changes,
        [],
        "{fault}: {watch}; the scaler's log:\n{}",
        scaler.log()
    );

    emulator.clear_faults()?;
    emulator.queue(
        POOL,
        Jobs {
            count: 1,
            demands: &[],
            lasting: FOR_EVER,
        },
    )?;
    scaler.hook()?;
    watch.until("one replica more, after the fault", SOON, |replicas| {
        replicas == BUSY + 1
    })?;
    let never_fell = watch
        .history()
        .windows(2)
        .all(|pair| pair[0].replicas <= pair[1].replicas);
    assert!(never_fell, "{watch}");
    Ok(())
}

/// A row: its name, the metadata beyond the organization and the pool, and the
/// replicas that both triggers have to ask for.
struct Row(&'static str, &'static [(&'static str, &'static str)], u32);

/// A user moves by changing `type` and adding `scalerAddress`: each row is run
/// with KEDA's own trigger and with ours, on the same queue.
#[test]
fn the_metadata_of_azure_pipelines_gives_the_same_replicas() -> Outcome {
    const BY_ID: &str = "by-id";
    const PARENT: &str = "parent";
    const IN_FLIGHT: &str = "not-in-flight";
    const JAVA: &[&str] = &["java", "Agent.Version -gtVersion 2.182.1"];
    const BOTH: &[&str] = &["java", "docker"];
    const QUEUE: [(u32, &[&str]); 4] = [(1, &[]), (2, JAVA), (3, BOTH), (2, &["Windows"])];
    let rows = [
        Row("every-job", &[], 8),
        Row("demands", &[("demands", "java,docker")], 6),
        Row(
            "all-demands",
            &[("demands", "java,docker"), ("requireAllDemands", "true")],
            3,
        ),
        Row(
            "ignoring-others",
            &[
                ("demands", "java"),
                ("requireAllDemandsAndIgnoreOthers", "true"),
            ],
            5,
        ),
        Row(
            "any-case",
            &[
                ("demands", "windows"),
                ("caseInsensitiveDemandsProcessing", "true"),
            ],
            3,
        ),
        Row("three-for-each", &[("targetPipelinesQueueLength", "3")], 3),
        Row("unfinished", &[("fetchUnfinishedJobsOnly", "true")], 8),
        // Azure DevOps tells matched agents only where not every agent matches.
        Row(PARENT, &[("parent", "java-template")], 2),
        Row(IN_FLIGHT, &[("scaleOnInFlight", "false")], 7),
        // By number instead of by name.
        Row(
            BY_ID,
            &[
                ("jobsToFetch", "100"),
                ("activationTargetPipelinesQueueLength", "2"),
            ],
            8,
        ),
    ];
    let (cluster, _turn) = cluster()?;
    let space = "drop-in";
    cluster.apply(&namespace(space))?;
    let emulator = Emulator::start(cluster, space, POOL)?;
    let scaler = Scaler::start(cluster, space, &emulator, Duration::from_secs(1))?;

    let mut watches = Vec::new();
    let mut queued = Vec::new();
    for Row(row, metadata, expected) in rows {
        if row == PARENT {
            emulator.add_template(row, "java-template", &["java"])?;
            emulator.add_template(row, "plain-template", &[])?;
        }
        if row == IN_FLIGHT {
            // It takes the job without demands.
            emulator.add_agent(row, "worker")?;
        }
        for (count, demands) in QUEUE {
            let jobs = Jobs {
                count,
                demands,
                lasting: FOR_EVER,
            };
            queued.extend(emulator.queue(row, jobs)?.into_iter().map(|job| (row, job)));
        }
        let id = emulator.pool_id(row)?.to_string();
        let pool = if row == BY_ID {
            ("poolID", id.as_str())
        } else {
            ("poolName", row)
        };
        let common = [
            ("organizationURLFromEnv", "AZP_URL"),
            ("personalAccessTokenFromEnv", "AZP_TOKEN"),
            pool,
        ];
        let theirs = [&common[..], metadata].concat();
        let ours = [&[("scalerAddress", scaler.address.as_str())], &theirs[..]].concat();
        for (side, trigger, metadata) in [
            ("keda", "azure-pipelines", &theirs),
            ("ours", "external", &ours),
        ] {
            let name = format!("{row}-{side}");
            let scaling = Scaling {
                namespace: space,
                name: &name,
                trigger,
                metadata,
                authentication: None,
            };
            cluster.apply(&format!(
                "{}---\n{}",
                deployment(space, &name, &emulator.url()),
                scaling.yaml()
            ))?;
            watches.push((expected, cluster.watch_replicas(space, &name)?));
        }
    }
    for (expected, watch) in &mut watches {
        let what = format!("{expected} replicas");
        watch.until(&what, SOON, |replicas| replicas == *expected)?;
    }
    // And they stay: a number on the way to another one would not.
    let settled = Instant::now() + 2 * HPA_PERIOD;
    for (expected, watch) in &mut watches {
        watch.during(settled.saturating_duration_since(Instant::now()));
        assert_eq!(watch.replicas(), *expected, "{watch}");
    }

    for (row, job) in queued {
        emulator.cancel(row, job)?;
    }
    for (_, watch) in &mut watches {
        watch.until("no replica", SOON, |replicas| replicas == 0)?;
    }
    clear(cluster, space)
}

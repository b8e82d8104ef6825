//! The cluster adapter on a real apiserver, with KEDA's kinds and without KEDA.
//!
//! Needs the programs of `make tools`, and fails without them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]
// Each scenario holds the cluster for itself while it waits.
#![allow(clippy::await_holding_lock)]

mod events;
mod guard;
mod pools;
mod site;

use azp_scaler::{
    domain::declared::{Kind, Strategy},
    kubernetes::Health,
};
use site::{
    Watching, allow, cluster, create_many, find, job, jobs_of, namespace, next, scaled_job,
    scaled_object, service_account, until, until_token,
};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_objects_are_declared_as_they_come_change_and_go() {
    let (cluster, _turn) = cluster();
    let space = "declared";
    namespace(cluster, space);
    let before = [
        scaled_object(space, "push", 7, "external-push"),
        scaled_object(space, "foreign", 7, "azure-pipelines"),
        scaled_job(space, "jobs", "{strategy: accurate}"),
    ];
    cluster.apply(&before.concat()).unwrap();
    let mut watching = Watching::begin(cluster.kubeconfig(), &[space]).await;
    let declared = &mut watching.declared;
    let first = next(declared).await;
    assert_eq!(first.as_ref().unwrap().objects.len(), 2, "{first:#?}");
    assert!(find(&first, space, "foreign", Kind::ScaledObject).is_none());

    let push = find(&first, space, "push", Kind::ScaledObject).unwrap();
    assert_eq!((push.min_agents, push.max_agents), (0, 7));
    assert_eq!(&*push.agents_named, "push-agents");
    assert_eq!(push.triggers.len(), 1);
    assert_eq!(push.triggers[0]["warmAgents"], "2");
    let jobs = find(&first, space, "jobs", Kind::ScaledJob).unwrap();
    assert_eq!((jobs.min_agents, jobs.max_agents), (1, 100));
    assert_eq!(jobs.strategy, Strategy::Accurate);
    assert_eq!(&*jobs.agents_named, "jobs");
    assert_eq!(
        jobs.triggers.len(),
        1,
        "the trigger of type cron is not ours"
    );

    // What KEDA writes is no news, and a pause is: the next publication is of it.
    let resource = ["scaledobject", "push", "--namespace=declared"];
    let status = r#"--patch={"status":{"hpaName":"keda-hpa-push"}}"#;
    let patch = ["patch", resource[0], resource[1], resource[2]];
    let patch_status = [
        &patch[..],
        &["--subresource=status", "--type=merge", status],
    ]
    .concat();
    cluster.kubectl(&patch_status).unwrap();
    let pause = [
        &["annotate"],
        &resource[..],
        &["autoscaling.keda.sh/paused=true"],
    ]
    .concat();
    cluster.kubectl(&pause).unwrap();
    let paused = next(declared).await;
    let paused = find(&paused, space, "push", Kind::ScaledObject).unwrap();
    assert!(paused.paused && !push.paused);
    cluster
        .apply(&scaled_object(space, "later", 1, "external"))
        .unwrap();
    let second = next(declared).await;
    assert!(find(&second, space, "later", Kind::ScaledObject).is_some());
    assert_eq!(
        find(&second, space, "push", Kind::ScaledObject),
        Some(paused)
    );

    cluster
        .apply(&scaled_object(space, "push", 9, "external-push"))
        .unwrap();
    let third = next(declared).await;
    let edited = find(&third, space, "push", Kind::ScaledObject).unwrap();
    assert_eq!(edited.max_agents, 9);

    let delete = [&["delete"], &resource[..]].concat();
    cluster.kubectl(&delete).unwrap();
    let fourth = next(declared).await;
    assert!(find(&fourth, space, "push", Kind::ScaledObject).is_none());
    // Its last trigger that may be ours becomes another's.
    cluster
        .apply(&scaled_object(space, "later", 1, "cron"))
        .unwrap();
    let fifth = next(declared).await;
    assert!(find(&fifth, space, "later", Kind::ScaledObject).is_none());
    assert!(watching.health.borrow().is_current());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_named_namespaces_are_watched() {
    let (cluster, _turn) = cluster();
    let spaces = ["named-a", "named-b", "named-c"];
    for space in spaces {
        namespace(cluster, space);
        cluster
            .apply(&scaled_object(space, "agents", 5, "external"))
            .unwrap();
    }
    let mut watching = Watching::begin(cluster.kubeconfig(), &spaces[..2]).await;
    let first = next(&mut watching.declared).await.unwrap();
    let seen: Vec<_> = first
        .objects
        .keys()
        .map(|(object, _)| &*object.namespace)
        .collect();
    assert_eq!(seen, spaces[..2]);
    assert!(first.cover("named-a") && !first.cover("named-c"));

    // Without names, those of every scenario are there.
    let mut watching = Watching::begin(cluster.kubeconfig(), &[]).await;
    let all = next(&mut watching.declared).await;
    for space in spaces {
        assert!(find(&all, space, "agents", Kind::ScaledObject).is_some());
    }
    assert!(all.unwrap().cover("anywhere"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_may_not_be_read_is_told_with_its_rule_and_waited_for() {
    let (cluster, _turn) = cluster();
    let (own, other) = ("allowed", "refused");
    let rules =
        "[{apiGroups: [keda.sh], resources: [scaledobjects, scaledjobs], verbs: [list, watch]}]";
    for space in [own, other] {
        namespace(cluster, space);
        cluster
            .apply(&scaled_object(space, "agents", 5, "external"))
            .unwrap();
    }
    let kubeconfig = service_account(cluster, own, rules);
    let mut watching = Watching::begin(kubeconfig, &[own, other]).await;
    let broken = until(&mut watching.health, "both refusals", |health| {
        health.broken().count() == 2
    })
    .await;
    for (rule, broken) in broken.broken() {
        assert_eq!(rule.namespace.as_deref(), Some(other));
        assert_eq!(broken.failure.kind(), "forbidden");
        let shown = broken.failure.to_string();
        let verbs = r#"verbs: ["list", "watch"]} in namespace refused"#;
        assert!(shown.contains(verbs), "{shown}");
    }
    assert!(watching.declared.borrow().is_none(), "one list is missing");

    allow(cluster, own, other, rules);
    let first = next(&mut watching.declared).await;
    for space in [own, other] {
        assert!(find(&first, space, "agents", Kind::ScaledObject).is_some());
    }
    assert!(watching.health.borrow().is_current());

    // A service account for all namespaces needs a ClusterRole.
    let kubeconfig = cluster.directory().join("kubeconfig-allowed");
    let mut watching = Watching::begin(kubeconfig, &[]).await;
    let broken = until(&mut watching.health, "refusals", |health| {
        !health.is_current()
    })
    .await;
    let (_, broken) = broken.broken().next().unwrap();
    let shown = broken.failure.to_string();
    assert!(shown.contains("a ClusterRole"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_followed_through_the_life_of_its_secret() {
    let (cluster, _turn) = cluster();
    let space = "tokens";
    namespace(cluster, space);
    let secret = |data: &str| {
        let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: azp, namespace: tokens}\n";
        cluster
            .apply(&format!("{head}stringData: {data}\n"))
            .unwrap();
    };
    let delete = || {
        let gone = ["delete", "secret", "azp", "--namespace=tokens"];
        cluster.kubectl(&gone).unwrap();
    };
    let rules = |verbs: &str| {
        format!("[{{apiGroups: [''], resources: [secrets], resourceNames: [azp], verbs: {verbs}}}]")
    };
    let kubeconfig = service_account(cluster, space, &rules("[get, watch]"));
    // It asks for the Secret alone: watching anything else is not allowed.
    let watching = Watching::begin(kubeconfig, &[space]).await;
    let token = watching.token(space, "azp");
    until_token(&*token, |seen| {
        seen.is_err_and(|what| what.contains("there is no Secret tokens/azp; create it"))
    })
    .await;
    secret("{token: \"first\\n\"}");
    until_token(&*token, |seen| seen == Ok("first")).await;
    secret("{token: second, other: key}");
    until_token(&*token, |seen| seen == Ok("second")).await;
    delete();
    until_token(&*token, |seen| {
        seen.is_err_and(|what| what.contains("there is no Secret"))
    })
    .await;
    secret("{other: key}");
    until_token(&*token, |seen| {
        seen.is_err_and(|what| what.contains("the key \"token\", which is not there"))
    })
    .await;
    secret("{token: third}");
    until_token(&*token, |seen| seen == Ok("third")).await;

    // Without `watch` it is read again when it is asked for and old enough.
    allow(cluster, space, space, &rules("[get]"));
    let token = watching.token(space, "azp");
    until_token(&*token, |seen| seen == Ok("third")).await;
    secret("{token: fourth}");
    until_token(&*token, |seen| seen == Ok("fourth")).await;

    // With no right the remedy is told, and it takes nothing more than the right.
    let token = watching.token(space, "another");
    until_token(&*token, |seen| {
        let part = r#"resources: ["secrets"], resourceNames: ["another"], verbs: ["get", "watch"]"#;
        seen.is_err_and(|what| what.contains(part) && what.contains("in namespace tokens"))
    })
    .await;
    let hostile = watching.token(space, "../../configmaps/azp");
    until_token(&*hostile, |seen| {
        seen.is_err_and(|what| what.contains("cannot be the name"))
    })
    .await;
    let other = "apiVersion: v1\nkind: Secret\nmetadata: {name: another, namespace: tokens}\n";
    cluster
        .apply(&format!("{other}stringData: {{token: fifth}}\n"))
        .unwrap();
    allow(
        cluster,
        space,
        space,
        "[{apiGroups: [''], resources: [secrets], verbs: [get, watch]}]",
    );
    until_token(&*token, |seen| seen == Ok("fifth")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_and_their_pods_are_counted() {
    let (cluster, _turn) = cluster();
    let space = "jobs";
    namespace(cluster, space);
    let mut watching = Watching::begin(cluster.kubeconfig(), &[space]).await;
    next(&mut watching.declared).await;
    assert!(watching.census.borrow().is_none(), "there is no ScaledJob");

    // A Job that was there before, and one of nobody's.
    cluster.apply(&job(space, "agents", "agents-1")).unwrap();
    cluster
        .apply(&job(space, "others", "others-1").replace("scaledjob.keda.sh/name", "app"))
        .unwrap();
    cluster
        .apply(&scaled_job(space, "agents", "{strategy: accurate}"))
        .unwrap();
    let census = &mut watching.census;
    let counted = |existing, started| {
        move |census: &Option<_>| {
            jobs_of(census, space, "agents")
                .is_some_and(|jobs| (jobs.existing, jobs.started) == (existing, started))
        }
    };
    let seen = until(census, "one Job", counted(1, 0)).await.unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    cluster.apply(&job(space, "agents", "agents-2")).unwrap();
    until(census, "two Jobs", counted(2, 0)).await;

    let pod = |job: &str| {
        let of = format!("--selector=job-name={job}");
        let wait = [
            "wait",
            "--for=create",
            "pod",
            &of,
            "--namespace=jobs",
            "--timeout=60s",
        ];
        let created = cluster.kubectl(&wait).unwrap();
        let name = created.split(['/', ' ']).nth(1).unwrap();
        name.to_owned()
    };
    let phase = |pod: &str, status: &str| {
        let patch = format!("--patch={{\"status\":{status}}}");
        let arguments = [
            "patch",
            "pod",
            pod,
            "--namespace=jobs",
            "--subresource=status",
            &patch,
        ];
        cluster.kubectl(&arguments).unwrap();
    };
    let (one, two) = (pod("agents-1"), pod("agents-2"));
    phase(&one, r#"{"phase":"Running"}"#);
    until(census, "a pod that runs", counted(2, 1)).await;
    phase(&two, r#"{"phase":"Running"}"#);
    until(census, "two pods that run", counted(2, 2)).await;

    // The Job's controller finishes the Job of a pod that succeeded; and of one
    // that failed, since there is no second try.
    phase(&one, r#"{"phase":"Succeeded"}"#);
    let ended = |name: String| {
        move |census: &Option<_>| {
            jobs_of(census, space, "agents").is_some_and(|jobs| jobs.ended.contains(&*name))
        }
    };
    until(census, "the pod that succeeded", ended(one)).await;
    until(census, "one unfinished Job", counted(1, 1)).await;

    // A pod that is being deleted still runs.
    let finalizer = r#"--patch={"metadata":{"finalizers":["example.org/held"]}}"#;
    cluster
        .kubectl(&[
            "patch",
            "pod",
            &two,
            "--namespace=jobs",
            "--type=merge",
            finalizer,
        ])
        .unwrap();
    cluster
        .kubectl(&["delete", "pod", &two, "--namespace=jobs", "--wait=false"])
        .unwrap();
    cluster.apply(&job(space, "agents", "agents-3")).unwrap();
    let seen = until(census, "another Job", |census| {
        jobs_of(census, space, "agents").is_some_and(|jobs| jobs.existing == 2)
    })
    .await;
    let seen = jobs_of(&seen, space, "agents").unwrap();
    assert!(!seen.ended.contains(&*two), "{seen:?}");
    let release = r#"--patch={"metadata":{"finalizers":null}}"#;
    cluster
        .kubectl(&[
            "patch",
            "pod",
            &two,
            "--namespace=jobs",
            "--type=merge",
            release,
        ])
        .unwrap();
    until(census, "the pod that is gone", ended(two)).await;
    cluster
        .kubectl(&["delete", "job", "agents-2", "--namespace=jobs"])
        .unwrap();
    until(census, "the last Job", counted(1, 0)).await;

    // With conditions of its own, others count.
    let conditions = "{strategy: accurate, pendingPodConditions: [Ready]}";
    let three = pod("agents-3");
    phase(&three, r#"{"phase":"Running"}"#);
    until(census, "the third to run", counted(1, 1)).await;
    cluster
        .apply(&scaled_job(space, "agents", conditions))
        .unwrap();
    until(census, "the third not to be ready", counted(1, 0)).await;
    phase(
        &three,
        r#"{"conditions":[{"type":"Ready","status":"True"}]}"#,
    );
    until(census, "the third to be ready", counted(1, 1)).await;

    // Without a ScaledJob nothing is watched.
    cluster
        .kubectl(&["delete", "scaledjob", "agents", "--namespace=jobs"])
        .unwrap();
    until(census, "the end of the watch", Option::is_none).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_goes_away_leaves_the_last_state() {
    let (cluster, _turn) = cluster();
    let space = "away";
    namespace(cluster, space);
    let objects = [
        scaled_object(space, "agents", 5, "external"),
        scaled_job(space, "jobs", "{strategy: default}"),
        job(space, "jobs", "jobs-1"),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: azp, namespace: away}\n\
         stringData: {token: still}\n"
            .to_owned(),
    ];
    cluster.apply(&objects.concat()).unwrap();
    let mut watching = Watching::begin(cluster.kubeconfig(), &[space]).await;
    let before = next(&mut watching.declared).await;
    let existing = |number| {
        move |census: &Option<_>| {
            jobs_of(census, space, "jobs").is_some_and(|jobs| jobs.existing == number)
        }
    };
    until(&mut watching.census, "one Job", existing(1)).await;
    let token = watching.token(space, "azp");
    until_token(&*token, |seen| seen == Ok("still")).await;

    cluster.stop_api_server().unwrap();
    // Both kinds, Jobs and pods.
    let broken = until(&mut watching.health, "four broken watches", |health| {
        health.broken().count() == 4
    })
    .await;
    assert!(
        broken
            .broken()
            .all(|(_, broken)| broken.failure.kind() == "unreachable")
    );
    assert_eq!(*watching.declared.borrow(), before);
    assert!(existing(1)(&*watching.census.borrow()));
    until_token(&*token, |seen| seen == Ok("still")).await;
    let unknown = watching.token(space, "never-read");
    until_token(&*unknown, |seen| {
        seen.is_err_and(|what| what.contains("cannot be reached"))
    })
    .await;

    cluster.start_api_server().unwrap();
    let well = |health: &Health| health.is_current();
    until(&mut watching.health, "watches at work", well).await;
    let news = [
        scaled_object(space, "agents", 6, "external"),
        job(space, "jobs", "jobs-2"),
    ];
    cluster.apply(&news.concat()).unwrap();
    until(&mut watching.declared, "the edit", |declared| {
        find(declared, space, "agents", Kind::ScaledObject)
            .unwrap()
            .max_agents
            == 6
    })
    .await;
    until(&mut watching.census, "two Jobs", existing(2)).await;
    let rotate = ["patch", "secret", "azp", "--namespace=away"];
    let rotate = [
        &rotate[..],
        &["--patch={\"stringData\":{\"token\":\"new\"}}"],
    ]
    .concat();
    cluster.kubectl(&rotate).unwrap();
    until_token(&*token, |seen| seen == Ok("new")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_objects_are_one_publication() {
    const COUNT: usize = 1000;
    let (cluster, _turn) = cluster();
    let space = "thousand";
    namespace(cluster, space);
    create_many(cluster, space, COUNT).await;
    let begun = Instant::now();
    let mut watching = Watching::begin(cluster.kubeconfig(), &[space]).await;
    let first = next(&mut watching.declared).await.unwrap();
    let took = begun.elapsed().as_millis();
    println!("{COUNT} scaling objects declared after {took} ms");
    assert_eq!(first.objects.len(), COUNT);
    // And the next one is of what comes next.
    cluster
        .apply(&scaled_object(space, "one-more", 5, "external"))
        .unwrap();
    let second = next(&mut watching.declared).await.unwrap();
    assert_eq!(second.objects.len(), COUNT + 1);
    let shared = first.objects.iter().filter(|(key, declared)| {
        let now = &second.objects[*key];
        std::sync::Arc::ptr_eq(now, declared)
    });
    assert_eq!(shared.count(), COUNT, "what has not changed is not copied");
}

/// What docs/cluster-access.md tells people to apply, applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_of_the_page_are_enough() {
    let (cluster, _turn) = cluster();
    let page = include_str!("../../docs/cluster-access.md");
    for kind in azp_scaler::kubernetes::Failure::KINDS {
        assert!(page.contains(&format!("`{kind}`")), "{kind} is not on it");
    }
    let roles: Vec<&str> = page.split("```yaml\n").skip(1).collect();
    let roles = roles.iter().map(|text| text.split("```").next().unwrap());
    let [one, all] = roles.collect::<Vec<_>>()[..] else {
        panic!("a role for a namespace, and one for the cluster");
    };
    let (space, owner) = ("page", "page-keda");
    for name in [space, owner] {
        namespace(cluster, name);
    }
    let objects = [
        scaled_job(space, "agents", "{strategy: accurate}"),
        job(space, "agents", "agents-1"),
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: azure-pipelines, namespace: {space}}}\n\
             stringData: {{token: found}}\n"
        ),
    ];
    cluster.apply(&objects.concat()).unwrap();
    let kubeconfig = service_account(cluster, owner, "[]");
    let role = one.replace("namespace: ci", "namespace: page");
    let role = role.replace("namespace: keda", "namespace: page-keda");
    cluster
        .apply(&role.replace(
            "name: azp-scaler\n  namespace: page-keda",
            "name: scaler\n  namespace: page-keda",
        ))
        .unwrap();
    let mut watching = Watching::begin(kubeconfig.clone(), &[space]).await;
    until(&mut watching.census, "one Job", |census| {
        jobs_of(census, space, "agents").is_some_and(|jobs| jobs.existing == 1)
    })
    .await;
    let token = watching.token(space, "azure-pipelines");
    until_token(&*token, |seen| seen == Ok("found")).await;
    assert!(watching.health.borrow().is_current());

    let role = all.replace(
        "name: azp-scaler\n  namespace: keda",
        "name: scaler\n  namespace: page-keda",
    );
    cluster.apply(&role).unwrap();
    let mut watching = Watching::begin(kubeconfig, &[]).await;
    until(&mut watching.census, "every Job", |census| {
        jobs_of(census, space, "agents").is_some_and(|jobs| jobs.existing == 1)
    })
    .await;
    assert!(watching.health.borrow().is_current());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kedas_kinds_are_waited_for() {
    let (cluster, _turn) = cluster();
    let space = "no-keda";
    namespace(cluster, space);
    let definition = ["crd", "scaledjobs.keda.sh"];
    let get = [&["get"], &definition[..], &["--output=json"]].concat();
    let mut kept: serde_json::Value =
        serde_json::from_str(&cluster.kubectl(&get).unwrap()).unwrap();
    let metadata = kept["metadata"].as_object_mut().unwrap();
    metadata.retain(|member, _| member == "name" || member == "annotations");
    cluster
        .kubectl(&[&["delete"], &definition[..]].concat())
        .unwrap();

    let mut watching = Watching::begin(cluster.kubeconfig(), &[space]).await;
    let broken = until(&mut watching.health, "a missing kind", |health| {
        !health.is_current()
    })
    .await;
    let (_, broken) = broken.broken().next().unwrap();
    let shown = broken.failure.to_string();
    assert!(
        shown.contains("no scaledjobs.keda.sh; is KEDA installed"),
        "{shown}"
    );
    assert!(watching.declared.borrow().is_none());

    cluster.apply(&kept.to_string()).unwrap();
    let first = next(&mut watching.declared).await.unwrap();
    assert!(first.objects.is_empty());
    assert!(watching.health.borrow().is_current());
    // For those who come after.
    let established = [&["wait", "--for=condition=Established"], &definition[..]].concat();
    cluster.kubectl(&established).unwrap();
}

//! What keeps a scaling object from scaling, as the guard is told.

use std::sync::atomic::Ordering;

use super::{
    bench::{ADDRESS, Bench, LEARN, bench, bench_of, declared, object, rules},
    java_and_plain,
};
use crate::{
    domain::{
        declared::{Declared, Kind},
        job::JobState,
        notice::{Code, LONGEST_NOTE},
        organization::OrganizationUrl,
    },
    pools::scripted::{Says, organization, queued},
    ports::{
        ReadError, Right,
        notices::{Noticed, Notices as _, Seen},
        writes::Needs as _,
    },
    scaler::Duration,
};

const ANY: &str = "poolName: linux; credential: one";
const JAVA: &str = "poolName: linux; credential: one; capabilities: java=17";
const LEGACY: &str = "poolName: linux; credential: one; demands: java";

/// What is told once the pools that are wanted have been read.
async fn notices(bench: &Bench) -> Vec<Noticed> {
    bench.scaler.keep();
    tokio::time::sleep(Duration::from_secs(12)).await;
    bench.scaler.notices().unwrap()
}

/// What is told of the only scaling object there is.
async fn of(bench: &Bench, declared: Declared) -> Noticed {
    bench.declare([declared]).await;
    let mut all = notices(bench).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[track_caller]
fn check(noticed: &Noticed, seen: Seen, expected: &[(Code, &str)]) {
    assert_eq!(noticed.seen, seen, "{noticed:?}");
    let codes: Vec<_> = noticed.notices.iter().map(|notice| notice.code).collect();
    let wanted: Vec<_> = expected.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, wanted, "{noticed:?}");
    for (notice, (_, part)) in noticed.notices.iter().zip(expected) {
        assert!(notice.note.contains(part), "{}", notice.note);
        assert!(notice.note.len() <= LONGEST_NOTE);
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_is_well_there_is_nothing_to_tell() {
    let bench = bench(queued(3, &[]));
    assert_eq!(bench.scaler.notices(), None, "the cluster has told nothing");
    bench.declare([declared("linux", &[ANY])]).await;
    let before = bench.scaler.notices().unwrap();
    check(&before[0], Seen::Nothing, &[]);
    let after = notices(&bench).await;
    check(&after[0], Seen::Jobs, &[]);
    assert_eq!(
        (&*after[0].uid, after[0].kind),
        ("uid-linux", Kind::ScaledObject)
    );
    assert_eq!(after[0].object, object("linux"));
}

/// A trigger that is refused: the words are those that KEDA is told.
#[tokio::test(start_paused = true)]
async fn a_trigger_that_cannot_be_used_is_told_with_all_its_problems() {
    for (trigger, code, parts) in [
        (
            "poolNam: linux; warmAgents: many",
            Code::TriggerInvalid,
            &["poolNam", "warmAgents"][..],
        ),
        (
            "poolName: linux; credential: three",
            Code::AccessDenied,
            &["the scaler holds none named \"three\""],
        ),
        (
            "poolName: linux; organizationURL: https://dev.azure.com/other",
            Code::AccessDenied,
            &["is not on the scaler's list"],
        ),
    ] {
        let bench = bench(Vec::new());
        let noticed = of(&bench, declared("linux", &[trigger])).await;
        let told = bench.ask("linux", trigger).await.unwrap_err();
        for part in parts {
            check(&noticed, Seen::Reading, &[(code, part)]);
        }
        assert_eq!(noticed.notices[0].note, told);
        // Corrected, though KEDA has not called for it yet.
        let noticed = of(&bench, declared("linux", &[ANY])).await;
        check(&noticed, Seen::Jobs, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_not_there_is_told_and_its_name_corrected() {
    let bench = bench(Vec::new());
    let wrong = "poolName: linx; credential: one";
    let noticed = of(&bench, declared("linux", &[wrong])).await;
    let text = "pool linx is not there or not visible to this credential; check its name";
    check(&noticed, Seen::Reading, &[(Code::PoolNotFound, text)]);
    check(
        &of(&bench, declared("linux", &[ANY])).await,
        Seen::Jobs,
        &[],
    );
    // One of two pools is enough to be told, with the other's state unknown or well.
    let both = of(&bench, declared("linux", &[ANY, wrong])).await;
    check(&both, Seen::Reading, &[(Code::PoolNotFound, "linx")]);
}

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_code_at_once_or_when_nothing_is_known_any_more() {
    let forbidden = ReadError::Forbidden {
        right: Right::Read,
        message: "Access denied.".into(),
    };
    let rejected = |how: &str| ReadError::CredentialRejected { how: how.into() };
    let queue = ReadError::QueueId {
        queue: 5,
        pool: 27,
        name: "linux".into(),
    };
    for (error, code) in [
        (rejected("203 and a sign-in page"), Code::CredentialRejected),
        (ReadError::CredentialExpired, Code::CredentialExpired),
        (forbidden, Code::CredentialForbidden),
        (queue, Code::QueueIdForPool),
        (ReadError::Throttled, Code::AzureDevOpsFails),
        (ReadError::Server { status: 503 }, Code::AzureDevOpsFails),
    ] {
        let bench = bench(queued(1, &[]));
        check(
            &of(&bench, declared("linux", &[ANY])).await,
            Seen::Jobs,
            &[],
        );
        let text = error.to_string();
        let lasts = !error.may_pass();
        bench.script.now(Says::Fails(error));
        // While the last reading is good enough for KEDA, it may pass.
        let expected: &[(Code, &str)] = &[(code, &text)];
        let soon = notices(&bench).await;
        match lasts {
            true => check(&soon[0], Seen::Reading, expected),
            false => check(&soon[0], Seen::Jobs, &[]),
        }
        for _ in 0..40 {
            bench.scaler.keep();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        check(&notices(&bench).await[0], Seen::Reading, expected);
        bench.script.now(Says::Jobs(Vec::new()));
        tokio::time::sleep(Duration::from_secs(90)).await;
        check(&notices(&bench).await[0], Seen::Jobs, &[]);
    }
}

/// What the service says may be other words each time.
#[tokio::test(start_paused = true)]
async fn a_failure_in_other_words_is_the_same() {
    let bench = bench(Vec::new());
    of(&bench, declared("linux", &[ANY])).await;
    let mut about = Vec::new();
    for how in ["401, activity 1", "401, activity 2"] {
        let how = how.into();
        bench
            .script
            .now(Says::Fails(ReadError::CredentialRejected { how }));
        tokio::time::sleep(Duration::from_secs(90)).await;
        about.push(notices(&bench).await[0].notices[0].about);
    }
    assert_eq!(about[0], about[1]);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_nobody_takes_are_told_with_the_refusal() {
    let jobs = java_and_plain();
    let bench = bench(jobs);
    let noticed = of(&bench, declared("linux", &[JAVA])).await;
    check(&noticed, Seen::Jobs, &[]);
    bench
        .script
        .now(Says::Jobs(queued(3, &["java -equals 21"])));
    let noticed = notices(&bench).await.remove(0);
    let text = "job 1 and 2 more of pool linux: no profile takes it, so no agent is started for \
                it; ci/linux does not take it: demand \"java -equals 21\" is not met: the agent \
                has \"17\"; change what the job asks for";
    check(&noticed, Seen::Jobs, &[(Code::JobsUnmatched, text)]);
    // Fewer of them are no news, and other demands are.
    bench
        .script
        .now(Says::Jobs(queued(1, &["java -equals 21"])));
    let fewer = notices(&bench).await.remove(0);
    assert_eq!(fewer.notices[0].about, noticed.notices[0].about);
    bench.script.now(Says::Jobs(queued(1, &["gpu"])));
    let other = notices(&bench).await.remove(0);
    assert_ne!(other.notices[0].about, noticed.notices[0].about);
    // A job that runs somewhere waits for nobody.
    let mut running = queued(1, &["gpu"]);
    running[0].state = JobState::Running;
    running[0].agent = Some("vm-1".into());
    bench.script.now(Says::Jobs(running));
    check(&notices(&bench).await[0], Seen::Jobs, &[]);
}

#[tokio::test(start_paused = true)]
async fn jobs_beyond_the_maximum_are_told_to_those_who_would_take_them() {
    let few = |trigger: &str| Declared {
        max_agents: 2,
        ..declared("linux", &[trigger])
    };
    let text = "it has 2 agents at most (maxReplicaCount), which is reached: 1 job of pool linux \
                waits; raise maxReplicaCount, or let others take the jobs";
    for trigger in [ANY, LEGACY] {
        let asks: &[&str] = if trigger == LEGACY { &["java"] } else { &[] };
        let bench = bench(queued(3, asks));
        let at_most = of(&bench, few(trigger)).await;
        check(&at_most, Seen::Jobs, &[(Code::AtMaximum, text)]);
        let enough = of(&bench, declared("linux", &[trigger])).await;
        check(&enough, Seen::Jobs, &[]);
    }
    // Another takes them.
    let bench = bench(queued(3, &[]));
    bench.declare([few(ANY), declared("others", &[ANY])]).await;
    for noticed in notices(&bench).await {
        check(&noticed, Seen::Jobs, &[]);
    }
    // Another cannot.
    bench
        .declare([
            few(ANY),
            declared(
                "gpu",
                &["poolName: linux; credential: one; capabilities: gpu; requires: gpu"],
            ),
        ])
        .await;
    let all = notices(&bench).await;
    check(&all[0], Seen::Jobs, &[]);
    check(
        &all[1],
        Seen::Jobs,
        &[(Code::AtMaximum, "1 job of pool linux waits")],
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_while_jobs_wait() {
    let text = "it is paused, and KEDA starts no agents for it: 3 jobs of pool linux wait; take \
                the annotation";
    for trigger in [ANY, LEGACY] {
        for (paused, scaling_out_paused) in [(true, false), (false, true)] {
            let asks: &[&str] = if trigger == LEGACY { &["java"] } else { &[] };
            let bench = bench(queued(3, asks));
            let of_it = || Declared {
                paused,
                scaling_out_paused,
                ..declared("linux", &[trigger])
            };
            check(
                &of(&bench, of_it()).await,
                Seen::Jobs,
                &[(Code::PausedWithJobs, text)],
            );
            bench.script.now(Says::Jobs(Vec::new()));
            check(&of(&bench, of_it()).await, Seen::Jobs, &[]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hosted_pool_is_told() {
    let bench = bench(Vec::new());
    bench.script.hosted.store(true, Ordering::SeqCst);
    let hosted = of(&bench, declared("linux", &[ANY])).await;
    check(
        &hosted,
        Seen::Jobs,
        &[(Code::PoolHosted, "hosted by Microsoft")],
    );
}

#[tokio::test(start_paused = true)]
async fn two_that_share_a_name_are_told_both() {
    let bench = bench(Vec::new());
    let job = Declared {
        kind: Kind::ScaledJob,
        uid: "uid-job".into(),
        ..declared("linux", &[ANY])
    };
    bench.declare([declared("linux", &[ANY]), job]).await;
    let all = notices(&bench).await;
    let uids: Vec<_> = all.iter().map(|noticed| &*noticed.uid).collect();
    assert_eq!(uids, ["uid-linux", "uid-job"]);
    for noticed in &all {
        check(noticed, Seen::Jobs, &[(Code::NameShared, "rename one")]);
    }
}

/// The value of a variable only KEDA knows.
#[tokio::test(start_paused = true)]
async fn a_trigger_with_its_organization_in_a_variable_is_known_once_keda_has_called() {
    let bench = bench(Vec::new());
    let with = |value: &str| format!("{ANY}; organizationURLFromEnv: {value}");
    let written = || declared("linux", &[&with("AZP_URL")]);
    check(&of(&bench, written()).await, Seen::Nothing, &[]);
    bench
        .ask("linux", &with("https://dev.azure.com/other"))
        .await
        .unwrap_err();
    let noticed = of(&bench, written()).await;
    check(
        &noticed,
        Seen::Reading,
        &[(Code::AccessDenied, "organizationURL")],
    );
    bench
        .ask("linux", &with(&organization().to_string()))
        .await
        .unwrap();
    check(&of(&bench, written()).await, Seen::Jobs, &[]);
}

/// As long as profiles may be missing, jobs may be another's.
#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_jobs_while_the_scaler_learns() {
    let mut two = rules();
    let other = OrganizationUrl::parse("https://dev.azure.com/other").unwrap();
    two.organizations.push(other);
    two.credentials[0].organizations = two.organizations.clone();
    let bench = bench_of(queued(3, &["gpu"]), two, &[ADDRESS]);
    let java = format!("{JAVA}; organizationURL: {}", organization());
    let variable = format!("{ANY}; organizationURLFromEnv: AZP_URL");
    let both = || [declared("linux", &[&java]), declared("other", &[&variable])];
    bench.declare(both()).await;
    let noticed = notices(&bench).await;
    check(&noticed[0], Seen::Reading, &[]);
    check(&noticed[1], Seen::Nothing, &[]);
    tokio::time::sleep(LEARN).await;
    let after = notices(&bench).await;
    check(
        &after[0],
        Seen::Jobs,
        &[(Code::JobsUnmatched, "demand \"gpu\"")],
    );
}

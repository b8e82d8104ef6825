//! Who may write to which pool, and for whom.

use super::bench::{Bench, bench_keeping, declared, object, rules};
use crate::{
    domain::{
        declared::{Declared, Kind},
        keeper::Keeper,
        tenancy::{NamespacePattern, Rules},
    },
    ports::stands::{PoolStands as _, Stand, Stands},
};

fn keeper() -> Keeper {
    Keeper::new("west", "azp", "azp-scaler")
}

fn bench() -> Bench {
    let rules = Rules {
        own_tokens: vec![NamespacePattern::parse("ci").unwrap()],
        ..rules()
    };
    bench_keeping(rules, keeper())
}

async fn stands(bench: &Bench, of: impl IntoIterator<Item = Declared>) -> Stands {
    bench.declare(of).await;
    bench.scaler.stands().unwrap()
}

/// Names of placeholders, with what each has.
fn placeholders(stand: &Stand) -> Vec<(String, Vec<String>)> {
    let own = stand
        .profiles
        .iter()
        .filter_map(|profile| profile.placeholder.as_ref());
    own.map(|placeholder| {
        let has = placeholder.capabilities.iter();
        let has = has.map(|capability| capability.name.to_string());
        (placeholder.name.to_string(), has.collect())
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn each_profile_has_one_with_what_its_agents_have() {
    let bench = bench();
    assert!(
        bench.scaler.stands().is_none(),
        "the cluster has told nothing"
    );
    let objects = [
        declared(
            "java",
            &["poolName: Linux; credential: one; capabilities: java=17; placeholder: held"],
        ),
        declared("any", &["poolName: linux; credential: one"]),
        declared("old", &["poolName: linux; credential: one; demands: java"]),
    ];
    let stands = stands(&bench, objects).await;
    let [stand] = &stands.all[..] else {
        panic!("{stands:?}");
    };
    assert!(stands.is_current && stands.unclear.is_empty() && stand.only.is_none());
    let given = keeper().name(&object("any"), &Default::default());
    assert!(given.starts_with("azp_placeholder_west_ci_any_"));
    let expected = [
        (given.to_string(), vec![]),
        ("held".to_owned(), vec!["java".to_owned()]),
    ];
    assert_eq!(placeholders(stand), expected);
    // The reaper has to know of the others, too.
    let named: Vec<_> = stand
        .profiles
        .iter()
        .map(|profile| &*profile.agents_named)
        .collect();
    assert_eq!(named, ["any", "java", "old"]);
    bench.see(false);
    assert!(!bench.scaler.stands().unwrap().is_current);
}

#[tokio::test(start_paused = true)]
async fn a_credential_serves_those_who_were_granted_it() {
    let bench = bench();
    let objects = [
        declared("one", &["poolName: linux; credential: one"]),
        declared("two", &["poolName: linux; credential: two"]),
        declared("own", &["poolName: linux; secretName: azp"]),
    ];
    let stands = stands(&bench, objects).await;
    let told: Vec<_> = stands
        .all
        .iter()
        .map(|stand| {
            (
                &*stand.key.credential,
                stand.only.as_deref(),
                &*stand.profiles[0].object.name,
            )
        })
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].0.starts_with("Secret ci/azp"), "{told:?}");
    assert_eq!((told[0].1, told[0].2), (Some("ci"), "own"));
    assert_eq!(told[1..], [("one", None, "one"), ("two", None, "two")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_said_to_be_so() {
    let good = "poolName: linux; credential: one";
    let other = format!("{good}; scalerAddress: other.keda:9090");
    for (what, triggers) in [
        (
            "it cannot be read",
            &[good, "poolName: linux; capabilties: java"][..],
        ),
        (
            "it is not granted",
            &[good, "poolName: linux; credential: three"],
        ),
        ("it may be another scaler's", &[good, &other]),
        (
            "only KEDA knows the organization",
            &["poolName: linux; credential: one; organizationURLFromEnv: AZP_URL"],
        ),
        (
            "only KEDA knows the token",
            &["poolName: linux; personalAccessTokenFromEnv: AZP_TOKEN"],
        ),
    ] {
        let bench = bench();
        let stands = stands(
            &bench,
            [declared("java", triggers), declared("any", &[good])],
        )
        .await;
        assert!(!stands.is_clear(&object("java")), "{what}");
        assert!(
            stands.is_clear(&object("any")) && stands.is_clear(&object("gone")),
            "{what}"
        );
        let profiles = stands.all.iter().flat_map(|stand| &stand.profiles);
        let own = profiles.filter(|profile| profile.object == object("java"));
        let expected = usize::from(triggers[0] == good);
        assert_eq!(own.count(), expected, "{what}");
    }
    // Two objects of one name that say the same: one of them is passed over.
    let bench = bench();
    let job = Declared {
        kind: Kind::ScaledJob,
        ..declared("java", &[good])
    };
    let stands = stands(&bench, [declared("java", &[good]), job]).await;
    assert!(!stands.is_clear(&object("java")));
}

#[tokio::test(start_paused = true)]
async fn declarations_are_told_as_they_come() {
    let bench = bench();
    let mut news = bench.scaler.declarations();
    assert!(!news.has_changed().unwrap());
    bench
        .declare([declared("any", &["poolName: linux; credential: one"])])
        .await;
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    bench.declare([]).await;
    assert!(news.has_changed().unwrap());
    assert!(bench.scaler.stands().unwrap().all.is_empty());
}

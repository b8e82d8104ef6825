//! What is told, and how often.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::{
    domain::{declared::Kind, notice::Notice, profile::ScalingObject},
    ports::notices::Seen,
};

const UID: &str = "u";
const MINUTE: Duration = Duration::from_secs(60);

fn notice(code: Code, about: u64) -> Notice {
    let note = format!("{} {about}", code.name());
    Notice { code, about, note }
}

fn noticed(seen: Seen, notices: &[(Code, u64)]) -> Noticed {
    Noticed {
        object: ScalingObject::parse("ci/linux").unwrap(),
        kind: Kind::ScaledObject,
        uid: UID.into(),
        seen,
        notices: notices
            .iter()
            .map(|(code, about)| notice(*code, *about))
            .collect(),
    }
}

/// What is told within a time in which nothing changes, in short.
async fn told(edges: &mut Edges, state: &Noticed, time: Duration) -> Vec<String> {
    let end = Instant::now() + time;
    let mut told = Vec::new();
    loop {
        let now = Instant::now();
        let due = edges.due(std::slice::from_ref(state), now);
        for (_, edge) in &due {
            edges.begins(UID);
            edges.ended(UID, &edge.news, true, now);
            told.push(shown(&edge.news));
        }
        if !due.is_empty() {
            continue;
        }
        let next = edges.next(now).filter(|next| *next <= end);
        let Some(next) = next else {
            advance(end - now).await;
            return told;
        };
        advance(next - now).await;
    }
}

fn shown(news: &News) -> String {
    match news {
        News::Is(code, about) => format!("{} {about}", code.name()),
        News::Over(codes) => {
            let names: Vec<_> = codes.iter().map(|code| code.name()).collect();
            format!("over {}", names.join(" "))
        }
    }
}

/// How it is for so many seconds, and what is told meanwhile.
type Row = (Seen, &'static [(Code, u64)], u64, &'static [&'static str]);

async fn check(rows: &[Row]) {
    check_after(Edges::default(), rows).await;
}

async fn check_after(mut edges: Edges, rows: &[Row]) {
    for (index, (seen, notices, seconds, expected)) in rows.iter().enumerate() {
        let state = noticed(*seen, notices);
        let told = told(&mut edges, &state, Duration::from_secs(*seconds)).await;
        assert_eq!(told, *expected, "row {index}");
    }
}

use Code::{
    AtMaximum, AzureDevOpsFails, CredentialExpired, JobsUnmatched, PoolNotFound, TriggerInvalid,
};
use Seen::{Jobs, Nothing, Reading};

#[tokio::test(start_paused = true)]
async fn an_edge_is_told_once_each_way() {
    check(&[
        (Jobs, &[], 3600, &[]),
        (Reading, &[(PoolNotFound, 1)], 3600, &["PoolNotFound 1"]),
        // Not known is not well.
        (Nothing, &[], 3600, &[]),
        (Jobs, &[], 3600, &["over PoolNotFound"]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_passes_at_once_is_not_told() {
    check(&[
        (Reading, &[(PoolNotFound, 1)], 9, &[]),
        (Jobs, &[(JobsUnmatched, 1), (AtMaximum, 1)], 59, &[]),
        (Jobs, &[], 100, &[]),
        (Jobs, &[(JobsUnmatched, 1)], 60, &["JobsUnmatched 1"]),
        (Jobs, &[], 59, &[]),
        (Jobs, &[(JobsUnmatched, 1)], 3600, &[]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_reason_why_a_pool_is_not_read_stands_in_the_place_of_another() {
    check(&[
        (Reading, &[(TriggerInvalid, 1)], 60, &["TriggerInvalid 1"]),
        (Reading, &[(TriggerInvalid, 2)], 60, &["TriggerInvalid 2"]),
        (Nothing, &[], 60, &[]),
        (Reading, &[(PoolNotFound, 1)], 60, &["PoolNotFound 1"]),
        (
            Reading,
            &[(CredentialExpired, 1)],
            60,
            &["CredentialExpired 1"],
        ),
        (Jobs, &[], 60, &["over CredentialExpired"]),
    ])
    .await;
}

/// Of two triggers each has its own.
#[tokio::test(start_paused = true)]
async fn what_was_told_before_and_goes_on_takes_no_others_place() {
    let both: &[(Code, u64)] = &[(PoolNotFound, 1), (CredentialExpired, 1)];
    check(&[
        (Reading, &[(PoolNotFound, 1)], 60, &["PoolNotFound 1"]),
        (Reading, both, 60, &["CredentialExpired 1"]),
        (Reading, &[(PoolNotFound, 1)], 3600, &[]),
        (Reading, both, 3600, &[]),
        (Jobs, &[], 60, &["over CredentialExpired PoolNotFound"]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_a_pool_is_not_read_nothing_of_its_jobs_is_over() {
    check(&[
        (
            Jobs,
            &[(JobsUnmatched, 1), (AtMaximum, 1)],
            60,
            &["JobsUnmatched 1", "AtMaximum 1"],
        ),
        (
            Reading,
            &[(AzureDevOpsFails, 1)],
            60,
            &["AzureDevOpsFails 1"],
        ),
        (Reading, &[], 60, &["over AzureDevOpsFails"]),
        (Jobs, &[], 60, &["over JobsUnmatched AtMaximum"]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_very_same_is_told_again_only_after_a_while() {
    let fails: &[(Code, u64)] = &[(AzureDevOpsFails, 1)];
    check(&[
        (Reading, fails, 60, &["AzureDevOpsFails 1"]),
        (Jobs, &[], 60, &["over AzureDevOpsFails"]),
        (Reading, fails, 300, &[]),
        (Jobs, &[], 60, &[]),
        (Reading, fails, 1200, &["AzureDevOpsFails 1"]),
    ])
    .await;
}

/// It is never told more often than that, whatever comes and goes.
#[tokio::test(start_paused = true)]
async fn what_changes_all_the_time_is_told_ten_times_an_hour() {
    let mut edges = Edges::default();
    let mut count = 0;
    for about in 0..360 {
        let state = noticed(Reading, &[(TriggerInvalid, about)]);
        count += told(&mut edges, &state, Duration::from_secs(20))
            .await
            .len();
    }
    assert_eq!(count, 20);
}

#[tokio::test(start_paused = true)]
async fn whoever_leads_next_goes_on_from_what_was_told() {
    let past = |news: Vec<News>| {
        let news = news.into_iter().map(|news| (UID.into(), news));
        Edges::after(news.collect(), Instant::now())
    };
    let not_found: &[(Code, u64)] = &[(PoolNotFound, 1)];
    let is = || News::Is(PoolNotFound, 1);
    let over = || News::Over(vec![PoolNotFound]);
    let rows: &[Row] = &[
        (Nothing, &[], 600, &[]),
        (Reading, not_found, 600, &[]),
        (Jobs, &[], 600, &["over PoolNotFound"]),
    ];
    check_after(past(vec![is()]), rows).await;
    // It was over, and came again while nobody led.
    let rows: &[Row] = &[
        (Reading, not_found, 600, &[]),
        (Reading, not_found, 600, &["PoolNotFound 1"]),
    ];
    check_after(past(vec![is(), over()]), rows).await;
    check_after(
        past(vec![is(), over(), is()]),
        &[(Reading, not_found, 3600, &[])],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_is_tried_again_by_the_same_name_and_later_and_later() {
    let mut edges = Edges::default();
    let state = noticed(Reading, &[(PoolNotFound, 1)]);
    let mut tries = Vec::new();
    for _ in 0..600 {
        let now = Instant::now();
        if let [(_, edge)] = &edges.due(std::slice::from_ref(&state), now)[..] {
            edges.begins(UID);
            assert_eq!(edges.due(std::slice::from_ref(&state), now), []);
            edges.ended(UID, &edge.news, false, now);
            tries.push(edge.mark);
        }
        advance(Duration::from_secs(1)).await;
    }
    assert!((10..=17).contains(&tries.len()), "{tries:?}");
    assert!(tries.iter().all(|mark| *mark == tries[0]));
}

#[tokio::test(start_paused = true)]
async fn a_scaling_object_that_is_gone_leaves_nothing_behind() {
    let mut edges = Edges::default();
    let state = noticed(Reading, &[(PoolNotFound, 1)]);
    told(&mut edges, &state, MINUTE).await;
    assert_eq!(edges.objects.len(), 1);
    assert_eq!(edges.due(&[], Instant::now()), []);
    assert_eq!((edges.objects.len(), edges.next(Instant::now())), (0, None));
}

fn any_state() -> impl Strategy<Value = (usize, Vec<(usize, u64)>, u64)> {
    let notices = prop::collection::vec((0..TABLE.len(), 0..2_u64), 0..4);
    (0..3_usize, notices, 1..400_u64)
}

proptest! {
    /// Of each code, what is told is another each time; there are no more Events than
    /// changes; and once all is well for long, all that was told has been told to be
    /// over, or may have been followed by another reason.
    #[test]
    fn nothing_is_told_twice_in_a_row(states in prop::collection::vec(any_state(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut edges, mut changes, mut events) = (Edges::default(), 0, Vec::new());
            let mut before: BTreeMap<Code, u64> = BTreeMap::new();
            for (seen, notices, seconds) in states {
                let notices: BTreeMap<_, _> = notices
                    .into_iter()
                    .map(|(index, about)| (TABLE[index].code, about))
                    .collect();
                for code in TABLE.map(|facts| facts.code) {
                    changes += usize::from(before.get(&code) != notices.get(&code));
                }
                before = notices.clone();
                let notices: Vec<_> = notices.into_iter().collect();
                let state = noticed([Nothing, Reading, Jobs][seen], &notices);
                events.extend(told(&mut edges, &state, Duration::from_secs(seconds)).await);
            }
            prop_assert!(events.len() <= changes, "{events:?}");
            let well = noticed(Jobs, &[]);
            events.extend(told(&mut edges, &well, 2 * PERIOD).await);
            // Of each code what it was about last, and whether another reason why a
            // pool is not read may stand in its place since then.
            let mut last: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
            let is_reading =
                |code: &str| Code::parse(code).unwrap().facts().stage == Stage::Reading;
            for event in &events {
                let (code, about) = event.split_once(' ').unwrap();
                if code == "over" {
                    for code in about.split(' ') {
                        prop_assert!(last.remove(code).is_some(), "{code}: {events:?}");
                    }
                    continue;
                }
                let before = last.insert(code, (about, false));
                prop_assert_ne!(before, Some((about, false)), "{:?}", &events);
                for (other, (_, replaced)) in &mut last {
                    *replaced |= *other != code && is_reading(other) && is_reading(code);
                }
            }
            prop_assert!(edges.objects[UID].standing.is_empty(), "{events:?}");
            prop_assert!(edges.objects[UID].recent.len() <= MOST);
            Ok(())
        })?;
    }
}

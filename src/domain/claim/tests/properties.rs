//! What holds for any pool, and the claim against the oracle on 10,000 of them.
//!
//! May import: its siblings. Invariant: each case is also run in other orders
//! of its profiles and jobs.

use proptest::prelude::*;

use super::{
    case::{Case, case},
    oracle::{Best, Prices, Supply, first_fitting, fitting, limit, place},
    *,
};

/// Orders of each case beside its own.
const ORDERS: usize = 2;

/// The most jobs, and how many at each place, first places first: tried out.
fn best_by_search(supplies: &[Supply], room: &[i64]) -> (i64, Vec<i64>) {
    fn go(jobs: &[&[usize]], room: &[i64], counts: &mut Vec<i64>, best: &mut (i64, Vec<i64>)) {
        let Some((first, rest)) = jobs.split_first() else {
            let found = (counts.iter().sum(), counts.clone());
            if found > *best {
                *best = found;
            }
            return;
        };
        go(rest, room, counts, best);
        for place in *first {
            if counts[*place] < room[*place] {
                counts[*place] += 1;
                go(rest, room, counts, best);
                counts[*place] -= 1;
            }
        }
    }
    let jobs: Vec<&[usize]> = supplies
        .iter()
        .flat_map(|(fitting, count)| (0..*count).map(|_| fitting.as_slice()))
        .collect();
    let mut best = (0, vec![0; room.len()]);
    go(&jobs, room, &mut vec![0; room.len()], &mut best);
    best
}

fn supplies() -> impl Strategy<Value = Vec<Supply>> {
    let places = prop::collection::btree_set(0..4usize, 0..4);
    let supply = places.prop_map(|places| places.into_iter().collect::<Vec<_>>());
    prop::collection::vec((supply, 0..3i64), 0..4)
}

/// What all placings of these prices cost together.
fn steps(counts: &[i64]) -> i64 {
    (0..).zip(counts).map(|(place, count)| place * count).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_oracle_finds_what_a_search_through_every_placing_finds(
        supplies in supplies(),
        room in prop::collection::vec(0..4i64, 4),
    ) {
        let (most, counts) = best_by_search(&supplies, &room);
        let found = place(&supplies, &room, Prices::Lexicographic);
        prop_assert_eq!(&found, &counts);
        let by_steps = place(&supplies, &room, Prices::Steps);
        prop_assert_eq!(by_steps.iter().sum::<i64>(), most);
        // The order of preference alone decides, not how much dearer a place is.
        prop_assert_eq!(steps(&by_steps), steps(&counts));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_claim_is_the_oracles_in_any_order(case in case(7, 20), seed in any::<u64>()) {
        let (queue, contenders) = (case.queue(), case.contenders());
        let claims = claim(&queue, &contenders);
        let best = Best::of(&queue, &contenders, Prices::Lexicographic);
        prop_assert_eq!(Best::told(&claims, &best.order), best);

        let holders = case.holders();
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..ORDERS {
            prop_assert_eq!(&case.shuffled(&mut random).holders(), &holders);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_claim_is_the_oracles_for_more_profiles_than_a_word_has_bits(
        case in case(200, 400),
        seed in any::<u64>(),
    ) {
        let (queue, contenders) = (case.queue(), case.contenders());
        let best = Best::of(&queue, &contenders, Prices::Steps);
        let told = Best::told(&claim(&queue, &contenders), &best.order);
        prop_assert_eq!(told.counts.iter().sum::<i64>(), best.counts.iter().sum::<i64>());
        prop_assert_eq!(steps(&told.counts), steps(&best.counts));
        prop_assert!(told.counts >= best.counts, "first places first");
        let mut random = fastrand::Rng::with_seed(seed);
        prop_assert_eq!(case.shuffled(&mut random).holders(), case.holders());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_job_goes_to_the_first_trigger_that_fits_and_no_object_has_more_than_its_limit(
        case in case(8, 24),
    ) {
        let (queue, contenders) = (case.queue(), case.contenders());
        let claims = claim(&queue, &contenders);
        prop_assert_eq!(claims.len(), queue.jobs().len());
        let order = Best::of(&queue, &contenders, Prices::Steps).order;
        for (job, claim) in queue.jobs().iter().zip(&claims) {
            if let Claim::Placed(index) = claim {
                let place = order.iter().find(|place| place.contains(index)).unwrap();
                prop_assert_eq!(first_fitting(job, &contenders, place), Some(*index));
            }
        }
        for place in &order {
            let count = |how: fn(usize) -> Claim| {
                let of = |index: &usize| claims.iter().filter(|claim| **claim == how(*index)).count();
                place.iter().map(of).sum::<usize>()
            };
            let (owned, placed) = (count(Claim::Owned), count(Claim::Placed));
            let limit = limit(place, &contenders).map_or(usize::MAX, |limit| limit as usize);
            // Jobs that its own agents run are there whatever the limit says.
            prop_assert!(placed <= limit.saturating_sub(owned), "{owned} and {placed}");
        }
        let holders = claims.iter().filter_map(|claim| claim.contender());
        for index in holders {
            prop_assert!(contenders[index].profile.shares_the_pool());
        }
    }

    #[test]
    fn one_more_profile_never_leaves_more_jobs_out(case in case(8, 24), last in any::<prop::sample::Index>()) {
        let mut more = case;
        let which = last.index(more.entrants.len());
        let mut added = more.entrants.remove(which);
        let fewer = more.clone();
        // But for its name: one that another namespace has takes the running
        // jobs from both, and their demands may fit nobody.
        let same_name = |other: &case::Entrant| {
            other.object.name == added.object.name && other.object != added.object
        };
        prop_assume!(!fewer.entrants.iter().any(same_name));
        // And but for its object's limit, which is not its own.
        if fewer.entrants.iter().any(|other| other.object == added.object) {
            added.limit = None;
        }
        more.entrants.insert(which, added);
        prop_assert!(more.left_out() <= fewer.left_out());
    }

    #[test]
    fn a_higher_limit_never_leaves_more_jobs_out(
        case in case(8, 24),
        which in any::<prop::sample::Index>(),
        more in 1..4u32,
    ) {
        let mut higher = case.clone();
        let entrant = &mut higher.entrants[which.index(case.entrants.len())];
        entrant.limit = entrant.limit.map(|limit| limit + more);
        prop_assert!(higher.left_out() <= case.left_out());
        entrant_without_limit(&mut higher, which);
        prop_assert!(higher.left_out() <= case.left_out());
    }

    #[test]
    fn among_like_jobs_the_running_and_then_the_older_are_served_first(case in case(8, 24)) {
        let (queue, contenders) = (case.queue(), case.contenders());
        let claims = claim(&queue, &contenders);
        let order = Best::of(&queue, &contenders, Prices::Steps).order;
        let served = |position: usize| {
            let place = |index| order.iter().position(|place| place.contains(&index));
            claims[position].contender().and_then(place).unwrap_or(usize::MAX)
        };
        let free: Vec<usize> = (0..claims.len())
            .filter(|position| !matches!(claims[*position], Claim::Owned(_) | Claim::Over))
            .collect();
        for (n, earlier) in free.iter().enumerate() {
            for later in &free[n + 1..] {
                let (a, b) = (&queue.jobs()[*earlier], &queue.jobs()[*later]);
                let running = |job: &JobRequest| job.state == JobState::Running;
                let alike = fitting(a, &contenders, &order) == fitting(b, &contenders, &order);
                if alike && (running(a) || !running(b)) {
                    prop_assert!(served(*earlier) <= served(*later), "{a:?} before {b:?}");
                }
            }
        }
    }
}

fn entrant_without_limit(case: &mut Case, which: prop::sample::Index) {
    let count = case.entrants.len();
    case.entrants[which.index(count)].limit = None;
}

//! What is done to a run, before it begins: which deed comes when.
//!
//! May import: the emulator's faults. Invariant: the same seed and span make the same
//! plan, and each kind of deed is in it at least once.

use std::time::Duration;

use azp_scaler::emulator::FaultKind;

/// A deed, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deed {
    /// A node is cordoned, its pods are evicted; it comes back later.
    Drain { node: u32 },
    /// The pod template of both sides' Deployments gets another annotation.
    Rollout,
    /// SIGKILL of one of the replicas of the scaler, and a new one.
    KillScaler { replica: usize },
    /// SIGKILL of KEDA's operator, and a new one.
    KillOperator,
    /// SIGKILL of KEDA's metrics adapter, and a new one.
    KillAdapter,
    /// SIGKILL of the apiserver, and a new one.
    KillApiServer,
    /// Azure DevOps answers wrongly for a while, everybody.
    Fault {
        kind: FaultKind,
        route: Option<&'static str>,
        lasts: Duration,
    },
}

/// The kinds of deeds, for counting.
pub(crate) const KINDS: [&str; 7] = [
    "node drains",
    "rollouts",
    "kills of a scaler",
    "kills of KEDA's operator",
    "kills of KEDA's adapter",
    "kills of the apiserver",
    "Azure faults",
];

/// How many deeds of each kind, in the order of [`KINDS`].
pub(crate) type Amounts = [usize; 7];

/// All faults but four: an `empty-list` is a whole and well-formed answer that nobody
/// could tell from the truth, `pool-gone` and `no-organization` are the truth about
/// another world, and a `huge-body` is a test of memory.
const FAULTS: [FaultKind; 15] = [
    FaultKind::TooManyRequests,
    FaultKind::ServerError,
    FaultKind::SignInPage,
    FaultKind::Hang,
    FaultKind::CutBody,
    FaultKind::Unavailable,
    FaultKind::Unauthorized,
    FaultKind::SlowDown,
    FaultKind::ExpiredToken,
    FaultKind::Forbidden,
    FaultKind::Redirect,
    FaultKind::SlowBody,
    FaultKind::Html,
    FaultKind::UnknownShape,
    FaultKind::Elsewhere,
];

/// Which requests a fault meets: all, the listing, what agents say of themselves.
const ROUTES: [Option<&str>; 3] = [None, Some("jobrequests"), Some("/agents")];

/// A deed and its moment.
pub(crate) type Planned = (Duration, Deed);

impl Deed {
    /// Its place in [`KINDS`].
    pub(crate) fn kind(&self) -> usize {
        match self {
            Self::Drain { .. } => 0,
            Self::Rollout => 1,
            Self::KillScaler { .. } => 2,
            Self::KillOperator => 3,
            Self::KillAdapter => 4,
            Self::KillApiServer => 5,
            Self::Fault { .. } => 6,
        }
    }
}

/// In order of their moments: so many of each kind, spread at random over the span,
/// the first and the last tenth of which is left in peace.
pub(crate) fn plan(seed: u64, span: Duration, amounts: Amounts, nodes: u32) -> Vec<Planned> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut plan = Vec::new();
    for (kind, amount) in amounts.into_iter().enumerate() {
        let amount = amount.max(1);
        for number in 0..amount {
            // One in each part of the span, so that none comes twice at once.
            let part = 0.8 / amount as f64;
            let at = 0.1 + part * (number as f64 + rng.f64());
            plan.push((span.mul_f64(at), deed(&mut rng, kind, number, nodes)));
        }
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn deed(rng: &mut fastrand::Rng, kind: usize, number: usize, nodes: u32) -> Deed {
    match kind {
        0 => Deed::Drain {
            node: rng.u32(0..nodes),
        },
        1 => Deed::Rollout,
        2 => Deed::KillScaler {
            replica: number % 2,
        },
        3 => Deed::KillOperator,
        4 => Deed::KillAdapter,
        5 => Deed::KillApiServer,
        _ => Deed::Fault {
            kind: FAULTS[number % FAULTS.len()],
            route: ROUTES[rng.usize(0..ROUTES.len())],
            lasts: Duration::from_secs_f64(2.0 + 18.0 * rng.f64()),
        },
    }
}

/// How many of each kind were done.
pub(crate) fn counted(deeds: &[Deed]) -> Amounts {
    let mut counts = Amounts::default();
    for deed in deeds {
        counts[deed.kind()] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_kind_is_there_and_a_seed_makes_the_same_again(
            seed: u64,
            amounts in prop::array::uniform7(0_usize..20),
        ) {
            let span = Duration::from_secs(300);
            let made = plan(seed, span, amounts, 10);
            prop_assert_eq!(&made, &plan(seed, span, amounts, 10));
            prop_assert!(made.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let deeds: Vec<Deed> = made.iter().map(|(_, deed)| *deed).collect();
            prop_assert_eq!(counted(&deeds), amounts.map(|amount| amount.max(1)));
            for (at, deed) in made {
                prop_assert!(at >= span / 10 && at <= span * 9 / 10);
                if let Deed::Drain { node } = deed {
                    prop_assert!(node < 10);
                }
            }
        }
    }

    #[test]
    fn all_faults_but_those_that_are_named_come() {
        let all: BTreeSet<&str> = FaultKind::ALL.iter().map(|(name, _)| *name).collect();
        let name = |kind: &FaultKind| FaultKind::ALL.iter().find(|(_, it)| it == kind).unwrap().0;
        let come: BTreeSet<&str> = FAULTS.iter().map(name).collect();
        let left: Vec<&&str> = all.difference(&come).collect();
        assert_eq!(
            left,
            [
                &"empty-list",
                &"huge-body",
                &"no-organization",
                &"pool-gone"
            ]
        );
        assert_eq!(come.len(), FAULTS.len());
    }
}

//! From a job that is queued to the pod that is made for it, on a real Kubernetes
//! with the real KEDA and an HPA that looks every 15 s, as users have it.
//!
//! Three lanes side by side: a service hook, polling, and KEDA's own trigger with
//! KEDA's and the HPA's defaults. There is no node: a pod counts when it is made, and
//! its agent is played. Invariant: no Deployment of ours is ever lowered, else the
//! bench panics.

mod lane;
mod objects;
mod watched;

#[path = "../../../tests/support/emulator.rs"]
mod emulator;
#[path = "../../../tests/support/failure.rs"]
#[allow(dead_code, reason = "the scenarios of the tests use more of it")]
mod failure;
#[path = "../../../tests/real_keda/real/scaler.rs"]
#[allow(dead_code, reason = "the scenarios of the tests use more of it")]
mod scaler;

use std::{thread, time::Duration};

use azp_harness::{Cluster, Options};

use self::{
    emulator::{Emulator, Jobs},
    failure::Failure,
    lane::{Lane, Wait},
    scaler::{Scaler, Setup},
};
use crate::report::{Row, quantile};

/// Deployments of each of our lanes: each goes from zero once, and then gets one
/// job more or two, in turn.
const ROUNDS: usize = 6;

/// What a whole way may take beyond the time in which the scaler learns of a job.
const OWN: Duration = Duration::from_millis(300);

/// The interval of the lane without hooks.
const POLL: Duration = Duration::from_secs(2);

/// That of the lane with hooks, which is the product's default.
const SELDOM: Duration = Duration::from_secs(5);

/// How long KEDA's own trigger is given for two jobs beside twenty.
const WATCHED: Duration = Duration::from_secs(60);

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    let cluster = Cluster::start(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let (theirs, hook, poll) = thread::scope(|scope| {
        // It takes longest.
        let theirs = scope.spawn(|| theirs(&cluster));
        let hook = scope.spawn(|| ours(&cluster, "hook", SELDOM, true));
        let poll = scope.spawn(|| ours(&cluster, "poll", POLL, false));
        let joined = |lane: thread::ScopedJoinHandle<'_, _>| lane.join().expect("told above");
        (
            theirs.join().expect("told above"),
            joined(hook),
            joined(poll),
        )
    });
    cluster.check().unwrap_or_else(|error| panic!("{error}"));
    let mut rows = Vec::new();
    rows.extend(hook.rows("hook", "at most 0.3 s", OWN));
    rows.extend(poll.rows("read every 2 s", "at most 2.3 s", POLL + OWN));
    rows.extend(theirs);
    rows
}

/// What our two lanes measure.
struct Ours {
    zero: Vec<Wait>,
    one: Vec<Wait>,
    two: Vec<Wait>,
    watched: Duration,
}

impl Ours {
    fn rows(&self, how: &str, goal: &'static str, most: Duration) -> [Row; 4] {
        let row = |what: &str, waits: &[Wait]| {
            let longest = waits.iter().map(|wait| wait.last).max().unwrap_or_default();
            Row::new(format!("{what}, {how}: first / last pod"), told(waits))
                .goal(goal, longest <= most)
        };
        [
            row("20 jobs at zero", &self.zero),
            row("1 job beside 20 busy", &self.one),
            row("2 jobs beside 20 busy", &self.two),
            Row::new(
                format!("{ROUNDS} Deployments lowered at their jobs, {how}"),
                format!("none in {} s", self.watched.as_secs()),
            )
            .goal("none", true),
        ]
    }
}

/// Both medians, and the longest wait for the last pod.
fn told(waits: &[Wait]) -> String {
    let median = |of: fn(&Wait) -> Duration| {
        let of: Vec<f64> = waits.iter().map(|wait| of(wait).as_secs_f64()).collect();
        (quantile(of.clone(), 0.5), quantile(of, 1.0))
    };
    let ((first, _), (last, longest)) = (median(|wait| wait.first), median(|wait| wait.last));
    format!("{first:.2} / {last:.2} s ({longest:.2})")
}

fn ours(cluster: &Cluster, space: &str, interval: Duration, hooked: bool) -> Ours {
    measure_ours(cluster, space, interval, hooked)
        .unwrap_or_else(|failure| panic!("{space}: {failure:?}\n{}", cluster.explain(space)))
}

fn measure_ours(
    cluster: &Cluster,
    space: &str,
    interval: Duration,
    hooked: bool,
) -> Result<Ours, Failure> {
    let names: Vec<String> = (0..ROUNDS).map(|round| format!("round-{round}")).collect();
    let lane = Lane::begin(cluster, space, &names)?;
    let lease = format!("--lease={space}/azp-scaler");
    let setup = Setup {
        poll: interval,
        watched: Some(space),
        flags: &["--writers=direct-scale-up", "--identity=bench", &lease],
        ..Setup::default()
    };
    let scaler = Scaler::start_with(cluster, space, lane.emulator(), setup)?;
    let trigger = |name: &str| objects::ours(&scaler.address, name);
    lane.deploy(0, trigger)?;
    lane.until_it_leads(&scaler)?;
    let hook = || match hooked {
        true => scaler.hook(),
        false => Ok(()),
    };
    let mut zero = Vec::new();
    for name in &names {
        // Hooks get two readings in an interval once they come thick and fast.
        lane.rest(interval.mul_f64(0.55));
        zero.push(lane.queue(name, 20, &hook)?);
    }
    for name in &names {
        lane.until_busy(name, 20)?;
    }
    lane.until_settled()?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for (round, name) in names.iter().enumerate() {
        lane.rest(interval.mul_f64(0.55));
        match round % 2 {
            0 => one.push(lane.queue(name, 1, &hook)?),
            _ => two.push(lane.queue(name, 2, &hook)?),
        }
    }
    // What KEDA and the HPA think of it, they have done within a period of each.
    lane.rest(objects::HPA_PERIOD + objects::KEDA_PERIOD);
    let expected = |round: usize| 21 + u32::from(round % 2 == 1);
    let watched = lane.never_lowered((0..ROUNDS).map(expected))?;
    scaler.check()?;
    Ok(Ours {
        zero,
        one,
        two,
        watched,
    })
}

/// KEDA's own trigger, on the same jobs: two Deployments side by side.
fn theirs(cluster: &Cluster) -> Vec<Row> {
    let from_zero = || -> Result<Wait, Failure> {
        let lane = Lane::begin(cluster, "keda-zero", &["round-0".to_owned()])?;
        lane.deploy(0, objects::theirs)?;
        lane.until_asked()?;
        lane.queue("round-0", 20, &|| Ok(()))
    };
    let beside = || -> Result<Option<Wait>, Failure> {
        let lane = Lane::begin(cluster, "keda-busy", &["round-0".to_owned()])?;
        lane.fill("round-0", 20)?;
        lane.deploy(20, objects::theirs)?;
        lane.until_busy("round-0", 20)?;
        lane.until_settled()?;
        lane.queue_within("round-0", 2, WATCHED)
    };
    let (zero, beside) = thread::scope(|scope| {
        let beside = scope.spawn(beside);
        (from_zero(), beside.join().expect("told above"))
    });
    let zero = zero.unwrap_or_else(|failure| panic!("{failure:?}"));
    let beside = beside.unwrap_or_else(|failure| panic!("{failure:?}"));
    let beside = beside.map_or_else(
        || format!("never ({} s watched)", WATCHED.as_secs()),
        |wait| told(&[wait]),
    );
    vec![
        Row::new(
            "20 jobs at zero, KEDA's own: first / last pod",
            told(&[zero]),
        ),
        Row::new("2 jobs beside 20 busy, KEDA's own", beside),
    ]
}

//! A run: the stage is set, jobs are queued at their moments on both sides, deeds are
//! done at theirs, and when the jobs are over both accounts are made.
//!
//! May import: everything here. Invariant: both sides get the same jobs at the same
//! moments, and the same deeds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use azp_harness::http;
use azp_scaler::{
    domain::{demand::Demands, job::RequestId},
    emulator::{EmulatorHandle, NewJobs, PoolCounts},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    agents::Work,
    chaos::{self, Amounts},
    failure::{Failure, Outcome},
    ledger::{self, Account, Fate, Row},
    load::{self, Planned, Shape},
    objects::{OURS, STOCK},
    oracle::Costs,
    report::Report,
    stage::{HPA_PERIOD, NODES, PACE, PICKUP, Stage, demands},
};

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) shape: Shape,
    pub(crate) deeds: Amounts,
    /// How much our agents may cost, of what the oracle's cost.
    pub(crate) most: f64,
}

impl Form {
    /// The same with so many jobs, as dense as before, and as many deeds in a minute.
    pub(crate) fn part(self, jobs: usize) -> Form {
        #[expect(clippy::cast_precision_loss, reason = "some thousands of jobs")]
        let part = jobs as f64 / self.shape.jobs as f64;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some tens of deeds"
        )]
        let deeds = self
            .deeds
            .map(|amount| (amount as f64 * part).round() as usize);
        let shape = Shape {
            jobs,
            within: self.shape.within.mul_f64(part),
            ..self.shape
        };
        Form {
            shape,
            deeds,
            ..self
        }
    }
}

/// Between two lines that tell how it goes.
const TOLD: Duration = Duration::from_secs(30);

/// For the last job to begin: on a side whose numbers are right, it has an agent soon.
const LAST: Duration = Duration::from_secs(240);

pub(crate) async fn run(form: Form, seed: u64) -> Result<Report, Failure> {
    let plan = load::plan(seed, form.shape);
    let deeds = chaos::plan(seed, form.shape.within, form.deeds, NODES);
    let longest = Duration::from_secs_f64(form.shape.lasting.1);
    let stage = Stage::start(longest).await?;
    println!(
        "the stage is set: {} jobs within {:?}",
        plan.len(),
        form.shape.within
    );

    let began = Instant::now();
    let offset = |work: &Work| began.duration_since(work.diary.began());
    let offsets = [offset(&stage.ours), offset(&stage.stock)];
    let telling = tokio::spawn(tell(stage.ours.clone(), stage.stock.clone(), began));
    let suffering = tokio::spawn(stage.ground.clone().suffer(deeds, began));
    queue(&stage.ground.emulator, &plan, began).await?;
    let done = suffering.await??;
    let left = longest + LAST;
    // The other side may starve jobs for ever.
    for work in [&stage.ours, &stage.stock] {
        let over = work.emulator.until(|emulator| {
            let counts = emulator.counts(work.pool).ok()?;
            (unfinished(&counts) == 0).then_some(())
        });
        if timeout(left, over).await.is_err() {
            println!("{}: jobs are left after {left:?}", work.pool);
        }
    }
    telling.abort();
    stage.ground.cluster.check()?;

    let scalers = stage.ground.scalers.clone();
    let counted_lost = spawn_blocking(move || scalers.lost()).await??;
    let costs = Costs {
        start: PACE.start.as_secs_f64(),
        leave: PACE.leave.as_secs_f64(),
        look: HPA_PERIOD.as_secs_f64(),
    };
    let mut accounts = Vec::new();
    for (work, offset) in [&stage.ours, &stage.stock].into_iter().zip(offsets) {
        let rows = rows(&stage.address, work.pool)?;
        tally(work, &rows, plan.len())?;
        let ran = ran(work);
        let now = offset + began.elapsed();
        let mut account = Account::of(&rows, &ran, &work.diary.lives(), now);
        account.against(&plan, costs, PICKUP.as_secs_f64());
        if work.pool == OURS {
            explain(work, &rows, &ran);
        }
        accounts.push(account);
    }
    let [ours, built_in] = <[Account; 2]>::try_from(accounts).map_err(|_| "two accounts")?;
    if ours.lost + ours.unfinished + ours.twice > 0 {
        println!(
            "{}\n{}",
            stage.ground.cluster.explain(OURS),
            stage.ground.scalers.logs()
        );
    }
    Ok(Report {
        seed,
        ours,
        built_in,
        deeds: chaos::counted(&done),
        counted_lost,
    })
}

/// Queues each job on both sides at its moment, and sees to it that those are cancelled
/// that are to be.
async fn queue(emulator: &EmulatorHandle, plan: &[Planned], began: Instant) -> Outcome {
    for job in plan {
        sleep_until(began + job.at).await;
        let new = NewJobs {
            demands: Demands::read(&demands(job.kind)),
            duration: job.lasts,
            ..NewJobs::default()
        };
        for pool in [OURS, STOCK] {
            let ids = emulator
                .queue_jobs(pool, &new)
                .map_err(|refusal| refusal.to_string())?;
            if let Some(after) = job.cancelled_after {
                let (emulator, at) = (emulator.clone(), began + job.at + after);
                tokio::spawn(async move {
                    sleep_until(at).await;
                    for id in ids {
                        // One that has ended is not cancelled any more.
                        let _ = emulator.cancel_job(pool, id);
                    }
                });
            }
        }
    }
    Ok(())
}

/// Those that may still come to an end: a lost job is called running until its lock
/// runs out.
fn unfinished(counts: &PoolCounts) -> u64 {
    counts
        .unfinished()
        .saturating_sub(counts.lost - counts.abandoned)
}

async fn tell(ours: Work, stock: Work, began: Instant) {
    loop {
        sleep(TOLD).await;
        let side = |work: &Work| {
            let counts = work.emulator.counts(work.pool).unwrap_or_default();
            format!(
                "{}: {} queued, {} run, {} done, {} lost, {} agents",
                work.pool,
                counts.queued,
                counts.assigned + counts.running,
                counts.succeeded,
                counts.lost,
                work.diary.living()
            )
        };
        println!(
            "{:6.0} s: {}; {}",
            began.elapsed().as_secs_f64(),
            side(&ours),
            side(&stock)
        );
    }
}

fn rows(address: &str, pool: &str) -> Result<Vec<Row>, Failure> {
    let path = format!("/_emulator/pools/{pool}");
    let report = tokio::task::block_in_place(|| http::request("GET", address, &path, &[], ""))?;
    ledger::rows(&serde_json::from_str(&report.body)?)
}

/// The rows are all jobs, and the emulator's own count of lost ones is theirs.
fn tally(work: &Work, rows: &[Row], jobs: usize) -> Outcome {
    let counts = work.emulator.counts(work.pool);
    let counts = counts.map_err(|refusal| refusal.to_string())?;
    let lost = rows.iter().filter(|row| row.fate == Fate::Lost).count();
    if rows.len() != jobs || lost as u64 != counts.lost {
        return Err(format!(
            "{}: {} rows of {jobs} jobs, {lost} of them lost, of {counts:?}",
            work.pool,
            rows.len()
        )
        .into());
    }
    Ok(())
}

fn ran(work: &Work) -> BTreeMap<u64, BTreeSet<String>> {
    let ran = work.view.ran().into_iter();
    let names = |on: BTreeSet<Box<str>>| on.into_iter().map(String::from).collect();
    ran.map(|(RequestId(id), on)| (id, names(on))).collect()
}

/// What became of the agents of jobs that came to no good end.
fn explain(work: &Work, rows: &[Row], ran: &BTreeMap<u64, BTreeSet<String>>) {
    let bad = |row: &&Row| {
        matches!(row.fate, Fate::Lost | Fate::Unfinished)
            || ran.get(&row.id).is_some_and(|on| on.len() > 1)
    };
    for row in rows.iter().filter(bad).take(20) {
        println!(
            "{}: job {} is {:?}; its agents:",
            work.pool, row.id, row.fate
        );
        let mut agents = ran.get(&row.id).cloned().unwrap_or_default();
        agents.insert(row.agent.clone());
        for agent in agents {
            print!("{}", work.diary.told(&agent));
        }
    }
}

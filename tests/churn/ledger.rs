//! The account of one side: what became of each job, how long jobs waited, what their
//! agents cost.
//!
//! May import: load, oracle, diary. Invariant: it is made from what the emulator says
//! of its jobs and from the lives of agents, and from nothing that either side says of
//! itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    diary::Life,
    failure::Failure,
    load::{Kind, Planned},
    oracle::{self, Costs, Work},
};

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Done,
    Cancelled,
    /// Its agent went while it ran.
    Lost,
    /// It still waits or runs.
    Unfinished,
}

/// A job at the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) fate: Fate,
    /// Who had it last; empty for nobody.
    pub(crate) agent: String,
    /// From being queued to an agent that runs it, in seconds.
    pub(crate) waited: Option<f64>,
    /// From being given to its agent until it was over, in seconds.
    worked: f64,
}

/// What the seconds of agents went into.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    pub(crate) starting: f64,
    /// Jobs that were lost are not among it.
    pub(crate) working: f64,
    pub(crate) leaving: f64,
    pub(crate) all: f64,
    /// What the oracle would spend.
    pub(crate) least: f64,
}

/// The account of a side.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) jobs: usize,
    pub(crate) done: usize,
    pub(crate) cancelled: usize,
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    pub(crate) unfinished: usize,
    /// Seconds that jobs waited, the shortest first.
    pub(crate) waits: Vec<f64>,
    /// The seconds of agents, by kind.
    pub(crate) agents: BTreeMap<Kind, Spent>,
    /// How many agents there were.
    pub(crate) lives: usize,
}

/// Reads the emulator's report of a pool.
pub(crate) fn rows(report: &Value) -> Result<Vec<Row>, Failure> {
    let jobs = report["jobs"].as_array().ok_or("the report has no jobs")?;
    jobs.iter().map(row).collect()
}

fn row(job: &Value) -> Result<Row, Failure> {
    let moment = |member: &str| -> Result<Option<Timestamp>, Failure> {
        Ok(job[member].as_str().map(str::parse).transpose()?)
    };
    let queued = moment("queueTime")?.ok_or("a job was never queued")?;
    let waited =
        moment("receiveTime")?.map(|received| received.duration_since(queued).as_secs_f64());
    let fate = match (job["lost"].as_bool(), job["result"].as_str()) {
        (Some(true), _) | (_, Some("abandoned")) => Fate::Lost,
        (_, Some("succeeded")) => Fate::Done,
        (_, Some("canceled")) => Fate::Cancelled,
        (_, None) => Fate::Unfinished,
        (_, Some(other)) => return Err(format!("a job is {other}: {job}").into()),
    };
    Ok(Row {
        id: job["requestId"].as_u64().ok_or("a job without a number")?,
        fate,
        worked: match (moment("assignTime")?, moment("finishTime")?) {
            (Some(assigned), Some(finished)) => finished.duration_since(assigned).as_secs_f64(),
            _ => 0.0,
        },
        agent: job["agent"].as_str().unwrap_or_default().to_owned(),
        waited,
    })
}

impl Spent {
    /// Seconds in which an agent had no job and might have got one.
    pub(crate) fn idle(&self) -> f64 {
        self.all - self.starting - self.working - self.leaving
    }
}

impl Account {
    /// Adds it all up. `ran` says on which agents each job was seen to run, `now` is
    /// when the run ended.
    pub(crate) fn of(
        rows: &[Row],
        ran: &BTreeMap<u64, BTreeSet<String>>,
        lives: &BTreeMap<String, Life>,
        now: Duration,
    ) -> Account {
        let count = |fate| rows.iter().filter(|row| row.fate == fate).count();
        let mut waits: Vec<f64> = rows.iter().filter_map(|row| row.waited).collect();
        waits.sort_by(f64::total_cmp);
        let mut agents: BTreeMap<Kind, Spent> = BTreeMap::new();
        for life in lives.values() {
            let (starting, leaving) = life.starting_and_leaving(now);
            let spent = agents.entry(life.kind).or_default();
            spent.all += life.seconds(now);
            spent.starting += starting;
            spent.leaving += leaving;
        }
        for row in rows.iter().filter(|row| row.fate != Fate::Lost) {
            if let Some(life) = lives.get(&row.agent) {
                agents.entry(life.kind).or_default().working += row.worked;
            }
        }
        Account {
            jobs: rows.len(),
            done: count(Fate::Done),
            cancelled: count(Fate::Cancelled),
            lost: count(Fate::Lost),
            unfinished: count(Fate::Unfinished),
            twice: ran.values().filter(|on| on.len() > 1).count(),
            waits,
            agents,
            lives: lives.len(),
        }
    }

    /// Holds it against the oracle, which gets the same jobs in the same kinds of agents.
    pub(crate) fn against(&mut self, plan: &[Planned], costs: Costs, pickup: f64) {
        for kind in [Kind::Deploy, Kind::Build] {
            let work: Vec<Work> = plan
                .iter()
                .filter(|job| job.kind == kind)
                .map(|job| work(job, pickup))
                .collect();
            let least = match kind {
                Kind::Deploy => oracle::staying(&work, costs),
                Kind::Build => oracle::one_each(&work, costs),
            };
            self.agents.entry(kind).or_default().least = least;
        }
    }

    /// The seconds of all agents.
    pub(crate) fn spent(&self) -> Spent {
        self.agents
            .values()
            .fold(Spent::default(), |sum, one| Spent {
                starting: sum.starting + one.starting,
                working: sum.working + one.working,
                leaving: sum.leaving + one.leaving,
                all: sum.all + one.all,
                least: sum.least + one.least,
            })
    }

    /// How much more than the oracle: 1.05 is five in a hundred.
    pub(crate) fn ratio(&self) -> f64 {
        let Spent { all, least, .. } = self.spent();
        all / least
    }

    /// The wait that so many of a hundred jobs did not exceed; 0 without any.
    pub(crate) fn wait(&self, per_cent: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "some thousands of jobs"
        )]
        let rank = (self.waits.len() as f64 * per_cent / 100.0).ceil() as usize;
        self.waits
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}

fn work(job: &Planned, pickup: f64) -> Work {
    let at = job.at.as_secs_f64();
    Work {
        at,
        lasts: pickup + job.lasts.as_secs_f64(),
        cancelled: job.cancelled_after.map(|after| at + after.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(id: u64, more: Value) -> Value {
        let mut job = json!({
            "requestId": id, "state": "finished", "result": "succeeded", "lost": false,
            "agent": "a", "queueTime": "2026-12-01T00:00:00Z",
            "receiveTime": "2026-12-01T00:00:02.5Z",
        });
        let (Value::Object(job), Value::Object(more)) = (&mut job, more) else {
            unreachable!("both are maps")
        };
        job.extend(more);
        Value::Object(job.clone())
    }

    #[test]
    fn each_job_has_its_fate() {
        let report = json!({"jobs": [
            job(1, json!({})),
            job(2, json!({"result": "canceled", "receiveTime": null})),
            job(3, json!({"result": null, "lost": true})),
            job(4, json!({"result": "abandoned", "lost": true})),
            job(5, json!({"result": null})),
        ]});
        let rows = rows(&report).unwrap();
        let fates: Vec<Fate> = rows.iter().map(|row| row.fate).collect();
        assert_eq!(
            fates,
            [
                Fate::Done,
                Fate::Cancelled,
                Fate::Lost,
                Fate::Lost,
                Fate::Unfinished
            ]
        );
        assert_eq!((rows[0].waited, rows[1].waited), (Some(2.5), None));
        assert!(super::rows(&json!({"jobs": [job(6, json!({"result": "failed"}))]})).is_err());
    }

    #[test]
    fn a_job_on_two_agents_is_found() {
        let ran = [
            (1, ["a".to_owned(), "b".to_owned()].into()),
            (2, ["a".to_owned()].into()),
        ];
        let account = Account::of(&[], &ran.into(), &BTreeMap::new(), Duration::ZERO);
        assert_eq!(account.twice, 1);
    }

    #[test]
    fn waits_are_told_by_rank() {
        let account = Account {
            waits: (1..=200).map(f64::from).collect(),
            ..Account::default()
        };
        for (per_cent, expected) in [(50.0, 100.0), (99.0, 198.0), (100.0, 200.0), (0.1, 1.0)] {
            assert!(
                (account.wait(per_cent) - expected).abs() < 1e-9,
                "{per_cent}"
            );
        }
        assert!(Account::default().wait(50.0).abs() < 1e-9);
    }
}

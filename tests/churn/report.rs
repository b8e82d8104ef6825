//! The table at the end, and what of it is a failure.
//!
//! May import: the ledger, the plan of deeds. Invariant: what fails the run is in the
//! table.

use std::fmt::Write as _;

use crate::{
    chaos::{Amounts, KINDS},
    ledger::{Account, Spent},
    load::Kind,
};

/// Both sides of a run.
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) ours: Account,
    pub(crate) built_in: Account,
    pub(crate) deeds: Amounts,
    /// What our guard has counted: busy agents that were lost.
    pub(crate) counted_lost: f64,
}

/// A line of the table: its name, and what it says of a side.
type Line = (&'static str, fn(&Account) -> String);

impl Report {
    /// As a table of Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| | azp-scaler and azp-agent | azure-pipelines and start.sh |\n|---|---|---|\n",
        );
        let rows: [Line; 13] = [
            ("jobs", |side| side.jobs.to_string()),
            ("done", |side| side.done.to_string()),
            ("cancelled by their users", |side| {
                side.cancelled.to_string()
            }),
            ("**lost**", |side| side.lost.to_string()),
            ("run twice", |side| side.twice.to_string()),
            ("never ended", |side| side.unfinished.to_string()),
            (
                "wait in the queue, median / 90 % / 99 % / longest",
                |side| {
                    let waits = [50.0, 90.0, 99.0, 100.0]
                        .map(|per_cent| format!("{:.1}", side.wait(per_cent)));
                    format!("{} s", waits.join(" / "))
                },
            ),
            ("agents", |side| side.lives.to_string()),
            ("their seconds", |side| format!("{:.0}", side.spent().all)),
            ("the oracle's", |side| format!("{:.0}", side.spent().least)),
            ("more than the oracle", |side| more(side.spent())),
            ("Deployment: more than the oracle", |side| {
                spent(side, Kind::Deploy)
            }),
            ("ScaledJob: more than the oracle", |side| {
                spent(side, Kind::Build)
            }),
        ];
        for (name, cell) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "| {name} | {} | {} |",
                cell(&self.ours),
                cell(&self.built_in)
            );
        }
        let deeds = KINDS
            .iter()
            .zip(self.deeds)
            .map(|(kind, count)| format!("{count} {kind}"));
        let deeds: Vec<String> = deeds.collect();
        let _ = writeln!(table, "\nSeed {}: {}.", self.seed, deeds.join(", "));
        let _ = writeln!(table, "azp_busy_agents_lost_total: {}", self.counted_lost);
        table
    }

    /// What must not be; nothing where all is well.
    pub(crate) fn failures(&self, most: f64) -> Vec<String> {
        let ours = &self.ours;
        let mut failures = Vec::new();
        for (what, count) in [
            ("lost", ours.lost),
            ("run twice", ours.twice),
            ("never ended", ours.unfinished),
        ] {
            if count > 0 {
                failures.push(format!("{count} jobs were {what}"));
            }
        }
        if self.counted_lost > 0.0 {
            failures.push(format!(
                "the guard has counted {} busy agents lost",
                self.counted_lost
            ));
        }
        // What is no number at all is not within it either.
        let is_within = ours.ratio() <= most;
        if !is_within {
            failures.push(format!(
                "agents cost {:.3} of the oracle's, at most {most} is promised",
                ours.ratio()
            ));
        }
        failures
    }
}

fn more(spent: Spent) -> String {
    match spent.least > 0.0 {
        true => format!("{:+.1} %", (spent.all / spent.least - 1.0) * 100.0),
        false => "–".to_owned(),
    }
}

/// Of one kind of agents, and into what it went.
fn spent(side: &Account, kind: Kind) -> String {
    let spent = side.agents.get(&kind).copied().unwrap_or_default();
    let Spent {
        starting,
        working,
        leaving,
        ..
    } = spent;
    let idle = spent.idle();
    format!(
        "{}: {working:.0} s in jobs, {starting:.0} starting, {idle:.0} idle, {leaving:.0} leaving",
        more(spent)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(all: f64) -> Spent {
        Spent {
            all,
            least: 100.0,
            starting: 10.0,
            working: 80.0,
            leaving: 5.0,
        }
    }

    fn report(change: impl FnOnce(&mut Report)) -> Report {
        let side = Account {
            jobs: 2,
            done: 2,
            waits: vec![1.0, 2.0],
            agents: [(Kind::Build, cost(104.0))].into(),
            ..Account::default()
        };
        let mut report = Report {
            seed: 1,
            ours: side.clone(),
            built_in: side,
            deeds: Amounts::default(),
            counted_lost: 0.0,
        };
        change(&mut report);
        report
    }

    #[test]
    fn whatever_must_not_be_is_a_failure() {
        assert_eq!(report(|_| {}).failures(1.05), Vec::<String>::new());
        let table: [fn(&mut Report); 6] = [
            |report| report.ours.lost = 1,
            |report| report.ours.twice = 1,
            |report| report.ours.unfinished = 1,
            |report| report.counted_lost = 1.0,
            |report| report.ours.agents = [(Kind::Build, cost(106.0))].into(),
            |report| report.ours.agents.clear(),
        ];
        for (row, change) in table.into_iter().enumerate() {
            assert_eq!(report(change).failures(1.05).len(), 1, "row {row}");
        }
        // The other side's losses are its own.
        assert!(
            report(|report| report.built_in.lost = 9)
                .failures(1.05)
                .is_empty()
        );
    }

    #[test]
    fn the_table_tells_both_sides() {
        let table = report(|report| report.built_in.lost = 9).table();
        assert!(table.contains("| **lost** | 0 | 9 |"), "{table}");
        assert!(
            table.contains("| more than the oracle | +4.0 % | +4.0 % |"),
            "{table}"
        );
        assert!(
            table.contains("+4.0 %: 80 s in jobs, 10 starting, 9 idle, 5 leaving"),
            "{table}"
        );
        assert!(table.contains("1.0 / 2.0 / 2.0 / 2.0 s"), "{table}");
    }
}

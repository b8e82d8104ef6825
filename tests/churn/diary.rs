//! What became of each agent, moment by moment: what the ledger counts the seconds of
//! agents from, and what a reader of a lost job is shown.
//!
//! May import: load. Invariant: an agent's life has one beginning and at most one end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::load::Kind;

/// A diary of one side. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Diary {
    began: Instant,
    lives: Arc<Mutex<BTreeMap<String, Life>>>,
}

/// The life of one agent's pod.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) kind: Kind,
    pub(crate) begins: Duration,
    /// When it could have had a job first.
    listens: Option<Duration>,
    /// Since when it had no job and was to go.
    leaves: Option<Duration>,
    /// When its process ended; `None` while it lives.
    pub(crate) ends: Option<Duration>,
    notes: Vec<(Duration, String)>,
}

/// The most that is noted of one agent, so that one that asks for ever fills nothing.
const NOTES: usize = 60;

impl Diary {
    pub(crate) fn new(began: Instant) -> Diary {
        Diary {
            began,
            lives: Arc::default(),
        }
    }

    pub(crate) fn begins(&self, agent: &str, kind: Kind, node: &str) {
        let begins = self.began.elapsed();
        let notes = vec![(begins, format!("its pod is on {node}"))];
        let life = Life {
            kind,
            begins,
            listens: None,
            leaves: None,
            ends: None,
            notes,
        };
        lock(&self.lives).entry(agent.to_owned()).or_insert(life);
    }

    pub(crate) fn note(&self, agent: &str, what: impl Into<String>) {
        let at = self.began.elapsed();
        if let Some(life) = lock(&self.lives).get_mut(agent)
            && life.notes.len() < NOTES
        {
            life.notes.push((at, what.into()));
        }
    }

    pub(crate) fn listens(&self, agent: &str) {
        self.note(agent, "it listens");
        if let Some(life) = lock(&self.lives).get_mut(agent) {
            life.listens.get_or_insert(self.began.elapsed());
        }
    }

    /// It has no job, and is to go. One that gets a job after all begins anew.
    pub(crate) fn leaves(&self, agent: &str, is_leaving: bool) {
        if let Some(life) = lock(&self.lives).get_mut(agent) {
            match is_leaving {
                true => _ = life.leaves.get_or_insert(self.began.elapsed()),
                false => life.leaves = None,
            }
        }
    }

    pub(crate) fn ends(&self, agent: &str, how: &str) {
        self.note(agent, how);
        if let Some(life) = lock(&self.lives).get_mut(agent) {
            life.ends.get_or_insert(self.began.elapsed());
        }
    }

    /// When the first page was begun.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// All lives so far.
    pub(crate) fn lives(&self) -> BTreeMap<String, Life> {
        lock(&self.lives).clone()
    }

    /// How many live now.
    pub(crate) fn living(&self) -> usize {
        lock(&self.lives)
            .values()
            .filter(|life| life.ends.is_none())
            .count()
    }

    /// An agent's life in words.
    pub(crate) fn told(&self, agent: &str) -> String {
        let lives = lock(&self.lives);
        let Some(life) = lives.get(agent) else {
            return format!("  nobody knows of {agent}\n");
        };
        let line = |(at, what): &(Duration, String)| {
            format!("  {:8.1} s {agent}: {what}\n", at.as_secs_f64())
        };
        life.notes.iter().map(line).collect()
    }
}

impl Life {
    /// Its seconds before it listened, and those in which it only left.
    pub(crate) fn starting_and_leaving(&self, now: Duration) -> (f64, f64) {
        let ends = self.ends.unwrap_or(now);
        let starting = self.listens.unwrap_or(ends).saturating_sub(self.begins);
        let leaving = ends.saturating_sub(self.leaves.unwrap_or(ends));
        (starting.as_secs_f64(), leaving.as_secs_f64())
    }

    /// Its seconds; those until `now` where it still lives.
    pub(crate) fn seconds(&self, now: Duration) -> f64 {
        self.ends
            .unwrap_or(now)
            .saturating_sub(self.begins)
            .as_secs_f64()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_life_is_counted_from_its_pod_to_its_end_once() {
        let diary = Diary::new(Instant::now());
        tokio::time::advance(Duration::from_secs(5)).await;
        diary.begins("a", Kind::Build, "kwok-1");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(
            (
                diary.living(),
                diary.lives()["a"].seconds(diary.began.elapsed())
            ),
            (1, 10.0)
        );
        diary.ends("a", "it has left");
        tokio::time::advance(Duration::from_secs(10)).await;
        diary.begins("a", Kind::Deploy, "kwok-2");
        diary.ends("a", "again");
        let life = diary.lives()["a"].clone();
        assert_eq!(
            (diary.living(), life.seconds(diary.began.elapsed())),
            (0, 10.0)
        );
        assert_eq!(life.kind, Kind::Build);
        assert!(
            diary.told("a").contains("15.0 s a: it has left"),
            "{}",
            diary.told("a")
        );
        assert!(diary.told("b").contains("nobody"));
    }
}

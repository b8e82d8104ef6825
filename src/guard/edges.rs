//! What is to be told of scaling objects: the edges, without the apiserver.
//!
//! May import: ports, domain. Invariants: nothing is told twice in a row, and
//! nothing that is not known is told to be over; what comes and goes is told once
//! in a while; memory is that of the scaling objects that there are.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    domain::notice::{Code, Stage, TABLE},
    ports::notices::{News, Noticed},
};

/// Something has to be so for this long before it is told, and to be over.
const LASTS: Duration = Duration::from_secs(10);

/// The same for what may pass by itself.
const LASTS_IF_IT_MAY_PASS: Duration = Duration::from_secs(60);

/// Before the very same is told again, though it was over meanwhile.
const QUIET: Duration = Duration::from_secs(15 * 60);

/// So many Events of one scaling object in [`PERIOD`] at most.
const MOST: usize = 10;

/// See there.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// After a write that failed, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What one leader has told in its term, by the scaling object's uid.
#[derive(Debug, Default)]
pub(super) struct Edges {
    objects: BTreeMap<Box<str>, Object>,
}

/// Something that is to be told now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) mark: u64,
    pub(super) news: News,
    pub(super) note: String,
}

#[derive(Debug, Default)]
struct Object {
    /// What was told and is not over: what it is about, and its number among all.
    standing: BTreeMap<Code, (u64, u64)>,
    /// How many were told.
    count: u64,
    /// What is otherwise than it was told.
    changing: BTreeMap<Code, Changing>,
    /// The latest Events, [`MOST`] of them: what began, if anything, and when.
    recent: VecDeque<(Option<(Code, u64)>, Instant)>,
    is_writing: bool,
    failures: u32,
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Changing {
    to: Option<u64>,
    since: Instant,
    mark: u64,
}

// === impl Edges ===

impl Edges {
    /// What was told before counts as if it had been told now.
    pub(super) fn after(told: Vec<(Box<str>, News)>, now: Instant) -> Self {
        let mut edges = Self::default();
        for (uid, news) in told {
            edges.objects.entry(uid).or_default().told(&news, now);
        }
        edges
    }

    /// What is to be told now: of each scaling object one thing at a time. The
    /// positions are those in `noticed`.
    pub(super) fn due(&mut self, noticed: &[Noticed], now: Instant) -> Vec<(usize, Edge)> {
        let mut before = std::mem::take(&mut self.objects);
        let mut due = Vec::new();
        for (index, noticed) in noticed.iter().enumerate() {
            let mut object = before.remove(&noticed.uid).unwrap_or_default();
            object.look(noticed, now);
            if let Some(edge) = object.due(noticed, now) {
                due.push((index, edge));
            }
            self.objects.insert(noticed.uid.clone(), object);
        }
        due
    }

    /// When there may be something to tell, though nothing changes.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let objects = self.objects.values();
        let moments = objects.filter(|object| !object.is_writing);
        let moments = moments.flat_map(|object| {
            let changing = object.changing.iter();
            changing.map(|(code, changing)| object.may_be_told(*code, *changing))
        });
        moments.filter(|moment| *moment > now).min()
    }

    /// It is being written.
    pub(super) fn begins(&mut self, uid: &str) {
        if let Some(object) = self.objects.get_mut(uid) {
            object.is_writing = true;
        }
    }

    /// It was written, or not.
    pub(super) fn ended(&mut self, uid: &str, news: &News, well: bool, now: Instant) {
        let Some(object) = self.objects.get_mut(uid) else {
            return;
        };
        object.is_writing = false;
        if well {
            object.told(news, now);
            object.failures = 0;
            object.not_before = None;
            return;
        }
        let (first, longest) = PAUSES;
        let pause = first.saturating_mul(1 << object.failures.min(10));
        object.not_before = Some(now + pause.min(longest));
        object.failures = object.failures.saturating_add(1);
    }
}

// === impl Object ===

impl Object {
    fn told(&mut self, news: &News, now: Instant) {
        let begun = match news {
            News::Is(code, about) => {
                self.count += 1;
                self.standing.insert(*code, (*about, self.count));
                Some((*code, *about))
            }
            News::Over(codes) => {
                self.standing.retain(|code, _| !codes.contains(code));
                None
            }
        };
        self.recent.push_back((begun, now));
        if self.recent.len() > MOST {
            self.recent.pop_front();
        }
    }

    /// Notes what is otherwise than it was told, and since when.
    fn look(&mut self, noticed: &Noticed, now: Instant) {
        for code in TABLE.map(|facts| facts.code) {
            let to = noticed.of(code).map(|notice| notice.about);
            let is_known = to.is_some() || noticed.knows(code);
            if !is_known || self.standing.get(&code).map(|(about, _)| *about) == to {
                self.changing.remove(&code);
                continue;
            }
            let new = Changing {
                to,
                since: now,
                mark: fastrand::u64(..),
            };
            let changing = self.changing.entry(code).or_insert(new);
            if changing.to != to {
                *changing = new;
            }
        }
        // One reason why a pool is not read stands in the place of those that were
        // told before it, which are not over by that.
        let is_reading = |code: &Code| code.facts().stage == Stage::Reading;
        let holds = |(code, (about, _)): &(&Code, &(u64, u64))| {
            is_reading(code) && noticed.of(**code).is_some_and(|of| of.about == *about)
        };
        let holding = self.standing.iter().filter(holds);
        let Some(latest) = holding.map(|(_, (_, count))| *count).max() else {
            return;
        };
        self.standing.retain(|code, (_, count)| {
            let is_replaced = is_reading(code) && noticed.of(*code).is_none() && *count < latest;
            if is_replaced {
                self.changing.remove(code);
            }
            !is_replaced
        });
    }

    fn due(&self, noticed: &Noticed, now: Instant) -> Option<Edge> {
        if self.is_writing {
            return None;
        }
        let ripe = self
            .changing
            .iter()
            .filter(|(code, changing)| self.may_be_told(**code, **changing) <= now);
        let mut over: Option<Edge> = None;
        for (code, changing) in ripe {
            if let Some(notice) = noticed.of(*code) {
                return Some(Edge {
                    mark: changing.mark,
                    news: News::Is(*code, notice.about),
                    note: notice.note.clone(),
                });
            }
            // While the pool is not read for another reason, nothing is well yet.
            let is_read = code.facts().stage == Stage::Jobs
                || noticed
                    .notices
                    .iter()
                    .all(|notice| notice.code.facts().stage == Stage::Jobs);
            if is_read {
                let edge = over.get_or_insert_with(|| Edge {
                    mark: changing.mark,
                    news: News::Over(Vec::new()),
                    note: "it is well again; over: ".to_owned(),
                });
                if let News::Over(codes) = &mut edge.news {
                    let comma = if codes.is_empty() { "" } else { ", " };
                    edge.note.push_str(comma);
                    edge.note.push_str(code.name());
                    codes.push(*code);
                }
            }
        }
        over
    }

    /// From when on a change may be told.
    fn may_be_told(&self, code: Code, changing: Changing) -> Instant {
        let lasts = match code.facts().may_pass {
            true => LASTS_IF_IT_MAY_PASS,
            false => LASTS,
        };
        let same = changing.to.map(|about| (code, about));
        let recent = self.recent.iter();
        let told = recent.filter(|(begun, _)| begun.is_some() && *begun == same);
        let quiet = told.map(|(_, at)| *at + QUIET).max();
        let oldest = self.recent.front().filter(|_| self.recent.len() >= MOST);
        let room = oldest.map(|(_, at)| *at + PERIOD);
        let least = changing.since + lasts;
        [quiet, room, self.not_before]
            .into_iter()
            .flatten()
            .fold(least, Instant::max)
    }
}

#[cfg(test)]
#[path = "edges_tests.rs"]
mod tests;

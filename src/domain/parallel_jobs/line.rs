//! One pool's part of the line: which of its jobs wait for a parallel job, and
//! what it means for each trigger that some of them get none.
//!
//! May import: its siblings, the decision, contenders, queues. Invariants: a job
//! stands in the line once, however many triggers count it; what is held back of
//! a trigger is never more than it has waiting.

use std::collections::HashMap;

use super::{Place, Share, Usage, count};
use crate::domain::{
    claim::{Claim, Contender},
    decision::{Decision, shared},
    job::{JobRequest, JobState},
    pool::Queue,
};

/// What the line needs to know of a trigger, beside the contender that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Jobs for each agent, which runs one at a time: of so many, one at once
    /// needs a parallel job.
    pub jobs_per_agent: u32,
    /// Is it paused, so that nobody starts agents for its jobs? They keep no parallel
    /// job from others.
    pub starts_none: bool,
}

/// The jobs of one pool that use a parallel job or could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    in_use: u32,
    places: Vec<Place>,
}

/// What is held back in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// By trigger, parallel to the contenders: how many of its waiting jobs.
    by_trigger: Vec<u32>,
    /// By job, parallel to the queue.
    jobs: Vec<bool>,
}

/// Who counts which job of a queue.
struct Counters<'a> {
    queue: &'a Queue,
    decision: &'a Decision,
    usage: &'a Usage,
    contenders: &'a [Contender<'a>],
    askers: &'a [Asker],
    /// By contender: those of the same object that share the pool.
    siblings: Vec<Vec<usize>>,
    /// Contenders that count for themselves.
    apart: Vec<usize>,
    /// By what jobs share in memory: which of those count such a job.
    apart_of: HashMap<(usize, usize), Vec<usize>>,
    /// By contender: how many waiting jobs it may have, by its own limit.
    room: Vec<u32>,
}

/// One waiting job, as one trigger counts it.
#[derive(Clone, Copy)]
struct Turn {
    contender: usize,
    /// The first of those that one agent is for.
    leads: bool,
    /// The trigger has as many as it may have without it.
    beyond: bool,
}

// === impl Line ===

impl Line {
    /// The line of a pool. `askers` is parallel to the contenders, which are
    /// those that the decision was made from.
    #[must_use]
    pub fn new(
        queue: &Queue,
        decision: &Decision,
        (contenders, askers): (&[Contender<'_>], &[Asker]),
        usage: &Usage,
    ) -> Self {
        let mut places = Vec::new();
        let mut counters = Counters::new(queue, decision, (contenders, askers), usage);
        counters.each(|_, job, turns| {
            let leads = turns.iter().any(|turn| turn.leads && !turn.beyond);
            if leads {
                places.push(place(job, turns, contenders));
            }
        });
        let in_use = queue.jobs().iter().filter(|job| !waits(job, usage)).count();
        Self {
            in_use: count(in_use),
            places,
        }
    }

    /// How many parallel jobs the pool's jobs use.
    #[must_use]
    pub const fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Those who wait for one.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }
}

// === impl Held ===

impl Held {
    /// What the share means for a pool; the other arguments are those that its
    /// line was made from.
    #[must_use]
    pub fn new(
        queue: &Queue,
        decision: &Decision,
        (contenders, askers): (&[Contender<'_>], &[Asker]),
        usage: &Usage,
        share: &Share,
    ) -> Self {
        let mut held = Self {
            by_trigger: vec![0; contenders.len()],
            jobs: vec![false; queue.jobs().len()],
        };
        if !share.is_short() {
            return held;
        }
        let mut leader_is_held = vec![false; contenders.len()];
        let mut beyond = vec![0_u32; contenders.len()];
        let mut counters = Counters::new(queue, decision, (contenders, askers), usage);
        counters.each(|position, job, turns| {
            let is_held = share.holds_back(place(job, turns, contenders));
            let mut by_all = true;
            for turn in turns {
                let index = turn.contender;
                if turn.beyond {
                    beyond[index] += 1;
                    by_all = false;
                    continue;
                }
                if turn.leads {
                    leader_is_held[index] = is_held;
                }
                held.by_trigger[index] += u32::from(leader_is_held[index]);
                by_all &= leader_is_held[index];
            }
            held.jobs[position] = by_all && !turns.is_empty();
        });
        // What a trigger cannot have by its own limit does not make up for it.
        for (held, beyond) in held.by_trigger.iter_mut().zip(beyond) {
            *held += if *held > 0 { beyond } else { 0 };
        }
        held
    }

    /// How many of the waiting jobs of this contender.
    #[must_use]
    pub fn of(&self, contender: usize) -> u32 {
        self.by_trigger.get(contender).copied().unwrap_or(0)
    }

    /// Is the job at this position of the queue?
    #[must_use]
    pub fn has(&self, position: usize) -> bool {
        self.jobs.get(position).copied().unwrap_or(false)
    }
}

// === impl Counters ===

impl<'a> Counters<'a> {
    fn new(
        queue: &'a Queue,
        decision: &'a Decision,
        (contenders, askers): (&'a [Contender<'a>], &'a [Asker]),
        usage: &'a Usage,
    ) -> Self {
        let mut objects: HashMap<_, Vec<usize>> = HashMap::new();
        let mut apart = Vec::new();
        for (index, contender) in contenders.iter().enumerate() {
            if contender.profile.shares_the_pool() {
                objects.entry(contender.object).or_default().push(index);
            } else {
                apart.push(index);
            }
        }
        let siblings = contenders
            .iter()
            .map(|contender| objects.get(contender.object).cloned().unwrap_or_default());
        let mut counters = Self {
            siblings: siblings.collect(),
            queue,
            decision,
            usage,
            contenders,
            askers,
            apart,
            apart_of: HashMap::new(),
            room: vec![u32::MAX; contenders.len()],
        };
        counters.make_room();
        counters
    }

    /// The claim keeps limits by itself; those who count apart have what KEDA
    /// leaves of their number.
    fn make_room(&mut self) {
        if self.apart.is_empty() {
            return;
        }
        for index in &self.apart {
            self.room[*index] = self.contenders[*index].limit.unwrap_or(u32::MAX);
        }
        for (position, job) in self.queue.jobs().iter().enumerate() {
            if !waits(job, self.usage) && self.decision.claim(position) != Claim::Over {
                for index in self.apart_of(job).to_vec() {
                    self.room[index] = self.room[index].saturating_sub(1);
                }
            }
        }
    }

    fn apart_of(&mut self, job: &JobRequest) -> &[usize] {
        let (apart, contenders) = (&self.apart, self.contenders);
        self.apart_of.entry(shared(job)).or_insert_with(|| {
            let fits = |index: &&usize| contenders[**index].profile.fits(job).is_ok();
            apart.iter().filter(fits).copied().collect()
        })
    }

    /// Each waiting job that somebody counts, the oldest first, with the turns
    /// of all who count it.
    fn each(&mut self, mut visit: impl FnMut(usize, &JobRequest, &[Turn])) {
        let mut taken = vec![0_u32; self.contenders.len()];
        let (mut counting, mut turns) = (Vec::new(), Vec::new());
        let queue = self.queue;
        for (position, job) in queue.jobs().iter().enumerate() {
            let claim = self.decision.claim(position);
            if !waits(job, self.usage) || claim == Claim::Over {
                continue;
            }
            counting.clear();
            if let Some(index) = claim.contender() {
                counting.extend_from_slice(&self.siblings[index]);
            }
            counting.extend_from_slice(self.apart_of(job));
            turns.clear();
            for contender in counting.drain(..) {
                let number = taken[contender];
                taken[contender] += 1;
                let asker = self.askers[contender];
                let per_agent = asker.jobs_per_agent.max(1);
                turns.push(Turn {
                    contender,
                    leads: number.is_multiple_of(per_agent),
                    beyond: asker.starts_none || number >= self.room[contender],
                });
            }
            if !turns.is_empty() {
                visit(position, job, &turns);
            }
        }
    }
}

/// Could it use a parallel job, and has none? A job that was given to an agent
/// has one.
fn waits(job: &JobRequest, usage: &Usage) -> bool {
    job.state == JobState::Queued && !usage.holds(job.id)
}

fn place(job: &JobRequest, turns: &[Turn], contenders: &[Contender<'_>]) -> Place {
    let priorities = turns
        .iter()
        .map(|turn| contenders[turn.contender].profile.priority);
    Place::new(priorities.max().unwrap_or(0), job.id)
}

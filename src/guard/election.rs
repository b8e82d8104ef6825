//! Who leads: the rules, without the apiserver.
//!
//! May import: ports. Invariants: clocks of two machines are never compared. Whoever
//! has the Lease counts from before it asked for it, and stops writing a margin
//! before that ends; whoever wants it counts from when it saw the record change.

use std::time::Duration;

use tokio::time::Instant;

use crate::ports::writes::{Holding, LeaseRecord, LeaseSeen};

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For how long a Lease is taken.
    pub duration: Duration,
    /// Between two renewals.
    pub renew: Duration,
    /// Before its end from when on nothing is written: for what is on its way.
    pub margin: Duration,
    /// Between two looks at a Lease that another has, and after a failure.
    pub retry: Duration,
    /// For one look at it and one write of it.
    pub attempt: Duration,
}

/// For how long this replica may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Another each time that it begins.
    pub term: u64,
    /// Since when it leads; what was read before may be old news.
    pub since: Instant,
    /// From when on it may not write, unless the Lease is renewed before.
    pub until: Instant,
}

/// What is to be done about a Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write this.
    Write(Holding),
    /// Another has it.
    Wait,
}

/// One candidate.
#[derive(Debug)]
pub(super) struct Election {
    identity: Box<str>,
    times: Times,
    /// The record of another, and since when it is like that.
    watched: Option<(LeaseRecord, Instant)>,
    lead: Option<Lead>,
    terms: u64,
}

// === impl Times ===

impl Default for Times {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew: Duration::from_secs(5),
            margin: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            attempt: Duration::from_secs(3),
        }
    }
}

// === impl Election ===

impl Election {
    /// A candidate. The identity must be nobody else's, not even that of the same
    /// container before it started anew.
    pub(super) const fn new(identity: Box<str>, times: Times) -> Self {
        Self {
            identity,
            times,
            watched: None,
            lead: None,
            terms: 0,
        }
    }

    /// The Lease was read.
    pub(super) fn read(&mut self, seen: Option<&LeaseSeen>, now: Instant) -> Step {
        let record = seen.map(|seen| &seen.record);
        let record = record.cloned().unwrap_or_default();
        let is_mine = record.holder == self.identity;
        if !is_mine {
            self.lead = None;
        }
        if is_mine || record.holder.is_empty() {
            self.watched = None;
            return self.hold(&record, is_mine);
        }
        let since = match &self.watched {
            Some((watched, since)) if *watched == record => *since,
            _ => now,
        };
        let over = since + record.duration.max(self.times.duration);
        let step = match now >= over {
            true => self.hold(&record, false),
            false => Step::Wait,
        };
        self.watched = Some((record, since));
        step
    }

    fn hold(&self, before: &LeaseRecord, is_mine: bool) -> Step {
        Step::Write(Holding {
            holder: self.identity.clone(),
            duration: self.times.duration,
            transitions: before.transitions.saturating_add(u32::from(!is_mine)),
            is_new: !is_mine,
        })
    }

    /// The Lease was written, as it was begun to ask for then.
    pub(super) fn written(&mut self, asked: Instant, now: Instant) {
        let until = asked + self.times.duration - self.times.margin;
        let lead = match self.lead(now) {
            Some(lead) => Lead { until, ..lead },
            None => {
                self.terms += 1;
                Lead {
                    term: self.terms,
                    since: now,
                    until,
                }
            }
        };
        self.watched = None;
        self.lead = Some(lead);
    }

    /// For how long it may write, if it may now.
    pub(super) fn lead(&self, now: Instant) -> Option<Lead> {
        self.lead.filter(|lead| now < lead.until)
    }

    /// It gives up leading. What lets the Lease go, if it has it.
    pub(super) fn resign(&mut self, seen: &LeaseSeen) -> Option<Holding> {
        self.lead = None;
        (seen.record.holder == self.identity).then(|| Holding {
            holder: "".into(),
            duration: self.times.duration,
            transitions: seen.record.transitions,
            is_new: false,
        })
    }

    pub(super) const fn times(&self) -> Times {
        self.times
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn seen(holder: &str, renewed: &str) -> LeaseSeen {
        LeaseSeen {
            version: "1".into(),
            record: LeaseRecord {
                holder: holder.into(),
                duration: Duration::from_secs(15),
                renewed: renewed.into(),
                transitions: 4,
            },
        }
    }

    fn candidate() -> Election {
        Election::new("me".into(), Times::default())
    }

    #[track_caller]
    fn transitions(step: Step) -> u32 {
        match step {
            Step::Write(holding) => {
                assert_eq!(&*holding.holder, "me");
                holding.transitions
            }
            Step::Wait => panic!("it waits"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_nobody_has_is_taken_at_once() {
        let mut election = candidate();
        assert_eq!(transitions(election.read(None, Instant::now())), 1);
        let free = seen("", "");
        assert_eq!(transitions(election.read(Some(&free), Instant::now())), 5);
    }

    /// The renewal's own time may be of any clock: hours ahead, or years ago.
    #[tokio::test(start_paused = true)]
    async fn anothers_lease_is_taken_once_it_has_not_changed_for_its_duration() {
        for other in ["2199-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "odd"] {
            let mut election = candidate();
            for _ in 0..5 {
                let changed = format!("{other} {:?}", Instant::now());
                for _ in 0..14 {
                    let step = election.read(Some(&seen("other", &changed)), Instant::now());
                    assert_eq!(step, Step::Wait);
                    advance(Duration::from_secs(1)).await;
                }
            }
            assert_eq!(
                election.read(Some(&seen("other", other)), Instant::now()),
                Step::Wait
            );
            advance(Duration::from_secs(15)).await;
            let step = election.read(Some(&seen("other", other)), Instant::now());
            assert_eq!(transitions(step), 5);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_longer_lease_of_another_is_waited_for() {
        let mut election = candidate();
        let mut long = seen("other", "x");
        long.record.duration = Duration::from_secs(60);
        assert_eq!(election.read(Some(&long), Instant::now()), Step::Wait);
        advance(Duration::from_secs(59)).await;
        assert_eq!(election.read(Some(&long), Instant::now()), Step::Wait);
        advance(Duration::from_secs(1)).await;
        transitions(election.read(Some(&long), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_leads_from_before_it_asked_and_stops_before_the_end() {
        let mut election = candidate();
        let asked = Instant::now();
        advance(Duration::from_secs(1)).await;
        election.written(asked, Instant::now());
        let first = election.lead(Instant::now()).unwrap();
        assert_eq!(first.until - asked, Duration::from_secs(13));
        assert_eq!(first.since, Instant::now());

        // A renewal is the same term, and one that comes too late is another.
        advance(Duration::from_secs(5)).await;
        election.written(Instant::now(), Instant::now());
        let renewed = election.lead(Instant::now()).unwrap();
        assert_eq!((renewed.term, renewed.since), (first.term, first.since));
        advance(Duration::from_secs(13)).await;
        assert_eq!(election.lead(Instant::now()), None);
        let mine = seen("me", "x");
        assert_eq!(transitions(election.read(Some(&mine), Instant::now())), 4);
        election.written(Instant::now(), Instant::now());
        assert_ne!(election.lead(Instant::now()).unwrap().term, first.term);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sees_another_there_leads_no_more() {
        let mut election = candidate();
        election.written(Instant::now(), Instant::now());
        assert!(election.lead(Instant::now()).is_some());
        let step = election.read(Some(&seen("other", "x")), Instant::now());
        assert_eq!((step, election.lead(Instant::now())), (Step::Wait, None));
        // And lets nothing go that is another's.
        assert_eq!(election.resign(&seen("other", "x")), None);
        let free = election.resign(&seen("me", "x")).unwrap();
        assert_eq!((&*free.holder, free.transitions), ("", 4));
    }
}

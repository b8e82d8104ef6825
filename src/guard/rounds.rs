//! Rounds: looks at each pool now and then, and at once where there is news.
//!
//! May import: its siblings, ports, telemetry. Invariants: a pool is looked at only
//! while this replica leads, by one at a time, and within a bounded time; a pool that
//! does not answer does not hold up the others.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    PoolSettings, at,
    book::Book,
    deed::{Deed, Place},
    election::Lead,
    gate::Gate,
    page::Counts,
    suspects::Look,
};
use crate::{
    domain::{
        pool::{PoolId, PoolRef},
        registration::RegisteredAgent,
    },
    ports::{
        ReadError,
        registrations::Asked,
        stands::{PoolStands, Stand},
    },
    telemetry::metrics::{Metrics, PlaceholderState, WriteOutcome},
};

/// Pools that are looked at, or written to, at once.
const AT_ONCE: usize = 8;

/// How long a look may take: a large pool is a long answer.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Who goes the rounds.
pub(super) struct Rounds {
    pub(super) gate: Gate,
    pub(super) stands: Arc<dyn PoolStands>,
    pub(super) settings: PoolSettings,
    /// Are placeholders kept?
    pub(super) keeps: bool,
    /// Who else wants to know what was seen.
    pub(super) looks: Option<mpsc::Sender<Look>>,
    pub(super) metrics: Arc<Metrics>,
}

/// Something under way has ended.
enum Ended {
    Look {
        stand: Stand,
        began: Instant,
        found: Asked<(PoolId, Vec<RegisteredAgent>)>,
    },
    Deeds {
        stand: Stand,
        done: Vec<(Deed, WriteOutcome)>,
    },
}

type UnderWay = FuturesUnordered<BoxFuture<'static, Ended>>;

// === impl Rounds ===

impl Rounds {
    /// Goes them for ever.
    pub(super) async fn run(&self) {
        let mut declared = self.stands.declarations();
        let mut leads = self.gate.changes();
        let mut book = Book::new(self.settings.clone(), self.keeps);
        let mut under_way = UnderWay::new();
        let mut look_at = Some(Instant::now());
        loop {
            tokio::select! {
                () = at(look_at) => {}
                Some(ended) = under_way.next() => self.ended(&mut book, &under_way, ended),
                Ok(()) = declared.changed() => {}
                Ok(()) = leads.changed() => {}
                else => return,
            }
            look_at = None;
            let now = Instant::now();
            if let Some(stands) = self.stands.stands() {
                book.take(stands, now);
            }
            self.tell(&book);
            let Some(lead) = self.gate.lead() else {
                continue;
            };
            book.lead(lead, now);
            for (stand, id) in book.due(now) {
                if under_way.len() >= AT_ONCE {
                    // One that ends looks again.
                    break;
                }
                if let Some(left) = self.stands.pause(&stand.key) {
                    book.rests(&stand.key, now + left);
                    continue;
                }
                book.begins(&stand.key);
                under_way.push(look(stand, id).boxed());
            }
            if under_way.len() < AT_ONCE {
                look_at = book.next_look();
            }
        }
    }

    fn ended(&self, book: &mut Book, under_way: &UnderWay, ended: Ended) {
        let now = Instant::now();
        match ended {
            Ended::Deeds { stand, done } => book.done(&stand.key, &done, now),
            Ended::Look {
                stand,
                found: Err(error),
                ..
            } => {
                tracing::debug!(pool = %stand.key, %error, "its agents cannot be listed");
                book.failed(&stand.key, &error, now);
            }
            Ended::Look {
                stand,
                began,
                found: Ok((pool, agents)),
            } => {
                let found = book.looked(&stand.key, (pool, &agents), now);
                for foreigner in found.foreigners {
                    let key = &stand.key;
                    match foreigner.holds {
                        true => tracing::info!("pool {key}: {foreigner}"),
                        false => tracing::warn!("pool {key}: {foreigner}"),
                    }
                }
                let lead = self.gate.lead();
                under_way.push(self.deeds(stand.clone(), pool, found.deeds, lead));
                if let Some(looks) = &self.looks {
                    // One that is late is as good as none.
                    let _ = looks.try_send(Look {
                        stand,
                        pool,
                        agents,
                        began,
                    });
                }
            }
        }
    }

    fn deeds(
        &self,
        stand: Stand,
        pool: PoolId,
        deeds: Vec<Deed>,
        lead: Option<Lead>,
    ) -> BoxFuture<'static, Ended> {
        let (gate, stands) = (self.gate.clone(), Arc::clone(&self.stands));
        let keeper = self.settings.keeper.clone();
        let doing = async move {
            let mut done = Vec::new();
            let place = Place {
                gate: &gate,
                stands: &*stands,
                keeper: &keeper,
                stand: &stand,
                pool,
            };
            for deed in deeds {
                let Some(lead) = lead else {
                    break;
                };
                let Some(outcome) = deed.done(&place, lead).await else {
                    continue;
                };
                done.push((deed, outcome));
                // What is refused once is refused each time, and whoever leads no
                // more does nothing.
                if matches!(outcome, WriteOutcome::Forbidden | WriteOutcome::NotLeader) {
                    break;
                }
            }
            Ended::Deeds { stand, done }
        };
        doing.boxed()
    }

    fn tell(&self, book: &Book) {
        let counts = match self.gate.lead() {
            Some(_) => book.counts(),
            None => Counts::default(),
        };
        for (state, count) in [
            (PlaceholderState::Kept, counts.kept),
            (PlaceholderState::Others, counts.others),
            (PlaceholderState::Missing, counts.missing),
        ] {
            self.metrics.placeholders(state, count);
        }
    }
}

/// Lists the agents of a pool; by its number, where that is known.
async fn look(stand: Stand, id: Option<PoolId>) -> Ended {
    let began = Instant::now();
    let pool = id.map_or_else(|| stand.pool.clone(), PoolRef::Id);
    let found = timeout(LONGEST_LOOK, stand.server.agents(&pool)).await;
    let limit = LONGEST_LOOK;
    let found = found.unwrap_or(Err(ReadError::TimedOut { limit }));
    Ended::Look {
        stand,
        began,
        found,
    }
}

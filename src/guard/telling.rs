//! The writer of Events: tells a scaling object's owner what keeps it from scaling.
//!
//! May import: its siblings, ports, telemetry. Invariants: a leader first reads what
//! was told before it, and tells nothing until it knows; no more Events a second than
//! a bound, and one of a scaling object at a time, so that they stay in order.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, timeout_at};

use super::{
    at,
    edges::{Edge, Edges},
    election::Lead,
    gate::{Gate, LONGEST_WRITE},
};
use crate::{
    ports::{
        notices::{Event, Events, News, Noticed, Notices},
        writes::{Attempt, WriteError},
    },
    telemetry::metrics::{WriteOutcome, Writer},
};

/// Writes under way at once.
const AT_ONCE: usize = 4;

/// How long further changes are waited for.
const TOGETHER: Duration = Duration::from_secs(1);

/// Between two Events, whatever they are of.
const APART: Duration = Duration::from_millis(200);

/// After what was told before could not be read.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The writer.
pub(super) struct Telling {
    pub(super) gate: Gate,
    pub(super) notices: Arc<dyn Notices>,
    pub(super) events: Arc<dyn Events>,
    pub(super) reporter: Box<str>,
}

/// What has ended, in which term it was begun.
enum Ended {
    Reading(u64, Option<Vec<(Box<str>, News)>>),
    Writing(u64, Event, bool),
}

type UnderWay = FuturesUnordered<BoxFuture<'static, Ended>>;

/// What this replica remembers.
struct Memory {
    /// The term that it is of.
    term: u64,
    /// `None` until it is known what was told before.
    edges: Option<Edges>,
    reads: bool,
    read_at: Instant,
    next_write: Instant,
}

// === impl Telling ===

impl Telling {
    /// Tells for ever.
    pub(super) async fn run(&self) {
        let mut changes = self.notices.changes();
        let mut leads = self.gate.changes();
        let mut under_way = UnderWay::new();
        let now = Instant::now();
        let mut memory = Memory {
            term: 0,
            edges: None,
            reads: false,
            read_at: now,
            next_write: now,
        };
        let mut look_at = Some(now);
        loop {
            tokio::select! {
                () = at(look_at) => {
                    look_at = self.look(&mut memory, &mut under_way);
                    continue;
                }
                Some(ended) = under_way.next() => {
                    memory.take(ended);
                    look_at = Some(Instant::now());
                    continue;
                }
                Ok(()) = changes.changed() => {}
                Ok(()) = leads.changed() => {}
                else => return,
            }
            let soon = Instant::now() + TOGETHER;
            look_at = Some(look_at.map_or(soon, |at| at.min(soon)));
        }
    }

    /// Begins what is to be told and may be; tells when to look again at the latest.
    fn look(&self, memory: &mut Memory, under_way: &mut UnderWay) -> Option<Instant> {
        let lead = self.gate.lead()?;
        // What was told before is of use only beside what there is.
        let noticed = self.notices.notices()?;
        let now = Instant::now();
        if memory.term != lead.term {
            *memory = Memory {
                term: lead.term,
                edges: None,
                reads: false,
                read_at: now,
                ..*memory
            };
        }
        let Some(edges) = &mut memory.edges else {
            if !memory.reads && now >= memory.read_at {
                memory.reads = true;
                under_way.push(Box::pin(told(
                    self.gate.clone(),
                    Arc::clone(&self.events),
                    lead,
                )));
            }
            return (!memory.reads).then_some(memory.read_at);
        };
        for (index, edge) in edges.due(&noticed, now) {
            if under_way.len() >= AT_ONCE {
                // One that ends looks again.
                return edges.next(now);
            }
            if memory.next_write > now {
                return Some(memory.next_write);
            }
            memory.next_write = now + APART;
            let event = self.event(&noticed[index], edge);
            edges.begins(&event.uid);
            let (gate, events) = (self.gate.clone(), Arc::clone(&self.events));
            under_way.push(Box::pin(async move {
                let what = what(&event);
                let outcome = gate
                    .write(Writer::Events, lead, &what, || events.tell(&event))
                    .await;
                let well = matches!(outcome, WriteOutcome::Done | WriteOutcome::DryRun);
                Ended::Writing(lead.term, event, well)
            }));
        }
        edges.next(now)
    }

    fn event(&self, noticed: &Noticed, edge: Edge) -> Event {
        Event {
            object: noticed.object.clone(),
            kind: noticed.kind,
            uid: noticed.uid.clone(),
            mark: edge.mark,
            news: edge.news,
            note: edge.note,
            reporter: self.reporter.clone(),
        }
    }
}

// === impl Memory ===

impl Memory {
    fn take(&mut self, ended: Ended) {
        let now = Instant::now();
        match ended {
            Ended::Reading(term, told) if term == self.term => {
                self.reads = false;
                self.read_at = now + READ_AGAIN_AFTER;
                self.edges = told.map(|told| Edges::after(told, now));
            }
            Ended::Writing(term, event, well) if term == self.term => {
                if let Some(edges) = &mut self.edges {
                    edges.ended(&event.uid, &event.news, well, now);
                }
            }
            // Whoever leads anew has read what came of it.
            Ended::Reading(..) | Ended::Writing(..) => {}
        }
    }
}

fn what(event: &Event) -> String {
    let Event { object, note, .. } = event;
    match &event.news {
        News::Is(code, _) => format!("an Event on {object}: {}: {note}", code.name()),
        News::Over(_) => format!("an Event on {object}: {note}"),
    }
}

/// What was told before this replica led.
async fn told(gate: Gate, events: Arc<dyn Events>, lead: Lead) -> Ended {
    let end = lead.until.min(Instant::now() + LONGEST_WRITE);
    let read = timeout_at(end, events.told()).await;
    let read = read.unwrap_or_else(|_| {
        Err(WriteError::Failed {
            cause: "no answer in time".into(),
        })
    });
    let error = match read {
        Ok(told) => return Ended::Reading(lead.term, Some(told)),
        Err(error) => error,
    };
    // A reading that failed counts as the write that it was for.
    let fails = || -> Attempt<'_, ()> { Box::pin(async move { Err(error) }) };
    let what = "Events, since those that are there cannot be read";
    let outcome = gate.write(Writer::Events, lead, &what, fails).await;
    let dry = outcome == WriteOutcome::DryRun;
    Ended::Reading(lead.term, dry.then(Vec::new))
}

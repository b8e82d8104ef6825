//! The writer of marks: decides anew at each change, and writes what is wanted.
//!
//! May import: its siblings, ports, telemetry. Invariants: no more writes a second
//! than it was told; pods whose writes fail or hang do not hold up the others.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use super::{
    at,
    gate::Gate,
    wanted::{Change, Wanted},
};
use crate::{
    ports::writes::{AgentPods, AgentPodsSeen, Needs},
    telemetry::metrics::{WriteOutcome, Writer},
};

/// Writes under way at once.
const AT_ONCE: usize = 8;

/// How long further changes are waited for.
const TOGETHER: Duration = Duration::from_millis(100);

/// The writer.
pub(super) struct Marking {
    pub(super) gate: Gate,
    pub(super) pods: Arc<dyn AgentPods>,
    pub(super) needs: Arc<dyn Needs>,
    pub(super) per_second: u32,
}

type Writes = FuturesUnordered<BoxFuture<'static, (Change, WriteOutcome)>>;

// === impl Marking ===

impl Marking {
    /// Marks for ever.
    pub(super) async fn run(&self) {
        let mut seen = self.pods.agent_pods();
        let mut changes = self.needs.changes();
        let mut leads = self.gate.changes();
        let mut wanted = Wanted::default();
        let mut under_way = Writes::new();
        let mut next_write = Instant::now();
        let mut look_at = Some(Instant::now());
        loop {
            tokio::select! {
                () = at(look_at) => {
                    look_at = self.look(&seen, &mut wanted, &mut under_way, &mut next_write);
                    continue;
                }
                Some((change, outcome)) = under_way.next() => {
                    // Whoever leads no more forgets all of it at the next term.
                    let well = matches!(outcome, WriteOutcome::Done | WriteOutcome::DryRun);
                    wanted.ended(&change, well, Instant::now());
                }
                Ok(()) = seen.changed() => {}
                Ok(()) = changes.changed() => {}
                Ok(()) = leads.changed() => {}
                else => return,
            }
            let soon = Instant::now() + TOGETHER;
            look_at = Some(look_at.map_or(soon, |at| at.min(soon)));
        }
    }

    /// Begins what is wanted and may be; tells when to look again at the latest.
    fn look(
        &self,
        seen: &watch::Receiver<Option<Arc<AgentPodsSeen>>>,
        wanted: &mut Wanted,
        under_way: &mut Writes,
        next_write: &mut Instant,
    ) -> Option<Instant> {
        let lead = self.gate.lead()?;
        let seen = seen.borrow().clone()?;
        let now = Instant::now();
        let changes = wanted.changes(lead, &self.needs.needs(), &seen, now);
        for change in changes {
            if under_way.len() >= AT_ONCE {
                // One that ends looks again.
                return wanted.next_try(now);
            }
            let at = (*next_write).max(now);
            if at > now {
                return Some(at);
            }
            *next_write = at + Duration::from_secs(1) / self.per_second.max(1);
            wanted.begins(&change, now);
            let (gate, pods) = (self.gate.clone(), Arc::clone(&self.pods));
            under_way.push(Box::pin(async move {
                let what = match change.marks {
                    true => format!("pod {} is marked: its agent has a job", change.name),
                    false => format!("pod {} has no marks: its agent is idle", change.name),
                };
                let outcome = gate
                    .write(Writer::BusyMarks, lead, &what, || {
                        pods.annotate(&change.name, &change.pod, &change.changes)
                    })
                    .await;
                (change, outcome)
            }));
        }
        wanted.next_try(now)
    }
}

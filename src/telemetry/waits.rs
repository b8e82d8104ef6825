//! How long the jobs of one pool waited for an agent.
//!
//! May import: its siblings. Invariant: each job is observed once, by whoever
//! sees first that it runs; the pool's name is told at the scrape.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, core::Collector as _, proto::MetricFamily};

use super::descriptions::POOL_QUEUE_WAIT;

/// From an agent that idles to an afternoon.
const BUCKETS: [f64; 12] = [
    1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 14400.0,
];

/// The waits of one pool's jobs. Clones share them.
#[derive(Clone, Debug)]
pub struct QueueWaits(Histogram);

// === impl QueueWaits ===

impl QueueWaits {
    /// No job has waited yet.
    #[must_use]
    pub fn new(organization: &str, pool: &str) -> Self {
        Self(made(organization, pool))
    }

    /// A job had waited this long when an agent had it.
    pub fn waited(&self, wait: Duration) {
        self.0.observe(wait.as_secs_f64());
    }

    pub(super) fn collect(&self) -> Vec<MetricFamily> {
        self.0.collect()
    }
}

#[expect(
    clippy::expect_used,
    reason = "name and buckets are constants, and label values may be any text: this fails in every test or never"
)]
fn made(organization: &str, pool: &str) -> Histogram {
    let labels = POOL_QUEUE_WAIT
        .labels
        .iter()
        .copied()
        .zip([organization, pool]);
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let opts = HistogramOpts::new(POOL_QUEUE_WAIT.name, POOL_QUEUE_WAIT.help)
        .buckets(BUCKETS.to_vec())
        .const_labels(labels.collect());
    Histogram::with_opts(opts).expect("the description is well formed")
}

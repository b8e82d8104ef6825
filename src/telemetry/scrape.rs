//! One scrape: the metrics, and the gauges of what is known by name.
//!
//! May import: its siblings. Invariant: names of pools and scaling objects are
//! the one exception from «labels come from closed lists». They are made anew
//! for each scrape from what the scaler watches at that moment, so they are
//! bounded by its own limits, and a pool that nobody asks for any more vanishes.

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use super::{
    descriptions::{self as names, Description},
    metrics::registered,
};

/// A scrape that is being put together.
#[derive(Debug)]
pub struct Scrape<'a> {
    registry: &'a Registry,
    by_name: Registry,
    pool_jobs: GaugeVec,
    pool_jobs_unclaimed: GaugeVec,
    pool_snapshot_age: GaugeVec,
    pool_failures: GaugeVec,
    scaling_object_number: GaugeVec,
}

/// A pool, as its metrics name it.
#[derive(Clone, Copy, Debug)]
pub struct PoolLabels<'a> {
    /// The organization's name.
    pub organization: &'a str,
    /// The pool's name.
    pub pool: &'a str,
}

// === impl Scrape ===

impl<'a> Scrape<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        let by_name = Registry::new();
        let gauges = |of: &Description| {
            let opts = Opts::new(of.name, of.help);
            registered(&by_name, GaugeVec::new(opts, of.labels))
        };
        Self {
            pool_jobs: gauges(&names::POOL_JOBS),
            pool_jobs_unclaimed: gauges(&names::POOL_JOBS_UNCLAIMED),
            pool_snapshot_age: gauges(&names::POOL_SNAPSHOT_AGE),
            pool_failures: gauges(&names::POOL_FAILURES),
            scaling_object_number: gauges(&names::SCALING_OBJECT_NUMBER),
            registry,
            by_name,
        }
    }

    /// Jobs of a pool in one state.
    pub fn pool_jobs(&self, at: PoolLabels<'_>, state: &'static str, jobs: u64) {
        let labels = [at.organization, at.pool, state];
        self.pool_jobs.with_label_values(&labels).set(float(jobs));
    }

    /// Jobs of a pool that no scaling object takes.
    pub fn pool_jobs_unclaimed(&self, at: PoolLabels<'_>, jobs: u64) {
        let gauge = self.pool_jobs_unclaimed.with_label_values(&at.values());
        gauge.set(float(jobs));
    }

    /// Seconds since a pool was read.
    pub fn pool_snapshot_age(&self, at: PoolLabels<'_>, seconds: f64) {
        let gauge = self.pool_snapshot_age.with_label_values(&at.values());
        gauge.set(seconds);
    }

    /// Readings of a pool that failed in a row.
    pub fn pool_failures_in_a_row(&self, at: PoolLabels<'_>, failures: u32) {
        let gauge = self.pool_failures.with_label_values(&at.values());
        gauge.set(f64::from(failures));
    }

    /// The number of a scaling object. The largest stays where there are
    /// several: the horizontal pod autoscaler follows that one too.
    pub fn scaling_object_number(&self, namespace: &str, name: &str, pool: &str, number: u64) {
        let labels = [namespace, name, pool];
        let gauge = self.scaling_object_number.with_label_values(&labels);
        gauge.set(gauge.get().max(float(number)));
    }

    /// The scrape in the text format of Prometheus.
    #[must_use]
    pub fn text(self) -> String {
        let mut families = self.registry.gather();
        families.extend(self.by_name.gather());
        let mut text = String::new();
        match TextEncoder::new().encode_utf8(&families, &mut text) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be printed");
                String::new()
            }
        }
    }
}

// === impl PoolLabels ===

impl<'a> PoolLabels<'a> {
    const fn values(self) -> [&'a str; 2] {
        [self.organization, self.pool]
    }
}

/// Exact up to 2^53, which is more jobs than there are.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_is_known_by_name_vanishes_with_it() {
        let metrics = Metrics::new();
        let at = PoolLabels {
            organization: "contoso",
            pool: "linux \"a\"",
        };
        let scrape = metrics.scrape();
        scrape.pool_jobs(at, "queued", 3);
        scrape.scaling_object_number("ci", "java", "linux", 4);
        scrape.scaling_object_number("ci", "java", "linux", 2);
        let text = scrape.text();
        for line in [
            r#"azp_pool_jobs{organization="contoso",pool="linux \"a\"",state="queued"} 3"#,
            r#"azp_scaling_object_number{namespace="ci",pool="linux",scaling_object="java"} 4"#,
        ] {
            assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
        }
        assert!(!metrics.scrape().text().contains("azp_pool_jobs"));
    }
}

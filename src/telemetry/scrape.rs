//! One scrape: the metrics, and the gauges of what is known by name.
//!
//! May import: its siblings. Invariant: names of pools and scaling objects are
//! the one exception from «labels come from closed lists». They are made anew
//! for each scrape from what the scaler watches at that moment, so they are
//! bounded by its own limits, and a pool that nobody asks for any more vanishes.

use prometheus::{GaugeVec, Opts, Registry, TextEncoder, proto::MetricFamily};

use super::{
    descriptions::{self as names, Description},
    metrics::registered,
    waits::QueueWaits,
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
    scaling_object_jobs: GaugeVec,
    scaling_object_number: GaugeVec,
    parallel_jobs_limit: GaugeVec,
    parallel_jobs_used: GaugeVec,
    parallel_jobs_held_back: GaugeVec,
    parallel_jobs_failures: GaugeVec,
    watchers: GaugeVec,
    cluster_unseen: GaugeVec,
    credential_valid: GaugeVec,
    credential_expires: GaugeVec,
    rate_limit_left: GaugeVec,
    waits: Vec<MetricFamily>,
}

/// A pool, as its metrics name it.
#[derive(Clone, Copy, Debug)]
pub struct PoolLabels<'a> {
    /// The organization's name.
    pub organization: &'a str,
    /// The pool's name.
    pub pool: &'a str,
}

/// A scaling object, as its metrics name it.
#[derive(Clone, Copy, Debug)]
pub struct ObjectLabels<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The pool's name.
    pub pool: &'a str,
}

/// A credential at an organization, as its metrics name it.
#[derive(Clone, Copy, Debug)]
pub struct CredentialLabels<'a> {
    /// The organization's name.
    pub organization: &'a str,
    /// The credential's name; never a part of the credential itself.
    pub credential: &'a str,
}

/// What is known of the parallel jobs of an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParallelJobsKnown {
    /// How many there are.
    pub limit: Option<u64>,
    /// How many are in use.
    pub used: Option<u64>,
    /// How many jobs get no agent for want of one.
    pub held_back: Option<u64>,
    /// Readings failed in a row.
    pub failures_in_a_row: u32,
}

/// What is known of a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CredentialKnown {
    /// Did the service take it when it was last asked?
    pub valid: Option<bool>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<f64>,
    /// What is left of the service's limit.
    pub rate_limit_left: Option<f64>,
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
            scaling_object_jobs: gauges(&names::SCALING_OBJECT_JOBS),
            scaling_object_number: gauges(&names::SCALING_OBJECT_NUMBER),
            parallel_jobs_limit: gauges(&names::PARALLEL_JOBS_LIMIT),
            parallel_jobs_used: gauges(&names::PARALLEL_JOBS_USED),
            parallel_jobs_held_back: gauges(&names::PARALLEL_JOBS_HELD_BACK),
            parallel_jobs_failures: gauges(&names::PARALLEL_JOBS_FAILURES),
            watchers: gauges(&names::WATCHERS),
            cluster_unseen: gauges(&names::CLUSTER_UNSEEN),
            credential_valid: gauges(&names::CREDENTIAL_VALID),
            credential_expires: gauges(&names::CREDENTIAL_EXPIRES),
            rate_limit_left: gauges(&names::RATE_LIMIT_LEFT),
            waits: Vec::new(),
            registry,
            by_name,
        }
    }

    /// Jobs of a pool in one state.
    pub fn pool_jobs(&self, at: PoolLabels<'_>, state: &'static str, jobs: u64) {
        let labels = [at.organization, at.pool, state];
        self.pool_jobs.with_label_values(&labels).set(float(jobs));
    }

    /// Jobs of a pool that no scaling object takes, for one reason.
    pub fn pool_jobs_unclaimed(&self, at: PoolLabels<'_>, reason: &'static str, jobs: u64) {
        let labels = [at.organization, at.pool, reason];
        let gauge = self.pool_jobs_unclaimed.with_label_values(&labels);
        gauge.set(float(jobs));
    }

    /// How long the jobs of a pool waited; each pool once.
    pub fn pool_queue_waits(&mut self, waits: &QueueWaits) {
        for mut family in waits.collect() {
            match self.waits.first_mut() {
                Some(first) => first.mut_metric().extend(family.take_metric()),
                None => self.waits.push(family),
            }
        }
    }

    /// Jobs that a scaling object has in one state; the most where several of
    /// its triggers ask for one pool.
    pub fn scaling_object_jobs(&self, at: ObjectLabels<'_>, state: &'static str, jobs: u64) {
        let labels = [at.namespace, at.name, at.pool, state];
        let gauge = self.scaling_object_jobs.with_label_values(&labels);
        gauge.set(gauge.get().max(float(jobs)));
    }

    /// Tasks that read pools, or look them up.
    pub fn watchers(&self, pools: u64, lookups: u64) {
        for (of, count) in [("pool", pools), ("lookup", lookups)] {
            self.watchers.with_label_values(&[of]).set(float(count));
        }
    }

    /// For how long, in seconds, a part of the cluster has not been seen.
    pub fn cluster_unseen(&self, seconds: f64) {
        let no_labels: [&str; 0] = [];
        self.cluster_unseen
            .with_label_values(&no_labels)
            .set(seconds);
    }

    /// Whether a credential was taken, when it ends, what is left of its limit;
    /// as far as it is known.
    pub fn credential(&self, at: CredentialLabels<'_>, known: CredentialKnown) {
        let labels = [at.organization, at.credential];
        let told = [
            (
                &self.credential_valid,
                known.valid.map(|valid| f64::from(u8::from(valid))),
            ),
            (&self.credential_expires, known.expires),
            (&self.rate_limit_left, known.rate_limit_left),
        ];
        for (gauge, value) in told {
            if let Some(value) = value {
                gauge.with_label_values(&labels).set(value);
            }
        }
    }

    /// The parallel jobs of an organization, as far as they are known.
    pub fn parallel_jobs(&self, organization: &str, known: ParallelJobsKnown) {
        let told = [
            (&self.parallel_jobs_limit, known.limit),
            (&self.parallel_jobs_used, known.used),
            (&self.parallel_jobs_held_back, known.held_back),
            (
                &self.parallel_jobs_failures,
                Some(known.failures_in_a_row.into()),
            ),
        ];
        for (gauge, value) in told {
            if let Some(value) = value {
                gauge.with_label_values(&[organization]).set(float(value));
            }
        }
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
    pub fn scaling_object_number(&self, at: ObjectLabels<'_>, number: u64) {
        let labels = [at.namespace, at.name, at.pool];
        let gauge = self.scaling_object_number.with_label_values(&labels);
        gauge.set(gauge.get().max(float(number)));
    }

    /// The scrape in the text format of Prometheus.
    #[must_use]
    pub fn text(self) -> String {
        let mut families = self.registry.gather();
        families.extend(self.by_name.gather());
        families.extend(self.waits);
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
        let java = ObjectLabels {
            namespace: "ci",
            name: "java",
            pool: "linux",
        };
        scrape.scaling_object_number(java, 4);
        scrape.scaling_object_number(java, 2);
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

//! The metrics, around a registry of their own.
//!
//! May import: its siblings, ports (for [`ReadError::KINDS`]). Invariant: labels
//! come from closed lists only; every time series is made once, at the start, so
//! that recording is a few atomic additions and a scrape shows zeros from the
//! first one on. What is known by name (pools, scaling objects) is the business
//! of [`super::scrape`].

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, core::Collector,
};
use tokio::time::Instant;

pub use super::labels::{
    AzureRoute, GrpcCode, HookOutcome, PlaceholderState, Rpc, TlsOutcome, WriteOutcome, Writer,
};
use super::{
    descriptions::{self as names, Description},
    scrape::Scrape,
};
use crate::ports::ReadError;

/// From an answer out of memory (10 µs) to a call that waited for a first
/// snapshot.
const GRPC_BUCKETS: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25,
    1.0, 2.5, 10.0,
];

/// From a near region to the request time-out's default.
const AZURE_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The outcome of a request to Azure DevOps that did not fail.
const OK: &str = "ok";

/// Everything that is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// By RPC, then by code.
    grpc_requests: Vec<Vec<IntCounter>>,
    grpc_seconds: Vec<Histogram>,
    grpc_streams: Vec<IntGauge>,
    tls_handshakes: Vec<IntCounter>,
    /// Without labels, and absent until it is set.
    tls_certificate_expiry: IntGaugeVec,
    /// By route; first those that went well, then by [`ReadError::KINDS`].
    azure_requests: Vec<Vec<IntCounter>>,
    azure_seconds: Vec<Histogram>,
    hooks: Vec<IntCounter>,
    /// By writer, then by outcome.
    writes: Vec<Vec<IntCounter>>,
    leader: IntGauge,
    placeholders: Vec<IntGauge>,
    busy_agents_lost: IntCounter,
}

/// One call under way. It is recorded when this is dropped, so that neither an
/// early return nor a caller who goes away is missing.
#[derive(Debug)]
pub struct Call<'a> {
    metrics: &'a Metrics,
    rpc: Rpc,
    code: GrpcCode,
    started: Instant,
}

/// One open stream, until it is dropped.
#[derive(Debug)]
pub struct OpenStream(IntGauge);

// === impl Metrics ===

impl Metrics {
    /// Everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = gauges(&registry, &names::BUILD_INFO);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let requests = counters(&registry, &names::GRPC_REQUESTS);
        let seconds = histograms(&registry, &names::GRPC_SECONDS, &GRPC_BUCKETS);
        let streams = gauges(&registry, &names::GRPC_STREAMS);
        let handshakes = counters(&registry, &names::TLS_HANDSHAKES);
        let azure = counters(&registry, &names::AZURE_REQUESTS);
        let azure_seconds = histograms(&registry, &names::AZURE_SECONDS, &AZURE_BUCKETS);
        let hooks = counters(&registry, &names::HOOKS);
        let writes = counters(&registry, &names::WRITES);
        let placeholders = gauges(&registry, &names::PLACEHOLDERS);
        let no_labels: [&str; 0] = [];
        let rpcs = || Rpc::ALL.iter().map(|rpc| rpc.as_str());
        let routes = || AzureRoute::ALL.iter().map(|route| route.as_str());
        let by_code = |rpc| {
            let codes = GrpcCode::ALL.iter();
            codes
                .map(|code| requests.with_label_values(&[rpc, code.as_str()]))
                .collect()
        };
        let by_outcome = |route| {
            let outcomes = [OK].into_iter().chain(ReadError::KINDS);
            outcomes
                .map(|outcome| azure.with_label_values(&[route, outcome]))
                .collect()
        };
        Self {
            grpc_requests: rpcs().map(by_code).collect(),
            grpc_seconds: rpcs()
                .map(|rpc| seconds.with_label_values(&[rpc]))
                .collect(),
            grpc_streams: rpcs()
                .map(|rpc| streams.with_label_values(&[rpc]))
                .collect(),
            tls_handshakes: TlsOutcome::ALL
                .iter()
                .map(|outcome| handshakes.with_label_values(&[outcome.as_str()]))
                .collect(),
            tls_certificate_expiry: gauges(&registry, &names::TLS_CERTIFICATE_EXPIRY),
            azure_requests: routes().map(by_outcome).collect(),
            azure_seconds: routes()
                .map(|route| azure_seconds.with_label_values(&[route]))
                .collect(),
            hooks: HookOutcome::ALL
                .iter()
                .map(|outcome| hooks.with_label_values(&[outcome.as_str()]))
                .collect(),
            writes: Writer::ALL
                .iter()
                .map(|writer| {
                    let outcomes = WriteOutcome::ALL.iter();
                    outcomes
                        .map(|outcome| {
                            writes.with_label_values(&[writer.as_str(), outcome.as_str()])
                        })
                        .collect()
                })
                .collect(),
            leader: gauges(&registry, &names::LEADER).with_label_values(&no_labels),
            placeholders: PlaceholderState::ALL
                .iter()
                .map(|state| placeholders.with_label_values(&[state.as_str()]))
                .collect(),
            busy_agents_lost: counters(&registry, &names::BUSY_AGENTS_LOST)
                .with_label_values(&no_labels),
            registry,
        }
    }

    /// A call begins. It counts as cancelled until it is told otherwise.
    pub fn call(&self, rpc: Rpc) -> Call<'_> {
        Call {
            metrics: self,
            rpc,
            code: GrpcCode::Cancelled,
            started: Instant::now(),
        }
    }

    /// A stream is open from now on.
    #[must_use]
    pub fn stream(&self, rpc: Rpc) -> OpenStream {
        let open = self.grpc_streams[rpc as usize].clone();
        open.inc();
        OpenStream(open)
    }

    /// A TLS handshake has ended.
    pub fn tls_handshake(&self, outcome: TlsOutcome) {
        self.tls_handshakes[outcome as usize].inc();
    }

    /// When the certificate of the gRPC port ends, in seconds since 1970.
    pub fn tls_certificate_ends(&self, at: i64) {
        let no_labels: [&str; 0] = [];
        let gauge = self.tls_certificate_expiry.with_label_values(&no_labels);
        gauge.set(at);
    }

    /// A request to Azure DevOps has ended, well or with this error.
    pub fn azure_request(&self, route: AzureRoute, error: Option<&ReadError>, took: Duration) {
        let outcome = error.map_or(0, |error| {
            let kind = ReadError::KINDS
                .iter()
                .position(|kind| *kind == error.kind());
            // `kind` is one of `KINDS` by its construction.
            kind.map_or(0, |position| position + 1)
        });
        self.azure_requests[route as usize][outcome].inc();
        self.azure_seconds[route as usize].observe(took.as_secs_f64());
    }

    /// A delivery of a service hook was answered.
    pub fn hook(&self, outcome: HookOutcome) {
        self.hooks[outcome as usize].inc();
    }

    /// So many placeholders are in this state.
    pub fn placeholders(&self, state: PlaceholderState, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.placeholders[state as usize].set(count);
    }

    /// A write has ended so.
    pub fn wrote(&self, writer: Writer, outcome: WriteOutcome) {
        self.writes[writer as usize][outcome as usize].inc();
    }

    /// How many writes have ended so.
    #[must_use]
    pub fn writes(&self, writer: Writer, outcome: WriteOutcome) -> u64 {
        self.writes[writer as usize][outcome as usize].get()
    }

    /// Does this replica lead?
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// A pod has ended, and its job goes on without it.
    pub fn busy_agent_lost(&self) {
        self.busy_agents_lost.inc();
    }

    /// How many such jobs there were.
    #[must_use]
    pub fn busy_agents_lost(&self) -> u64 {
        self.busy_agents_lost.get()
    }

    /// A scrape begins: what is known by name is put into it, and then it is
    /// printed together with everything here.
    #[must_use]
    pub fn scrape(&self) -> Scrape<'_> {
        Scrape::new(&self.registry)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Call ===

impl Call<'_> {
    /// The call is answered with this code.
    pub fn answered(&mut self, code: GrpcCode) {
        self.code = code;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let rpc = self.rpc as usize;
        self.metrics.grpc_requests[rpc][self.code as usize].inc();
        self.metrics.grpc_seconds[rpc].observe(self.started.elapsed().as_secs_f64());
    }
}

// === impl OpenStream ===

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

pub(super) fn counters(registry: &Registry, of: &Description) -> IntCounterVec {
    let opts = Opts::new(of.name, of.help);
    registered(registry, IntCounterVec::new(opts, of.labels))
}

fn gauges(registry: &Registry, of: &Description) -> IntGaugeVec {
    let opts = Opts::new(of.name, of.help);
    registered(registry, IntGaugeVec::new(opts, of.labels))
}

fn histograms(registry: &Registry, of: &Description, buckets: &[f64]) -> HistogramVec {
    let opts = HistogramOpts::new(of.name, of.help).buckets(buckets.to_vec());
    registered(registry, HistogramVec::new(opts, of.labels))
}

#[expect(
    clippy::expect_used,
    reason = "names, labels and buckets are constants: this fails in every test or never"
)]
pub(super) fn registered<V: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<V>,
) -> V {
    let made = made.expect("the description is well formed");
    registry
        .register(Box::new(made.clone()))
        .expect("no two descriptions share a name");
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metrics: &Metrics, line: &str) {
        let text = metrics.scrape().text();
        assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_recorded_however_it_ends() {
        let metrics = Metrics::new();
        let mut call = metrics.call(Rpc::GetMetrics);
        tokio::time::advance(Duration::from_micros(30)).await;
        call.answered(GrpcCode::Ok);
        drop(call);
        drop(metrics.call(Rpc::GetMetrics));
        check(
            &metrics,
            r#"azp_grpc_requests_total{code="OK",rpc="GetMetrics"} 1"#,
        );
        check(
            &metrics,
            r#"azp_grpc_requests_total{code="CANCELLED",rpc="GetMetrics"} 1"#,
        );
        check(
            &metrics,
            r#"azp_grpc_requests_total{code="OK",rpc="IsActive"} 0"#,
        );
        check(
            &metrics,
            r#"azp_grpc_request_seconds_bucket{rpc="GetMetrics",le="0.00001"} 1"#,
        );
        check(
            &metrics,
            r#"azp_grpc_request_seconds_bucket{rpc="GetMetrics",le="0.00005"} 2"#,
        );
    }

    #[test]
    fn streams_are_counted_while_they_are_open() {
        let metrics = Metrics::new();
        let open = metrics.stream(Rpc::StreamIsActive);
        check(&metrics, r#"azp_grpc_streams{rpc="StreamIsActive"} 1"#);
        drop(open);
        check(&metrics, r#"azp_grpc_streams{rpc="StreamIsActive"} 0"#);
    }

    #[test]
    fn requests_to_azure_devops_are_counted_by_their_end() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(40);
        metrics.azure_request(AzureRoute::Pool, None, took);
        let error = ReadError::UnknownShape {
            detail: "a list".into(),
        };
        metrics.azure_request(AzureRoute::UnfinishedJobs, Some(&error), took);
        check(
            &metrics,
            r#"azp_azure_requests_total{outcome="ok",route="pool"} 1"#,
        );
        check(
            &metrics,
            r#"azp_azure_requests_total{outcome="unknown-shape",route="unfinished-jobs"} 1"#,
        );
        check(
            &metrics,
            r#"azp_azure_request_seconds_bucket{route="pool",le="0.05"} 1"#,
        );
        metrics.hook(HookOutcome::TooLarge);
        check(&metrics, r#"azp_hooks_total{outcome="too-large"} 1"#);
    }
}

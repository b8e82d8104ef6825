//! The metrics of `azp-agent`: one agent's, made anew for each scrape.
//!
//! May import: its siblings. Invariant: as for the scaler's, a metric that is not
//! in [`AGENT_METRICS`] does not exist, and `docs/metrics.md` shows the table;
//! what the server has not said is absent, and not 0.

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use super::{
    descriptions::{Description, describe},
    metrics::{counters, registered},
};

describe! {
    AGENT_METRICS, "Every metric of `azp-agent`.";
    INFO: Gauge "azp_agent_info" ["version", "pool", "agent"],
        "Always 1; the labels tell which agent this is.";
    PHASE: Gauge "azp_agent_phase" ["phase"],
        "1 for what the agent does now, 0 for what else it could do.";
    JOB_SECONDS: Gauge "azp_agent_job_running_seconds" [],
        "For how long a job has been running; absent while none runs.";
    JOBS: Counter "azp_agent_jobs_total" [],
        "Jobs that were run here.";
    CRASHES: Counter "azp_agent_listener_crashes_total" [],
        "Ends of the listener that nobody asked for.";
    UPDATES: Counter "azp_agent_updates_total" [],
        "Updates of the agent's software; each could be spared by a newer image.";
    ONLINE: Gauge "azp_agent_online" [],
        "1 when the server last said that the agent is online, 0 when offline; absent until asked.";
}

/// What is known of an agent at one moment.
#[derive(Clone, Debug)]
pub struct AgentFigures<'a> {
    /// Its pool.
    pub pool: &'a str,
    /// Its name.
    pub agent: &'a str,
    /// Every phase, and whether it is in it.
    pub phases: &'a [(&'static str, bool)],
    /// For how long a job has been running.
    pub job_seconds: Option<f64>,
    /// Jobs that were run.
    pub jobs: u64,
    /// Listeners that ended unasked.
    pub crashes: u64,
    /// Updates.
    pub updates: u64,
    /// Is it online, as the server last said?
    pub online: Option<bool>,
}

/// The figures in the text format of Prometheus.
#[must_use]
pub fn scrape(figures: &AgentFigures<'_>) -> String {
    let registry = Registry::new();
    let set = |description: &Description, labels: &[&str], value: f64| {
        let opts = Opts::new(description.name, description.help);
        let gauge = registered(&registry, GaugeVec::new(opts, description.labels));
        gauge.with_label_values(labels).set(value);
    };
    let version = env!("CARGO_PKG_VERSION");
    set(&INFO, &[version, figures.pool, figures.agent], 1.0);
    let opts = Opts::new(PHASE.name, PHASE.help);
    let phases = registered(&registry, GaugeVec::new(opts, PHASE.labels));
    for (phase, is) in figures.phases {
        phases
            .with_label_values(&[*phase])
            .set(f64::from(u8::from(*is)));
    }
    if let Some(seconds) = figures.job_seconds {
        set(&JOB_SECONDS, &[], seconds);
    }
    if let Some(online) = figures.online {
        set(&ONLINE, &[], f64::from(u8::from(online)));
    }
    for (description, value) in [
        (&JOBS, figures.jobs),
        (&CRASHES, figures.crashes),
        (&UPDATES, figures.updates),
    ] {
        // Made anew for each scrape, with all that was counted.
        counters(&registry, description)
            .with_label_values::<&str>(&[])
            .inc_by(value);
    }
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_default()
}

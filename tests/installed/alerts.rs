//! Alerts on real faults: each is brought about, fires, is mended, and clears.
//!
//! What takes minutes in the chart's rules takes seconds here, by the same values
//! that a user has; that the minutes are right, promtool tells.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    Outcome, SOON,
    emulator::Jobs,
    prometheus::Prometheus,
    stage::{POOL, SCALER, Stage, told},
};

/// A fault: how it comes, and how it goes.
struct Fault {
    alert: &'static str,
    bring: fn(&Stage) -> Outcome,
    mend: fn(&Stage) -> Outcome,
}

const FAULTS: [Fault; 5] = [
    Fault {
        alert: "AzpCredentialRejected",
        bring: |stage| stage.emulator.set_token("another"),
        mend: |stage| stage.emulator.set_token(&stage.token),
    },
    Fault {
        alert: "AzpPoolReadingsFail",
        bring: |stage| stage.emulator.fail("unavailable"),
        mend: |stage| stage.emulator.clear_faults(),
    },
    Fault {
        alert: "AzpJobsUnclaimed",
        // The agents with cuda take only jobs that ask for a gpu.
        bring: |stage| {
            let lasting = Duration::from_secs(1);
            let job = Jobs {
                count: 1,
                demands: &["cuda"],
                lasting,
            };
            stage.emulator.queue(POOL, job).map(drop)
        },
        mend: |stage| {
            let waiting = stage.emulator.jobs(POOL)?;
            let mut waiting = waiting.iter().filter(|job| job.state == "queued");
            waiting.try_for_each(|job| stage.emulator.cancel(POOL, job.id))
        },
    },
    Fault {
        alert: "AzpClusterUnseen",
        bring: |stage| Ok(stage.cluster.stop_api_server()?),
        mend: |stage| Ok(stage.cluster.start_api_server()?),
    },
    Fault {
        alert: "AzpReplicaDown",
        bring: |stage| scale(stage, 1),
        mend: |stage| scale(stage, 2),
    },
];

pub(crate) fn fire_and_clear(stage: &Stage) -> Outcome {
    let began = Instant::now();
    let soon = |threshold: Option<u32>| match threshold {
        Some(threshold) => json!({"for": "2s", "threshold": threshold}),
        None => json!({"for": "2s"}),
    };
    let prometheus = Prometheus::start(
        stage,
        &json!({
            "AzpCredentialRejected": soon(None),
            "AzpPoolReadingsFail": soon(Some(2)),
            "AzpJobsUnclaimed": soon(None),
            "AzpClusterUnseen": soon(Some(3)),
            "AzpReplicaDown": soon(None),
        }),
    )?;
    stage.until("both replicas to be scraped", SOON, || {
        Ok(prometheus.query("sum(up)")? == [2.0])
    })?;
    for fault in &FAULTS {
        let since = Instant::now();
        let fires = || {
            Ok(prometheus
                .firing()?
                .iter()
                .any(|alert| alert == fault.alert))
        };
        (fault.bring)(stage)?;
        stage.until(&format!("{} to fire", fault.alert), SOON, fires)?;
        told(&format!("{} fires", fault.alert), since);
        (fault.mend)(stage)?;
        stage.until(&format!("{} to clear", fault.alert), SOON, || {
            // Pods that are new are at other addresses.
            prometheus.target_the_pods()?;
            Ok(!fires()?)
        })?;
        told("  and clears", since);
    }
    told("five alerts on real faults fired and cleared", began);
    Ok(())
}

fn scale(stage: &Stage, replicas: u32) -> Outcome {
    let replicas = format!("--replicas={replicas}");
    let name = format!("deployment/{SCALER}");
    stage
        .cluster
        .kubectl(&["scale", &name, "--namespace", SCALER, &replicas])?;
    Ok(())
}

//! How fast a queue is decoded: 10,000 job requests as Azure DevOps writes
//! them, framing included, beside Go's `encoding/json` with KEDA's own structs
//! on the same bytes.
//!
//! The Go program is one of the tools (`make tools`); without it the ratio is
//! not measured, and the bench fails and says so.

use std::{fmt::Write as _, fs, io::Write as _, path::PathBuf, process::Command};

use azp_scaler::azure::decode_jobs;

use crate::report::{Row, median_time};

const JOBS: usize = 10_000;

/// The promise: at most this part of Go's time.
const GOAL: f64 = 0.2;

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    let body = queue(JOBS);
    let took = median_time(31, || {
        let jobs = decode_jobs(body.as_bytes());
        assert_eq!(jobs.map(|jobs| jobs.len()), Ok(JOBS));
    });
    let nanos = took.as_secs_f64() * 1e9;
    let (each, speed) = (nanos / JOBS as f64, body.len() as f64 / nanos * 1e3);
    let (figure, reached) = match go_nanos(&body) {
        Ok(go) => (
            format!("{:.3} of {:.0} ms", nanos / go, go / 1e6),
            nanos / go <= GOAL,
        ),
        // A figure that is missing is a goal that was not reached.
        Err(reason) => (format!("not measured: {reason}"), false),
    };
    vec![
        Row::new(
            format!(
                "decode 10,000 job requests ({:.1} MB), each",
                body.len() as f64 / 1e6
            ),
            format!("{each:.0} ns, {speed:.0} MB/s"),
        ),
        Row::new("decode, time as part of Go's encoding/json", figure).goal("at most 0.2", reached),
    ]
}

/// Median nanoseconds of the Go program on the same bytes.
fn go_nanos(body: &str) -> Result<f64, String> {
    let program = go_program()?;
    let mut file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    file.write_all(body.as_bytes())
        .map_err(|error| error.to_string())?;
    let output = Command::new(program).arg(file.path()).arg("15").output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let line: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    if line["jobs"].as_u64() != Some(JOBS as u64) {
        return Err(format!("Go saw other jobs: {line}"));
    }
    line["nsPerOp"]
        .as_f64()
        .ok_or_else(|| format!("no nsPerOp in {line}"))
}

/// Where `tools/build --list` says that the program lies.
fn go_program() -> Result<PathBuf, String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(format!("{root}/tools/build"))
        .arg("--list")
        .output();
    let output = output.map_err(|error| format!("tools/build: {error}"))?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = list.lines().find(|line| line.contains("keda-decode-bench"));
    let path = line.and_then(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    let path = PathBuf::from(path.ok_or("tools/build does not list keda-decode-bench")?);
    match fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(_) => Err("run make tools".into()),
    }
}

/// A queue of this many rows of about 1.4 KB, a third of them running. Twenty
/// pipelines, each with demands of its own, as in a large organization.
fn queue(jobs: usize) -> String {
    let mut body = format!(r#"{{"count":{jobs},"value":["#);
    for number in 0..jobs {
        if number > 0 {
            body.push(',');
        }
        job(&mut body, number);
    }
    body.push_str("]}");
    body
}

fn job(body: &mut String, number: usize) {
    let (id, pipeline, second) = (90_000 + number, number % 20, number % 60);
    let org = "https://dev.azure.com/contoso";
    let scope = "0f9b7c11-3a52-4c8e-9d11-0000000000bb";
    let plan = format!("5c5c8ec9-7d10-4b1c-8a6f-{number:012x}");
    let _ = write!(
        body,
        r#"{{"requestId":{id},"queueTime":"2026-06-01T09:15:{second:02}.8933333Z","#
    );
    let running = number.is_multiple_of(3);
    if running {
        let _ = write!(
            body,
            r#""assignTime":"2026-06-01T09:16:29.5033333Z","receiveTime":"2026-06-01T09:16:32.0530499Z","lockedUntil":"2026-06-01T09:26:32.07Z","#
        );
    }
    let _ = write!(
        body,
        r#""serviceOwner":"00025394-6065-48ca-87d9-7f5672854ef7","hostId":"3f0d6a0e-53f1-4b0a-9d2e-0000000000aa","scopeId":"{scope}","planType":"Build","planId":"{plan}","jobId":"12f1170f-54f2-53f3-20dd-22fc7dff55f9","demands":["kubectl","team -equals team-{pipeline}","Agent.Version -gtVersion 2.182.1"],"#
    );
    if running {
        let _ = write!(
            body,
            r#""reservedAgent":{{"_links":{{"self":{{"href":"{org}/_apis/distributedtask/pools/27/agents/{id}"}},"web":{{"href":"{org}/_settings/agentpools?view=jobs&poolId=27&agentId={id}"}}}},"id":{id},"name":"k8s-linux-7c9d-{number:05x}","version":"4.260.0","osDescription":"Linux 6.8.0-51-generic #52-Ubuntu SMP","enabled":true,"status":"online","provisioningState":"Provisioned","accessPoint":"CodexAccessMapping"}},"#
        );
    }
    let _ = write!(
        body,
        r#""matchedAgents":[{{"_links":{{"self":{{"href":"{org}/_apis/distributedtask/pools/27/agents/{pipeline}"}},"web":{{"href":"{org}/_settings/agentpools?view=jobs&poolId=27&agentId={pipeline}"}}}},"id":{pipeline},"name":"tmpl-{pipeline}","version":"99.999.9","enabled":true,"status":"offline","provisioningState":"Provisioned"}}],"definition":{{"_links":{{"web":{{"href":"{org}/{scope}/_build/definition?definitionId={pipeline}"}},"self":{{"href":"{org}/{scope}/_apis/build/Definitions/{pipeline}"}}}},"id":{pipeline},"name":"deploy-{pipeline}"}},"owner":{{"_links":{{"web":{{"href":"{org}/{scope}/_build/results?buildId={id}"}},"self":{{"href":"{org}/{scope}/_apis/build/Builds/{id}"}}}},"id":{id},"name":"20260601.{number}"}},"data":{{"ParallelismTag":"Private","IsScheduledKey":"False"}},"poolId":27,"orchestrationId":"{plan}.deploy.job1.__default","priority":0}}"#
    );
}

//! Debian's Prometheus, as a process on this machine: it scrapes the scaler's pods
//! with the labels that a `ServiceMonitor` gives, and evaluates the chart's rules.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use azp_harness::{Process, http};
use serde_json::{Value, json};

use super::{
    Failure, Outcome, charts,
    stage::{SCALER, Stage},
};

pub(crate) struct Prometheus<'a> {
    stage: &'a Stage,
    address: String,
    folder: PathBuf,
    process: Process,
}

impl<'a> Prometheus<'a> {
    /// Starts it with the rules of the chart, rendered with these values.
    pub(crate) fn start(stage: &'a Stage, rules: &Value) -> Result<Prometheus<'a>, Failure> {
        let program = installed()?;
        let folder = stage.folder.path().join("prometheus");
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("rules.json"),
            rendered(stage, rules)?.to_string(),
        )?;
        let configuration = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.json"],
            "scrape_configs": [{
                "job_name": format!("{SCALER}/{SCALER}"),
                "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}],
            }],
        });
        fs::write(folder.join("prometheus.json"), configuration.to_string())?;
        let (address, process) = listening(stage, &program, &folder)?;
        let prometheus = Prometheus {
            stage,
            address,
            folder,
            process,
        };
        prometheus.target_the_pods()?;
        Ok(prometheus)
    }

    /// Tells it where the pods are, as they are now.
    pub(crate) fn target_the_pods(&self) -> Outcome {
        let said = self.stage.cluster.kubectl(&[
            "get",
            "pods",
            "--namespace",
            SCALER,
            "--selector=app.kubernetes.io/name=azp-scaler,app.kubernetes.io/component=scaler",
            r#"--output=jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{"\n"}{end}"#,
        ])?;
        let target = |(pod, address): (&str, &str)| {
            json!({
                "targets": [format!("{address}:8080")],
                "labels": {"namespace": SCALER, "pod": pod, "service": SCALER, "container": "azp-scaler"},
            })
        };
        let targets: Vec<Value> = said
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(target)
            .collect();
        assert!(
            !targets.is_empty(),
            "no pod of the scaler is there to be scraped: {said:?}"
        );
        // By a rename, since Prometheus reads it at any moment.
        let new = self.folder.join("targets.new");
        fs::write(&new, Value::from(targets).to_string())?;
        fs::rename(new, self.folder.join("targets.json"))?;
        Ok(())
    }

    /// The values of an expression now.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<f64>, Failure> {
        let encoded: String = expression
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect();
        let answer = self.ask(&format!("/api/v1/query?query={encoded}"))?;
        let rows = answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let value = |row: &Value| row["value"][1].as_str()?.parse().ok();
        Ok(rows.iter().filter_map(value).collect())
    }

    /// The names of the alerts that fire.
    pub(crate) fn firing(&self) -> Result<Vec<String>, Failure> {
        let answer = self.ask("/api/v1/alerts")?;
        let alerts = answer["data"]["alerts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let fires = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(fires
            .filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned()))
            .collect())
    }

    fn ask(&self, path: &str) -> Result<Value, Failure> {
        self.process.check()?;
        let answer = http::request("GET", &self.address, path, &[], "")?;
        match answer.status {
            200 => Ok(serde_json::from_str(&answer.body)?),
            status => Err(format!("{path}: {status} {}", answer.body).into()),
        }
    }
}

/// Debian's program; it is where the package puts it or on the PATH.
fn installed() -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("prometheus"));
    places
        .find(|program| program.is_file())
        .ok_or_else(|| "there is no 'prometheus' on the PATH: apt-get install prometheus".into())
}

/// The groups of the chart's `PrometheusRule`, as a file of rules.
fn rendered(stage: &Stage, rules: &Value) -> Result<Value, Failure> {
    let values = stage.folder.path().join("rules-values.json");
    let mut all = charts::scaler(stage, charts::Change::Upgraded);
    all["metrics"] = json!({"prometheusRule": {"enabled": true, "rules": rules}});
    fs::write(&values, all.to_string())?;
    let chart = charts::path(SCALER).display().to_string();
    let text = stage.helm(&[
        "template",
        SCALER,
        &chart,
        "--namespace",
        SCALER,
        "--values",
        &values.display().to_string(),
        "--show-only",
        "templates/prometheusrule.yaml",
    ])?;
    let object: Value = serde_saphyr::from_str(&text)?;
    Ok(json!({"groups": object["spec"]["groups"]}))
}

/// Starts it on a port that is free, and learns from its log which that is.
fn listening(stage: &Stage, program: &Path, folder: &Path) -> Result<(String, Process), Failure> {
    let file = |name: &str| folder.join(name).display().to_string();
    let arguments = [
        format!("--config.file={}", file("prometheus.json")),
        format!("--storage.tsdb.path={}", file("data")),
        "--web.listen-address=127.0.0.1:0".to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    fs::write(folder.join("targets.json"), "[]")?;
    let process = stage
        .cluster
        .spawn("prometheus", program, &arguments, &[])?;
    let log = stage.cluster.directory().join("logs/prometheus.log");
    let mut address = String::new();
    stage.until("Prometheus to be ready", Duration::from_secs(60), || {
        process.check()?;
        let said = fs::read_to_string(&log)?;
        let told = said.split_once("msg=\"Listening on\" address=");
        let Some((_, told)) = told.filter(|(_, rest)| rest.contains('\n')) else {
            return Ok(false);
        };
        address = told
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        let answer = http::request("GET", &address, "/-/ready", &[], "");
        Ok(answer.is_ok_and(|answer| answer.status == 200))
    })?;
    Ok((address, process))
}

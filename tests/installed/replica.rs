//! One of the scaler's replicas dies as a process dies: by SIGKILL, without a word
//! to anybody.

use std::{fs, process::Command};

use super::{
    Failure, Outcome, SOON,
    stage::{SCALER, Stage},
};

/// Kills the program of one pod, and returns when its container has started again.
pub(crate) fn kill_one(stage: &Stage) -> Outcome {
    let pod = stage
        .pods(SCALER)?
        .into_iter()
        .next()
        .ok_or("there is no replica")?;
    let ask = |path: &str| {
        let output = format!("--output=jsonpath={path}");
        stage
            .cluster
            .kubectl(&["get", &pod, "--namespace", SCALER, &output])
    };
    let uid = ask("{.metadata.uid}")?;
    let restarts = "{.status.containerStatuses[0].restartCount}";
    assert_eq!(
        ask(restarts)?,
        "0",
        "{pod} started again before it was killed"
    );
    let process = process_of(uid.trim())?;
    let killed = Command::new("kill").args(["-KILL", &process]).status()?;
    assert!(killed.success(), "kill -KILL {process}: {killed}");
    stage.until("the killed replica to start again", SOON, || {
        Ok(ask(restarts)? == "1")
    })
}

/// The process of the scaler in a pod: the kubelet names a pod's cgroups by its uid.
fn process_of(uid: &str) -> Result<String, Failure> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if read("comm").trim() == "azp-scaler" && read("cgroup").contains(uid) {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Err(format!("no process azp-scaler is in a cgroup of the pod {uid}").into())
}

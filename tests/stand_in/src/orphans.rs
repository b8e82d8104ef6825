//! Processes that a job left behind, found by what is in their environment.
//!
//! Agent: `Agent.Worker/JobExtension.cs`, at the end of a job. So a process that
//! a step put into the background, even in a session of its own, ends with its
//! job, unless it took the mark out of its environment.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::{diag::note, job_folder::LOOKUP};

/// Kills them; their numbers and names.
pub(crate) fn kill(lookup_value: &str) -> Vec<(i32, String)> {
    let mark = format!("{LOOKUP}={lookup_value}");
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| is_marked(*pid, mark.as_bytes()))
        .filter_map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let killed = kill_process(Pid::from_raw(pid)?, Signal::KILL);
            note!("orphan {pid} ({}): {killed:?}", name.trim());
            Some((pid, name.trim().to_owned()))
        })
        .collect()
}

/// Whether a process has the mark; those of others cannot be looked at.
fn is_marked(pid: i32, mark: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == mark)
}

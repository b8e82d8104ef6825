//! Questions to the apiserver, by the kubectl of the same version.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Doing, Error, Result};
use crate::process::{Process, command, note};

/// kubectl with everything that ties it to one cluster.
#[derive(Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    directory: PathBuf,
    /// Numbers the runs, since their notes for the keeper need names.
    runs: AtomicU32,
}

impl Kubectl {
    pub(crate) fn new(program: &Path, directory: &Path) -> Kubectl {
        Kubectl {
            program: program.to_owned(),
            directory: directory.to_owned(),
            runs: AtomicU32::new(0),
        }
    }

    /// Runs kubectl with `input` on its stdin; gives its stdout.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let name = self.name("kubectl");
        let what = || format!("running kubectl {}", arguments.join(" "));
        let mut child = command(&self.directory, &name, &self.program)
            .args(self.arguments(arguments))
            .env("KUBERC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing(what)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A kubectl that does not want it all says why on its stderr.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().doing(what)?;
        // Gone already when the cluster is coming to its end.
        let _ = fs::remove_file(note(&self.directory, &name));
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Kubectl {
            arguments: arguments.join(" "),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Starts a kubectl that goes on, such as a watch.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Process> {
        let name = self.name("kubectl-watch");
        let arguments = self.arguments(arguments);
        Process::start(
            &self.directory,
            &name,
            &self.program,
            arguments,
            &[("KUBERC", "off")],
        )
    }

    fn name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let own = [
            format!(
                "--kubeconfig={}",
                self.directory.join("kubeconfig").display()
            ),
            format!(
                "--cache-dir={}",
                self.directory.join("kubectl-cache").display()
            ),
        ];
        own.into_iter()
            .chain(arguments.iter().map(|&argument| argument.to_owned()))
            .collect()
    }
}

//! Watching objects: what `kubectl get --watch` prints, with the moment at
//! which it came. Tests await these events instead of asking again and again.

use std::fmt;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::process::Process;

/// A watch whose lines the caller reads.
#[derive(Debug)]
pub struct Lines {
    process: Process,
}

impl Lines {
    pub(crate) fn new(process: Process) -> Lines {
        Lines { process }
    }

    /// The next line and its moment; `None` when none came within `within`, or
    /// when the watch has ended, which [`Lines::check`] tells.
    pub fn next_within(&self, within: Duration) -> Option<(Instant, String)> {
        self.process.line(Instant::now() + within)
    }

    /// Fails when the watch has ended.
    ///
    /// # Errors
    /// With the end of kubectl's log.
    pub fn check(&self) -> Result<()> {
        self.process.check()
    }
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is there, or new.
    Added(String),
    /// It is gone.
    Deleted(String),
}

impl Event {
    /// Reads `ADDED name` and `DELETED name`; anything else is no such event.
    pub fn parse(line: &str) -> Option<Event> {
        match line.split_once(' ')? {
            ("ADDED", name) => Some(Event::Added(name.to_owned())),
            ("DELETED", name) => Some(Event::Deleted(name.to_owned())),
            _ => None,
        }
    }
}

/// A change of a Deployment's `spec.replicas`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When the watch saw it.
    pub at: Instant,
    /// The replicas since then.
    pub replicas: u32,
}

/// The replicas of one Deployment, from the moment the watch was begun.
#[derive(Debug)]
pub struct Watch<'a> {
    cluster: &'a Cluster,
    namespace: String,
    deployment: String,
    lines: Lines,
    history: Vec<Change>,
}

impl<'a> Watch<'a> {
    /// Begins a watch and waits for its first line, so that nothing that comes
    /// afterwards is missed.
    pub(crate) fn begin(
        cluster: &'a Cluster,
        namespace: &str,
        deployment: &str,
    ) -> Result<Watch<'a>> {
        let lines = cluster.watch(&[
            "get",
            "deployment",
            deployment,
            &format!("--namespace={namespace}"),
            "--watch",
            r#"--output=jsonpath={.spec.replicas}{"\n"}"#,
        ])?;
        let mut watch = Watch {
            cluster,
            namespace: namespace.to_owned(),
            deployment: deployment.to_owned(),
            lines,
            history: Vec::new(),
        };
        watch.until(
            "the first line of the watch",
            Duration::from_secs(20),
            |_| true,
        )?;
        Ok(watch)
    }

    /// Every change so far, the state at the beginning first.
    pub fn history(&self) -> &[Change] {
        &self.history
    }

    /// The replicas as last seen.
    pub fn replicas(&self) -> u32 {
        self.history.last().map_or(0, |change| change.replicas)
    }

    /// Waits until the replicas are as `wanted`; at once when they are already.
    ///
    /// # Errors
    /// When they are not within `within`: the error shows the history, the
    /// objects of the namespace and the ends of KEDA's logs.
    pub fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(u32) -> bool,
    ) -> Result<Change> {
        let deadline = Instant::now() + within;
        let mut seen = self.history.last().copied();
        loop {
            if let Some(change) = seen.filter(|change| wanted(change.replicas)) {
                return Ok(change);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(change) = self.next(left) else {
                self.lines.check()?;
                return Err(Error::Deadline {
                    what: format!("{what} of {}/{}", self.namespace, self.deployment),
                    waited: within,
                    state: format!("{self}\n{}", self.cluster.explain(&self.namespace)),
                });
            };
            seen = Some(change);
        }
    }

    /// Goes on watching for a span, and gives what changed in it.
    pub fn during(&mut self, span: Duration) -> Vec<Change> {
        let deadline = Instant::now() + span;
        let before = self.history.len();
        while self
            .next(deadline.saturating_duration_since(Instant::now()))
            .is_some()
        {}
        self.history[before..].to_vec()
    }

    /// The next change within `within`. Lines that repeat the replicas, such as
    /// those for a change of the status, are passed over.
    fn next(&mut self, within: Duration) -> Option<Change> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, line) = self.lines.next_within(left)?;
            // An absent number is Kubernetes' default of 1, never written so by
            // an apiserver; a line that is no number is a message of kubectl.
            let Ok(replicas) = line.trim().parse() else {
                continue;
            };
            if self
                .history
                .last()
                .is_none_or(|last| last.replicas != replicas)
            {
                let change = Change { at, replicas };
                self.history.push(change);
                return Some(change);
            }
        }
    }
}

impl fmt::Display for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replicas of {}/{}:", self.namespace, self.deployment)?;
        let Some(first) = self.history.first() else {
            return write!(f, " none seen");
        };
        for change in &self.history {
            let after = change.at.duration_since(first.at).as_secs_f32();
            write!(f, " {} at {after:.1} s;", change.replicas)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read() {
        let table = [
            ("ADDED agents-1", Some(Event::Added("agents-1".to_owned()))),
            (
                "DELETED agents-1",
                Some(Event::Deleted("agents-1".to_owned())),
            ),
            ("MODIFIED agents-1", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(Event::parse(line), expected, "{line:?}");
        }
    }
}

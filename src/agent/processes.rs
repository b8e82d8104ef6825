//! Processes: who lives below this one, as `/proc` tells.
//!
//! May import: nothing of ours. Invariant: a process that ends while it is looked
//! at is not there; what cannot be read is not there either, but for a worker's
//! sake the look is taken again before anything is stopped.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, getpid};

/// The processes that matter, below one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    /// The agent's listener.
    pub(super) listener: Option<Pid>,
    /// Its workers. Azure DevOps: one for each job, and one job at a time.
    pub(super) workers: Vec<Pid>,
    /// Does the script run that replaces the agent's software?
    pub(super) updating: bool,
    /// Everybody below, those included.
    pub(super) all: Vec<Pid>,
}

/// A row of `/proc`.
struct Process {
    pid: Pid,
    parent: i32,
    /// Its arguments.
    command: Vec<String>,
}

/// The agent's folder, as it was named and as it is, and its programs' where a
/// link leads to them. A job may run agents of its
/// own; what bears a worker's name elsewhere is none of this agent's.
#[derive(Clone, Debug)]
pub(super) struct Home(Vec<PathBuf>);

/// Whoever lives below this process now.
#[must_use]
pub(super) fn below_this(home: &Home) -> Family {
    family(&living(Path::new("/proc")), getpid(), home)
}

fn family(living: &[Process], root: Pid, home: &Home) -> Family {
    let mut below: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in living {
        below.entry(process.parent).or_default().push(process);
    }
    let mut family = Family::default();
    let mut next = vec![root.as_raw_nonzero().get()];
    let mut seen = HashSet::new();
    while let Some(parent) = next.pop() {
        // Numbers are given again, so that a cycle could be read.
        if !seen.insert(parent) {
            continue;
        }
        for process in below.get(&parent).into_iter().flatten() {
            next.push(process.pid.as_raw_nonzero().get());
            family.add(process, home);
        }
    }
    family
}

// === impl Home ===

impl Home {
    /// Of a folder that is there.
    pub(super) fn new(folder: &Path) -> Self {
        let named = std::path::absolute(folder).ok();
        let real = fs::canonicalize(folder).ok();
        let programs = fs::canonicalize(folder.join("bin")).ok();
        Self([named, real, programs].into_iter().flatten().collect())
    }

    /// Is it in this folder? What is not named by its whole path may be.
    fn may_hold(&self, program: &str) -> bool {
        let program = Path::new(program);
        program.is_relative() || self.0.iter().any(|home| program.starts_with(home))
    }
}

// === impl Family ===

impl Family {
    fn add(&mut self, process: &Process, home: &Home) {
        self.all.push(process.pid);
        if process.is("Agent.Worker", home) {
            self.workers.push(process.pid);
        } else if process.is("Agent.Listener", home) {
            self.listener = Some(process.pid);
        } else if process.runs("_update.sh") {
            self.updating = true;
        }
    }
}

// === impl Process ===

impl Process {
    /// Is this the program that it runs, from this folder? Azure Pipelines agent:
    /// the programs are `bin/Agent.Listener` and `bin/Agent.Worker`, or `.dll`s of
    /// these names that `dotnet` runs.
    fn is(&self, program: &str, home: &Home) -> bool {
        self.programs()
            .any(|(path, name)| name == program && home.may_hold(path))
    }

    /// Azure Pipelines agent: the update is a script `_update.sh` that bash runs,
    /// in the folder of jobs, which may be anywhere.
    fn runs(&self, script: &str) -> bool {
        self.programs().any(|(_, name)| name == script)
    }

    /// Only the program and what an interpreter is given to run: whole, and its
    /// name.
    fn programs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.command.iter().take(2).map(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            (path.as_str(), name.strip_suffix(".dll").unwrap_or(name))
        })
    }
}

/// Every process that is no zombie.
fn living(proc: &Path) -> Vec<Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path();
            let parent = parent(&fs::read_to_string(folder.join("stat")).ok()?)?;
            let command = fs::read(folder.join("cmdline")).unwrap_or_default();
            Some(Process {
                pid: Pid::from_raw(pid)?,
                parent,
                command: command
                    .split(|byte| *byte == 0)
                    .take(2)
                    .map(|argument| String::from_utf8_lossy(argument).into_owned())
                    .collect(),
            })
        })
        .collect()
}

/// The parent's number in a line of `stat`; `None` for a zombie. The program's
/// name stands in brackets and may hold any character, brackets included.
fn parent(stat: &str) -> Option<i32> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, command: &str) -> Process {
        Process {
            pid: Pid::from_raw(pid).unwrap(),
            parent,
            command: command.split(' ').map(str::to_owned).collect(),
        }
    }

    fn numbers(pids: &[Pid]) -> Vec<i32> {
        let mut numbers: Vec<_> = pids.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn the_family_is_who_descends_from_the_root_and_nobody_else() {
        let living = [
            process(1, 0, "azp-agent run"),
            process(10, 1, "/bin/bash ./run.sh"),
            process(11, 10, "/azp/bin/Agent.Listener run"),
            process(12, 11, "/azp/bin/Agent.Worker spawnclient"),
            process(13, 12, "bash -c Agent.Listener"),
            process(14, 1, "/bin/bash /azp/_work/_update.sh"),
            process(90, 2, "/other/bin/Agent.Worker spawnclient"),
            // A job that only speaks of a worker.
            process(15, 12, "grep -r Agent.Worker"),
            // An agent that a job runs.
            process(16, 12, "/tmp/agent/bin/Agent.Listener run"),
            process(17, 16, "/tmp/agent/bin/Agent.Worker spawnclient"),
        ];
        let home = Home::new(Path::new("/azp"));
        let family = family(&living, Pid::from_raw(1).unwrap(), &home);
        assert_eq!(numbers(&family.all), [10, 11, 12, 13, 14, 15, 16, 17]);
        assert_eq!(family.listener, Pid::from_raw(11));
        assert_eq!(numbers(&family.workers), [12]);
        assert!(family.updating);
    }

    #[test]
    fn a_listener_that_dotnet_runs_is_one() {
        let listener = process(11, 10, "/usr/bin/dotnet /azp/bin/Agent.Listener.dll");
        let home = Home::new(Path::new("/azp"));
        assert!(listener.is("Agent.Listener", &home));
    }

    #[test]
    fn the_parent_is_read_past_any_name_and_zombies_are_left_out() {
        let rows = [
            ("7 (sh) S 3 7 7 0", Some(3)),
            ("7 (a) b) (c) S 3 7", Some(3)),
            ("7 (sh) Z 3 7", None),
            ("7 (sh) S", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(parent(line), expected, "{line}");
        }
    }
}

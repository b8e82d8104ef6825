//! The variables that this process was given, as data.
//!
//! Invariant: nothing else reads or changes the process's own environment: a
//! child gets what is in here, so that what was taken out is not handed on. As
//! with the real agent, `/proc/PID/environ` of this very process still shows
//! what it was started with.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// How the arguments of the command line are spelled in the environment.
const INPUT: &str = "VSTS_AGENT_INPUT_";

/// Variables by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// What the process was started with.
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// A variable's value, where it is readable text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(OsStr::new(name))
            .and_then(|value| value.to_str())
    }

    pub(crate) fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Everything, for a child.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let pairs = self.0.iter();
        pairs.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Everything that is readable text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// Adds what the `.env` file of the agent's folder says, a `NAME=value` a
    /// line. Agent: `Agent.Listener/Program.cs`.
    pub(crate) fn add_lines(&mut self, text: &str) {
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            if !name.is_empty() {
                self.set(name, value);
            }
        }
    }

    /// Takes the arguments out that were given as `VSTS_AGENT_INPUT_NAME`, with
    /// their names in lower case. Agent: `Agent.Listener/CommandSettings.cs`.
    pub(crate) fn take_inputs(&mut self) -> Vec<(String, String)> {
        let mut inputs = Vec::new();
        self.0.retain(|name, value| {
            let Some(name) = name.to_str().and_then(input_name) else {
                return true;
            };
            let value = value.to_string_lossy().trim().to_owned();
            if !value.is_empty() {
                inputs.push((name, value));
            }
            false
        });
        inputs
    }
}

fn input_name(name: &str) -> Option<String> {
    let (start, rest) = name.split_at_checked(INPUT.len())?;
    start
        .eq_ignore_ascii_case(INPUT)
        .then(|| rest.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_taken_out_and_the_rest_is_handed_on() {
        let mut environment = Environment::default();
        environment.set("VSTS_AGENT_INPUT_TOKEN", " s3cret\n");
        environment.set("vsts_agent_input_Work", "");
        environment.set("PATH", "/bin");
        environment.add_lines("LANG=C=D\n=odd\nno line\n");
        let inputs = environment.take_inputs();
        assert_eq!(inputs, [("token".to_owned(), "s3cret".to_owned())]);
        let left: Vec<_> = environment.texts().collect();
        assert_eq!(left, [("LANG", "C=D"), ("PATH", "/bin")]);
    }
}

//! What a command was told: by arguments, else by the environment.
//!
//! Agent: `Agent.Listener/CommandSettings.cs` and `CommandLineParser.cs`: words
//! before the first `--` are commands, `--name` is a flag unless a word follows
//! that does not begin with `--`; names are compared without regard to case.

use std::collections::BTreeMap;

use crate::environment::Environment;

/// A command and its arguments.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// In lower case.
    command: String,
    /// By name in lower case; a flag has no value.
    given: BTreeMap<String, Option<String>>,
    inputs: BTreeMap<String, String>,
}

impl Input {
    /// Reads the arguments, and takes the rest out of the environment.
    pub(crate) fn read(arguments: &[String], environment: &mut Environment) -> Self {
        let mut input = Self {
            inputs: environment.take_inputs().into_iter().collect(),
            ..Self::default()
        };
        let mut last: Option<String> = None;
        for word in arguments {
            if let Some(name) = word.strip_prefix("--") {
                let name = name.to_ascii_lowercase();
                input.given.insert(name.clone(), None);
                last = Some(name);
            } else if let Some(name) = last.take() {
                input.given.insert(name, Some(word.clone()));
            } else if input.command.is_empty() {
                input.command = word.to_ascii_lowercase();
            }
        }
        input
    }

    /// The command, in lower case; empty where there is none.
    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    /// Whether a flag is set. In the environment it is by the word `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let by_environment = self.inputs.get(name);
        self.given.contains_key(name)
            || by_environment.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The value of an argument, where it has one that is not empty.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let given = self.given.get(name).and_then(|value| value.as_deref());
        let value = given.or_else(|| self.inputs.get(name).map(String::as_str))?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_before_the_environment() {
        let mut environment = Environment::default();
        environment.set("VSTS_AGENT_INPUT_TOKEN", "from-environment");
        environment.set("VSTS_AGENT_INPUT_POOL", "from-environment");
        environment.set("VSTS_AGENT_INPUT_ONCE", "True");
        let words = "configure --unattended --Pool linux --work _work --replace";
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        let input = Input::read(&words, &mut environment);
        assert_eq!(input.command(), "configure");
        assert_eq!(input.value("pool"), Some("linux"));
        assert_eq!(input.value("token"), Some("from-environment"));
        assert_eq!(input.value("work"), Some("_work"));
        assert_eq!(input.value("agent"), None);
        for (flag, set) in [
            ("unattended", true),
            ("replace", true),
            ("once", true),
            ("help", false),
        ] {
            assert_eq!(input.flag(flag), set, "{flag}");
        }
    }
}

//! Commands in a step's output, such as `##vso[task.setvariable variable=X]V`.
//!
//! Agent: `Agent.Worker/WorkerCommandManager.cs`. Invariant: a line that is no
//! command that is known here stays a line.

/// What a line of output orders.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum LoggingCommand {
    /// A variable for the later steps; a secret one is none of their environment.
    SetVariable {
        name: String,
        value: String,
        secret: bool,
    },
    /// A text that is to be hidden in the output.
    SetSecret(String),
    /// A folder before all others on the path.
    PrependPath(String),
    /// How the step ends, whatever its exit code is.
    Complete(Completion),
    /// A line that is shown as an error or a warning.
    LogIssue { kind: String, text: String },
}

/// What a step says of its own end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Completion {
    Succeeded,
    SucceededWithIssues,
    Failed,
}

const START: &str = "##vso[";

impl LoggingCommand {
    /// Reads a line; `None` where it is no command.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (_, command) = line.split_once(START)?;
        let (head, data) = command.split_once(']')?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let property = |wanted: &str| {
            let mut pairs = properties
                .split(';')
                .filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| unescape(value))
        };
        let data = unescape(data);
        Some(match name.to_ascii_lowercase().as_str() {
            "task.setvariable" => Self::SetVariable {
                name: property("variable").filter(|name| !name.is_empty())?,
                value: data,
                secret: property("issecret")
                    .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            },
            "task.setsecret" => Self::SetSecret(data),
            "task.prependpath" => Self::PrependPath(data),
            "task.complete" => {
                Self::Complete(match property("result")?.to_ascii_lowercase().as_str() {
                    "failed" => Completion::Failed,
                    "succeededwithissues" => Completion::SucceededWithIssues,
                    _ => Completion::Succeeded,
                })
            }
            "task.logissue" => Self::LogIssue {
                kind: property("type")?.to_ascii_lowercase(),
                text: data,
            },
            _ => return None,
        })
    }
}

/// What a variable is called in the environment. Agent: `VarUtil.cs`.
pub(crate) fn environment_name(variable: &str) -> String {
    variable.replace(['.', ' '], "_").to_ascii_uppercase()
}

fn unescape(text: &str) -> String {
    let pairs = [
        ("%3B", ";"),
        ("%0D", "\r"),
        ("%0A", "\n"),
        ("%5D", "]"),
        ("%AZP25", "%"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_commands_are_read_and_other_lines_are_lines() {
        use LoggingCommand::{Complete, LogIssue, PrependPath, SetSecret, SetVariable};
        let variable = |name: &str, value: &str, secret| SetVariable {
            name: name.into(),
            value: value.into(),
            secret,
        };
        for (line, expected) in [
            (
                "##vso[task.setvariable variable=a.b]1=2]",
                Some(variable("a.b", "1=2]", false)),
            ),
            (
                "+ echo ##vso[task.setvariable variable=x]",
                Some(variable("x", "", false)),
            ),
            (
                "##vso[task.setvariable variable=x;isSecret=true]a%0Ab%AZP25",
                Some(variable("x", "a\nb%", true)),
            ),
            ("##vso[task.setvariable variable=]1", None),
            ("##vso[task.setsecret]s", Some(SetSecret("s".into()))),
            (
                "##vso[task.prependpath]/opt",
                Some(PrependPath("/opt".into())),
            ),
            (
                "##vso[task.complete result=Failed;]why",
                Some(Complete(Completion::Failed)),
            ),
            (
                "##vso[task.complete result=SucceededWithIssues]",
                Some(Complete(Completion::SucceededWithIssues)),
            ),
            (
                "##vso[task.logissue type=error]bad",
                Some(LogIssue {
                    kind: "error".into(),
                    text: "bad".into(),
                }),
            ),
            ("##vso[task.debug]x", None),
            ("##vso[task.setvariable variable=x", None),
            ("hello", None),
        ] {
            assert_eq!(LoggingCommand::read(line), expected, "{line}");
        }
        assert_eq!(environment_name("Build.Sources dir"), "BUILD_SOURCES_DIR");
    }
}

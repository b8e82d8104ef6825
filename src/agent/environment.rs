//! The environment of what is started: what the agent and its jobs may see.
//!
//! May import: domain. Invariant: no variable becomes a capability unless it was
//! declared, and no secret is in the environment that the listener gets.
//!
//! Azure Pipelines agent: every variable of the listener's environment becomes a
//! capability, visible to everybody who sees the pool, but for those that
//! `VSO_AGENT_IGNORE` lists.

use std::ffi::{OsStr, OsString};

use crate::domain::capability::Capabilities;

/// The variable by which the agent is told what to hide.
const IGNORE: &str = "VSO_AGENT_IGNORE";

/// The environment of `config.sh` and of the listener.
///
/// `variables` is this process's own, without its secrets. A variable that is
/// declared as a capability without a value stays one, with its own value.
#[must_use]
pub(super) fn environment(
    variables: &[(OsString, OsString)],
    capabilities: &Capabilities,
) -> Vec<(OsString, OsString)> {
    let declared = |name: &OsStr| {
        name.to_str()
            .is_some_and(|name| capabilities.get(name).is_some())
    };
    let mut ignored: Vec<&OsStr> = Vec::new();
    let mut given = None;
    for (name, value) in variables {
        if name == IGNORE {
            given = Some(value.as_os_str());
        } else if !declared(name) {
            ignored.push(name);
        }
    }
    // Its own variable and those of the shell that runs `config.sh`, what was
    // hidden before, and then everything else.
    let own = [IGNORE, "PWD", "OLDPWD", "_"].map(OsStr::new);
    let all: Vec<&OsStr> = own.into_iter().chain(given).chain(ignored).collect();
    let mut environment: Vec<_> = variables
        .iter()
        .filter(|(name, _)| name != IGNORE)
        .cloned()
        .collect();
    environment.push((IGNORE.into(), all.join(OsStr::new(","))));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_variables_stay_capabilities() {
        let variables = [
            ("PATH", "/bin"),
            ("JAVA_HOME", "/jdk"),
            ("DATABASE_PASSWORD", "secret"),
            ("VSO_AGENT_IGNORE", "OLD, OLDER"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let capabilities = Capabilities::parse("docker, java_home").unwrap();
        let environment = environment(&variables, &capabilities);
        let ignored = environment.iter().find(|(name, _)| name == IGNORE).unwrap();
        assert_eq!(
            ignored.1,
            "VSO_AGENT_IGNORE,PWD,OLDPWD,_,OLD, OLDER,PATH,DATABASE_PASSWORD"
        );
        let path = environment.iter().find(|(name, _)| name == "PATH").unwrap();
        assert_eq!(
            path.1, "/bin",
            "it is hidden from the server, not from jobs"
        );
        let names = environment.iter().filter(|(name, _)| name == IGNORE);
        assert_eq!(names.count(), 1);
    }
}

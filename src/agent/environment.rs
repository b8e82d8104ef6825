//! The environment of what is started: what the agent and its jobs may see.
//!
//! May import: domain. Invariant: no variable becomes a capability unless it was
//! declared, and no secret is in the environment that the listener gets.
//!
//! Azure Pipelines agent: every variable of the listener's environment becomes a
//! capability, visible to everybody who sees the pool, but for those that
//! `VSO_AGENT_IGNORE` lists.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
};

use crate::domain::capability::Capabilities;

/// The variable by which the agent is told what to hide.
const IGNORE: &str = "VSO_AGENT_IGNORE";

/// The longest that its value may be. Linux: a variable has at most 128 KiB, or no
/// program starts.
const LONGEST: usize = 120 * 1024;

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
    ignored.sort_by_key(|name| of_a_service(name));
    // Its own variable and those of the shell that runs `config.sh`, what was
    // hidden before, and then everything else.
    let own = [IGNORE, "PWD", "OLDPWD", "_"].map(OsStr::new);
    let all: Vec<&OsStr> = own.into_iter().chain(given).chain(ignored).collect();
    let mut list = OsString::new();
    // What cannot be hidden is not given on, since it would be shown to everybody.
    let mut unhidden: HashSet<&OsStr> = HashSet::new();
    for (place, name) in all.into_iter().enumerate() {
        // The value that was given is a list itself.
        let whole = given == Some(name) || !name.as_encoded_bytes().contains(&b',');
        if !whole || list.len() + name.len() >= LONGEST {
            unhidden.insert(name);
            continue;
        }
        if place > 0 {
            list.push(",");
        }
        list.push(name);
    }
    if !unhidden.is_empty() {
        tracing::warn!(
            variables = unhidden.len(),
            "too many variables, or some with a comma in their names, to hide them from the \
             agent's capabilities; jobs do not get them; for those of Kubernetes services set \
             enableServiceLinks: false"
        );
    }
    let mut environment: Vec<_> = variables
        .iter()
        .filter(|(name, _)| name != IGNORE && !unhidden.contains(name.as_os_str()))
        .cloned()
        .collect();
    environment.push((IGNORE.into(), list));
    environment
}

/// Is it one of the variables that Kubernetes makes of every service? They are
/// the many, and jobs can do without them.
fn of_a_service(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let ends = [
        "_SERVICE_HOST",
        "_SERVICE_PORT",
        "_PORT",
        "_TCP_ADDR",
        "_TCP_PROTO",
    ];
    name.contains("_TCP") || ends.iter().any(|end| name.ends_with(end))
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

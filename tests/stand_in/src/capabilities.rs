//! What the agent says that it can do.
//!
//! Agent: `Capabilities/EnvironmentCapabilitiesProvider.cs` and its neighbours:
//! every variable but a few, then tools on the PATH and the lines of
//! `.capabilities`, then `Agent.*`; what comes later wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::{environment::Environment, layout::Folder};

/// Variables that say nothing about a machine. Compared with regard to case.
const IGNORED: [&str; 8] = [
    "comp_wordbreaks",
    "ls_colors",
    "TERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "SHLVL",
    "PSMODULEPATH",
    "SYSTEM_ACCESSTOKEN",
];

/// A comma list of further ones. It is a capability itself.
const MORE_IGNORED: &str = "VSO_AGENT_IGNORE";

/// Values of this many characters are left out.
const TOO_LONG: usize = 1024;

/// A capability, and the program whose path is its value.
const TOOLS: [(&str, &str); 14] = [
    ("bundler", "bundle"),
    ("clang", "clang"),
    ("cmake", "cmake"),
    ("curl", "curl"),
    ("docker", "docker"),
    ("git", "git"),
    ("java", "java"),
    ("make", "make"),
    ("node.js", "node"),
    ("npm", "npm"),
    ("python", "python"),
    ("python3", "python3"),
    ("ruby", "ruby"),
    ("sh", "sh"),
];

/// The name of this machine and what its system is called.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) os_description: String,
}

/// Everything that the agent can do, by name.
pub(crate) fn scan(
    environment: &Environment,
    folder: &Folder,
    agent: &str,
    service: bool,
) -> BTreeMap<String, String> {
    let mut found = of_environment(environment);
    let path = environment.get("PATH").unwrap_or_default();
    for (capability, program) in TOOLS {
        if let Some(place) = which(path, program) {
            found.insert(capability.into(), place);
        }
    }
    let file = fs::read_to_string(folder.root().join(".capabilities"));
    found.extend(lines(&file.unwrap_or_default()));
    let machine = machine();
    let interactive = if service { "False" } else { "True" };
    let home = folder.root().to_string_lossy();
    let version = folder.version();
    let own = [
        ("Agent.Name", agent),
        ("Agent.Version", &version),
        ("Agent.OS", "Linux"),
        ("Agent.OSArchitecture", architecture()),
        ("Agent.ComputerName", &machine.name),
        ("Agent.HomeDirectory", &home),
        ("InteractiveSession", interactive),
    ];
    found.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    found
}

/// The machine, as its kernel describes it.
pub(crate) fn machine() -> Machine {
    let system = rustix::system::uname();
    let [name, kind, release, version] = [
        system.nodename(),
        system.sysname(),
        system.release(),
        system.version(),
    ]
    .map(|text| text.to_string_lossy());
    Machine {
        os_description: format!("{kind} {release} {version}"),
        name: name.into_owned(),
    }
}

/// The processor, as .NET names it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "X64",
        "aarch64" => "ARM64",
        "arm" => "ARM",
        _ => "X86",
    }
}

fn of_environment(environment: &Environment) -> BTreeMap<String, String> {
    let more = environment.get(MORE_IGNORED).unwrap_or_default();
    let ignored: BTreeSet<&str> = more.split(',').map(str::trim).chain(IGNORED).collect();
    environment
        .texts()
        .filter(|(name, value)| !ignored.contains(name) && value.chars().count() < TOO_LONG)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// `NAME=value`, with at least one character before the sign.
fn lines(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
}

fn which(path: &str, program: &str) -> Option<String> {
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(program))
        .find(|place| {
            fs::metadata(place)
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
        .map(|place| place.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_capabilities_but_for_the_ignored_ones() {
        let mut environment = Environment::default();
        let long = "x".repeat(TOO_LONG);
        let most = "x".repeat(TOO_LONG - 1);
        for (name, value) in [
            ("JAVA_HOME", "/opt/java"),
            ("AZP_TOKEN", "s3cret"),
            ("azp_token", "another name on Linux"),
            ("TERM", "xterm"),
            ("term", "another name on Linux"),
            ("LONG", &long),
            ("MOST", &most),
            ("VSO_AGENT_IGNORE", "X, AZP_TOKEN,"),
        ] {
            environment.set(name, value);
        }
        let names: Vec<_> = of_environment(&environment).into_keys().collect();
        assert_eq!(
            names,
            ["JAVA_HOME", "MOST", "VSO_AGENT_IGNORE", "azp_token", "term"]
        );
    }

    #[test]
    fn a_line_without_a_name_is_no_capability() {
        let read: Vec<_> = lines("docker=\n=x\n java = 17 \nnothing\n").collect();
        let expected = [("docker", ""), ("java", "17")];
        assert_eq!(
            read,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}

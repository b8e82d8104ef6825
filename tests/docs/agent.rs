//! The pages about azp-agent: its flags and variables, its exit codes, its log.

use std::{collections::BTreeSet, process::Command};

use azp_scaler::{
    agent::board::Phase,
    config::agent::{CleanArgs, PlaceholderArgs, RunArgs, handover::SECRETS},
    domain::drain::{Parting, Step},
};
use clap::{Arg, ArgAction, Args};

use super::{check_table, part, read};

/// A row for each flag, with its variable, its default and its meaning, as
/// `--help` has them.
fn table<A: Args>() -> Vec<String> {
    let mut table = vec![
        "| Flag | Variable | Default | Meaning |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    let command = A::augment_args(clap::Command::new("azp-agent"));
    table.extend(command.get_arguments().map(row));
    table
}

fn row(argument: &Arg) -> String {
    let text = |text: Option<&std::ffi::OsStr>| {
        let text = text.map(|text| text.to_str().unwrap());
        text.map(|text| format!("`{text}`")).unwrap_or_default()
    };
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let names = argument.get_value_names().filter(|_| takes_value);
    let value = names.map_or_else(String::new, |names| format!(" {}", names.join(" ")));
    // An empty default, or the false of a switch, says nothing.
    let default = argument.get_default_values().first();
    let default = default.filter(|value| takes_value && !value.is_empty());
    let meaning = argument.get_help().unwrap().to_string();
    format!(
        "| `--{}{value}` | {} | {} | {} |",
        argument.get_long().unwrap(),
        text(argument.get_env()),
        text(default.map(|value| value.as_os_str())),
        meaning.replace('\n', " ")
    )
}

#[test]
fn the_page_has_every_flag_of_run() {
    check_table("docs/azp-agent.md", "run", &table::<RunArgs>());
}

#[test]
fn the_page_has_every_flag_of_clean() {
    check_table("docs/draining.md", "clean", &table::<CleanArgs>());
}

/// The codes of the program are constants, but for those of every program.
#[test]
fn the_page_about_placeholders_has_every_flag_and_every_exit_code() {
    const PAGE: &str = "docs/placeholders.md";
    check_table(PAGE, "placeholder", &table::<PlaceholderArgs>());
    let source = read("src/cli/agent/placeholder.rs");
    let shared = read("src/cli/mod.rs");
    let used = |name: &&str| source.contains(&format!(" {name},"));
    let codes = constants(&source).chain(constants(&shared).filter(|(name, _)| used(name)));
    let mut written: BTreeSet<u8> = codes.map(|(_, code)| code).collect();
    // Done, undone, and what ends before the command begins.
    written.extend([0, 1, 78]);
    assert_eq!(written.len(), 7, "{written:?}");
    let help = Command::new(env!("CARGO_BIN_EXE_azp-agent"))
        .args(["placeholder", "apply", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, told) = help.split_once("Exit codes:").unwrap();
    assert_eq!(numbers(told), written, "--help (left), the code (right)");
    written.insert(64);
    let rows = codes_of_page(PAGE, "placeholder-exit-codes");
    assert_eq!(rows, written, "the page (left), the code (right)");
}

/// The exit codes of a source, by name.
fn constants(source: &str) -> impl Iterator<Item = (&str, u8)> {
    let constants = source.lines().filter_map(|line| line.split_once("const "));
    let codes = constants.filter_map(|(_, constant)| constant.split_once(": u8 = "));
    codes.map(|(name, code)| (name, code.trim_end_matches(';').parse().unwrap()))
}

/// The exit codes of a table of a page.
fn codes_of_page(page: &str, name: &str) -> BTreeSet<u8> {
    let rows = part(page, name);
    let codes = rows.lines().filter_map(|line| line.strip_prefix("| "));
    codes
        .filter_map(|line| line.split_once(" |")?.0.parse().ok())
        .collect()
}

/// Numbers of a text, as the whole of words.
fn numbers(text: &str) -> BTreeSet<u8> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The codes of the program are constants; nothing and one are the system's own.
#[test]
fn the_page_has_every_exit_code() {
    let mut written = BTreeSet::from([0, 1]);
    for source in ["src/cli/agent/run.rs", "src/cli/mod.rs"] {
        written.extend(constants(&read(source)).map(|(_, code)| code));
    }
    assert!(written.len() > 8, "{written:?}");
    assert_eq!(
        codes_of_page("docs/azp-agent.md", "exit-codes"),
        written,
        "the page (left), the code (right)"
    );
    // A wrong command line ends before anybody can have asked for help.
    let help = Command::new(env!("CARGO_BIN_EXE_azp-agent"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, told) = help.split_once("Exit codes:").unwrap();
    written.remove(&64);
    assert_eq!(numbers(told), written, "--help (left), the code (right)");
}

/// The pages about azp-agent.
const PAGES: [&str; 6] = [
    "README.md",
    "docs/azp-agent.md",
    "docs/coming-from-start-sh.md",
    "docs/draining.md",
    "docs/placeholders.md",
    "docs/secrets-and-jobs.md",
];

#[test]
fn every_variable_that_the_pages_name_is_read() {
    let arguments = RunArgs::augment_args(clap::Command::new("azp-agent"));
    let variables = arguments.get_arguments().filter_map(Arg::get_env);
    let variables = variables.map(|name| name.to_str().unwrap());
    let read_here: BTreeSet<&str> = variables.chain(SECRETS).collect();
    // What `make cluster` sets, for the shell of whoever reads on.
    let cluster = read("tests/harness/src/bin/azp-cluster.rs");
    let is_set = |word: &str| cluster.contains(&format!(" {word}='{{"));
    let mut named = 0;
    for page in PAGES {
        let text = read(page);
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for word in words.filter(|word| word.starts_with("AZP_")) {
            named += 1;
            let known = read_here.contains(word) || is_set(word);
            assert!(known, "{page}: {word} is read by nobody");
        }
    }
    assert!(named > 30, "{named}");
}

/// Whoever looks for a line of the log finds it.
#[test]
fn the_page_about_draining_has_every_step_and_every_ending() {
    let page = read("docs/draining.md");
    let steps = [
        Step::Disable,
        Step::DisableBesideJob,
        Step::Wait,
        Step::StartListener,
        Step::Remove,
        Step::RemoveAgain,
        Step::StopListener,
    ];
    for step in steps {
        let row = format!("| `{step}`: {} |", step.reason());
        assert!(page.contains(&row), "docs/draining.md should have {row}");
    }
    for parting in [
        Parting::Removed,
        Parting::NoRights,
        Parting::NoAnswer,
        Parting::JobNotTaken,
    ] {
        let row = format!("| {} |", parting.reason());
        assert!(page.contains(&row), "docs/draining.md should have {row}");
    }
}

#[test]
fn every_phase_is_in_the_metrics_page() {
    let page = read("docs/metrics.md");
    for phase in Phase::ALL {
        let name = format!("`{}`", phase.name());
        assert!(page.contains(&name), "docs/metrics.md should name {name}");
    }
}

//! The floors of the house: imports run downwards only, and what belongs to one
//! floor is used on no other.
//!
//! This reads the sources as text, so it finds what the compiler allows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "floors/imports.rs"]
mod imports;

use std::{
    fs,
    path::{Path, PathBuf},
};

use imports::imports;

/// A module at the root of the crate and its floor. The emulator stands aside:
/// it may use the domain, and only what is above all may use it.
const FLOORS: &[(&str, u8)] = &[
    ("domain", 0),
    ("bounded", 1),
    ("config", 1),
    ("telemetry", 1),
    ("ports", 1),
    ("shutdown", 1),
    ("connection", 1),
    ("azure", 2),
    ("kubernetes", 2),
    ("pools", 3),
    ("scaler", 4),
    ("guard", 4),
    ("agent", 4),
    ("build", 4),
    ("grpc", 5),
    ("http", 5),
    ("app", 6),
    ("cli", 7),
    ("bin", 7),
];

/// Modules that may not see each other though their floors would let them:
/// (importing, imported).
const APART: &[(&str, &str)] = &[
    // Two adapters know nothing of each other.
    ("azure", "kubernetes"),
    ("kubernetes", "azure"),
    // The servers ask the scaler, never the pools.
    ("grpc", "pools"),
    ("http", "pools"),
    ("grpc", "http"),
    ("http", "grpc"),
    // The two programs share no insides.
    ("agent", "scaler"),
    ("scaler", "agent"),
    ("agent", "pools"),
    // Adapters are named by the wiring alone.
    ("agent", "azure"),
    ("agent", "kubernetes"),
    ("pools", "azure"),
    ("scaler", "azure"),
    ("grpc", "azure"),
    ("http", "azure"),
    ("pools", "kubernetes"),
    ("scaler", "kubernetes"),
    ("grpc", "kubernetes"),
    ("http", "kubernetes"),
];

/// Words that are at home in some modules only: (word, modules).
const HOMES: &[(&str, &[&str])] = &[
    ("tonic", &["grpc"]),
    ("tokio_rustls", &["grpc"]),
    ("tonic_prost", &["grpc"]),
    ("tonic_health", &["grpc"]),
    ("tonic_reflection", &["grpc"]),
    ("prost", &["grpc"]),
    ("kube", &["kubernetes"]),
    ("k8s_openapi", &["kubernetes"]),
    ("reqwest", &["azure"]),
    ("std::env", &["config"]),
    // also when `std::env` came in by a group of imports
    ("env::var", &["config"]),
    ("env::vars", &["config"]),
    ("env::var_os", &["config"]),
    ("axum", &["http", "emulator"]),
    ("clap", &["config", "cli", "bin"]),
    ("anyhow", &["cli", "app", "bin"]),
    ("prometheus", &["telemetry"]),
    // Processes are started and waited for in one place.
    ("rustix", &["agent"]),
    ("tar", &["agent"]),
    ("flate2", &["agent"]),
];

/// What the domain may not hold: it neither waits, reads, writes nor tells the
/// time.
const NOT_IN_THE_DOMAIN: &[&str] = &[
    "async fn",
    "async move",
    ".await",
    "tokio",
    "futures",
    "std::fs",
    "std::io",
    "std::net",
    "std::thread",
    "std::process",
    "std::time::Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "tracing",
    "fastrand",
];

struct Source {
    /// The module at the root of the crate that the file belongs to.
    module: String,
    /// How many modules it is below the root of the crate.
    depth: usize,
    path: PathBuf,
    /// Its lines without comments.
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(
        files.len() > 20,
        "the sources were not found below {}",
        root.display()
    );
    files.into_iter().map(|path| read(&root, path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(root: &Path, path: PathBuf) -> Source {
    let inside = path.strip_prefix(root).unwrap();
    let first = inside.iter().next().unwrap().to_str().unwrap();
    let module = first.trim_end_matches(".rs").to_owned();
    // Two files are the module of their folder.
    let own = !inside.ends_with("mod.rs") && !inside.ends_with("lib.rs");
    let depth = inside.iter().count() - usize::from(!own);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_owned()))
        .collect();
    Source {
        module,
        depth,
        path,
        lines,
    }
}

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

/// Does the line use this word as a path, and not as a part of another one?
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + word.len()..];
        !before.is_some_and(part)
            && (after.starts_with("::") || after.starts_with(';') || word.contains("::"))
            && !line[..at].ends_with("crate::")
            && !line[..at].ends_with("super::")
            && !line[..at].ends_with("self::")
    })
}

fn fail_on(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn imports_run_downwards_only() {
    let mut problems = Vec::new();
    for source in sources() {
        for (line, imported) in imports(source.depth, &source.lines) {
            let from = source.module.as_str();
            let wrong = match (from, imported.as_str()) {
                _ if from == imported || imported == "lib" => None,
                ("lib", _) => None,
                ("emulator", "domain") => None,
                ("emulator", _) => Some("the emulator may use the domain only"),
                ("app" | "cli" | "bin", "emulator") => None,
                (_, "emulator") => Some("only cli, tests and benches use the emulator"),
                _ if APART.contains(&(from, &imported)) => Some("these two stay apart"),
                _ => match (floor(from), floor(&imported)) {
                    (None, _) => Some("this module has no floor; give it one in tests/floors.rs"),
                    // A macro or a type at the root of the crate: there are none.
                    (_, None) => Some("there is no such module on any floor"),
                    (Some(from), Some(to)) if from < to => Some("this import runs upwards"),
                    _ => None,
                },
            };
            if let Some(wrong) = wrong {
                let path = source.path.display();
                problems.push(format!("{path}:{line}: {from} imports {imported}: {wrong}"));
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn what_is_at_home_on_one_floor_is_used_on_no_other() {
    let mut problems = Vec::new();
    for source in sources() {
        for (line, text) in &source.lines {
            for (word, homes) in HOMES {
                if names(text, word) && !homes.contains(&source.module.as_str()) {
                    let path = source.path.display();
                    problems.push(format!(
                        "{path}:{line}: {word} is at home in {homes:?} only"
                    ));
                }
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn the_domain_neither_waits_nor_reads_nor_tells_the_time() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.module == "domain") {
        for (line, text) in &source.lines {
            for word in NOT_IN_THE_DOMAIN
                .iter()
                .filter(|word| text.contains(**word))
            {
                // Random inputs are for tests of the domain alone.
                let in_tests = source.path.ends_with("tests.rs")
                    || source
                        .path
                        .components()
                        .any(|part| part.as_os_str() == "tests");
                if *word == "fastrand" && in_tests {
                    continue;
                }
                problems.push(format!(
                    "{}:{line}: {word} in the domain",
                    source.path.display()
                ));
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut problems = Vec::new();
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        let path = source.path.display();
        let lines = text.lines().count();
        if lines > 400 {
            problems.push(format!("{path}: {lines} lines; split it at 400"));
        }
        if !text.starts_with("//!") {
            problems.push(format!("{path}: does not open with what it is for"));
        }
        let name = source.path.file_stem().unwrap().to_str().unwrap();
        if ["util", "utils", "common", "helper", "helpers", "manager"].contains(&name) {
            problems.push(format!("{path}: the name says nothing of what is inside"));
        }
    }
    fail_on(&problems);
}

/// The test itself can fail: an upward import and a word away from home are
/// seen in each of the ways in which they can be written.
#[test]
fn each_way_to_write_an_import_is_seen() {
    let lines = |text: &str| -> Vec<(usize, String)> {
        text.lines()
            .enumerate()
            .map(|(n, line)| (n, line.to_owned()))
            .collect()
    };
    let check_at = |depth: usize, text: &str, expected: &[&str]| {
        let found = imports(depth, &lines(text));
        let found: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(found, expected, "{text}");
    };
    let check = |text: &str, expected: &[&str]| check_at(1, text, expected);
    check("use crate::grpc::service;", &["grpc"]);
    check("let x = crate::app::build();", &["app"]);
    check("use crate::{domain::job, grpc};", &["domain", "grpc"]);
    check(
        "use crate::{\n    domain::{\n        job,\n    },\n    grpc::service,\n};",
        &["domain", "grpc"],
    );
    check(
        "use crate::{\n    domain::{job, pool::{A, B}}, grpc, http,\n    app as a,\n};",
        &["domain", "grpc", "http", "app"],
    );
    check(
        "pub(in crate::pools) fn f(x: crate::app::A<crate::cli::B>);",
        &["pools", "app", "cli"],
    );
    check("use crate::*; use crate::{self as root};", &["*", "self"]);
    check("pub(crate) fn f(); pub(super) fn g();", &[]);

    // `super` is the root, or leads there, according to where it stands.
    check_at(1, "use super::grpc::service;", &["grpc"]);
    check_at(
        1,
        "use super::{\n    grpc, http::{a, b},\n    app,\n};",
        &["grpc", "http", "app"],
    );
    check_at(2, "use super::grpc;", &[]);
    check_at(
        2,
        "use super::super::grpc; super::super::app::build();",
        &["grpc", "app"],
    );
    check_at(
        2,
        "use super::{a::{b, c}, super::{grpc, http}, d};",
        &["grpc", "http"],
    );
    check_at(3, "use super::super::grpc;", &[]);
    check_at(2, "use self::super::super::grpc;", &["grpc"]);
    check_at(
        1,
        "mod tests {\n    use super::*;\n    use super::super::grpc;\n}\nuse super::app;",
        &["grpc", "app"],
    );
    assert!(names("use tonic::Status;", "tonic"));
    assert!(names("let s: tonic::Status = x;", "tonic"));
    assert!(names("std::env::var(\"X\")", "std::env"));
    assert!(!names("let not_tonic::x", "tonic"));
    assert!(!names("use crate::kube::x;", "kube"));
}

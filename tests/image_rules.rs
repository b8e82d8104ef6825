//! What holds for the files of images/ without building anything: each version
//! is pinned in one place, with its hash for both architectures, and what the
//! Dockerfiles make starts without a shell and without root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const SCALER: &str = "images/scaler/Dockerfile";
const AGENT: &str = "images/agent/Dockerfile";
const SCRIPTS: [&str; 7] = [
    "images/base",
    "images/build",
    "images/stand-ins",
    "images/trial",
    "images/update-versions",
    "images/agent/fetch",
    "images/agent/install-packages",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names and values of versions.env.
fn pinned() -> BTreeMap<String, String> {
    let text = read("images/versions.env");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line}")));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The instructions of a Dockerfile, each on one line, without comments.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let text = read(dockerfile);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let words = joined
        .lines()
        .filter_map(|line| line.trim().split_once(' '));
    words
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// What follows an instruction, each time that it is given.
fn each(dockerfile: &str, name: &str) -> Vec<String> {
    let all = instructions(dockerfile).into_iter();
    all.filter(|(it, _)| it == name)
        .map(|(_, rest)| rest)
        .collect()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// Whether a text has three numbers with dots between them.
fn has_version(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words
        .map(|word| word.trim_matches('.'))
        .any(|word| word.matches('.').count() >= 2 && word.split('.').all(|part| !part.is_empty()))
}

#[test]
fn every_file_that_is_fetched_has_a_version_and_a_hash_for_both_architectures() {
    let pinned = pinned();
    let mut expected = vec!["BASE".to_owned(), "RUST".to_owned()];
    for tool in ["AGENT", "HELM", "KUBECTL", "AWS_CLI"] {
        expected.push(format!("{tool}_VERSION"));
        assert!(has_version(&pinned[&format!("{tool}_VERSION")]), "{tool}");
        for arch in ["AMD64", "ARM64"] {
            let name = format!("{tool}_SHA256_{arch}");
            assert!(is_sha256(&pinned[&name]), "{name}");
            expected.push(name);
        }
        let [amd64, arm64] =
            ["AMD64", "ARM64"].map(|arch| &pinned[&format!("{tool}_SHA256_{arch}")]);
        assert_ne!(amd64, arm64, "{tool}");
    }
    expected.sort();
    assert_eq!(pinned.keys().cloned().collect::<Vec<_>>(), expected);
}

#[test]
fn bases_are_pinned_by_digest_and_are_those_of_the_dockerfiles() {
    let pinned = pinned();
    for name in ["BASE", "RUST"] {
        let (image, digest) = pinned[name].split_once("@sha256:").unwrap();
        assert!(is_sha256(digest), "{name}");
        assert!(image.rsplit('/').next().unwrap().contains(':'), "{image}");
        for dockerfile in [SCALER, AGENT] {
            let default = format!("{name}={}", pinned[name]);
            assert!(
                each(dockerfile, "ARG").contains(&default),
                "{dockerfile} should say ARG {default}"
            );
        }
    }
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).unwrap();
    assert!(
        pinned["RUST"].contains(&format!("/rust:{channel}-")),
        "RUST should be that of rust-toolchain.toml, {channel}"
    );
}

#[test]
fn no_version_and_no_hash_stands_anywhere_else() {
    for file in SCRIPTS.into_iter().chain([SCALER, AGENT]) {
        for (number, line) in read(file).lines().enumerate() {
            let default = line.starts_with("ARG BASE=") || line.starts_with("ARG RUST=");
            // An address of this machine, a stand-in's version, and examples in comments are none.
            let plain = line.replace("127.0.0.1", "").replace("0.0.0", "");
            let plain = plain.split("# ").next().unwrap().trim_start_matches('#');
            let pinned = has_version(plain)
                || plain.contains(":latest")
                || plain
                    .split(|c: char| !c.is_ascii_alphanumeric())
                    .any(is_sha256);
            assert!(default || !pinned, "{file}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn every_stage_begins_at_a_pinned_image_at_a_stage_or_at_nothing() {
    for dockerfile in [SCALER, AGENT] {
        let stages = each(dockerfile, "FROM");
        let mut names: Vec<String> = ["scratch", "${BASE}", "${RUST}", "${BINARY}"]
            .map(str::to_owned)
            .to_vec();
        for stage in stages {
            let words: Vec<&str> = stage.split(' ').collect();
            assert!(
                names.iter().any(|name| name == words[0]),
                "{dockerfile}: {stage}"
            );
            names.extend(words.get(2).map(|&name| name.to_owned()));
        }
        for stage in ["build", "prebuilt"] {
            assert!(names.iter().any(|name| name == stage), "{dockerfile}");
        }
        assert!(each(dockerfile, "ARG").contains(&"BINARY=build".to_owned()));
        assert!(each(dockerfile, "ADD").is_empty(), "{dockerfile}");
    }
}

#[test]
fn what_starts_is_no_shell_and_not_root() {
    for (dockerfile, uid) in [(SCALER, "65532:65532"), (AGENT, "10001:0")] {
        assert_eq!(each(dockerfile, "USER"), [uid], "{dockerfile}");
        for name in ["ENTRYPOINT", "CMD"] {
            for command in each(dockerfile, name) {
                let words: Vec<String> = serde_json::from_str(&command)
                    .unwrap_or_else(|_| panic!("{dockerfile}: {name} {command} is no exec form"));
                assert!(!words[0].ends_with("sh"), "{dockerfile}: {command}");
            }
        }
        assert_eq!(each(dockerfile, "ENTRYPOINT").len(), 1, "{dockerfile}");
        let text = read(dockerfile);
        for never in ["sudo", "chmod 777", "--privileged", "docker.sock"] {
            assert!(!text.contains(never), "{dockerfile}: {never}");
        }
    }
    assert_eq!(
        each(AGENT, "ENTRYPOINT"),
        [r#"["/usr/local/bin/azp-agent", "run"]"#]
    );
}

#[test]
fn both_architectures_are_built_from_the_same_lines() {
    for dockerfile in [SCALER, AGENT] {
        let text = read(dockerfile);
        assert!(
            text.contains("images/prebuilt/${TARGETARCH}/"),
            "{dockerfile}"
        );
        for arch in ["amd64", "x86_64", "arm64", "aarch64", "x64"] {
            assert!(!text.contains(arch), "{dockerfile} knows {arch} by name");
        }
    }
}

#[test]
fn packages_come_without_what_they_merely_recommend() {
    for file in [SCALER, AGENT, "images/agent/install-packages"] {
        for line in read(file).replace("\\\n", " ").lines() {
            for install in line.split("apt-get install").skip(1) {
                let flags = install.split(';').next().unwrap();
                assert!(
                    flags.contains("-y --no-install-recommends"),
                    "{file}: {line}"
                );
            }
        }
    }
    assert!(read("images/agent/install-packages").contains("rm -rf /var/lib/apt/lists/*"));
}

#[test]
fn every_build_argument_is_documented_and_no_other() {
    let mut arguments = BTreeSet::new();
    for dockerfile in [SCALER, AGENT] {
        let names = each(dockerfile, "ARG").into_iter();
        arguments.extend(names.map(|text| text.split('=').next().unwrap().to_owned()));
    }
    // What an engine sets by itself.
    arguments.remove("TARGETARCH");
    let page = read("docs/images.md");
    let (_, table) = page.split_once("## Build arguments").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let documented = rows.flat_map(|row| {
        let names = row.split('|').nth(1).unwrap().split(',');
        names.map(|name| name.trim().trim_matches('`').to_owned())
    });
    assert_eq!(documented.collect::<BTreeSet<_>>(), arguments);
}

#[test]
fn labels_say_what_an_image_is() {
    for dockerfile in [SCALER, AGENT] {
        let labels = each(dockerfile, "LABEL").join(" ");
        for name in [
            "title",
            "description",
            "source",
            "documentation",
            "licenses",
            "version",
            "revision",
        ] {
            let label = format!("org.opencontainers.image.{name}=\"");
            assert!(labels.contains(&label), "{dockerfile}: {label}");
        }
    }
}

#[test]
fn every_script_can_be_run_and_parses() {
    for script in SCRIPTS {
        let mode = fs::metadata(path(script)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script}");
        assert!(read(script).contains("\nset -euo pipefail\n"), "{script}");
        let output = Command::new("bash").arg("-n").arg(path(script)).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
    }
}

//! The images, built for real by kaniko and looked into: what is in them, who may
//! do what, and that their programs run as the user that they name.
//!
//! Needs the programs of `make tools`, debootstrap, musl-tools and root, and fails
//! without them. Images of an earlier run are taken where nothing of theirs has
//! changed.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod agent;
mod fetch;
mod image;
mod scaler;
mod update;
mod web;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The top of the tree.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A script of the tree, in an environment that has nothing of cargo's in it.
fn script(name: &str) -> Command {
    let mut command = Command::new(top().join(name));
    command.current_dir(top()).env_clear();
    for name in [
        "PATH",
        "HOME",
        "XDG_CACHE_HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "AZP_TOOLS_DIR",
        "AZP_IMAGES_DIR",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Everything that a program said.
fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// What a command prints; it must succeed.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Builds an image unless it is there as it should be, and says where.
fn build(what: &str, options: &[&str]) -> PathBuf {
    let out = top().join("target/images/tested");
    run(script("images/build")
        .args(["--engine", "kaniko", "--out"])
        .arg(&out)
        .args(options)
        .arg(what));
    let arch = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    out.join(format!("azp-{what}-{arch}.tar"))
}

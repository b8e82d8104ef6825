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
#[path = "../support/built_images.rs"]
mod built_images;
mod fetch;
mod image;
mod scaler;
mod update;
mod web;

use std::{
    process::{Command, Output},
    sync::LazyLock,
};

use built_images::{Built, script, top};

/// Both, built once.
static BUILT: LazyLock<Built> = LazyLock::new(|| Built::make().unwrap());

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

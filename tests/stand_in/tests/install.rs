//! What other crates' tests call. It needs no server, so that its build, which
//! they ask cargo for, is a small one.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{os::unix::fs::MetadataExt as _, path::Path, process::Command};

#[test]
fn a_folder_is_laid_out_around_the_built_program() {
    let folder = tempfile::tempdir().unwrap();
    azp_stand_in::install(folder.path()).unwrap();
    let file = |name: &str| folder.path().join(name).metadata().unwrap();
    for name in [
        "config.sh",
        "run.sh",
        "env.sh",
        "bin/Agent.Listener",
        "bin/Agent.Worker",
    ] {
        assert_eq!(file(name).mode() & 0o111, 0o111, "{name}");
    }
    assert_eq!(version(folder.path()), azp_stand_in::VERSION);
    assert_eq!(
        azp_stand_in::binary().unwrap(),
        Path::new(env!("CARGO_BIN_EXE_azp-stand-in"))
    );
}

#[test]
fn a_package_holds_a_folder_of_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.tar.gz");
    azp_stand_in::package("4.261.0", &file).unwrap();
    let unpacked = folder.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let tar = Command::new("tar")
        .arg("-xzf")
        .arg(&file)
        .arg("-C")
        .arg(&unpacked)
        .status();
    assert!(tar.unwrap().success());
    assert!(unpacked.join("config.sh").is_file());
    assert_eq!(version(&unpacked), "4.261.0");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// What the program itself says.
fn version(folder: &Path) -> String {
    let mut listener = Command::new(folder.join("bin/Agent.Listener"));
    let said = listener.arg("--version").output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

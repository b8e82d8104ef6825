//! Lays out what the real package holds: scripts, `bin`, one program under two
//! names; and packs it.
//!
//! This is done by the program and not by whoever wants a folder: a process with
//! threads that writes a file and runs it soon meets `ETXTBSY`, since a child of
//! another thread may still hold the file open.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

/// The version of a folder that was laid out without saying one.
pub const VERSION: &str = "4.260.0";

const SCRIPTS: [(&str, &str); 3] = [
    ("config.sh", include_str!("scripts/config.sh")),
    ("run.sh", include_str!("scripts/run.sh")),
    ("env.sh", include_str!("scripts/env.sh")),
];

/// What the server calls this machine's kind.
pub(crate) fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "linux-arm64",
        "arm" => "linux-arm",
        _ => "linux-x64",
    }
}

/// Lays a folder out around this very program.
pub(crate) fn install(program: &Path, into: &Path, version: &str) -> io::Result<()> {
    // A link costs nothing; across file systems it has to be a copy.
    lay_out(into, version, |listener| {
        match fs::hard_link(program, listener) {
            Ok(()) => Ok(()),
            Err(_) => fs::copy(program, listener).map(drop),
        }
    })
}

fn lay_out(
    into: &Path,
    version: &str,
    place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let bin = into.join("bin");
    fs::create_dir_all(&bin)?;
    for (name, text) in SCRIPTS {
        let path = into.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    let listener = bin.join("Agent.Listener");
    place(&listener)?;
    fs::hard_link(&listener, bin.join("Agent.Worker"))?;
    fs::write(bin.join("VERSION"), format!("{version}\n"))
}

/// Packs a folder as the server offers it.
pub(crate) fn package(program: &Path, version: &str, file: &Path) -> io::Result<()> {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".content");
    let folder = Path::new(&folder);
    // A copy: to tar, a file that is linked elsewhere meanwhile has changed.
    lay_out(folder, version, |listener| {
        fs::copy(program, listener).map(drop)
    })?;
    let packed = Command::new("tar")
        .args(["--use-compress-program=gzip -1", "-cf"])
        .arg(file)
        .arg("-C")
        .arg(folder)
        .arg(".")
        .status();
    fs::remove_dir_all(folder)?;
    match packed? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("tar: {status}"))),
    }
}

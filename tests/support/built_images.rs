//! The two images under the names that the charts give them, built by
//! `images/trial`. Several tests take them: who comes second finds them built.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The archives.
pub(crate) struct Built {
    pub(crate) scaler: PathBuf,
    pub(crate) agent: PathBuf,
}

impl Built {
    /// Builds what is not there as it should be. What the script says of its
    /// progress goes to standard error.
    pub(crate) fn make() -> io::Result<Built> {
        let stand_in = azp_stand_in::binary().map_err(io::Error::other)?;
        let output = script("images/trial")
            .arg("target/images/tested")
            .env("AZP_STAND_IN", stand_in)
            .stderr(Stdio::inherit())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.lines().collect::<Vec<_>>()[..] {
            [scaler, agent] if output.status.success() => Ok(Built {
                scaler: scaler.into(),
                agent: agent.into(),
            }),
            _ => Err(io::Error::other(format!(
                "images/trial: {}, and it named {said:?}",
                output.status
            ))),
        }
    }
}

/// The top of the tree.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A script of the tree, in an environment that has nothing of cargo's in it.
pub(crate) fn script(name: &str) -> Command {
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

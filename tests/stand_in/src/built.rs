//! The built program, for tests: found, built where need be, asked to lay
//! folders out.
//!
//! Cargo builds no programs of a dependency, so that a test of another crate has
//! to. It asks for a target of this crate's tests: so the program is linked from
//! the very libraries that the test itself is, and nothing is compiled twice.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// Says where the program is, in place of building it.
const VARIABLE: &str = "AZP_STAND_IN";

/// Why there is no program, or no folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The test does not lie where cargo puts tests.
    #[error("{0} does not lie in a target folder of cargo; set {VARIABLE} to the program")]
    NoTarget(PathBuf),
    /// It ended otherwise than well.
    #[error("{command} failed: {said}")]
    Failed {
        /// What was run.
        command: String,
        /// What it wrote to standard error.
        said: String,
    },
    /// The system refused.
    #[error("{command}: {source}")]
    Io {
        /// What was run.
        command: String,
        /// The refusal.
        source: io::Error,
    },
}

/// The built program. It is built at the first call of a process, unless
/// `AZP_STAND_IN` names one.
///
/// # Errors
/// Where it cannot be built.
pub fn binary() -> Result<&'static Path, Error> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(binary) = BINARY.get() {
        return Ok(binary);
    }
    let binary = match std::env::var_os(VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => build()?,
    };
    Ok(BINARY.get_or_init(|| binary))
}

/// Lays an agent's folder out: `config.sh`, `run.sh`, `bin`, of version
/// [`VERSION`](crate::VERSION). The folder is made where there is none.
///
/// # Errors
/// Where there is no program, or `into` cannot be written to.
pub fn install(into: &Path) -> Result<(), Error> {
    run(Command::new(binary()?).arg("install").arg(into)).map(drop)
}

/// Makes the archive that a server offers as this version, such as `4.261.0`.
///
/// # Errors
/// As [`install`]; it also wants `tar` and `gzip`.
pub fn package(version: &str, file: &Path) -> Result<(), Error> {
    run(Command::new(binary()?).args(["package", version]).arg(file)).map(drop)
}

/// Builds it where cargo put this test: `TARGET/PROFILE/deps/TEST`.
fn build() -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let test = std::env::current_exe().map_err(|source| Error::Io {
        command: "finding the test's own program".into(),
        source,
    })?;
    let profile = test.parent().and_then(Path::parent);
    let (Some(profile), Some(target)) = (profile, profile.and_then(Path::parent)) else {
        return Err(Error::NoTarget(test));
    };
    let mut command = Command::new(cargo);
    let released = profile.file_name().is_some_and(|name| name == "release");
    command
        .args(["test", "--no-run", "--quiet", "--locked", "--target-dir"])
        .arg(target)
        // Both, since cargo joins the features of what is asked for.
        .args([
            "-p",
            "azp-scaler",
            "-p",
            env!("CARGO_PKG_NAME"),
            "--test",
            "install",
        ])
        // The profile of the test, or of the bench.
        .args(released.then_some("--release"))
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    run(&mut command)?;
    let binary = profile.join("azp-stand-in");
    match binary.is_file() {
        true => Ok(binary),
        false => Err(Error::NoTarget(test)),
    }
}

fn run(command: &mut Command) -> Result<Output, Error> {
    let words = format!("{command:?}");
    let output = command.output().map_err(|source| Error::Io {
        command: words.clone(),
        source,
    })?;
    match output.status.success() {
        true => Ok(output),
        false => Err(Error::Failed {
            command: words,
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

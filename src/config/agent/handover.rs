//! The handover: secrets leave the environment before any job can look.
//!
//! May import: its siblings, bounded. Invariant: after it no secret stands in
//! the environment of this process or of any that it starts, nor in
//! `/proc/PID/environ`, nor on a command line.
//!
//! Taking a variable out of one's own environment is not enough: the kernel
//! shows the block that a process was started with, to everybody of its user,
//! for as long as it lives. So this process starts itself anew in its own place
//! (the same process id) without the secrets, and hands them over by a pipe.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt, fs,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use secrecy::{ExposeSecret as _, SecretString};

use super::Environment;
use crate::config::secrets;

/// Says that secrets come by standard input.
const MARK: &str = "AZP_AGENT_HANDOVER";

/// More than all secrets together, and less than a pipe takes at once.
const LARGEST: u64 = 60 * 1024;

/// The file that holds the token, as `start.sh` has it.
const TOKEN_FILE: &str = "AZP_TOKEN_FILE";

/// Variables that hold secrets. Azure Pipelines agent: every argument of its own
/// may come as `VSTS_AGENT_INPUT_…`, its secret ones among them.
pub const SECRETS: [&str; 9] = [
    "AZP_TOKEN",
    "AZP_CLIENTSECRET",
    "AZURE_CLIENT_SECRET",
    "VSTS_AGENT_INPUT_TOKEN",
    "VSTS_AGENT_INPUT_PASSWORD",
    "VSTS_AGENT_INPUT_CLIENTSECRET",
    "VSTS_AGENT_INPUT_PROXYPASSWORD",
    "VSTS_AGENT_INPUT_SSLCLIENTCERTPASSWORD",
    "VSTS_AGENT_INPUT_WINDOWSLOGONPASSWORD",
];

/// Secrets by the names of their variables.
#[derive(Clone, Default)]
pub struct Secrets {
    by_name: BTreeMap<String, SecretString>,
    /// A file with the token that jobs can read, since it could not be removed.
    pub readable: Option<Readable>,
}

/// A file that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub why: String,
}

/// Why the secrets could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// A variable's value is no text.
    #[error("{0}: is no UTF-8; copy the secret again")]
    Text(&'static str),
    /// The file with the token cannot be used.
    #[error("AZP_TOKEN_FILE: {0}")]
    File(String),
    /// Larger than any token.
    #[error("the secrets in the environment are longer than {LARGEST} bytes together")]
    TooLarge,
    /// The system does not let this process start itself.
    #[error("cannot hide the secrets from jobs: {0}")]
    System(#[from] io::Error),
    /// What came is not what this program sends.
    #[error("{MARK} is set from outside; take it out of the environment")]
    Foreign,
    /// There is no more reason to start anything, and the process that would be
    /// started anew would not know it.
    #[error("told to stop")]
    ToldToStop,
}

/// Takes the secrets. Comes back with them in the process that was started anew,
/// or at once where there are none. `token_file` is the file that a flag names;
/// `told_to_stop` is asked at the last moment before this process is another.
///
/// # Errors
/// They cannot be hidden; nothing may be started then.
pub fn take(
    token_file: Option<PathBuf>,
    told_to_stop: impl Fn() -> bool,
) -> Result<Secrets, HandoverError> {
    if env::var_os(MARK).is_some() {
        return receive();
    }
    let secrets = collect(token_file)?;
    if secrets.by_name.is_empty() {
        return Ok(secrets);
    }
    if told_to_stop() {
        return Err(HandoverError::ToldToStop);
    }
    Err(hand_over(&secrets))
}

/// The secrets of this environment, and of the file that it names.
fn collect(token_file: Option<PathBuf>) -> Result<Secrets, HandoverError> {
    let mut secrets = Secrets::default();
    for name in SECRETS {
        if let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) {
            let value = value.into_string().map_err(|_| HandoverError::Text(name))?;
            secrets.by_name.insert(name.to_owned(), value.trim().into());
        }
    }
    let file = token_file.or_else(|| env::var_os(TOKEN_FILE).map(PathBuf::from));
    if let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) {
        secrets.take_file(path)?;
    }
    Ok(secrets)
}

/// Starts this program anew in the place of this process; comes back only to say
/// why not.
fn hand_over(secrets: &Secrets) -> HandoverError {
    match try_hand_over(secrets) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_hand_over(secrets: &Secrets) -> Result<std::convert::Infallible, HandoverError> {
    let text = secrets.text();
    if text.len() as u64 > LARGEST {
        return Err(HandoverError::TooLarge);
    }
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(text.as_bytes())?;
    drop(writer);
    let mut arguments = env::args_os();
    let name = arguments
        .next()
        .unwrap_or_else(|| OsString::from("azp-agent"));
    let mut again = Command::new(env::current_exe()?);
    again
        .arg0(name)
        .args(arguments)
        .env(MARK, "stdin")
        .stdin(Stdio::from(reader));
    for name in SECRETS {
        again.env_remove(name);
    }
    Err(again.exec().into())
}

/// What the process before this one handed over.
fn receive() -> Result<Secrets, HandoverError> {
    let mut text = String::new();
    io::stdin().take(LARGEST + 1).read_to_string(&mut text)?;
    Secrets::read(&text).ok_or(HandoverError::Foreign)
}

/// The environment for what is started: this process's own, without secrets and
/// without what only this program understands.
#[must_use]
pub(super) fn variables() -> Vec<(OsString, OsString)> {
    env::vars_os()
        .filter(|(name, _)| {
            name != MARK && name != TOKEN_FILE && !SECRETS.iter().any(|secret| name == secret)
        })
        .collect()
}

// === impl Secrets ===

impl Secrets {
    /// Those of this environment, which stay in it.
    pub(super) fn of(names: [&str; SECRETS.len()], environment: &impl Environment) -> Self {
        let mut secrets = Self::default();
        for name in names {
            let value = environment.variable(name).filter(|value| !value.is_empty());
            if let Some(value) = value {
                secrets.by_name.insert(name.to_owned(), value.trim().into());
            }
        }
        secrets
    }

    /// The secret that this variable held.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(|secret| secret.expose_secret())
    }

    /// Those that are meant for `config.sh`, by their variables' names.
    pub fn for_config(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        let own = self.by_name.iter();
        own.filter(|(name, _)| name.starts_with("VSTS_AGENT_INPUT_"))
            .map(|(name, secret)| (name.as_str(), secret))
    }

    /// Takes the token out of its file, so that jobs cannot read it there. One
    /// that stays is not taken, but followed: it may be renewed.
    fn take_file(&mut self, path: PathBuf) -> Result<(), HandoverError> {
        let token =
            secrets::from_file(&path).map_err(|error| HandoverError::File(format!("{error}")))?;
        // A link that is removed would leave the file for whoever knows its place.
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        match fs::remove_file(&real) {
            Ok(()) => {
                // A link to nowhere is no secret.
                let _ = fs::remove_file(&path);
                // start.sh: the file wins over the variable.
                self.by_name.insert("AZP_TOKEN".to_owned(), token);
            }
            Err(error) => {
                self.by_name.remove("AZP_TOKEN");
                let why = error.to_string();
                self.readable = Some(Readable { path, why });
            }
        }
        Ok(())
    }

    /// As lines of a name and a value, and at last the file that stays.
    fn text(&self) -> String {
        let mut lines: Vec<_> = self
            .by_name
            .iter()
            .map(|(name, secret)| [name.as_str(), secret.expose_secret()])
            .collect();
        let path = self
            .readable
            .as_ref()
            .map(|file| file.path.to_string_lossy());
        if let (Some(path), Some(file)) = (&path, &self.readable) {
            lines.push([path, &file.why]);
        }
        serde_json::Value::from(
            lines
                .into_iter()
                .map(|pair| pair.map(str::to_owned).to_vec())
                .collect::<Vec<_>>(),
        )
        .to_string()
    }

    fn read(text: &str) -> Option<Self> {
        let pairs: Vec<[String; 2]> = serde_json::from_str(text).ok()?;
        let mut secrets = Self::default();
        for [name, value] in pairs {
            if SECRETS.contains(&name.as_str()) {
                secrets.by_name.insert(name, value.into());
            } else {
                secrets.readable = Some(Readable {
                    path: name.into(),
                    why: value,
                });
            }
        }
        Some(secrets)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.by_name.keys().collect();
        f.debug_struct("Secrets")
            .field("names", &names)
            .field("readable", &self.readable)
            .finish()
    }
}

//! Where everything lies in the folder of an agent, and what its files say.
//!
//! Agent: `Microsoft.VisualStudio.Services.Agent/ConfigurationStore.cs`,
//! `HostContext.cs`. Invariant: what holds a secret is readable by its owner
//! alone.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

const SETTINGS: &str = ".agent";
const CREDENTIALS: &str = ".credentials";
const KEY: &str = ".credentials_rsaparams";

/// An agent's folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// The folder of this very program: `bin`, or what `bin` is a link to.
    bin: PathBuf,
}

/// `.agent`: which agent this is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    pub(crate) accept_tee_eula: bool,
    pub(crate) agent_id: i64,
    pub(crate) agent_name: String,
    pub(crate) pool_id: i64,
    pub(crate) pool_name: String,
    pub(crate) server_url: String,
    pub(crate) work_folder: String,
}

/// `.credentials`: how the agent gets its tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Credentials {
    pub(crate) scheme: String,
    pub(crate) data: CredentialData,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CredentialData {
    pub(crate) client_id: String,
    pub(crate) authorization_url: String,
}

/// `.credentials_rsaparams`: the agent's key. There is no RSA here: the modulus
/// is a random secret, which the server is shown once and asked for later.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Key {
    pub(crate) exponent: String,
    pub(crate) modulus: String,
}

/// What a configured agent knows about itself.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) settings: Settings,
    pub(crate) credentials: Credentials,
    pub(crate) key: Key,
}

// === impl Folder ===

impl Folder {
    /// The folder that a program in its `bin` belongs to.
    pub(crate) fn of_program(program: &Path) -> Option<Self> {
        let bin = program.parent()?;
        Some(Self {
            root: bin.parent()?.to_owned(),
            bin: bin.to_owned(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    pub(crate) fn diag(&self) -> PathBuf {
        self.root.join("_diag")
    }

    /// The work folder: absolute, or below the root.
    pub(crate) fn work(&self, settings: &Settings) -> PathBuf {
        self.root.join(&settings.work_folder)
    }

    /// The version of this program, which an update changes.
    pub(crate) fn version(&self) -> String {
        let file = fs::read_to_string(self.bin.join("VERSION"));
        file.map_or_else(|_| crate::VERSION.to_owned(), |text| text.trim().to_owned())
    }

    /// Whether an agent is configured here.
    pub(crate) fn is_configured(&self) -> bool {
        self.root.join(SETTINGS).exists()
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.root.join(CREDENTIALS).exists()
    }

    pub(crate) fn settings(&self) -> io::Result<Settings> {
        self.load(SETTINGS)
    }

    pub(crate) fn identity(&self) -> io::Result<Identity> {
        Ok(Identity {
            settings: self.load(SETTINGS)?,
            credentials: self.load(CREDENTIALS)?,
            key: self.load(KEY)?,
        })
    }

    pub(crate) fn save_credentials(&self, credentials: &Credentials, key: &Key) -> io::Result<()> {
        self.save(KEY, key)?;
        self.save(CREDENTIALS, credentials)
    }

    /// The last step of the configuration: from here on it is configured.
    pub(crate) fn save_settings(&self, settings: &Settings) -> io::Result<()> {
        self.save(SETTINGS, settings)
    }

    pub(crate) fn delete_credentials(&self) -> io::Result<()> {
        self.delete(CREDENTIALS)?;
        self.delete(KEY)
    }

    pub(crate) fn delete_settings(&self) -> io::Result<()> {
        self.delete(SETTINGS)
    }

    fn load<T: DeserializeOwned>(&self, name: &str) -> io::Result<T> {
        let path = self.root.join(name);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let text = fs::read(&path).map_err(named)?;
        serde_json::from_slice(&text).map_err(|error| named(error.into()))
    }

    /// Whole or not at all: a reader never finds half a file.
    fn save(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let part = self.root.join(format!("{name}.part"));
        fs::write(&part, [])?;
        fs::set_permissions(&part, Permissions::from_mode(0o600))?;
        fs::write(&part, serde_json::to_vec_pretty(value)?)?;
        fs::rename(&part, self.root.join(name))
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

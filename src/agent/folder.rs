//! The agent's folder: its software, what it remembers of its registration, and
//! the work of its jobs.
//!
//! May import: domain. Invariant: what is removed lies inside the work folder or
//! is a file that `config.sh` wrote; nothing outside is ever touched.
//!
//! Azure Pipelines agent: `config.sh` writes `.agent` (its settings, as JSON),
//! `.credentials` and `.credentials_rsaparams` (its own key), and refuses to
//! configure where `.agent` is; `.capabilities` has lines `NAME=value`, read at
//! each start of the listener.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::domain::{
    capability::{Capabilities, CapabilityValue},
    leftover::{CLUSTER, OWNER},
    pool::PoolId,
    registration::AgentId,
};

/// What `config.sh` wrote of a registration.
const REGISTRATION: [&str; 4] = [
    ".agent",
    ".credentials",
    ".credentials_rsaparams",
    ".credential_store",
];

/// The program that waits for jobs, in the agent's folder.
pub(super) const LISTENER: &str = "bin/Agent.Listener";

/// The folder of one agent.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    work: PathBuf,
}

/// The registration that the folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The agent's number.
    pub agent: AgentId,
    /// Its pool's.
    pub pool: PoolId,
    /// Its name.
    pub name: Box<str>,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder in it cannot be read or written.
    #[error("{path}: {cause}; {remedy}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// `.agent` is not what the agent writes.
    #[error("{path} is not what config.sh of a known agent writes ({what})")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// `.agent`, as far as it is needed. Members of value 0 are left out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    agent_id: u32,
    pool_id: u32,
    agent_name: Box<str>,
}

const WRITABLE: &str = "the user of this process needs to write there";

// === impl Folder ===

impl Folder {
    /// A folder, with the folder of jobs as `config.sh` is told.
    #[must_use]
    pub fn new(root: &Path, work: &Path) -> Self {
        Self {
            root: root.to_owned(),
            work: root.join(work),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Is the agent's software there?
    #[must_use]
    pub fn has_agent(&self) -> bool {
        self.root.join("config.sh").is_file() && self.root.join("run.sh").is_file()
    }

    /// Can a listener be started? Not for a moment while an update puts another
    /// version in the place of this one.
    #[must_use]
    pub fn has_listener(&self) -> bool {
        self.root.join(LISTENER).exists()
    }

    /// Makes the folder of jobs.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_work(&mut self) -> Result<(), FolderError> {
        fs::create_dir_all(&self.work).map_err(|cause| file(&self.work, cause, WRITABLE))?;
        // Where it leads now; a link that is there later, a job has put there.
        let whole = fs::canonicalize(&self.work);
        self.work = whole.map_err(|cause| file(&self.work, cause, WRITABLE))?;
        Ok(())
    }

    /// Forgets a registration that an earlier process left here, so that
    /// `config.sh` can make its own. Tells whether there was one.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn forget_registration(&self) -> Result<bool, FolderError> {
        let mut there = false;
        for name in REGISTRATION {
            let path = self.root.join(name);
            match fs::remove_file(&path) {
                Ok(()) => there = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(file(&path, error, WRITABLE)),
            }
        }
        Ok(there)
    }

    /// The registration that `config.sh` has made.
    ///
    /// # Errors
    /// There is none, or it is of an unknown shape.
    pub fn registration(&self) -> Result<Registered, FolderError> {
        let path = self.root.join(".agent");
        let text = fs::read_to_string(&path)
            .map_err(|cause| file(&path, cause, "config.sh should have written it"))?;
        // The agent writes a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        let settings: Settings = serde_json::from_str(text).map_err(|error| {
            let what = error.to_string();
            FolderError::Settings { path, what }
        })?;
        Ok(Registered {
            agent: AgentId(settings.agent_id),
            pool: PoolId(settings.pool_id),
            name: settings.agent_name,
        })
    }

    /// Writes what the agent declares, and whose it is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn declare(
        &self,
        capabilities: &Capabilities,
        variables: &[(OsString, OsString)],
        (owner, cluster): (Option<&str>, Option<&str>),
    ) -> Result<(), FolderError> {
        let path = self.root.join(".capabilities");
        let mut text = String::new();
        for capability in capabilities.iter() {
            // A variable of that name is sent with its own value.
            let variable = |(name, _): &(OsString, OsString)| {
                name.to_str()
                    .is_some_and(|name| name.eq_ignore_ascii_case(&capability.name))
            };
            let value = match &capability.value {
                CapabilityValue::Text(text) => text,
                _ if variables.iter().any(variable) => continue,
                // ASSUMPTION(capability-value): a capability that was declared
                // without a value has this one, since the agent reads no line
                // without an equals sign and the server may keep no empty value.
                CapabilityValue::Present | CapabilityValue::Newest => "true",
            };
            text.push_str(&format!("{}={value}\n", capability.name));
        }
        let owner = owner.unwrap_or("unknown");
        text.push_str(&format!("{OWNER}={owner}\n"));
        if let Some(cluster) = cluster {
            text.push_str(&format!("{CLUSTER}={cluster}\n"));
        }
        fs::write(&path, text).map_err(|cause| file(&path, cause, WRITABLE))
    }

    /// Empties the folder of jobs, as far as that can be done.
    ///
    /// # Errors
    /// Something in it cannot be removed; all that can be is gone then.
    pub fn clean_work(&self) -> Result<(), FolderError> {
        let logs = self.root.join("_diag");
        let cleaned = [&self.work, &logs].map(|folder| empty(folder));
        cleaned.into_iter().collect()
    }
}

/// Empties a folder, as far as it can.
fn empty(folder: &Path) -> Result<(), FolderError> {
    if folder.is_symlink() {
        // A job has put a link in its place: what it leads to is left alone.
        let removed = fs::remove_file(folder).and_then(|()| fs::create_dir(folder));
        return removed.map_err(|cause| file(folder, cause, WRITABLE));
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(file(folder, cause, WRITABLE)),
    };
    let mut failed = Ok(());
    for entry in entries.flatten() {
        let path = entry.path();
        // A link is removed, and not what it leads to.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_folder {
            // Some tools (Go's cache of modules, for one) leave folders that
            // nobody may write in.
            fs::remove_dir_all(&path).or_else(|_| {
                open_up(&path);
                fs::remove_dir_all(&path)
            })
        } else {
            fs::remove_file(&path)
        };
        if let Err(cause) = removed {
            failed = Err(file(&path, cause, "a job left it behind; remove it there"));
        }
    }
    failed
}

/// Lets this user write in a folder and in all below it; no link is followed.
fn open_up(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // Removing it will tell what is in the way.
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| entry.path()));
    }
}

fn file(path: &Path, cause: io::Error, remedy: &'static str) -> FolderError {
    FolderError::File {
        path: path.to_owned(),
        cause,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path(), Path::new("_work"));
        (root, folder)
    }

    #[test]
    fn a_registration_is_read_with_its_byte_order_mark() {
        let (root, folder) = folder();
        let text = "\u{feff}{\"acceptTeeEula\":true,\"agentId\":322,\"agentName\":\"k8s-1\",\
                    \"poolId\":27,\"serverUrl\":\"https://dev.azure.com/contoso/\"}";
        fs::write(root.path().join(".agent"), text).unwrap();
        let expected = Registered {
            agent: AgentId(322),
            pool: PoolId(27),
            name: "k8s-1".into(),
        };
        assert_eq!(folder.registration().unwrap(), expected);
        assert!(folder.forget_registration().unwrap());
        assert!(!folder.forget_registration().unwrap());
        assert!(folder.registration().is_err());
    }

    #[test]
    fn capabilities_are_lines_that_the_agent_reads_and_the_owner_is_among_them() {
        let (root, folder) = folder();
        let capabilities = Capabilities::parse("docker, java=17, java_home, path=/a=b").unwrap();
        folder
            .declare(
                &capabilities,
                &[("JAVA_HOME".into(), "/jdk".into())],
                (Some("builds"), None),
            )
            .unwrap();
        let path = root.path().join(".capabilities");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "docker=true\njava=17\npath=/a=b\nazp-agent=builds\n");
        let none = Capabilities::default();
        let of = (Some("builds"), Some("west"));
        folder.declare(&none, &[], of).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "azp-agent=builds\nazp-agent.cluster=west\n");
    }

    #[test]
    fn cleaning_removes_what_jobs_left_and_nothing_that_a_link_leads_to() {
        let (root, mut folder) = folder();
        let outside = root.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        folder.make_work().unwrap();
        let work = root.path().join("_work");
        fs::create_dir_all(work.join("1/s")).unwrap();
        fs::write(work.join("1/s/file"), "").unwrap();
        fs::write(work.join("loose"), "").unwrap();
        std::os::unix::fs::symlink(&outside, work.join("link")).unwrap();
        folder.clean_work().unwrap();
        assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
        assert!(outside.join("kept").exists());
        // Not even where a job has put a link in the place of the folder itself.
        fs::remove_dir(&work).unwrap();
        std::os::unix::fs::symlink(&outside, &work).unwrap();
        folder.clean_work().unwrap();
        assert!(outside.join("kept").exists() && !work.is_symlink());
        folder.clean_work().unwrap();
    }
}

//! Self-update: fetches the version that the server wants, waits for the job,
//! and leaves the rest to a script that outlives the listener.
//!
//! Agent: `Agent.Listener/SelfUpdater.cs` and `Misc/layoutbin/update.sh.template`.
//! Invariant: nothing that runs is replaced by the listener itself; `bin` is
//! swapped by the script, and is missing for a moment.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    fs,
    io::AsyncWriteExt as _,
    process::Command,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    diag::note,
    environment::Environment,
    install,
    layout::Folder,
    pace::Pace,
    server::{Server, ServerError, chain},
    terminal::say,
    wire::Package,
};

const SCRIPT: &str = include_str!("scripts/update.sh");

/// How often the archive is asked for, and how long that may take.
const ATTEMPTS: u32 = 3;
const DOWNLOAD: Duration = Duration::from_secs(15 * 60);

/// An update that is under way.
pub(crate) struct Update {
    pub(crate) folder: Folder,
    pub(crate) environment: Environment,
    pub(crate) work: PathBuf,
    pub(crate) server: Arc<Server>,
    /// Whether the script starts the agent again.
    pub(crate) restart: bool,
    pub(crate) pace: Pace,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("{0}")]
    Files(#[from] io::Error),
    #[error("Agent package failed after {ATTEMPTS} download attempts: {0}")]
    Download(String),
    #[error("{command}: {status}")]
    Program {
        command: String,
        status: std::process::ExitStatus,
    },
}

// === impl Update ===

impl Update {
    /// Whether the script has been started, so that the listener has to end.
    pub(crate) async fn run(self, target: Option<String>, busy: watch::Receiver<bool>) -> bool {
        match self.attempt(target.as_deref(), busy).await {
            Ok(()) => true,
            Err(failure) => {
                note!("no update: {failure}");
                false
            }
        }
    }

    async fn attempt(
        &self,
        target: Option<&str>,
        mut busy: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let package = self.find(target).await?;
        let version = package.version.to_string();
        say("Agent update in progress, do not shutdown agent.");
        say(format_args!("Downloading {version} agent"));
        let new = self.work.join("_update");
        self.fetch(&package.download_url, &new).await?;
        self.lay_beside(&new, &version).await?;
        say("Waiting for current job finish running.");
        // The sender lives as long as the listener.
        let _ = busy.wait_for(|busy| !busy).await;
        say("Generate and execute update script.");
        self.start_script(&version).await?;
        say("Agent will exit shortly for update, should back online within 10 seconds.");
        Ok(())
    }

    async fn find(&self, target: Option<&str>) -> Result<Package, ServerError> {
        let platform = install::platform();
        let path = ["distributedtask", "packages", "agent", platform];
        match target {
            Some(version) => {
                let path: Vec<&str> = path.into_iter().chain([version]).collect();
                self.server.get(&path, &[]).await
            }
            None => {
                let path = &path[..3];
                let query = [("platform", platform), ("$top", "1")];
                let found: crate::wire::Listing<Package> = self.server.get(path, &query).await?;
                let none = || ServerError::Unreadable {
                    url: "packages/agent".into(),
                    why: format!("it has no package for {platform}"),
                };
                found.value.into_iter().next().ok_or_else(none)
            }
        }
    }

    /// Downloads and unpacks into an empty folder.
    async fn fetch(&self, url: &str, into: &Path) -> Result<(), Failure> {
        if fs::try_exists(into).await? {
            fs::remove_dir_all(into).await?;
        }
        fs::create_dir_all(into).await?;
        let archive = into.join("agent1.tar.gz");
        let mut attempt = 1;
        while let Err(error) = self.download(url, &archive).await {
            note!("attempt {attempt} to download {url}: {error}");
            if attempt == ATTEMPTS {
                return Err(Failure::Download(error));
            }
            attempt += 1;
            sleep(self.pace.brief()).await;
        }
        let mut unpack = Command::new("tar");
        unpack.arg("-xzf").arg(&archive).arg("-C").arg(into);
        succeed(unpack).await?;
        fs::remove_file(&archive).await?;
        Ok(())
    }

    async fn download(&self, url: &str, file: &Path) -> Result<(), String> {
        let fetched = async {
            // Without a credential, as the real one: packages lie elsewhere.
            let answer = self.server.http().get(url).send().await;
            let mut answer = answer
                .and_then(reqwest::Response::error_for_status)
                .map_err(|error| chain(&error))?;
            let file = fs::File::create(file).await;
            let mut file = file.map_err(|error| error.to_string())?;
            while let Some(chunk) = answer.chunk().await.map_err(|error| chain(&error))? {
                let written = file.write_all(&chunk).await;
                written.map_err(|error| error.to_string())?;
            }
            file.flush().await.map_err(|error| error.to_string())
        };
        timeout(DOWNLOAD, fetched)
            .await
            .unwrap_or_else(|_| Err(format!("it took longer than {} s", DOWNLOAD.as_secs())))
    }

    /// Puts the new programs into `bin.VERSION`, and the scripts in place. By
    /// copies: the work folder is often a volume of its own.
    async fn lay_beside(&self, new: &Path, version: &str) -> Result<(), Failure> {
        let root = self.folder.root();
        let bin = root.join(format!("bin.{version}"));
        if self.folder.bin() != bin {
            if fs::try_exists(&bin).await? {
                fs::remove_dir_all(&bin).await?;
            }
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(new.join("bin")).arg(&bin);
            succeed(copy).await?;
        }
        let mut entries = fs::read_dir(new).await?;
        while let Some(entry) = entries.next_entry().await? {
            if !entry.file_type().await?.is_file() {
                continue;
            }
            // Swapped by name, so that a shell which reads the old one is not
            // disturbed.
            let (name, part) = (entry.file_name(), root.join(".update.part"));
            fs::copy(entry.path(), &part).await?;
            fs::rename(part, root.join(name)).await?;
        }
        Ok(())
    }

    async fn start_script(&self, version: &str) -> io::Result<()> {
        let script = self.work.join("_update.sh");
        fs::write(&script, SCRIPT).await?;
        let time = Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let log = self.folder.diag().join(format!("SelfUpdate-{time}.log"));
        // Neither awaited nor in a group of its own: it becomes an orphan.
        let started = std::process::Command::new("bash")
            .arg(&script)
            .arg(std::process::id().to_string())
            .arg(self.folder.root())
            .args([&self.folder.version(), version])
            .arg(log)
            .arg(if self.restart { "1" } else { "0" })
            .env_clear()
            .envs(self.environment.all())
            .stdin(Stdio::null())
            .spawn()?;
        note!("the update script runs as {}", started.id());
        Ok(())
    }
}

/// Runs a program to its end; anything but success is a failure.
async fn succeed(mut command: Command) -> Result<(), Failure> {
    let status = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await?;
    if status.success() {
        return Ok(());
    }
    let command = format!("{:?}", command.as_std());
    Err(Failure::Program { command, status })
}

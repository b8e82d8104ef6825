//! Software: the agent's package, where none is baked in.
//!
//! May import: its siblings, ports. Invariant: what is unpacked is the file that
//! the organization named; where it named no hash, that is said.

use std::{
    fmt, fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::{
    board::{Board, Phase},
    folder::Folder,
    unpack::{Bounds, unpack},
};
use crate::ports::packages::{AgentPackage, HashCheck, Packages};

/// How often progress is told.
const TELL: Duration = Duration::from_secs(5);

const MEGABYTE: u64 = 1_000_000;

/// Where the software comes from.
#[derive(Clone)]
pub struct Software {
    packages: Arc<dyn Packages>,
    platform: Box<str>,
}

// === impl Software ===

impl Software {
    /// The newest package for a platform such as `linux-x64`.
    #[must_use]
    pub fn new(packages: Arc<dyn Packages>, platform: &str) -> Self {
        Self {
            packages,
            platform: platform.into(),
        }
    }

    /// Fetches the newest package and unpacks it into the folder.
    pub(super) async fn fetch(&self, folder: &Folder, board: &Board) -> Result<(), String> {
        let platform = &self.platform;
        let newest = self.packages.newest(platform).await;
        let package = newest.map_err(|error| error.to_string())?.ok_or_else(|| {
            format!(
                "there is no config.sh in {}, and the organization offers no package for \
                 {platform:?}; bake the agent into the image, or set TARGETARCH",
                folder.root().display()
            )
        })?;
        tracing::info!(
            version = %package.version,
            from = package.url.host_str().unwrap_or_default(),
            into = %folder.root().display(),
            "the agent's software is fetched; an image that holds it starts faster"
        );
        // Inside the folder, which is the one place where this process may write.
        let file = folder.root().join(".azp-agent.tar.gz");
        let beside = folder.root().join(".azp-agent.unpacked");
        let made = fs::create_dir_all(folder.root());
        made.map_err(|error| format!("{}: {error}", folder.root().display()))?;
        // What an earlier process left half done.
        let _ = fs::remove_dir_all(&beside);
        self.fetch_into(&package, &file, board).await?;
        let unpacked = unpack(&file, &beside, Bounds::default()).await;
        // It is not needed any more, whatever came of it.
        let _ = fs::remove_file(&file);
        unpacked.map_err(|error| error.to_string())?;
        move_up(&beside, folder.root())
            .map_err(|error| format!("{}: {error}; empty the folder", folder.root().display()))?;
        if folder.has_agent() {
            Ok(())
        } else {
            Err(format!(
                "{} holds no config.sh and run.sh",
                package.file_name
            ))
        }
    }

    async fn fetch_into(
        &self,
        package: &AgentPackage,
        file: &Path,
        board: &Board,
    ) -> Result<(), String> {
        let come = AtomicU64::new(0);
        let all = AtomicU64::new(0);
        let progress = |bytes: u64, total: Option<u64>| {
            come.store(bytes, Ordering::Relaxed);
            all.store(total.unwrap_or_default(), Ordering::Relaxed);
        };
        let tell = async {
            loop {
                let (come, all) = (come.load(Ordering::Relaxed), all.load(Ordering::Relaxed));
                let text = words(come, all);
                board.phase(Phase::Downloading, &text);
                if come > 0 {
                    tracing::info!(progress = text, "the agent's software is coming");
                }
                sleep(TELL).await;
            }
        };
        let fetched = tokio::select! {
            fetched = self.packages.fetch(package, file, &progress) => fetched,
            () = tell => return Ok(()),
        };
        let fetched = fetched.map_err(|error| error.to_string())?;
        let bytes = fetched.bytes;
        match fetched.hash {
            HashCheck::Matches => tracing::info!(bytes, "the package has the hash that was named"),
            HashCheck::NotGiven | HashCheck::UnknownForm => tracing::warn!(
                bytes,
                hash = %package.hash,
                "the organization names no SHA-256 for the package; it was not checked"
            ),
        }
        Ok(())
    }
}

impl fmt::Debug for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Software({})", self.platform)
    }
}

/// Moves everything in a folder into the one that holds it.
fn move_up(from: &Path, into: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::rename(entry.path(), into.join(entry.file_name()))?;
    }
    fs::remove_dir(from)
}

/// Such as `12 of 180 MB`.
fn words(come: u64, all: u64) -> String {
    match all {
        0 => format!("{} MB", come / MEGABYTE),
        all => format!("{} of {} MB", come / MEGABYTE, all.div_ceil(MEGABYTE)),
    }
}

//! AWS profiles: a mounted file becomes `~/.aws/config`.
//!
//! May import: nothing of ours. Invariant: a config that somebody else wrote is
//! never overwritten; where nothing is mounted nothing is done.
//!
//! A copy and not a link, because tools rewrite the file, and what Kubernetes
//! mounts from a `ConfigMap` cannot be written.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// First line of a file that was written here.
const MARK: &str = "# written by azp-agent from ";

/// The largest file of profiles that is taken: that of a `ConfigMap`.
const LARGEST: u64 = 1 << 20;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profiles {
    /// Nothing is mounted.
    None,
    /// They are there now.
    Written {
        /// The file that was written.
        to: PathBuf,
        /// How many there are.
        profiles: usize,
    },
    /// A config that somebody else wrote is there already; it stays.
    Kept {
        /// That file.
        at: PathBuf,
    },
}

/// Writes the profiles of `mounted`, a file or a folder with a file `config` or
/// `awsconfig`, for the user whose home this is.
///
/// # Errors
/// What is mounted cannot be read, or the home cannot be written.
pub fn profiles(mounted: &Path, home: Option<&Path>) -> io::Result<Profiles> {
    let Some(source) = source(mounted) else {
        return Ok(Profiles::None);
    };
    if fs::metadata(&source)?.len() > LARGEST {
        return Err(io::Error::other(format!(
            "{} is larger than {LARGEST} bytes; is it a file of AWS profiles?",
            source.display()
        )));
    }
    let text = fs::read_to_string(&source)?;
    let home = home.ok_or_else(|| {
        io::Error::other("HOME is not set; set it, so that ~/.aws/config has a place")
    })?;
    let folder = home.join(".aws");
    let config = folder.join("config");
    let there = fs::read_to_string(&config).unwrap_or_default();
    if !there.is_empty() && !there.starts_with(MARK) {
        return Ok(Profiles::Kept { at: config });
    }
    fs::create_dir_all(&folder)?;
    // Beside it first, so that nobody reads half of it.
    let beside = folder.join(".config.azp-agent");
    fs::write(&beside, format!("{MARK}{}\n{text}", source.display()))?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, &config)?;
    let profiles = text
        .lines()
        .filter(|line| line.trim().starts_with('['))
        .count();
    Ok(Profiles::Written {
        to: config,
        profiles,
    })
}

/// The file that is meant.
fn source(mounted: &Path) -> Option<PathBuf> {
    if mounted.is_dir() {
        let names = ["config", "awsconfig"];
        let mut files = names.iter().map(|name| mounted.join(name));
        files.find(|file| file.is_file())
    } else {
        mounted.is_file().then(|| mounted.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[default]\nregion = eu-central-1\n\n[profile target]\nrole_arn = arn\n";

    #[test]
    fn what_is_mounted_becomes_the_config_and_a_foreign_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        let config = home.join(".aws/config");
        let mounted = root.path().join("aws_config");
        let write = || profiles(&mounted, Some(&home)).unwrap();
        assert_eq!(write(), Profiles::None);

        fs::create_dir_all(&mounted).unwrap();
        fs::write(mounted.join("config"), TEXT).unwrap();
        let written = Profiles::Written {
            to: config.clone(),
            profiles: 2,
        };
        assert_eq!(write(), written);
        assert!(fs::read_to_string(&config).unwrap().ends_with(TEXT));
        let mode = fs::metadata(&config).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // Again, with other profiles: ours is replaced.
        fs::write(mounted.join("config"), "[default]\n").unwrap();
        assert!(matches!(write(), Profiles::Written { profiles: 1, .. }));

        fs::write(&config, "[mine]\n").unwrap();
        assert_eq!(write(), Profiles::Kept { at: config.clone() });
        assert_eq!(fs::read_to_string(&config).unwrap(), "[mine]\n");
    }

    #[test]
    fn a_single_file_can_be_mounted_and_a_home_is_needed() {
        let root = tempfile::tempdir().unwrap();
        let mounted = root.path().join("aws_config");
        fs::write(&mounted, TEXT).unwrap();
        let written = profiles(&mounted, Some(root.path())).unwrap();
        assert!(matches!(written, Profiles::Written { profiles: 2, .. }));
        let error = profiles(&mounted, None).unwrap_err().to_string();
        assert!(error.contains("HOME"), "{error}");
    }
}

//! An image's archive: its settings, and its files laid out in a folder.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::run;
use serde_json::Value;

/// A file of an image. Directories and links are files too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Type and permissions, as `stat` has them.
    pub(crate) mode: u32,
    pub(crate) bytes: u64,
}

impl Entry {
    pub(crate) fn is_regular(self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    pub(crate) fn is_directory(self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

pub(crate) struct Image {
    /// As `docker inspect` shows it: Entrypoint, Cmd, User, Env, Labels.
    pub(crate) config: Value,
    pub(crate) architecture: String,
    /// By path, without the leading slash.
    pub(crate) files: BTreeMap<String, Entry>,
    root: PathBuf,
}

impl Image {
    /// Unpacks an archive, the layers one over the other, into a folder that is kept:
    /// an archive that was unpacked before is not unpacked again.
    pub(crate) fn open(archive: &Path) -> Image {
        let name = archive.file_stem().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let (packed, root) = (folder.join("packed"), folder.join("root"));
        let key = fs::read_to_string(archive.with_extension("tar.key")).unwrap();
        if fs::read_to_string(folder.join("key")).ok() != Some(key.clone()) {
            let _ = fs::remove_dir_all(&folder);
            for made in [&packed, &root] {
                fs::create_dir_all(made).unwrap();
            }
            untar(archive, &packed);
            let manifest: Value = read_json(&packed.join("manifest.json"));
            for layer in manifest[0]["Layers"].as_array().unwrap() {
                untar(&packed.join(layer.as_str().unwrap()), &root);
                remove_what_it_removes(&root);
            }
            let config = packed.join(manifest[0]["Config"].as_str().unwrap());
            fs::rename(config, folder.join("config.json")).unwrap();
            fs::remove_dir_all(packed).unwrap();
            fs::write(folder.join("key"), key).unwrap();
        }
        let config: Value = read_json(&folder.join("config.json"));
        let mut files = BTreeMap::new();
        list(&root, &root, &mut files);
        Image {
            config: config["config"].clone(),
            architecture: config["architecture"].as_str().unwrap().to_owned(),
            files,
            root,
        }
    }

    /// Where its files lie.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs a program in it as a user, with the environment that it sets, a root
    /// that cannot be written, and volumes: a folder for each path.
    pub(crate) fn run(&self, user: &str, volumes: &[(&Path, &str)], command: &[&str]) -> Output {
        // What a container runtime does, in short.
        const CONTAIN: &str = r#"
            root=$1 user=$2 volumes=$3; shift 3
            mount --bind "$root" "$root"
            mount -o remount,bind,ro "$root"
            [ ! -d "$root/proc" ] || mount -t proc proc "$root/proc"
            if [ -d "$root/dev" ]; then
                mount -t tmpfs tmpfs "$root/dev"
                for each in null zero urandom; do
                    : >"$root/dev/$each"
                    mount --bind "/dev/$each" "$root/dev/$each"
                done
            fi
            for each in $volumes; do mount --bind "${each%%:*}" "$root${each#*:}"; done
            exec chroot --userspec="$user" --groups= "$root" "$@"
        "#;
        let volumes = volumes
            .iter()
            .map(|(from, to)| format!("{}:{to}", from.display()));
        let environment = self.config["Env"].as_array().unwrap();
        Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .args(["bash", "-euc", CONTAIN, "contain"])
            .arg(self.root())
            .arg(user)
            .arg(volumes.collect::<Vec<_>>().join(" "))
            .args(command)
            .env_clear()
            .envs(
                environment
                    .iter()
                    .map(|pair| pair.as_str().unwrap().split_once('=').unwrap()),
            )
            .output()
            .unwrap()
    }
}

fn untar(archive: &Path, folder: &Path) {
    run(Command::new("tar")
        .args([
            "--numeric-owner",
            "--same-owner",
            "--preserve-permissions",
            "-xf",
        ])
        .arg(archive)
        .arg("-C")
        .arg(folder));
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A layer removes a file of those below it by a mark with its name.
fn remove_what_it_removes(root: &Path) {
    let marks = run(Command::new("find").arg(root).args(["-name", ".wh.*"]));
    for mark in marks.lines().map(Path::new) {
        let name = mark.file_name().unwrap().to_str().unwrap();
        let removed = mark.with_file_name(name.trim_start_matches(".wh."));
        if removed.is_dir() {
            fs::remove_dir_all(removed).unwrap();
        } else if removed.symlink_metadata().is_ok() {
            fs::remove_file(removed).unwrap();
        }
        fs::remove_file(mark).unwrap();
    }
}

fn list(root: &Path, folder: &Path, files: &mut BTreeMap<String, Entry>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap();
        let entry = Entry {
            uid: about.uid(),
            gid: about.gid(),
            mode: about.mode(),
            bytes: about.len(),
        };
        files.insert(name.to_str().unwrap().to_owned(), entry);
        if about.is_dir() {
            list(root, &path, files);
        }
    }
}

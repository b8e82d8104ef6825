//! A web in a folder: programs named curl, unzip and gpg that stand in for the real
//! ones, so that the scripts meet the publishers' answers without a network.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use super::script;

/// `curl … [-o FILE] URL`: what lies under the folder at that address, or the
/// exit code of the real one for a page that is not there. Writes down the URL.
const CURL: &str = r#"#!/bin/bash
to=/dev/stdout
while (($#)); do
    case $1 in
    -o) to=$2; shift ;;
    --retry | --connect-timeout | -H) shift ;;
    -*) ;;
    *) url=$1 ;;
    esac
    shift
done
echo "$url" >>"$WEB/asked"
[[ -f $WEB/${url#https://} ]] || { echo "curl: (22) no $url" >&2; exit 22; }
cat "$WEB/${url#https://}" >"$to"
"#;

/// `unzip -q FILE -d DIR`, of an archive that tar made.
const UNZIP: &str = "#!/bin/bash\nexec tar -xf \"$2\" -C \"$4\"\n";

/// Holds a signature for good if it is the signed file's own text, reversed.
const GPG: &str = r#"#!/bin/bash
case "$*" in
*--recv-keys*) exit 0 ;;
*--verify*) [[ $(rev <"${@: -1}") == "$(<"${@: -2:1}")" ]] &&
    echo "[GNUPG:] VALIDSIG FB5DB77FD5C118B80511ADA8A6310ACC4672475C 2026-01-01" ;;
esac
"#;

pub(crate) struct Web {
    folder: TempDir,
}

impl Web {
    pub(crate) fn new() -> Web {
        let folder = tempfile::tempdir().unwrap();
        let web = Web { folder };
        for (name, text) in [("curl", CURL), ("unzip", UNZIP), ("gpg", GPG)] {
            let path = web.write(&format!("bin/{name}"), text);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        web
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a file in the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Puts an answer to a URL, without its scheme, on the web.
    pub(crate) fn serve(&self, url: &str, text: &str) -> PathBuf {
        self.write(&format!("web/{url}"), text)
    }

    /// The URLs that were asked for, in this order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.path("web/asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    /// Runs a script of the tree on this web. What it writes under /usr/local, it
    /// writes into a file system that ends with it.
    pub(crate) fn run(
        &self,
        name: &str,
        environment: &[(&str, &Path)],
        arguments: &[&str],
    ) -> Output {
        fs::create_dir_all(self.path("web")).unwrap();
        let mut command: Command = script(name);
        let search = format!(
            "{}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.path("bin").display()
        );
        command.env("PATH", search).env("WEB", self.path("web"));
        command.envs(environment.iter().copied()).args(arguments);
        let mut contained = Command::new("unshare");
        contained
            .args(["--mount", "--propagation", "private", "bash", "-c"])
            .arg(r#"mount -t tmpfs tmpfs /usr/local && exec "$@""#)
            .arg("contained")
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(command.get_current_dir().unwrap())
            .env_clear();
        for (name, value) in command.get_envs() {
            contained.env(name, value.unwrap());
        }
        contained.output().unwrap()
    }
}

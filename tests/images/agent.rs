//! The agent's image, with a stand-in for what cannot be built: Microsoft's agent.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, sync::LazyLock};

use serde_json::json;
use tempfile::TempDir;

use super::{BUILT, image::Image, run, said};

static IMAGE: LazyLock<Image> = LazyLock::new(|| Image::open(&BUILT.agent));

/// The image's own user, and one of the cluster's choice: no name, the group 0.
const USERS: [&str; 2] = ["10001:0", "1000690000:0"];

/// A folder that anybody may write to, as an emptyDir is.
fn volume() -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// What a shell command prints in the image; it must succeed.
fn shell(user: &str, volumes: &[(&Path, &str)], command: &str) -> String {
    let output = IMAGE.run(
        user,
        volumes,
        &["/bin/bash", "-euo", "pipefail", "-c", command],
    );
    assert!(
        output.status.success(),
        "{user}: {command}\n{}",
        said(&output)
    );
    said(&output).trim().to_owned()
}

#[test]
fn every_tool_answers_as_the_images_user() {
    let tools = [
        ("git --version", "git version 2."),
        ("helm version --short", "v4."),
        ("kubectl version --client", "Client Version: v1."),
        ("aws --version", "aws-cli/2."),
        ("curl --version", "curl "),
        ("jq --version", "jq-1."),
        ("unzip -v", "UnZip "),
        ("bash --version", "GNU bash"),
        ("/usr/local/bin/azp-agent --version", "azp-agent "),
        (
            "/azp/agent/bin/Agent.Listener --version",
            azp_stand_in::VERSION,
        ),
        ("ls /usr/lib/*/libicuuc.so.*", "/usr/lib/"),
        ("ls -l /etc/ssl/certs/ca-certificates.crt", "-rw-r--r--"),
    ];
    let tmp = volume();
    for user in USERS {
        for (command, answer) in tools {
            let said = shell(user, &[(tmp.path(), "/tmp")], command);
            assert!(said.starts_with(answer), "{user}: {command}: {said}");
        }
    }
}

#[test]
fn it_starts_azp_agent_itself_and_not_as_root() {
    let command = json!(["/usr/local/bin/azp-agent", "run"]);
    assert_eq!(IMAGE.config["Entrypoint"], command);
    assert_eq!(IMAGE.config["User"], "10001:0");
    assert_eq!(IMAGE.config["WorkingDir"], "/azp");
    let environment = IMAGE.config["Env"].as_array().unwrap();
    assert!(environment.contains(&json!("HOME=/azp")), "{environment:?}");
    let passwd = fs::read_to_string(IMAGE.root().join("etc/passwd")).unwrap();
    assert!(passwd.contains("azp:x:10001:0::/azp:/bin/bash"), "{passwd}");
}

#[test]
fn nothing_gives_more_rights_than_a_process_has() {
    let more: Vec<&String> = IMAGE
        .files
        .iter()
        .filter(|(_, entry)| entry.is_regular() && entry.mode & 0o6000 != 0)
        .map(|(name, _)| name)
        .collect();
    assert!(more.is_empty(), "{more:?}");
    let capable = run(Command::new("find").arg(IMAGE.root()).args([
        "-name", "sudo", "-o", "-name", "doas", "-o", "-name", "pkexec",
    ]));
    assert_eq!(capable, "");
}

#[test]
fn only_the_agents_folder_is_the_users_own() {
    for (name, entry) in &IMAGE.files {
        let inside = name == "azp" || name.starts_with("azp/");
        assert_eq!(inside, entry.uid == 10001, "{name}: {entry:?}");
        if inside {
            assert_eq!(entry.gid, 0, "{name}");
            let (owner, group) = (entry.mode >> 6 & 7, entry.mode >> 3 & 7);
            assert_eq!(
                owner, group,
                "{name} is not the group's as it is the owner's: {entry:?}"
            );
            assert!(owner & 6 == 6 && entry.mode & 2 == 0, "{name}: {entry:?}");
        }
    }
    for name in [
        "azp/agent/config.sh",
        "azp/agent/run.sh",
        "azp/agent/bin/Agent.Listener",
    ] {
        assert_eq!(IMAGE.files[name].mode & 0o111, 0o111, "{name}");
    }
    // What a build brought along and no job needs.
    for name in [
        "usr/local/sbin/install-packages",
        "downloads",
        "fetch",
        "usr/local/share/ca-certificates/.gitkeep",
    ] {
        assert!(!IMAGE.files.contains_key(name), "{name}");
    }
}

#[test]
fn the_agent_can_update_itself_and_work_in_its_folder() {
    let azp = IMAGE.root().join("azp");
    for user in USERS {
        // The image's own files, as in a container whose root can be written.
        let (copy, tmp) = (volume(), volume());
        run(Command::new("cp").arg("-a").arg(&azp).arg(copy.path()));
        let azp = copy.path().join("azp");
        let volumes = [(azp.as_path(), "/azp"), (tmp.path(), "/tmp")];
        shell(
            user,
            &volumes,
            "cd /azp/agent; mkdir _work _diag; touch .agent _work/a _diag/b; \
             mv bin bin.old; cp -r bin.old bin; rm -r bin.old; echo >>config.sh; \
             git config --global user.name a",
        );
    }
}

#[test]
fn a_root_that_cannot_be_written_needs_two_volumes() {
    for user in USERS {
        let (azp, tmp) = (volume(), volume());
        // An init container of the same image fills the volume; cp keeps no owner.
        shell(user, &[(azp.path(), "/mnt")], "cp -dR /azp/. /mnt/");
        let volumes = [(azp.path(), "/azp"), (tmp.path(), "/tmp")];
        let answer = shell(
            user,
            &volumes,
            "touch /azp/agent/.agent /tmp/x; mkdir ~/.aws /azp/agent/_work; /azp/agent/run.sh --version",
        );
        assert_eq!(answer, azp_stand_in::VERSION);
        let elsewhere = "for each in / /etc /usr/local/bin /var /home; do ! touch $each/x 2>/dev/null || echo $each; done";
        assert_eq!(shell(user, &volumes, elsewhere), "");
    }
}

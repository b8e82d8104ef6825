//! images/agent/fetch: where each file comes from, and which hash it must have.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use super::{run, said, web::Web};

const FILE: &str = "kubectl-v1.2.3-linux-amd64";
const PUBLISHER: &str = "dl.k8s.io/release/v1.2.3/bin/linux/amd64/kubectl";

/// The SHA-256 of a text.
fn sha256(text: &str) -> String {
    let mut command = Command::new("bash");
    command.args([
        "-c",
        "printf %s \"$1\" | sha256sum | cut -d ' ' -f 1",
        "-",
        text,
    ]);
    run(&mut command).trim().to_owned()
}

/// A web whose versions.env pins kubectl 1.2.3, whose text is `kubectl`.
fn web() -> Web {
    let web = Web::new();
    let pins =
        ["AMD64", "ARM64"].map(|arch| format!("KUBECTL_SHA256_{arch}={}\n", sha256("kubectl")));
    web.write(
        "versions.env",
        &format!("KUBECTL_VERSION=1.2.3\n{}", pins.concat()),
    );
    fs::create_dir(web.path("downloads")).unwrap();
    web
}

/// Fetches kubectl and gives back what was laid out, or what was said instead.
fn fetch(web: &Web, more: &[(&str, &Path)]) -> Result<String, String> {
    let (versions, downloads, out) = (
        web.path("versions.env"),
        web.path("downloads"),
        web.path("out"),
    );
    let mut environment: Vec<(&str, &Path)> =
        vec![("VERSIONS", &versions), ("DOWNLOADS", &downloads)];
    environment.extend(more);
    let output = web.run(
        "images/agent/fetch",
        &environment,
        &["amd64", out.to_str().unwrap(), "kubectl"],
    );
    let laid = out.join("usr/local/bin/kubectl");
    assert_eq!(output.status.success(), laid.exists(), "{}", said(&output));
    if !laid.exists() {
        return Err(said(&output));
    }
    assert_eq!(
        laid.metadata().unwrap().permissions().mode() & 0o7777,
        0o755
    );
    Ok(fs::read_to_string(laid).unwrap())
}

#[test]
fn a_file_comes_from_the_folder_then_the_mirror_then_its_publisher() {
    let web = web();
    let mirror = ("MIRROR", Path::new("https://mirror.example/files/"));
    web.serve(PUBLISHER, "kubectl");
    assert_eq!(fetch(&web, &[]).as_deref(), Ok("kubectl"));
    assert_eq!(web.asked(), [format!("https://{PUBLISHER}")]);

    web.serve(&format!("mirror.example/files/{FILE}"), "kubectl");
    assert_eq!(fetch(&web, &[mirror]).as_deref(), Ok("kubectl"));
    assert_eq!(
        web.asked()[1..],
        [format!("https://mirror.example/files/{FILE}")]
    );

    web.write(&format!("downloads/{FILE}"), "kubectl");
    assert_eq!(fetch(&web, &[mirror]).as_deref(), Ok("kubectl"));
    assert_eq!(web.asked().len(), 2);
}

#[test]
fn a_file_with_another_hash_is_refused_wherever_it_comes_from() {
    for place in ["web/mirror.example", "downloads"] {
        let web = web();
        web.write(&format!("{place}/{FILE}"), "something else");
        let refused = fetch(&web, &[("MIRROR", Path::new("https://mirror.example"))]).unwrap_err();
        for part in [&sha256("kubectl"), &sha256("something else"), "remedy: "] {
            assert!(refused.contains(part), "{place}: {refused}");
        }
    }
}

#[test]
fn who_puts_a_file_into_the_folder_vouches_for_it_by_a_hash_beside_it() {
    let web = web();
    web.write(&format!("downloads/{FILE}"), "ours");
    web.write(
        &format!("downloads/{FILE}.sha256"),
        &format!("{}  {FILE}\n", sha256("ours")),
    );
    assert_eq!(fetch(&web, &[]).as_deref(), Ok("ours"));
    assert!(web.asked().is_empty(), "{:?}", web.asked());
}

#[test]
fn another_version_has_the_hash_that_its_publisher_names() {
    let another = ("KUBECTL_VERSION", Path::new("1.2.4"));
    let at = PUBLISHER.replace("1.2.3", "1.2.4");
    let web = web();
    web.serve(&at, "newer");
    // Nobody names one: the pinned one is another version's.
    let refused = fetch(&web, &[another]).unwrap_err();
    assert!(
        refused.contains("nobody names the SHA-256 of kubectl-v1.2.4-linux-amd64"),
        "{refused}"
    );
    web.serve(&format!("{at}.sha256"), &sha256("newer"));
    assert_eq!(fetch(&web, &[another]).as_deref(), Ok("newer"));
}

#[test]
fn a_file_that_is_nowhere_is_said_with_its_remedy() {
    let refused = fetch(&web(), &[]).unwrap_err();
    for part in [PUBLISHER, FILE, "images/downloads", "MIRROR"] {
        assert!(refused.contains(part), "{refused}");
    }
}

/// The publishers' addresses of both architectures, and what is laid out.
#[test]
fn each_tool_is_fetched_for_both_architectures_and_laid_out() {
    let tools = [
        (
            "agent",
            "amd64",
            "download.agent.dev.azure.com/agent/9.9.9/vsts-agent-linux-x64-9.9.9.tar.gz",
            "azp/agent/bin/Agent.Listener",
        ),
        (
            "agent",
            "arm64",
            "download.agent.dev.azure.com/agent/9.9.9/vsts-agent-linux-arm64-9.9.9.tar.gz",
            "azp/agent/run.sh",
        ),
        (
            "helm",
            "amd64",
            "get.helm.sh/helm-v9.9.9-linux-amd64.tar.gz",
            "usr/local/bin/helm",
        ),
        (
            "helm",
            "arm64",
            "get.helm.sh/helm-v9.9.9-linux-arm64.tar.gz",
            "usr/local/bin/helm",
        ),
        (
            "kubectl",
            "arm64",
            "dl.k8s.io/release/v9.9.9/bin/linux/arm64/kubectl",
            "usr/local/bin/kubectl",
        ),
        (
            "aws-cli",
            "amd64",
            "awscli.amazonaws.com/awscli-exe-linux-x86_64-9.9.9.zip",
            "usr/local/bin/aws",
        ),
        (
            "aws-cli",
            "arm64",
            "awscli.amazonaws.com/awscli-exe-linux-aarch64-9.9.9.zip",
            "usr/local/aws-cli/aws",
        ),
    ];
    for (tool, arch, url, laid) in tools {
        let web = Web::new();
        publish(&web, tool, arch, url);
        let (versions, out) = (web.path("versions.env"), web.path("out"));
        let output = web.run(
            "images/agent/fetch",
            &[
                ("VERSIONS", &versions),
                ("DOWNLOADS", Path::new("/nowhere")),
            ],
            &[arch, out.to_str().unwrap(), tool],
        );
        assert!(output.status.success(), "{tool} {arch}: {}", said(&output));
        assert_eq!(web.asked(), [format!("https://{url}")]);
        assert!(
            out.join(laid).symlink_metadata().is_ok(),
            "{tool} {arch}: no {laid}"
        );
        assert!(!Path::new("/usr/local/aws-cli/aws").exists());
    }
}

/// Puts a package of a tool, in its publisher's shape, on the web, and pins it.
fn publish(web: &Web, tool: &str, arch: &str, url: &str) {
    let at = web.serve(url, tool);
    let packed = match tool {
        "agent" => vec![
            "bin/Agent.Listener".to_owned(),
            "config.sh".to_owned(),
            "run.sh".to_owned(),
        ],
        "helm" => vec![format!("linux-{arch}/helm")],
        "aws-cli" => vec!["aws/install".to_owned()],
        _ => Vec::new(),
    };
    if !packed.is_empty() {
        // What the installer of AWS does, as far as fetch relies on it.
        let text = "#!/bin/sh\nmkdir -p \"$2\" \"$4\"\ntouch \"$2/aws\"\nln -s \"$2/aws\" \"$4/aws\"\nln -s \"$2/aws\" \"$4/aws_completer\"\n";
        for name in packed {
            let file = web.write(&format!("package/{name}"), text);
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        run(Command::new("tar")
            .arg("-czf")
            .arg(&at)
            .arg("-C")
            .arg(web.path("package"))
            .arg("."));
        if tool == "helm" {
            let within = format!("linux-{arch}/helm");
            run(Command::new("tar")
                .arg("-czf")
                .arg(&at)
                .arg("-C")
                .arg(web.path("package"))
                .arg(within));
        }
    }
    let sum = run(Command::new("sha256sum").arg(&at));
    let name = tool.to_uppercase().replace('-', "_");
    web.write(
        "versions.env",
        &format!(
            "{name}_VERSION=9.9.9\n{name}_SHA256_{}={}\n",
            arch.to_uppercase(),
            sum.split(' ').next().unwrap()
        ),
    );
}

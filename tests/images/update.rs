//! images/update-versions: what it makes of the publishers' answers.

use std::{fs, process::Output};

use super::{run, said, top, web::Web};

const DIGEST: &str = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd";

/// A hash of one digit, over and over.
fn hash(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// Every publisher with its newest version, as each answers.
fn publishers() -> Web {
    let web = Web::new();
    let row = |platform: &str, digit| {
        let file = format!("vsts-agent-linux-{platform}-7.8.9.tar.gz");
        format!(
            "| Linux | [{file}](https://download.example/{file}) | {} |\\r\\n",
            hash(digit)
        )
    };
    let body = [row("x64", 'a'), row("musl-x64", 'f'), row("arm64", 'b')].concat();
    let release = format!(r#"{{"tag_name": "v7.8.9", "body": "Downloads:\r\n{body}"}}"#);
    web.serve(
        "api.github.com/repos/microsoft/azure-pipelines-agent/releases/latest",
        &release,
    );
    web.serve("get.helm.sh/helm4-latest-version", "v4.9.9\n");
    web.serve("dl.k8s.io/release/stable.txt", "v1.99.1");
    for (arch, digit) in [("amd64", 'c'), ("arm64", 'd')] {
        let file = format!("helm-v4.9.9-linux-{arch}.tar.gz");
        web.serve(
            &format!("get.helm.sh/{file}.sha256sum"),
            &format!("{}  {file}\n", hash(digit)),
        );
        web.serve(
            &format!("dl.k8s.io/release/v1.99.1/bin/linux/{arch}/kubectl.sha256"),
            &hash(digit),
        );
    }
    web.serve(
        "raw.githubusercontent.com/aws/aws-cli/v2/CHANGELOG.rst",
        "=====\nCHANGELOG\n=====\n\n2.99.0\n======\n\n2.98.7\n======\n",
    );
    for arch in ["x86_64", "aarch64"] {
        let url = format!("awscli.amazonaws.com/awscli-exe-linux-{arch}-2.99.0.zip");
        web.serve(&url, arch);
        web.serve(
            &format!("{url}.sig"),
            &arch.chars().rev().collect::<String>(),
        );
    }
    for image in ["debian", "rust"] {
        web.serve(
            &format!("auth.docker.io/token?service=registry.docker.io&scope=repository:library/{image}:pull"),
            r#"{"token":"t","expires_in":300}"#,
        );
    }
    for tag in [
        "debian/manifests/trixie-slim".to_owned(),
        format!("rust/manifests/{}-slim-bookworm", channel()),
    ] {
        web.serve(
            &format!("registry-1.docker.io/v2/library/{tag}"),
            &format!("HTTP/2 200\r\nDocker-Content-Digest: {DIGEST}\r\n"),
        );
    }
    for name in ["versions.env", "scaler/Dockerfile", "agent/Dockerfile"] {
        let text = fs::read_to_string(top().join("images").join(name)).unwrap();
        web.write(name, &text);
    }
    web
}

/// The compiler's version, as the tree asks for it.
fn channel() -> String {
    let text = fs::read_to_string(top().join("rust-toolchain.toml")).unwrap();
    text.split('"').nth(1).unwrap().to_owned()
}

fn update(web: &Web, arguments: &[&str]) -> Output {
    let versions = web.path("versions.env");
    let dockerfiles = ["scaler", "agent"].map(|image| {
        web.path(&format!("{image}/Dockerfile"))
            .display()
            .to_string()
    });
    let dockerfiles = dockerfiles.join(" ");
    web.run(
        "images/update-versions",
        &[
            ("VERSIONS", &versions),
            ("DOCKERFILES", dockerfiles.as_ref()),
        ],
        arguments,
    )
}

fn versions(web: &Web) -> String {
    fs::read_to_string(web.path("versions.env")).unwrap()
}

#[test]
fn every_version_and_every_hash_becomes_the_publishers() {
    let web = publishers();
    let output = update(&web, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let text = versions(&web);
    let aws = |arch| {
        run(
            std::process::Command::new("sha256sum").arg(web.path(&format!(
                "web/awscli.amazonaws.com/awscli-exe-linux-{arch}-2.99.0.zip"
            ))),
        )[..64]
            .to_owned()
    };
    let rust = format!(
        "RUST=docker.io/library/rust:{}-slim-bookworm@{DIGEST}",
        channel()
    );
    let expected = [
        format!("BASE=docker.io/library/debian:trixie-slim@{DIGEST}"),
        rust.clone(),
        "AGENT_VERSION=7.8.9".to_owned(),
        format!("AGENT_SHA256_AMD64={}", hash('a')),
        format!("AGENT_SHA256_ARM64={}", hash('b')),
        "HELM_VERSION=4.9.9".to_owned(),
        format!("HELM_SHA256_AMD64={}", hash('c')),
        format!("HELM_SHA256_ARM64={}", hash('d')),
        "KUBECTL_VERSION=1.99.1".to_owned(),
        format!("KUBECTL_SHA256_AMD64={}", hash('c')),
        format!("KUBECTL_SHA256_ARM64={}", hash('d')),
        "AWS_CLI_VERSION=2.99.0".to_owned(),
        format!("AWS_CLI_SHA256_AMD64={}", aws("x86_64")),
        format!("AWS_CLI_SHA256_ARM64={}", aws("aarch64")),
    ];
    let pins: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(pins, expected);
    for image in ["scaler", "agent"] {
        let dockerfile = fs::read_to_string(web.path(&format!("{image}/Dockerfile"))).unwrap();
        for pin in &expected[..2] {
            assert!(
                dockerfile.contains(&format!("\nARG {pin}\n")),
                "{image}: {pin}"
            );
        }
    }
    // Told line by line, and once more there is nothing to tell.
    assert_eq!(
        said(&output).lines().count(),
        expected.len(),
        "{}",
        said(&output)
    );
    assert_eq!(said(&update(&web, &[])), "");
}

#[test]
fn one_can_be_updated_alone_and_set_to_a_version() {
    let web = publishers();
    let before = versions(&web);
    for arch in ["amd64", "arm64"] {
        web.serve(
            &format!("dl.k8s.io/release/v1.90.0/bin/linux/{arch}/kubectl.sha256"),
            &hash('e'),
        );
    }
    let output = update(&web, &["kubectl=v1.90.0"]);
    assert!(output.status.success(), "{}", said(&output));
    let after = versions(&web);
    assert!(after.contains("\nKUBECTL_VERSION=1.90.0\n"), "{after}");
    let changed = before
        .lines()
        .zip(after.lines())
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(changed, 3, "{after}");
}

#[test]
fn what_is_no_hash_or_not_signed_changes_nothing() {
    let faults = [
        (
            "dl.k8s.io/release/v1.99.1/bin/linux/arm64/kubectl.sha256",
            "<html>",
            "which is no SHA-256",
        ),
        (
            "api.github.com/repos/microsoft/azure-pipelines-agent/releases/latest",
            r#"{"tag_name": "v7.8.9"}"#,
            "which is no SHA-256",
        ),
        (
            "awscli.amazonaws.com/awscli-exe-linux-aarch64-2.99.0.zip.sig",
            "forged",
            "is not signed by Amazon's key",
        ),
        (
            "registry-1.docker.io/v2/library/debian/manifests/trixie-slim",
            "HTTP/2 404\r\n",
            "names no digest of debian:trixie-slim",
        ),
    ];
    for (url, answer, fault) in faults {
        let web = publishers();
        let before = versions(&web);
        web.serve(url, answer);
        let output = update(&web, &[]);
        assert!(!output.status.success(), "{url}: {}", said(&output));
        assert!(said(&output).contains(fault), "{url}: {}", said(&output));
        assert_eq!(versions(&web), before, "{url}");
    }
}

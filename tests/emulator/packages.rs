//! Packages of the agent.

use std::fs;

use super::*;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[tokio::test]
async fn the_newest_package_comes_first_and_is_what_its_hash_says() {
    let folder = tempfile::tempdir().unwrap();
    let package = |platform: &str, version: &str, text: &[u8]| {
        let file = folder.path().join(format!("{platform}-{version}"));
        fs::write(&file, text).unwrap();
        let (platform, version) = (platform.into(), version.into());
        AgentPackage {
            platform,
            version,
            file,
        }
    };
    let large = vec![b'a'; 300_000];
    let running = Running::start_with(vec![
        package("linux-x64", "4.259.1", b"abc"),
        package("linux-x64", "4.1000.0", &large),
        package("linux-arm64", "5.0.0", b""),
    ]);
    let running = running.await;
    let packages = "/contoso/_apis/distributedtask/packages/agent";
    // the query, and the versions that come
    for (query, expected) in [
        ("", vec!["5.0.0", "4.1000.0", "4.259.1"]),
        ("?platform=linux-x64&$top=1", vec!["4.1000.0"]),
        ("?platform=linux-x64&top=1", vec!["4.1000.0", "4.259.1"]),
        ("?platform=LINUX-ARM64", vec!["5.0.0"]),
        ("?platform=win-x64", vec![]),
    ] {
        let answer = running
            .ask("GET", &format!("{packages}{query}"), TOKEN, "")
            .await;
        let list: Value = serde_json::from_str(&answer.body).unwrap();
        let rows = list["value"].as_array().unwrap().iter();
        let version = |row: &Value| {
            let part = |name: &str| row["version"][name].to_string();
            [part("major"), part("minor"), part("patch")].join(".")
        };
        let versions: Vec<String> = rows.map(version).collect();
        assert_eq!(versions, expected, "{query}");
    }
    let one = running
        .ask("GET", &format!("{packages}/linux-x64/4.259.1"), TOKEN, "")
        .await;
    let one: Value = serde_json::from_str(&one.body).unwrap();
    let url = "http://azure.test/_emulator/packages/vsts-agent-linux-x64-4.259.1.tar.gz";
    assert_eq!(
        (&one["type"], &one["downloadUrl"]),
        (&json!("agent"), &json!(url))
    );
    assert_eq!(one["hashValue"], ABC);
    for (path, status) in [
        ("/linux-x64/4.1.0", 404),
        ("/linux-x64/x", 404),
        ("?$top=x", 400),
    ] {
        let answer = running
            .ask("GET", &format!("{packages}{path}"), TOKEN, "")
            .await;
        answer.check(path, status, &["typeKey"]);
    }
    // No token is asked for.
    let path = |version: &str| format!("packages/vsts-agent-linux-x64-{version}.tar.gz");
    let small = running.own("GET", &path("4.259.1"), "").await;
    small.check("small", 200, &["content-length: 3"]);
    assert_eq!(small.body, "abc");
    let answer = running.own("GET", &path("4.1000.0"), "").await;
    assert!(
        answer.body.as_bytes() == large,
        "{} bytes",
        answer.body.len()
    );
    running
        .own("GET", &path("4.1.0"), "")
        .await
        .check("unknown", 404, &["error"]);
    running
        .own("POST", "faults", r#"{"kind":"cut-body","count":1}"#)
        .await;
    let cut = running.own("GET", &path("4.259.1"), "").await;
    assert_ne!(cut.body, "abc");
    // A file that is gone meanwhile.
    fs::remove_file(folder.path().join("linux-x64-4.259.1")).unwrap();
    running
        .own("GET", &path("4.259.1"), "")
        .await
        .check("gone", 500, &[]);
    running.stop().await;
}

#[test]
fn a_package_that_cannot_be_offered_is_told_with_its_remedy() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let package = |version: &str, file: &std::path::Path| AgentPackage {
        platform: "linux-x64".into(),
        version: version.into(),
        file: file.to_owned(),
    };
    for (packages, words) in [
        (
            vec![package("4.260", file.path())],
            "give three numbers as in 4.260.0",
        ),
        (
            vec![package("4.260.0", "/nowhere".as_ref())],
            "\"/nowhere\" cannot be read",
        ),
        (
            vec![
                package("4.260.0", file.path()),
                package("4.260.0", file.path()),
            ],
            "is the second for linux-x64 of this version",
        ),
    ] {
        let settings = Settings {
            packages,
            ..Settings::default()
        };
        let refusal = Emulator::new(settings).unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
}

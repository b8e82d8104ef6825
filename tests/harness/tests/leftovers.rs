//! The promise of the harness: whatever ends a cluster's owner, no process and
//! no file of the cluster is left.
//!
//! Needs the programs of `make tools`, and fails without them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn azp_cluster(action: &str, directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_azp-cluster"))
        .args([action, "--hpa-sync-period", "2s", "--dir"])
        .arg(directory)
        .output()
        .expect("azp-cluster runs")
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// The processes that bear the mark of a cluster in this directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let mark = format!("AZP_HARNESS_DIRECTORY={}", directory.display());
    let bears_mark = |environment: Vec<u8>| {
        environment
            .split(|&byte| byte == 0)
            .any(|entry| entry == mark.as_bytes())
    };
    fs::read_dir("/proc")
        .expect("/proc can be read")
        .filter_map(|entry| Some(entry.ok()?.path()))
        // Those of others cannot be read, and are none of ours.
        .filter(|process| fs::read(process.join("environ")).is_ok_and(bears_mark))
        .map(|process| fs::read_to_string(process.join("comm")).unwrap_or_default())
        .collect()
}

#[test]
fn a_killed_owner_leaves_neither_processes_nor_files() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let directory = parent
        .path()
        .canonicalize()
        .expect("it exists")
        .join("cluster");

    let up = azp_cluster("up", &directory);
    assert!(up.status.success(), "{}", said(&up));
    let running = processes_of(&directory);
    // etcd, apiserver, scheduler, controller-manager, KEDA's operator and adapter.
    assert_eq!(running.len(), 6, "{running:?}");

    let again = azp_cluster("up", &directory);
    assert!(
        again.status.success() && said(&again).contains("runs already"),
        "{}",
        said(&again)
    );

    let owner = fs::read_to_string(directory.join(".azp-cluster")).expect("the mark");
    let killed = Command::new("kill")
        .args(["-KILL", &owner])
        .status()
        .expect("kill runs");
    assert!(killed.success(), "the owner {owner} was there");

    let deadline = Instant::now() + Duration::from_secs(20);
    while directory.exists() {
        assert!(
            Instant::now() < deadline,
            "{} is still there",
            directory.display()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let left: Vec<String> = processes_of(&directory);
    assert_eq!(left, Vec::<String>::new());

    let down = azp_cluster("down", &directory);
    assert!(
        said(&down).contains("no cluster is running"),
        "{}",
        said(&down)
    );
}

#[test]
fn what_is_not_a_cluster_is_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let precious = directory.path().join("precious");
    fs::write(&precious, "data").expect("it can be written");
    for action in ["up", "down"] {
        let output = azp_cluster(action, directory.path());
        assert!(!output.status.success(), "{action}: {}", said(&output));
        assert!(
            said(&output).contains("not a cluster's directory"),
            "{}",
            said(&output)
        );
    }
    assert!(precious.exists());
}

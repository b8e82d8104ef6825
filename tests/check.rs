//! `azp-scaler check`: what it says of files, word for word.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
        .arg("check")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is found in this input, without the summary.
#[track_caller]
fn check(input: &str, code: i32, expected: &[&str]) {
    let output = run(&["-"], input);
    let mut lines: Vec<&str> = text(&output.stdout).lines().collect();
    let summary = lines.pop().expect("a summary");
    let shown: String = input.chars().take(2_000).collect();
    assert_eq!(lines, expected, "{summary}\nof:\n{shown}");
    assert_eq!(output.status.code(), Some(code), "{summary}\nof:\n{shown}");
    assert_eq!(text(&output.stderr), "");
}

/// A ScaledObject that leaves nothing to say; its metadata begins in line 15.
fn scaled_object(metadata: &[&str]) -> String {
    let metadata: String = metadata
        .iter()
        .map(|line| format!("      {line}\n"))
        .collect();
    format!(
        "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: linux
  namespace: ci
spec:
  minReplicaCount: 1
  maxReplicaCount: 50
  advanced: {{horizontalPodAutoscalerConfig: {{behavior: {{scaleUp: {{tolerance: \"0\"}}}}}}}}
  triggers:
  - type: external-push
    metricType: AverageValue
    metadata:
      scalerAddress: azp-scaler.keda:9090
{metadata}"
    )
}

/// A ScaledJob that leaves nothing to say; its metadata begins in line 13.
fn scaled_job(strategy: &str, metadata: &[&str]) -> String {
    let metadata: String = metadata
        .iter()
        .map(|line| format!("      {line}\n"))
        .collect();
    format!(
        "\
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {{name: linux, namespace: ci}}
spec:
  minReplicaCount: 1
  maxReplicaCount: 50
  rollout: {{strategy: gradual}}
  scalingStrategy: {{strategy: {strategy}}}
  triggers:
  - type: external
    metadata:
      scalerAddress: azp-scaler.keda:9090
{metadata}"
    )
}

#[test]
fn what_is_right_leaves_nothing_to_say() {
    check(&scaled_object(&["poolName: linux"]), 0, &[]);
    check(
        &scaled_job("eager", &["poolID: \"27\"", "mode: job", "strategy: eager"]),
        0,
        &[],
    );
    check("", 0, &[]);
}

/// Where no agent may be registered, jobs fail at once; minReplicaCount is in line 7
/// of a ScaledObject and in line 5 of a ScaledJob.
#[test]
fn what_may_go_to_zero_wants_a_placeholder() {
    let missing = |at: &str| {
        format!(
            "-:{at}: notice: placeholder: is missing, and there may be no agent at all: then a job \
             fails at once, unless another agent of the pool is registered that has what it asks \
             for; register one that stays (azp-agent placeholder), and name it here"
        )
    };
    let docker = ["poolName: linux", "capabilities: docker"];
    for (least, wants) in [
        ("minReplicaCount: 1", false),
        ("minReplicaCount: 0", true),
        ("cooldownPeriod: 60", true),
        ("minReplicaCount: 2 # by day", false),
    ] {
        for (input, at) in [
            (scaled_object(&docker), "13:5"),
            (scaled_job("default", &docker), "11:5"),
        ] {
            let input = input.replace("minReplicaCount: 1", least);
            let expected = missing(at);
            let expected: &[&str] = if wants { &[&expected] } else { &[] };
            check(&input, 0, expected);
        }
    }
    let idle = scaled_object(&docker).replace(
        "minReplicaCount: 1",
        "minReplicaCount: 1\n  idleReplicaCount: 0",
    );
    check(&idle, 0, &[&missing("14:5")]);
    for more in ["placeholder: linux-placeholder", "parent: linux-template"] {
        let input = scaled_object(&["poolName: linux", more]);
        check(
            &input.replace("minReplicaCount: 1", "minReplicaCount: 0"),
            0,
            &[],
        );
    }
}

#[test]
fn each_problem_is_told_at_its_key() {
    let table: &[(&[&str], i32, &[&str])] = &[
        (
            &["poolname: linux"],
            1,
            &[
                "-:13:5: error: poolName: is missing; name the agent pool here, or give its poolID",
                "-:15:7: error: poolname: is no known key; did you mean poolName?",
            ],
        ),
        (
            &["poolName: linux", "capabilites: docker", "apiToken: s3cret"],
            1,
            &[
                "-:16:7: error: capabilites: is no known key; did you mean capabilities?",
                "-:17:7: error: apiToken: is no known key; remove it",
            ],
        ),
        (
            &["poolID: 27"],
            1,
            &[
                "-:15:7: error: poolID: 27 is a number to YAML, and KEDA wants text; quote it: \"27\"",
            ],
        ),
        (
            &[
                "poolName: linux",
                "caseInsensitiveDemandsProcessing: yes  # so that Java is java",
            ],
            1,
            &[
                "-:16:7: error: caseInsensitiveDemandsProcessing: yes is a boolean to YAML, and \
                 KEDA wants text; quote it: \"yes\", or \"true\" where that is meant",
            ],
        ),
        (
            &[
                "poolName: linux",
                "capabilities: [docker, java=17]",
                "demands:",
            ],
            1,
            &[
                "-:16:7: error: capabilities: is a list or a map, and KEDA wants one text; \
                 write its items between quotes, separated by commas",
                "-:17:7: error: demands: has no value, and KEDA wants text; write one in quotes, \
                 or remove the key",
            ],
        ),
        (
            &["{poolName: linux, jobsToFetch: 1_000, warmAgents: many}"],
            1,
            // No map at all once two ways to write one are mixed.
            &["-:15:7: error: YAML: simple key expected ':'; nothing after this was checked"],
        ),
        (
            &["poolName: linux", "organizationURLFromEnv: AZP_URL"],
            0,
            &[
                "-:16:7: notice: organizationURLFromEnv: names an environment variable of the \
                 scale target, whose value is known in the cluster alone; it is not checked",
            ],
        ),
        (
            &[
                "poolName: linux",
                "caCert: |",
                "  -----BEGIN",
                "tlsCertFile: /ca.pem",
            ],
            0,
            &[
                "-:16:7: warning: caCert: is not read from here; put it into a TriggerAuthentication",
                "-:18:7: warning: tlsCertFile: is read by older versions of KEDA alone; use caCert \
                 of a TriggerAuthentication",
            ],
        ),
        (
            &["poolName: linux", "mode: job", "scaleOnInFlight: \"false\""],
            1,
            &[
                "-:16:7: error: mode: is job, and this is a ScaledObject; write \"deployment\", or \
                 remove it",
                "-:17:7: warning: scaleOnInFlight: leaves busy agents out of the number, so that \
                 the HPA takes them away; remove it",
            ],
        ),
        (
            &["poolName: linux", "strategy: eager"],
            1,
            &[
                "-:16:7: error: strategy: belongs to a ScaledJob, and this is a ScaledObject; \
                 remove it",
            ],
        ),
        (
            &["poolName: '{{ .Values.pool }}'"],
            1,
            &[
                "-:15:7: error: poolName: is a template, not a value; render it first: \
                 helm template CHART | azp-scaler check -",
            ],
        ),
    ];
    for (metadata, code, expected) in table {
        check(&scaled_object(metadata), *code, expected);
    }
}

#[test]
fn a_scaled_job_is_what_its_trigger_says() {
    let table: &[(&str, &[&str], i32, &[&str])] = &[
        (
            "accurate",
            &["poolName: linux", "mode: deployment", "strategy: eager"],
            1,
            &[
                "-:14:7: error: mode: is deployment, and this is a ScaledJob; write \"job\"",
                "-:15:7: error: strategy: is eager, and the ScaledJob's scalingStrategy.strategy \
                 is accurate; write \"accurate\"",
                "-:15:7: error: strategy: belongs to mode: job; remove it",
            ],
        ),
        (
            "accurate",
            &["poolName: linux", "mode: job"],
            0,
            &[
                "-:11:5: warning: strategy: is missing, and the ScaledJob's \
                 scalingStrategy.strategy is accurate: a scaler that cannot see the ScaledJob \
                 counts running jobs, for which KEDA then starts Jobs again; write \"accurate\"",
            ],
        ),
        (
            "default",
            &["poolName: linux", "scaleOnInFlight: \"false\""],
            0,
            &[
                "-:14:7: warning: scaleOnInFlight: starts too few Jobs with the strategy default, \
                 by which KEDA takes off the running ones once more; remove it",
            ],
        ),
        (
            "accurate",
            &["poolName: linux", "strategy: accurate", "warmAgents: \"2\""],
            1,
            &[
                "-:15:7: error: warmAgents: cannot be kept with the strategies accurate \
                 and eager, which never take off an agent that already waits; use the strategy default",
            ],
        ),
    ];
    for (strategy, metadata, code, expected) in table {
        check(&scaled_job(strategy, metadata), *code, expected);
    }
}

#[test]
fn what_makes_a_right_number_useless_is_told() {
    let object = scaled_object(&["poolName: linux"])
        .replace("  maxReplicaCount: 50\n", "")
        .replace("tolerance", "stabilizationWindowSeconds")
        .replace("AverageValue", "Value");
    check(
        &object,
        0,
        &[
            "-:6:1: notice: spec.maxReplicaCount: is missing, so it is KEDA's default, 100",
            "-:8:57: notice: \
             spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.tolerance: is missing, \
             so the HPA does nothing within a tenth of what it has: two jobs beside twenty busy \
             agents wait; write \"0\" (Kubernetes 1.35)",
            "-:11:5: warning: spec.triggers[0].metricType: is Value, by which the HPA multiplies \
             the number of jobs with that of its pods; write AverageValue, or remove it",
        ],
    );
    let job = scaled_job("default", &["poolName: linux"])
        .replace("strategy: gradual", "strategy: immediate")
        .replace("type: external", "type: external-push");
    check(
        &job,
        1,
        &[
            "-:7:13: warning: spec.rollout.strategy: is not gradual, so KEDA deletes the running \
             Jobs, and what they build, when this ScaledJob is edited; write gradual",
            "-:10:5: error: spec.triggers[0].type: is external-push, which KEDA does not support \
             for a ScaledJob: it never gets a Job; write external, and a short pollingInterval",
        ],
    );
    let job = scaled_job("default", &["poolName: linux"])
        .replace("rollout: {strategy: gradual}", "rolloutStrategy: immediate");
    let output = run(&["--strict", "-"], &job);
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output.stdout);
    assert!(
        found.starts_with("-:7:3: warning: spec.rolloutStrategy: is not gradual"),
        "{found}"
    );
    check(
        &scaled_object(&["poolName: linux"]).replace("triggers:", "trigger:"),
        1,
        &["-:6:1: error: spec.triggers: is missing or no list; KEDA wants one trigger at least"],
    );
}

#[test]
fn profiles_that_cannot_be_told_apart_are_told() {
    let one = scaled_object(&["poolName: linux", "capabilities: docker, java=17"]);
    let other = |metadata: &[&str]| {
        let other = scaled_object(metadata).replace("name: linux", "name: also");
        format!("{one}---\n{other}")
    };
    check(
        &other(&["poolName: Linux", "capabilities: Java=17, docker"]),
        0,
        &[
            "-:30:5: notice: metadata: offers the same as ci/linux (-:13) on the same pool: a job \
             that both could take goes to ci/also, by name alone; tell them apart by capabilities, \
             requires or priority",
        ],
    );
    let apart: &[&[&str]] = &[
        &["poolName: linux", "capabilities: docker"],
        &["poolName: windows", "capabilities: docker, java=17"],
        &[
            "poolName: linux",
            "capabilities: docker, java=17",
            "requires: java",
        ],
        &[
            "poolName: linux",
            "capabilities: docker, java=17",
            "priority: \"1\"",
        ],
        &["poolName: linux", "demands: docker"],
        &[
            "poolName: linux",
            "organizationURL: https://dev.azure.com/fabrikam",
            "capabilities: docker, java=17",
        ],
    ];
    for metadata in apart {
        check(&other(metadata), 0, &[]);
    }
}

#[test]
fn what_is_somebody_elses_is_passed_over() {
    let theirs = scaled_object(&["queue: jobs", "mode: many"]).replace("mode", "model");
    let input = format!(
        "{theirs}---\nkind: Deployment\nspec: {{replicas: 1}}\n---\n\
         {}---\n# nothing\n---\nkind: List\nitems:\n- kind: ConfigMap\n",
        theirs.replace("external-push", "cron")
    );
    let output = run(&["-"], &input);
    assert_eq!(
        text(&output.stdout),
        "2 scaling objects with 0 triggers in 1 file: 0 errors, 0 warnings, 0 notices; \
         passed over: 1 external trigger, 2 other documents\n"
    );
    assert_eq!(output.status.code(), Some(0));

    // By its address it is ours, whatever its keys.
    let output = run(&["--address", "azp-scaler.keda:9090", "-"], &input);
    let found = text(&output.stdout);
    assert!(
        found.contains("-:15:7: error: queue: is no known key"),
        "{found}"
    );
    assert_eq!(output.status.code(), Some(1));
    let ours = scaled_object(&["poolName: linux", "unknown: x"]);
    let longer = "azp-scaler.keda.svc.cluster.local:9090";
    assert_eq!(
        run(&["--address", longer, "-"], &input).stdout,
        output.stdout
    );
    let output = run(&["--address", "other:9090", "-"], &ours);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).ends_with("passed over: 1 external trigger\n"));
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    let good = scaled_object(&["poolName: linux", "unknown: x"]);
    let unknown = "-:16:7: error: unknown: is no known key; remove it";
    check(
        &format!("{good}---\na: b\n  c: d\n"),
        1,
        &[
            unknown,
            "-:19:4: error: YAML: mapping values are not allowed in this context; \
             nothing after this was checked",
        ],
    );
    check(
        &format!("{good}---\n{{{{- if .Values.gpu }}}}\nkind: ScaledObject\n{{{{- end }}}}\n"),
        1,
        &[
            unknown,
            "-:18:1: error: {{: this is a template, not YAML; render it first: \
             helm template CHART | azp-scaler check -",
        ],
    );
    check(
        "kind: ScaledObject\nspec: {triggers: [{metadata: {poolName: {{ .Values.pool }}}}]}\n",
        1,
        &[
            "-:2:41: error: {{: this is a template, not YAML; render it first: \
           helm template CHART | azp-scaler check -",
        ],
    );
    check(
        &"[".repeat(100_000),
        1,
        &["-:1:256: error: YAML: recursion limit exceeded; nothing after this was checked"],
    );
}

#[test]
fn what_cannot_be_read_has_its_own_code() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.yaml");
    fs::write(&good, scaled_object(&["poolName: linux"])).unwrap();
    let missing = folder.path().join("missing.yaml");
    let output = run(&[good.to_str().unwrap(), missing.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("1 scaling object with 1 trigger in 1 file"));
    let errors = text(&output.stderr);
    assert!(
        errors.contains("cannot be read") && errors.contains("missing.yaml"),
        "{errors}"
    );
    assert_eq!(run(&[], "").status.code(), Some(64));
}

#[test]
fn machines_read_json() {
    let output = run(
        &["--json", "-"],
        &scaled_object(&["poolName: linux", "poolld: \"2\""]),
    );
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report,
        serde_json::json!({
            "files": 1, "scalingObjects": 1, "triggers": 1, "otherTriggers": 0,
            "otherDocuments": 0, "errors": 1, "warnings": 0, "notices": 0, "unreadable": [],
            "findings": [{
                "file": "-", "line": 16, "column": 7, "level": "error", "object": "ci/linux",
                "key": "poolld", "what": "is no known key; did you mean poolID?",
            }],
        })
    );
}

/// Whoever copies from the documentation gets something that works.
#[test]
fn the_documentation_stands_the_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    pages.extend(
        fs::read_dir(root.join("docs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    let mut examples = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let (example, _) = block.split_once("```").unwrap();
            // Part of a manifest cannot be checked; a whole one says what it is.
            if example.contains("kind: Scaled") {
                examples += 1;
                let output = run(&["--strict", "-"], example);
                let found = self::text(&output.stdout);
                assert!(output.status.success(), "{}:\n{found}", page.display());
            }
        }
    }
    assert!(examples > 0);
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_raw() {
    let metadata = ["poolName: linux", r#"strategy: "\e[2J\x9B\u202E""#];
    let output = run(&["-"], &scaled_job("default", &metadata));
    let told = text(&output.stdout);
    assert!(
        told.contains(r"is \u{1b}[2j\u{9b}\u{202e}, and the ScaledJob's"),
        "{told:?}"
    );
    let raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!told.contains(raw), "{told:?}");
}

/// However many keys somebody has pasted there, one line says so.
#[test]
fn more_keys_than_the_scaler_reads_are_one_problem() {
    let keys: Vec<String> = (0..20_000).map(|key| format!("key{key}: x")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let all = [&["poolName: linux"], &keys[..]].concat();
    check(
        &scaled_object(&all),
        1,
        &["-:13:5: error: metadata: has 20002 keys; the scaler reads 128 at most"],
    );
}

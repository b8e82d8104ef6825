//! The words for pages that a running scaler shows on bad days only.

use serde_json::json;

use super::*;

fn page(page: serde_json::Value) -> StatusPage {
    serde_json::from_value(page).unwrap()
}

fn linux() -> ScalingObject {
    ScalingObject {
        namespace: "ci".into(),
        name: "linux".into(),
    }
}

#[track_caller]
fn check(told: Result<String, String>, expected: Result<&[&str], &[&str]>) {
    let lines = |text: String| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    let told = told.map(lines).map_err(lines);
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(told, expected.map(owned).map_err(owned));
}

#[test]
fn a_pool_that_cannot_be_read_is_told_beside_the_last_number() {
    let page = page(json!({ "pools": [{
        "organization": "https://dev.azure.com/contoso", "pool": "k8s", "ageSeconds": 61.7,
        "failure": { "kind": "server", "message": "Azure DevOps failed with status 503", "times": 2 },
        "profiles": [{
            "namespace": "ci", "name": "linux", "kind": "ScaledJob", "maxAgents": 3,
            "jobsPerAgent": 1, "matches": "any job", "number": 4, "placeholder": "linux-placeholder",
            "sum": "4 = 3 queued + 0 assigned + 1 running",
            "notices": ["this pool is hosted by Microsoft"],
        }],
        "jobs": [{
            "id": 1, "state": "running", "agent": "linux-x", "queuedAt": "2026-11-24T11:19:56.48Z",
            "countedBy": ["ci/linux"], "why": ["ci/linux has it", "and more"],
        }],
        "jobsNotShown": 3,
    }] }));
    check(
        object(&page, &linux()),
        Ok(&[
            "ci/linux (ScaledJob) on pool k8s (https://dev.azure.com/contoso): \
             4 = 3 queued + 0 assigned + 1 running",
            "  read 62 s ago; reading it fails, 2 times in a row: Azure DevOps failed with status 503",
            "  takes any job",
            "  has 3 agents at most (maxReplicaCount), which is reached: jobs beyond it wait",
            "  linux-placeholder holds its place while it has no agent, and is none",
            "  notice: this pool is hosted by Microsoft",
            "  counts these jobs:",
            "    job 1, running on agent linux-x, queued at 2026-11-24T11:19:56Z: ci/linux has it",
            "    and 3 more",
        ]),
    );
}

#[test]
fn a_pool_that_was_never_found_is_told() {
    let page = page(json!({
        "version": "0.1.0", "learningSecondsLeft": 12.4,
        "pools": [{
            "organization": "https://dev.azure.com/contoso", "pool": "k9s",
            "failure": { "message": "pool k9s is not there", "times": 1 },
            "profiles": [{ "namespace": "ci", "name": "linux", "matches": "any job" }],
        }],
        "refused": [{ "namespace": "ci", "name": "linux", "why": "poolName: is missing" }],
    }));
    let pool = "pool k9s (https://dev.azure.com/contoso)";
    let failure = "not read yet; reading it fails, 1 time in a row: pool k9s is not there";
    let learning = "the scaler (version 0.1.0) started a moment ago and learns for 12 s yet which \
        scaling objects there are; until then it gives no number";
    check(
        object(&page, &linux()),
        Ok(&[
            "ci/linux gets no answer: poolName: is missing",
            &format!("ci/linux on {pool}: no number yet"),
            &format!("  {failure}"),
            "  takes any job",
            learning,
        ]),
    );
    check(
        job(&page, 7),
        Err(&[
            "no pool that the scaler reads has an unfinished job 7: it is finished, or waits for an \
             approval, a check or an earlier stage, or its pool is asked for by no scaling object",
            "  the number is that of the job request, not of the run",
            &format!("  {pool}: {failure}"),
        ]),
    );
}

#[test]
fn a_page_is_not_longer_than_somebody_reads() {
    let jobs: Vec<_> = (0..80)
        .map(|id| json!({ "id": id, "state": "queued", "why": ["so"] }))
        .collect();
    let page = page(json!({ "pools": [{
        "pool": "k8s", "unclaimed": 100, "jobs": jobs, "jobsNotShown": 20,
    }] }));
    let told = everything(&page);
    assert_eq!(
        told.lines().filter(|line| line.contains("job ")).count(),
        JOBS_TOLD
    );
    assert!(told.ends_with("    and 50 more\n"), "{told}");
}

#[test]
fn nothing_on_the_page_reaches_the_terminal_raw() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}2J\n\u{202e}";
    let job = json!({
        "id": 7, "state": evil, "agent": evil, "pipeline": evil, "run": evil,
        "demands": [evil], "why": [evil],
    });
    let profile = json!({
        "namespace": evil, "name": evil, "matches": evil, "number": 1, "sum": evil,
        "jobsPerAgent": 1, "notices": [evil],
    });
    let page = page(json!({
        "version": evil, "learningSecondsLeft": 3.0,
        "refused": [{ "namespace": evil, "name": evil, "why": evil }],
        "pools": [{
            "organization": evil, "pool": evil, "unclaimed": 1, "profiles": [profile],
            "failure": { "kind": "server", "message": evil, "times": 1 }, "jobs": [job],
        }],
    }));
    let named = ScalingObject {
        namespace: evil.into(),
        name: evil.into(),
    };
    for told in [
        Ok(everything(&page)),
        super::job(&page, 7),
        super::job(&page, 8),
        object(&page, &named),
        object(&page, &linux()),
    ] {
        let told = told.unwrap_or_else(|told| told);
        assert!(
            told.contains(r"\u{1b}]0;owned\u{7}\u{9b}2J\n\u{202e}"),
            "{told:?}"
        );
        let raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!told.contains(raw), "{told:?}");
    }
}

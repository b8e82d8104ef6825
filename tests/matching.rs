//! Which jobs a trigger counts, and with which words it refuses the others: the
//! tables of docs/how-jobs-are-matched.md, made from the code.
//!
//! To change a table, change its rows here and copy what the failing test
//! prints over the rows of the page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use std::{fs, path::Path, sync::Arc};

use azp_scaler::domain::{
    claim::Contender,
    decision::Decision,
    demand::{Demand, Demands},
    job::{JobRequest, JobState, RequestId},
    pool::Queue,
    profile::ScalingObject,
    trigger::Trigger,
};

/// What the agents have (`capabilities`), what a job asks for, and what comes
/// of it. Items are separated by `;`.
const BY_CAPABILITIES: &[(&str, &str)] = &[
    // exists
    ("docker", "docker"),
    ("docker", "DOCKER"),
    ("Docker=/usr/bin/docker", "docker"),
    ("docker", "docker; docker"),
    ("docker, java=17", "java"),
    ("docker, java=17", "docker; java"),
    ("docker, java=17", ""),
    ("podman", "docker"),
    ("podman", "docker; java"),
    // -equals
    ("java=17", "java -equals 17"),
    ("java=17", "JAVA -equals 17"),
    ("team=Payments", "team -equals payments"),
    ("os=Red Hat 9", "os   -equals   Red Hat 9"),
    ("java=21", "java -equals 17"),
    ("java=17.0", "java -equals 17"),
    ("java", "java -equals 17"),
    ("docker", "java -equals 17"),
    ("java=17", "java -equals 17; java -equals 21"),
    // -gtVersion
    ("v=2.182.1", "v -gtVersion 2.182.1"),
    ("v=2.182.1", "V -gtVersion 2.182.1"),
    ("v=2.182.2", "v -gtVersion 2.182.1"),
    ("v=2.182.1.0", "v -gtVersion 2.182.1"),
    ("v=10.0", "v -gtVersion 9.9"),
    ("v=2.182.1-rc.2", "v -gtVersion 2.182.1"),
    ("v=2.182.1", "v -gtVersion 2.182.1-rc.2"),
    ("v=2.182.0", "v -gtVersion 2.182.1"),
    ("v=2.182", "v -gtVersion 2.182.0"),
    ("v=2.182.0", "v -gtVersion 2.182"),
    ("v=17", "v -gtVersion 8.0"),
    ("v=v2.182.1", "v -gtVersion 2.0"),
    ("v=1.2.3.4.5", "v -gtVersion 1.0"),
    ("v", "v -gtVersion 8.0"),
    ("docker", "v -gtVersion 8.0"),
    ("v=anything", "v -gtVersion 8"),
    ("v", "v -gtVersion latest"),
    ("docker", "v -gtVersion 8"),
    // what every agent has
    ("docker", "Agent.Version -gtVersion 99.9.9"),
    ("Agent.Version=4.260.0", "Agent.Version -gtVersion 4.261.0"),
    ("docker", "Agent.Version -equals 4.260.0"),
    ("docker", "Agent.OS -equals linux"),
    ("docker", "Agent.OS -equals Windows_NT"),
    ("Agent.OS=Windows_NT", "Agent.OS -equals Windows_NT"),
    ("Agent.OS=Windows_NT", "Agent.OS -equals Linux"),
    ("docker", "Agent.OSArchitecture -equals X64"),
    ("docker", "Agent.OSArchitecture -equals ARM64"),
    ("docker", "InteractiveSession -equals False"),
    (
        "docker",
        "Agent.Name; Agent.ComputerName; Agent.HomeDirectory",
    ),
    ("docker", "Agent.Name -equals build-7"),
    // what is no demand
    ("docker", "java -Equals 17"),
    ("docker", "java -equals"),
    ("docker", "java 17"),
    ("docker", "java -lessThan 3; podman"),
];

/// Every kind of trigger: its keys, a job's demands, and the agents that Azure
/// DevOps says match it.
const BY_KIND: &[(&str, &str, &str)] = &[
    ("", "", ""),
    ("", "java; cobol -equals 2", ""),
    ("capabilities: gpu", "gpu", ""),
    ("capabilities: gpu", "", ""),
    ("capabilities: gpu", "java", ""),
    ("capabilities: gpu, java; requires: gpu", "gpu", ""),
    ("capabilities: gpu, java; requires: gpu", "GPU; java", ""),
    (
        "capabilities: gpu=a100; requires: gpu",
        "gpu -equals A100",
        "",
    ),
    (
        "capabilities: gpu=a100; requires: gpu",
        "gpu -Equals a100",
        "",
    ),
    ("capabilities: gpu, java; requires: gpu", "java", ""),
    ("capabilities: gpu, java; requires: gpu", "", ""),
    ("capabilities: gpu, java; requires: gpu, java", "gpu", ""),
    ("capabilities: gpu; requires: gpu", "gpu; java", ""),
    ("demands: java,docker", "java", ""),
    ("demands: java,docker", "maven", ""),
    ("parent: template", "java", "template, other"),
    ("parent: template", "java", "other"),
    ("parent: template", "java", "Template"),
    ("parent: template", "java", ""),
    ("parent: template; demands: docker", "java", "template"),
    ("parent: template; demands: java", "java", "other"),
];

/// A trigger's `demands` and a job's, for each way to compare them.
const BY_TEXT: &[(&str, &str)] = &[
    ("java,docker", "java; docker"),
    ("java,docker", "docker; java"),
    ("java,docker", "java"),
    ("java,docker", ""),
    ("java,docker", "java; docker; maven"),
    ("java,docker", "java; maven"),
    ("java,docker", "maven"),
    ("java,docker", "JAVA; docker"),
    ("java, docker", "java; docker"),
    ("java", "java; java"),
    ("java,java", "java"),
    ("java,java", "java; java"),
    ("java", "java -equals 17"),
    ("java -equals 17", "java -equals 17"),
    ("java -equals 17", "java -Equals 17"),
    ("java -equals 17", "java  -equals 17"),
    ("java", "java; Agent.Version -gtVersion 2.182.1"),
    ("java,Agent.Version", "java"),
    ("java", "java; agent.version -gtVersion 2.182.1"),
    ("Agent.Version", ""),
    ("Agent.Version", "java"),
];

const COMPARISONS: [(&str, &str); 6] = [
    ("within", ""),
    ("within, any case", "caseInsensitiveDemandsProcessing: true"),
    ("all", "requireAllDemands: true"),
    (
        "all, any case",
        "requireAllDemands: true; caseInsensitiveDemandsProcessing: true",
    ),
    ("ignore others", "requireAllDemandsAndIgnoreOthers: true"),
    (
        "ignore others, any case",
        "requireAllDemandsAndIgnoreOthers: true; caseInsensitiveDemandsProcessing: true",
    ),
];

/// Jobs that the two grammars tell apart.
const BY_BOTH: &[&str] = &[
    "java",
    "",
    "java -equals 17",
    "JAVA",
    "Agent.OS -equals Linux",
    "Agent.Version -gtVersion 2.182.1",
    "java; maven",
];

fn items(list: &str, separator: char) -> Vec<&str> {
    let items = list.split(separator).map(str::trim);
    items.filter(|item| !item.is_empty()).collect()
}

/// What a trigger with these keys says of a job: `None` where it counts.
fn refusal(keys: &[(&str, &str)], demands: &str, matched: &str) -> Option<String> {
    let pool = [("poolName", "linux")];
    let trigger = Trigger::parse(pool.iter().chain(keys).copied()).unwrap();
    let object = ScalingObject {
        namespace: "ci".into(),
        name: "linux".into(),
    };
    let contender = Contender {
        object: &object,
        trigger: 0,
        profile: &trigger.profile,
        agents_named: &object.name,
        placeholder: None,
        limit: None,
        jobs: None,
        leaving: None,
    };
    let job = JobRequest {
        id: RequestId(1),
        state: JobState::Queued,
        demands: Arc::new(Demands::read(&items(demands, ';'))),
        queued_at: None,
        agent: None,
        matched_agents: Some(items(matched, ',').into_iter().map(Into::into).collect()),
        pipeline: None,
        run: None,
    };
    let queue = Queue::new(vec![job]);
    let decision = Decision::new(&queue, &[contender]);
    let verdict = decision.verdict(&queue.jobs()[0], 0, &[contender]);
    let counted = decision.number(0, &trigger.profile).value();
    match &verdict.refusals[..] {
        [] => assert_eq!(counted, 1, "{keys:?}, {demands:?}"),
        refusals => assert_eq!((counted, refusals.len()), (0, 1), "{keys:?}, {demands:?}"),
    }
    let (_, refusal) = verdict.refusals.first()?;
    Some(refusal.to_string())
}

/// `key: value; key: value` as metadata.
fn keys(text: &str) -> Vec<(&str, &str)> {
    let pairs = items(text, ';').into_iter();
    pairs.map(|pair| pair.split_once(": ").unwrap()).collect()
}

/// A list as code, or that it is empty.
fn code(list: &str, separator: char) -> String {
    let items = items(list, separator);
    if items.is_empty() {
        return "none".to_owned();
    }
    let items: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
    items.join(", ")
}

/// The rows between two marks of the page are these; if not, they are printed.
fn check(mark: &str, heading: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let path = "docs/how-jobs-are-matched.md";
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page
        .split_once(&format!("<!-- {mark}:begin -->"))
        .expect("the table begins");
    let (table, _) = rest
        .split_once(&format!("<!-- {mark}:end -->"))
        .expect("the table ends");
    let mut expected = vec![
        format!("| {} |", heading.join(" | ")),
        format!("|{}", "---|".repeat(heading.len())),
    ];
    expected.extend(rows.map(|row| format!("| {} |", row.join(" | "))));
    let found: Vec<&str> = table.lines().filter(|line| !line.is_empty()).collect();
    assert!(
        found == expected,
        "copy these rows between the marks {mark:?} of {path}:\n\n{}\n",
        expected.join("\n")
    );
}

#[test]
fn demands_and_capabilities() {
    let rows = BY_CAPABILITIES.iter().map(|(capabilities, demands)| {
        let verdict = refusal(&[("capabilities", capabilities)], demands, "");
        let odd = items(demands, ';').into_iter().filter_map(|text| {
            let error = Demand::parse(text).err()?;
            Some(format!("passed over: {error}"))
        });
        let verdict = verdict.unwrap_or_else(|| "fits".to_owned());
        let told: Vec<String> = [verdict].into_iter().chain(odd).collect();
        let capabilities = format!("`{capabilities}`");
        vec![code(demands, ';'), capabilities, told.join("; ")]
    });
    let heading = ["The job asks for", "`capabilities`", "Verdict"];
    check("capabilities", &heading, rows);
}

#[test]
fn triggers_of_every_kind() {
    let rows = BY_KIND.iter().map(|(trigger, demands, matched)| {
        let trigger_keys = keys(trigger);
        let verdict = refusal(&trigger_keys, demands, matched);
        vec![
            code(trigger, ';'),
            code(demands, ';'),
            code(matched, ','),
            verdict.unwrap_or_else(|| "counts".to_owned()),
        ]
    });
    let heading = [
        "Keys beside the pool's",
        "The job asks for",
        "`matchedAgents`",
        "Verdict",
    ];
    check("kinds", &heading, rows);
}

#[test]
fn kedas_comparisons_of_text() {
    let rows = BY_TEXT.iter().map(|(trigger, demands)| {
        let cell = |(_, flags): &(&str, &str)| {
            let all = [vec![("demands", *trigger)], keys(flags)].concat();
            yes_or_no(refusal(&all, demands, "").is_none())
        };
        let mut row = vec![format!("`{trigger}`"), code(demands, ';')];
        row.extend(COMPARISONS.iter().map(cell));
        row
    });
    let mut heading = vec!["`demands`", "The job asks for"];
    heading.extend(COMPARISONS.iter().map(|(name, _)| *name));
    check("text", &heading, rows);
}

#[test]
fn kedas_rule_beside_azures() {
    let triggers = ["demands: java,docker", "capabilities: docker, java=17"];
    let rows = BY_BOTH.iter().map(|demands| {
        let cell = |trigger: &&str| yes_or_no(refusal(&keys(trigger), demands, "").is_none());
        let mut row = vec![code(demands, ';')];
        row.extend(triggers.iter().map(cell));
        row
    });
    let columns = triggers.map(|trigger| format!("`{trigger}`"));
    let heading = ["The job asks for", &columns[0], &columns[1]];
    check("both", &heading, rows);
}

fn yes_or_no(counts: bool) -> String {
    if counts { "counts" } else { "no" }.to_owned()
}

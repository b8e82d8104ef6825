//! What the documentation says of the code, compared with the code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use azp_scaler::{
    config::TenancyConfig,
    domain::{
        claim::Contender,
        decision::Decision,
        declared::{Kind, Strategy},
        demand::Demands,
        job::{JobRequest, JobState, RequestId},
        number::{Number, Tally},
        pool::Queue,
        profile::{Counting, Profile, ScalingObject},
        tenancy::{Denied, Grant, Holder, Rules},
        trigger::{
            Trigger,
            keys::{KEYS, Origin},
        },
    },
    ports::ReadError,
};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between the marks `NAME:begin` and `NAME:end` of a page.
fn part(page: &str, name: &str) -> String {
    let text = read(page);
    let (_, rest) = text
        .split_once(&format!("<!-- {name}:begin -->"))
        .unwrap_or_else(|| panic!("{page} has no {name}"));
    let end = format!("<!-- {name}:end -->");
    let (part, _) = rest.split_once(&end).expect("what begins also ends");
    part.to_owned()
}

/// A table of a page is just this.
fn check_table(page: &str, name: &str, expected: &[String]) {
    let part = part(page, name);
    let rows: Vec<&str> = part
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(
        rows,
        expected,
        "\nthe table {name} of {page} should be:\n{}\n",
        expected.join("\n")
    );
}

#[test]
fn the_readme_has_every_trigger_key() {
    let mut expected = vec![
        "| Key | Whose | Default | Meaning |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    expected.extend(KEYS.iter().map(|key| {
        let whose = match key.origin {
            Origin::AzurePipelines => "KEDA",
            Origin::Own => "ours",
            Origin::Connection => "connection",
        };
        format!(
            "| `{}` | {whose} | {} | {} |",
            key.name, key.default, key.meaning
        )
    }));
    check_table("README.md", "keys", &expected);
}

/// The rules that the page's own example makes.
fn rules_of_the_page() -> Rules {
    let page = part("docs/tenancy.md", "file");
    let yaml = page
        .trim()
        .trim_start_matches("```yaml")
        .trim_end_matches("```");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), yaml).unwrap();
    let config = TenancyConfig::load(file.path());
    config.unwrap_or_else(|error| panic!("{error}")).rules
}

/// Which rule a denial is about: a new one needs a row in the table.
fn denial(denied: &Denied) -> usize {
    match denied {
        Denied::Organization { .. } => 0,
        Denied::WhichOrganization { .. } => 1,
        Denied::NoSuchCredential { .. } => 2,
        Denied::Namespace { .. } => 3,
        Denied::NotSentThere { .. } => 4,
        Denied::Pool { .. } => 5,
        Denied::Nothing { .. } => 6,
        Denied::WhichCredential { .. } => 7,
        Denied::OwnToken { .. } => 8,
    }
}

const DENIALS: usize = 9;

#[test]
fn the_tenancy_page_tells_what_its_example_grants_and_every_denial() {
    const CONTOSO: &str = "organizationURL: https://dev.azure.com/contoso";
    const ON_PREMISES: &str = "organizationURL: https://tfs.example.org/tfs/Collection";
    const FABRIKAM: &str = "organizationURL: https://dev.azure.com/fabrikam";
    const TOKEN: &str = "personalAccessTokenFromEnv: AZP_TOKEN";
    let cases: [(&str, &[&str], bool); 19] = [
        ("team-a", &["poolName: linux", "credential: team-a"], false),
        ("lab-7", &["poolID: 27"], false),
        ("team-a", &["poolName: Common"], false),
        ("team-a", &["poolName: linux"], false),
        ("team-b", &["poolName: linux"], false),
        ("team-b", &["poolName: builds", ON_PREMISES], false),
        ("team-b", &["poolName: linux", "credential: team-a"], false),
        ("team-a", &["poolName: linux", "credential: team-c"], false),
        ("team-a", &["poolID: 28", "credential: team-a"], false),
        (
            "team-a",
            &["poolName: linux", "credential: team-a", ON_PREMISES],
            false,
        ),
        ("team-a", &["poolName: linux", FABRIKAM], false),
        ("stranger", &["poolName: builds"], false),
        (
            "team-b",
            &["poolName: builds", "secretName: azp", CONTOSO],
            false,
        ),
        ("team-b", &["poolName: builds", "secretName: azp"], false),
        (
            "team-a",
            &["poolName: linux", "secretName: azp", CONTOSO],
            false,
        ),
        ("team-b", &["poolName: builds", TOKEN, CONTOSO], true),
        ("team-b", &["poolName: builds", TOKEN, CONTOSO], false),
        ("team-b", &["poolName: common", TOKEN, CONTOSO], false),
        ("team-a", &["poolName: common", TOKEN, CONTOSO], true),
    ];
    let rules = rules_of_the_page();
    let mut seen = BTreeSet::new();
    let mut table = vec![
        "| Namespace | Keys of the trigger | TLS | It gets |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for (namespace, keys, encrypted) in cases {
        let metadata = keys.iter().map(|key| key.split_once(": ").unwrap());
        let trigger = Trigger::parse(metadata).unwrap();
        let told = match rules.grant(namespace, &trigger, encrypted) {
            Ok(Grant {
                organization,
                holder,
            }) => {
                let holder = match holder {
                    Holder::Named(name) => format!("credential `{name}`"),
                    Holder::Secret(secret) => {
                        format!("key `{}` of its Secret `{}`", secret.key, secret.name)
                    }
                    Holder::Trigger => "the token that it brings".to_owned(),
                };
                format!("{holder}, for {organization}")
            }
            Err(denied) => {
                seen.insert(denial(&denied));
                format!("denied: `{denied}`")
            }
        };
        let tls = if encrypted { "yes" } else { "no" };
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        table.push(format!(
            "| `{namespace}` | {} | {tls} | {told} |",
            keys.join(", ")
        ));
    }
    assert_eq!(seen.len(), DENIALS, "every denial has a row: {seen:?}");
    check_table("docs/tenancy.md", "grants", &table);
}

fn profile(keys: &[&str]) -> Profile {
    let metadata = keys.iter().map(|key| key.split_once(": ").unwrap());
    Trigger::parse(metadata).unwrap().profile
}

#[test]
fn the_page_about_matching_tells_what_limits_do() {
    let profiles = ["docker", "docker, java"].map(|capabilities| {
        let capabilities = format!("capabilities: {capabilities}");
        profile(&["poolName: linux", &capabilities])
    });
    let objects =
        ["docker", "java"].map(|name| ScalingObject::parse(&format!("ci/{name}")).unwrap());
    let limits = [2, 3];
    let contenders: Vec<Contender<'_>> = (0..2)
        .map(|index| Contender {
            object: &objects[index],
            trigger: 0,
            profile: &profiles[index],
            agents_named: &objects[index].name,
            limit: Some(limits[index]),
            jobs: None,
        })
        .collect();
    let mut table = vec![
        "| Jobs that ask for `docker` | for `java` | `capabilities: docker`, `maxReplicaCount: 2` | \
         `capabilities: docker, java`, `maxReplicaCount: 3` | nobody |"
            .to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for (docker, java) in [(2, 0), (4, 0), (2, 2), (4, 2), (6, 2), (1, 4)] {
        let asked = std::iter::repeat_n("docker", docker).chain(std::iter::repeat_n("java", java));
        let job = |(id, demand): (u64, &str)| JobRequest {
            id: RequestId(id),
            state: JobState::Queued,
            demands: Arc::new(Demands::read(&[demand])),
            queued_at: None,
            matched_agents: None,
            agent: None,
            pipeline: None,
            run: None,
        };
        let queue = Queue::new((1..).zip(asked).map(job).collect());
        let decision = Decision::new(&queue, &contenders);
        let [one, other] = [0, 1].map(|index| decision.number(index, &profiles[index]).value());
        let nobody = decision.unclaimed();
        table.push(format!(
            "| {docker} | {java} | {one} | {other} | {nobody} |"
        ));
    }
    check_table("docs/how-jobs-are-matched.md", "limits", &table);
}

#[test]
fn the_page_about_matching_has_the_number_of_each_strategy() {
    /// The Jobs of the page's example: not finished, and started.
    const EXISTING: u32 = 3;
    const STARTED: u32 = 2;
    let tally = Tally {
        queued: 3,
        assigned: 0,
        running: 2,
    };
    let plain = profile(&["poolName: linux"]);
    let number = |counting, backed: Option<u32>| {
        let number = Number::new(
            &Profile {
                counting,
                ..plain.clone()
            },
            tally,
        );
        backed.map_or(number, |backed| number.with_backed(backed))
    };
    // KEDA 2.21, `pkg/scaling/executor/scale_jobs.go`, far below the maximum.
    let new_jobs = |strategy, number: u64| {
        let (existing, pending) = (u64::from(EXISTING), u64::from(EXISTING - STARTED));
        match strategy {
            Strategy::Default => format!(
                "{number} − {existing} not finished = {} new Jobs",
                number - existing
            ),
            Strategy::Custom => format!("{number} − deduction − {existing} × percentage"),
            Strategy::Accurate => format!(
                "{number} − {pending} pending = {} new Jobs",
                number - pending
            ),
            Strategy::Eager => format!("{number} new Jobs"),
        }
    };
    let mut table = vec![
        "| Scaling object | Number | KEDA makes of it |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    for (words, without_running) in [
        ("ScaledObject", false),
        ("… with `scaleOnInFlight: \"false\"`", true),
    ] {
        let counting = Counting::of(Kind::ScaledObject, Strategy::Default, without_running);
        let number = number(counting, None);
        table.push(format!(
            "| {words} | {number} | {} replicas |",
            number.value()
        ));
    }
    for (word, strategy, backed) in [
        ("`default`", Strategy::Default, None),
        ("`custom`", Strategy::Custom, None),
        ("`accurate`", Strategy::Accurate, Some(STARTED)),
        ("`eager`", Strategy::Eager, Some(EXISTING)),
        ("`accurate`, Jobs not seen", Strategy::Accurate, None),
        ("`eager`, Jobs not seen", Strategy::Eager, None),
    ] {
        let counting = Counting::of(Kind::ScaledJob, strategy, false);
        let number = number(counting, backed);
        let made = new_jobs(strategy, number.value());
        table.push(format!("| ScaledJob, {word} | {number} | {made} |"));
    }
    check_table("docs/how-jobs-are-matched.md", "numbers", &table);
}

#[test]
fn every_assumption_in_the_code_is_listed_and_no_other() {
    let mut marked = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (_, rest) in text
                .match_indices("ASSUMPTION(")
                .map(|(at, mark)| text.split_at(at + mark.len()))
            {
                marked.insert(rest.split(')').next().unwrap().to_owned());
            }
        }
    }
    let listed: BTreeSet<String> = read("docs/assumptions.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert!(!marked.is_empty());
    assert_eq!(
        marked, listed,
        "marks in the code (left), rows of docs/assumptions.md (right)"
    );
}

#[test]
fn every_flag_of_serve_is_documented_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut flags = flags(&help);
    flags.remove("--help");
    assert!(flags.len() > 10, "{help}");
    let page = read("docs/configuration.md");
    let rows: String = page
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .collect();
    assert_eq!(
        flags,
        self::flags(&rows),
        "flags of the program (left), rows of the page (right)"
    );
}

fn flags(text: &str) -> BTreeSet<String> {
    let part = |c: char| !(c.is_ascii_lowercase() || c == '-');
    let words = text
        .split(part)
        .filter(|word| word.starts_with("--") && word.len() > 2);
    words.map(str::to_owned).collect()
}

#[test]
fn every_kind_of_failure_is_documented() {
    let page = read("docs/when-azure-devops-fails.md");
    for kind in ReadError::KINDS {
        assert!(
            page.contains(&format!("`{kind}`")),
            "{kind} is not on the page"
        );
    }
}

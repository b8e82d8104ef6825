//! docs/tenancy.md: its example is read by the program's own reader, and the
//! rules in it are asked.

use std::{collections::BTreeSet, fs};

use azp_scaler::{
    config::TenancyConfig,
    domain::{
        tenancy::{Denied, Grant, Holder, Rules},
        trigger::Trigger,
    },
};

use super::{check_table, part};

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

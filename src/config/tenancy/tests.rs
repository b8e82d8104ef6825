//! The tenancy file as operators write it, and as they get it wrong.

use std::{collections::HashMap, fs};

use secrecy::ExposeSecret as _;

use super::{
    super::{ConfigError, Environment, tree::Notes},
    *,
};
use crate::domain::pool::{PoolId, PoolRef};

struct Variables(HashMap<&'static str, &'static str>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }
}

fn parse(text: &str, variables: &[(&'static str, &'static str)]) -> Result<TenancyConfig, String> {
    let mut problems = ConfigError::default();
    let variables = Variables(variables.iter().copied().collect());
    let config = TenancyConfig::parse(text, &variables, &mut Notes::new("t.yaml", &mut problems));
    assert_eq!(
        config.is_some(),
        problems.problems().is_empty(),
        "{problems}"
    );
    config.ok_or(problems.to_string())
}

/// The file is refused with these words in its problems, in whatever order.
fn check(text: &str, expected: &[&str]) {
    let problems = parse(text, &[]).unwrap_err();
    for part in expected {
        assert!(problems.contains(part), "{part:?} is not in\n{problems}");
    }
    let lines = problems.lines().count() - 1;
    assert_eq!(lines, expected.len(), "{problems}");
    assert!(!problems.contains("s3cr3t"), "{problems}");
}

const WHOLE: &str = "
organizations:
- url: https://dev.azure.com/contoso
  ca: /etc/azp/ca.pem
  proxy: http://proxy:3128
  noProxy: .internal,10.0.0.0/8
  requestTimeout: 20s
  connectTimeout: 500ms
- url: https://tfs.example.org/tfs/Collection
credentials:
- name: team-a
  organizations: [https://contoso.visualstudio.com/]
  namespaces: [team-a, lab-*]
  pools: [linux, 27, \"28\"]
  personalAccessToken: {file: /etc/azp/team-a}
- name: federated
  organizations: [https://dev.azure.com/Contoso]
  workloadIdentity:
- name: secret
  organizations: [https://dev.azure.com/contoso, https://tfs.example.org/tfs/Collection]
  clientSecret: {clientId: app, tenantId: contoso.onmicrosoft.com, secretFile: /etc/azp/s, authority: https://login.microsoftonline.us}
- name: machine
  organizations: [https://dev.azure.com/contoso]
  managedIdentity: {clientId: 7c3b0a5e}
ownTokens:
  namespaces: [team-b]
";

const AZURE: [(&str, &str); 4] = [
    ("AZURE_CLIENT_ID", "c11e"),
    ("AZURE_TENANT_ID", "7e11"),
    ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token"),
    (
        "AZURE_AUTHORITY_HOST",
        "https://login.partner.microsoftonline.cn/",
    ),
];

#[test]
fn all_of_it_is_read() {
    let config = parse(WHOLE, &AZURE).unwrap();
    let contoso = "https://dev.azure.com/contoso";
    let [first, second] = &*config.connections else {
        panic!("{config:?}");
    };
    assert_eq!(first.organization.as_str(), contoso);
    assert_eq!(
        first.settings.ca.as_deref(),
        Some("/etc/azp/ca.pem".as_ref())
    );
    let proxy = first.settings.proxy.as_ref().unwrap();
    assert_eq!(proxy.url.as_str(), "http://proxy:3128/");
    assert_eq!(proxy.except.as_deref(), Some(".internal,10.0.0.0/8"));
    assert_eq!(
        first.settings.request_timeout,
        Some(Duration::from_secs(20))
    );
    assert!(second.settings.ca.is_none());
    let rule = &config.rules.credentials[0];
    assert_eq!(rule.organizations[0].as_str(), contoso, "one spelling");
    let shown: Vec<String> = rule
        .namespaces
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["team-a", "lab-*"]);
    let pools = [
        PoolRef::Name("linux".into()),
        PoolRef::Id(PoolId(27)),
        PoolRef::Name("28".into()),
    ];
    assert_eq!(rule.pools.as_deref(), Some(&pools[..]));
    assert_eq!(config.rules.own_tokens.len(), 1);
    assert!(config.rules.credentials[1].namespaces.is_none());
    let names: Vec<&str> = config.credentials.iter().map(|c| &*c.name).collect();
    assert_eq!(names, ["team-a", "federated", "secret", "machine"]);
    let [_, federated, secret, machine] = &*config.credentials else {
        panic!("{names:?}");
    };
    match &federated.token {
        TokenConfig::Identity(IdentityConfig::Workload {
            application,
            token_file,
        }) => {
            assert_eq!(&*application.client_id, "c11e");
            assert_eq!(application.authority.as_str(), AZURE[3].1);
            assert_eq!(token_file, &PathBuf::from("/var/run/token"));
        }
        other => panic!("{other:?}"),
    }
    match &secret.token {
        TokenConfig::Identity(IdentityConfig::Secret { application, .. }) => {
            assert_eq!(&*application.tenant_id, "contoso.onmicrosoft.com");
            assert_eq!(
                application.authority.as_str(),
                "https://login.microsoftonline.us/"
            );
        }
        other => panic!("{other:?}"),
    }
    match &machine.token {
        TokenConfig::Identity(IdentityConfig::Managed {
            client_id,
            endpoint: IdentityEndpoint::Metadata(url),
        }) => {
            assert_eq!(client_id.as_deref(), Some("7c3b0a5e"));
            assert_eq!(url.as_str(), "http://169.254.169.254/");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_platform_names_its_own_endpoint() {
    let text = "
credentials:
- {name: a, organizations: [https://dev.azure.com/a], managedIdentity: }
";
    let variables = [
        ("IDENTITY_ENDPOINT", "http://localhost:42356/msi/token"),
        ("IDENTITY_HEADER", "s3cr3t"),
    ];
    let config = parse(text, &variables).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
    match &config.credentials[0].token {
        TokenConfig::Identity(IdentityConfig::Managed {
            endpoint: IdentityEndpoint::Platform { header, .. },
            ..
        }) => assert_eq!(header.expose_secret(), "s3cr3t"),
        other => panic!("{other:?}"),
    }
    let problems = parse(text, &variables[..1]).unwrap_err();
    assert!(problems.contains("set IDENTITY_HEADER"), "{problems}");
}

#[test]
fn every_problem_is_told_with_its_line() {
    check(
        "
organizations:
- url: https://dev.azure.com/contoso
  proxi: http://proxy
  requestTimeout: 5x
- ca: /etc/ca.pem
credentials:
- name: a b
  organizations: [https://dev.azure.com/fabrikam]
  namespaces: [Team]
  personalAccessToken: {file: /etc/a}
- organizations: [https://dev.azure.com/contoso]
  pools: [true, 99999999999]
  workloadIdentity: {clientId: a/b, tenantId: t, tokenFile: /t}
",
        &[
            "t.yaml:4: organizations[0].proxi: is unknown; did you mean proxy?",
            "t.yaml:5: organizations[0].requestTimeout: \"5x\" is no duration",
            "t.yaml:6: organizations[1]: url is missing",
            "t.yaml:8: credentials[0].name: \"a b\" is no name",
            "t.yaml:9: credentials[0].organizations[0]: https://dev.azure.com/fabrikam is not among",
            "t.yaml:10: credentials[0].namespaces[0]: \"Team\" is no namespace",
            "t.yaml:12: credentials[1]: name is missing",
            "t.yaml:13: credentials[1].pools[0]: is a truth value and no text; put it in quotes",
            "t.yaml:13: credentials[1].pools[1]: is no pool's number",
            "t.yaml:14: credentials[1].workloadIdentity: clientId and tenantId are letters",
        ],
    );
}

#[test]
fn what_is_left_empty_is_never_all() {
    let with = |line: &str| {
        format!(
            "credentials:\n- name: a\n  organizations: [https://dev.azure.com/a]\n  \
             personalAccessToken: {{file: /t}}\n  {line}\n"
        )
    };
    check(
        &with("namespaces:"),
        &["t.yaml:5: credentials[0].namespaces: is empty"],
    );
    check(&with("namespaces: []"), &["namespaces: is empty"]);
    check(&with("namespaces: team-a"), &["namespaces: is no list"]);
    check(&with("pools:"), &["pools: is empty"]);
    check(&with("pools: [~]"), &["pools[0]: is empty"]);
    check(
        &with("managedIdentity: {}"),
        &["has 2 of personalAccessToken, "],
    );
    check("", &["t.yaml: is empty"]);
    check("credentials:\n", &["credentials: is empty"]);
    check(
        "organizations: [{url: https://dev.azure.com/a}]",
        &["has neither credentials"],
    );
    check("ownTokens: {namespaces: [a]}", &["has no organization"]);
    check("ownTokens: {}", &["namespaces is missing"]);
    check("[]", &["t.yaml:1: is no map; it may have: organizations, "]);
    check("credentials: [a]", &["credentials[0]: is no map"]);
    check("a: b\na: c", &["t.yaml:2: is no YAML that can be read"]);
    check("a: [", &["is no YAML"]);
    let twice = "
organizations: [{url: https://dev.azure.com/a}, {url: https://a.visualstudio.com}]
credentials:
- {name: a, organizations: [https://dev.azure.com/a, https://dev.azure.com/A], personalAccessToken: {file: /t}}
- {name: a, organizations: [https://dev.azure.com/a], personalAccessToken: {file: /t}}
";
    check(
        twice,
        &[
            "organizations[1].url: https://a.visualstudio.com stands",
            "credentials[0].organizations[1]: https://dev.azure.com/a stands",
            "credentials[1].name: \"a\" is taken",
        ],
    );
}

#[test]
fn a_secret_has_no_place_in_it() {
    let with = |line: &str| {
        format!("credentials:\n- name: a\n  organizations: [https://dev.azure.com/a]\n  {line}\n")
    };
    check(
        &with("personalAccessToken: s3cr3t"),
        &["is no place for the token itself"],
    );
    check(
        &with("clientSecret: s3cr3t"),
        &["clientSecret: is no map; it may have: clientId"],
    );
    check(
        &with("clientSecret: {clientId: a, tenantId: b, secret: s3cr3t}"),
        &["clientSecret.secret: is unknown", "set AZURE_CLIENT_SECRET"],
    );
    check(
        &with(
            "clientSecret: {clientId: a, tenantId: b, secretFile: /s, authority: http://login.example.org}",
        ),
        &["authority: the authority has no TLS"],
    );
    let proxy =
        "organizations: [{url: https://dev.azure.com/a, proxy: \"http://me:s3cr3t@proxy\"}]";
    check(proxy, &["proxy: holds a user name or password"]);
    check("personalAccessToken: [s3cr3t", &["is no YAML"]);
}

#[test]
fn a_proxy_that_signs_in_is_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy");
    fs::write(&path, "http://me:p%40ss+w@proxy:3128\n").unwrap();
    let text = format!(
        "organizations: [{{url: https://dev.azure.com/a, proxyFile: {}}}]\nownTokens: {{namespaces: ['*']}}",
        path.display()
    );
    let config = parse(&text, &[]).unwrap();
    assert!(!format!("{config:?}").contains("p@ss"));
    let proxy = config.connections[0].settings.proxy.as_ref().unwrap();
    assert_eq!(proxy.url.as_str(), "http://proxy:3128/");
    let login = proxy.login.as_ref().unwrap();
    assert_eq!(
        (&*login.user, login.password.expose_secret()),
        ("me", "p@ss+w")
    );
}

#[test]
fn both_ways_go_together_but_for_a_name_that_is_taken() {
    let url = OrganizationUrl::parse("https://contoso.visualstudio.com").unwrap();
    let single = TenancyConfig::single(url.clone(), TokenConfig::Fixed("t".into()));
    let both = single
        .clone()
        .merged(parse(WHOLE, &AZURE).unwrap())
        .unwrap();
    assert_eq!(both.rules.organizations.len(), 2);
    assert_eq!(both.connections.len(), 2);
    assert_eq!(both.rules.credentials.len(), 5);
    assert_eq!(both.credentials.len(), 5);
    assert_eq!(
        both.rules.credentials[1].organizations[0], url,
        "one spelling"
    );
    assert!(single.clone().merged(single).is_err());
}

#[test]
fn an_organization_says_whether_its_parallel_jobs_cap() {
    let text = |said: &str, other: &str| {
        format!(
            "
organizations:
- url: https://dev.azure.com/contoso{said}
- url: https://dev.azure.com/fabrikam{other}
credentials:
- name: one
  organizations: [https://contoso.visualstudio.com, https://dev.azure.com/fabrikam]
  personalAccessToken: {{file: /etc/azp/one}}
"
        )
    };
    let capped = |said: &str, other: &str, usual| {
        let config = parse(&text(said, other), &[]).unwrap();
        let capped = config.with_parallel_jobs(usual).capped();
        let names: Vec<_> = capped.iter().map(|url| url.name().to_owned()).collect();
        names.join(" ")
    };
    let (cap, ignore) = ("\n  parallelJobs: cap", "\n  parallelJobs: ignore");
    for (said, other, usual, expected) in [
        ("", "", ParallelJobs::Ignore, ""),
        ("", "", ParallelJobs::Cap, "contoso fabrikam"),
        (cap, "", ParallelJobs::Ignore, "contoso"),
        (ignore, "", ParallelJobs::Cap, "fabrikam"),
        (cap, ignore, ParallelJobs::Cap, "contoso"),
    ] {
        assert_eq!(
            capped(said, other, usual),
            expected,
            "{said}{other} {usual:?}"
        );
    }
    let wrong = text("\n  parallelJobs: yes please", "\n  parallelJobs: 10");
    check(
        &wrong,
        &[
            "organizations[0].parallelJobs: is \"yes please\"; write cap or ignore",
            "organizations[1].parallelJobs: is a number and no text",
        ],
    );
}

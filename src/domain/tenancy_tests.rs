//! Who may use which credential, told in rows.
//!
//! May import: the module that it tests. Invariant: every rule has a row that it
//! grants and one that it refuses.

use super::*;

fn url(text: &str) -> OrganizationUrl {
    OrganizationUrl::parse(text).unwrap()
}

const CONTOSO: &str = "https://dev.azure.com/contoso";
const FABRIKAM: &str = "https://dev.azure.com/fabrikam";
const SERVER: &str = "https://tfs.example.org/tfs/DefaultCollection";

fn patterns(texts: &[&str]) -> Vec<NamespacePattern> {
    let patterns = texts.iter().map(|text| NamespacePattern::parse(text));
    patterns.map(Result::unwrap).collect()
}

/// Two tenants of their own, a shared credential for one pool, and a team that
/// brings its own tokens.
fn rules() -> Rules {
    let rule = |name: &str, organizations: &[&str], namespaces: &[&str], pools: &[&str]| {
        let pools = pools.iter().map(|name| PoolRef::Name((*name).into()));
        CredentialRule {
            name: name.into(),
            organizations: organizations.iter().map(|text| url(text)).collect(),
            namespaces: (!namespaces.is_empty()).then(|| patterns(namespaces)),
            pools: (pools.len() > 0).then(|| pools.collect()),
        }
    };
    Rules {
        organizations: vec![url(CONTOSO), url(FABRIKAM), url(SERVER)],
        credentials: vec![
            rule("a", &[CONTOSO], &["team-a"], &[]),
            rule("b", &[FABRIKAM, SERVER], &["team-b", "lab-*"], &["linux"]),
            rule("shared", &[CONTOSO], &[], &["common"]),
        ],
        own_tokens: patterns(&["own"]),
    }
}

/// One row: a namespace, a trigger's metadata, whether the call was encrypted;
/// the grant as `HOLDER at ORGANIZATION`, or a part of the denial.
fn check(namespace: &str, metadata: &[(&str, &str)], encrypted: bool, expected: &str) {
    let trigger = Trigger::parse(metadata.iter().copied()).unwrap();
    let told = match rules().grant(namespace, &trigger, encrypted) {
        Ok(Grant {
            organization,
            holder,
        }) => {
            let holder = match holder {
                Holder::Named(name) => name.to_string(),
                Holder::Secret(secret) => format!("secret {}/{}", secret.name, secret.key),
                Holder::Trigger => "its own".to_owned(),
            };
            format!("{holder} at {}", organization.name())
        }
        Err(denied) => format!("denied: {denied}"),
    };
    assert!(
        told.contains(expected) && told.starts_with("denied") != expected.contains(" at "),
        "{namespace} {metadata:?} {encrypted}: {told} instead of {expected}"
    );
}

#[test]
fn a_namespace_uses_its_own_credential_and_no_other() {
    let any = ("poolName", "any");
    check("team-a", &[any], false, "a at contoso");
    check("team-a", &[any, ("credential", "a")], false, "a at contoso");
    check(
        "team-b",
        &[any, ("credential", "a")],
        false,
        "credentials.namespaces",
    );
    check(
        "stranger",
        &[any, ("credential", "a")],
        true,
        "credentials.namespaces",
    );
    check("stranger", &[any], false, "may use no credential");
    check(
        "team-a",
        &[any, ("credential", "c")],
        false,
        "none named \"c\"",
    );
    // The beginning of a name is no name.
    check(
        "team-a2",
        &[any, ("credential", "a")],
        false,
        "credentials.namespaces",
    );
    let linux = ("poolName", "linux");
    let fabrikam = ("organizationURL", FABRIKAM);
    check("lab-7", &[linux, fabrikam], false, "b at fabrikam");
    check("lab", &[linux, fabrikam], false, "may use no credential");
}

#[test]
fn a_credential_goes_to_its_organizations_and_to_no_other() {
    let (linux, b) = (("poolName", "linux"), ("credential", "b"));
    let at = |text| ("organizationURL", text);
    check("team-b", &[linux, b, at(FABRIKAM)], false, "b at fabrikam");
    check(
        "team-b",
        &[linux, b, at("https://fabrikam.visualstudio.com")],
        false,
        "b at fabrikam",
    );
    check(
        "team-b",
        &[linux, b, at(CONTOSO)],
        false,
        "credentials.organizations",
    );
    check("team-b", &[linux, b], false, "may use 2 organizations");
    check(
        "team-b",
        &[linux, at("https://dev.azure.com.evil.example/fabrikam")],
        true,
        "is not on the scaler's list",
    );
    check(
        "own",
        &[linux, at("https://evil.example/x"), ("secretName", "s")],
        true,
        "not on the scaler's list",
    );
}

#[test]
fn a_credential_is_for_its_pools_and_for_no_other() {
    let fabrikam = ("organizationURL", FABRIKAM);
    check(
        "team-b",
        &[("poolName", "LINUX"), fabrikam],
        false,
        "b at fabrikam",
    );
    check(
        "team-b",
        &[("poolName", "windows"), fabrikam, ("credential", "b")],
        false,
        "credentials.pools",
    );
    // A number that is not on the list might be any pool's.
    check(
        "team-b",
        &[("poolID", "7"), fabrikam, ("credential", "b")],
        false,
        "poolID: \"b\"",
    );
    check(
        "anybody",
        &[("poolName", "common")],
        false,
        "shared at contoso",
    );
    check("team-a", &[("poolName", "common")], false, "(a, shared)");
}

#[test]
fn a_token_of_its_own_needs_a_namespace_that_may_and_a_call_that_nobody_overhears() {
    let pool = ("poolName", "linux");
    let contoso = ("organizationURL", CONTOSO);
    let secret = ("secretName", "azp");
    check(
        "own",
        &[pool, contoso, secret],
        false,
        "secret azp/personalAccessToken at contoso",
    );
    check(
        "own",
        &[pool, contoso, secret, ("secretKey", "pat")],
        false,
        "secret azp/pat at contoso",
    );
    check("own", &[pool, secret], false, "may use 3 organizations");
    check(
        "team-a",
        &[pool, contoso, secret],
        false,
        "ownTokens.namespaces",
    );
    let token = ("personalAccessTokenFromEnv", "t0ken");
    check("own", &[pool, contoso, token], true, "its own at contoso");
    check(
        "own",
        &[pool, contoso, token],
        false,
        "may use no credential",
    );
    // A trigger that was moved from KEDA's own goes on with the scaler's.
    check("team-a", &[pool, contoso, token], false, "a at contoso");
    check("team-a", &[pool, contoso, token], true, "a at contoso");
}

#[test]
fn a_pattern_is_a_namespace_or_a_beginning() {
    for text in ["team-a", "team-*", "*"] {
        assert!(NamespacePattern::parse(text).is_ok(), "{text}");
    }
    for text in ["", "Team", "a*b", "a b", "a/b", "**"] {
        assert!(NamespacePattern::parse(text).is_err(), "{text}");
    }
}

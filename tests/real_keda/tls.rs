//! Mutual TLS between KEDA and the scaler, and tokens that travel over it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::real::{
    Authority, Emulator, HPA_PERIOD, Identity, Outcome, SOON, Scaler, Setup, cluster, namespace,
    steps::{POOL, apply_with, clear, deploy_with, until, waiting},
};

/// KEDA sends what the container's variable holds; over TLS it may.
const OWN_TOKEN: [(&str, &str); 2] = [
    ("organizationURLFromEnv", "AZP_URL"),
    ("personalAccessTokenFromEnv", "AZP_TOKEN"),
];

const REFUSED: &str = "azp_tls_handshakes_total{outcome=\"client-certificate\"}";
const ENDS: &str = "azp_tls_certificate_expiry_timestamp_seconds";

/// Only a KEDA with a certificate gets through, with the trigger's own token. Both
/// certificates are then replaced by those of another authority, and scaling goes
/// on: over the connection that is open, and over one that is new.
#[test]
fn only_a_caller_with_a_certificate_scales_and_certificates_are_replaced() -> Outcome {
    let (cluster, _turn) = cluster()?;
    let space = "mutual-tls";
    cluster.apply(&namespace(space))?;
    let emulator = Emulator::start(cluster, space, POOL)?;
    emulator.set_token("token")?;
    let directory = cluster.directory().join(space);
    fs::create_dir(&directory)?;
    let (first, second) = (Authority::new("first")?, Authority::new("second")?);
    write(&directory, &first.server(2099)?, &first)?;
    let tenancy = directory.join("tenancy.yaml");
    let file = format!(
        "organizations: [{{url: '{}'}}]\nownTokens: {{namespaces: [{space}]}}\n",
        emulator.url()
    );
    fs::write(&tenancy, file)?;
    let flag = |flag: &str, name: &str| format!("--{flag}={}", directory.join(name).display());
    let flags = [
        "--learn=0s".to_owned(),
        flag("tenancy", "tenancy.yaml"),
        flag("tls-cert", "tls.crt"),
        flag("tls-key", "tls.key"),
        flag("tls-client-ca", "ca.crt"),
    ];
    let setup = Setup {
        poll: Duration::from_millis(500),
        flags: &flags.each_ref().map(String::as_str),
        ..Setup::default()
    };
    let scaler = Scaler::start_with(cluster, space, &emulator, setup)?;

    let client = first.client()?;
    cluster.apply(&authentication(space, "known", &first, Some(&client)))?;
    cluster.apply(&authentication(space, "unknown", &first, None))?;
    let trigger = |pool| {
        let own = [("poolName", pool), ("enableTLS", "true")];
        [&own[..], &OWN_TOKEN].concat()
    };
    emulator.queue(POOL, waiting(3, &[]))?;
    let object = (space, "unknown");
    apply_with(
        cluster,
        object,
        &emulator,
        &scaler,
        Some("unknown"),
        &trigger(POOL),
    )?;
    let unknown = cluster.watch_replicas(space, "unknown")?;
    until(cluster, space, "KEDA to be refused", || {
        Ok(scaler.metric(REFUSED)? > 0.0)
    })?;
    let object = (space, "known");
    deploy_with(
        cluster,
        object,
        &emulator,
        &scaler,
        Some("known"),
        &trigger(POOL),
    )?;
    let mut known = cluster.watch_replicas(space, "known")?;
    known.until("3 replicas", SOON, |replicas| replicas == 3)?;

    let before = scaler.metric(ENDS)?;
    write(&directory, &second.server(2098)?, &second)?;
    until(cluster, space, "the certificate to be taken up", || {
        Ok(scaler.metric(ENDS)? != before)
    })?;
    emulator.queue(POOL, waiting(1, &[]))?;
    known.until("4 replicas", SOON, |replicas| replicas == 4)?;
    let client = second.client()?;
    cluster.apply(&authentication(space, "renewed", &second, Some(&client)))?;
    emulator.queue("other", waiting(2, &[]))?;
    let object = (space, "renewed");
    deploy_with(
        cluster,
        object,
        &emulator,
        &scaler,
        Some("renewed"),
        &trigger("other"),
    )?;
    let mut renewed = cluster.watch_replicas(space, "renewed")?;
    renewed.until("2 replicas", SOON, |replicas| replicas == 2)?;

    println!(
        "{} handshakes with a certificate, {} without",
        scaler.metric("azp_tls_handshakes_total{outcome=\"ok\"}")?,
        scaler.metric(REFUSED)?
    );
    let mut unknown = unknown;
    unknown.during(HPA_PERIOD);
    assert_eq!(unknown.history().len(), 1, "{unknown}");
    clear(cluster, space)
}

/// The three files, in place: a scaler that reads in between keeps what it has.
fn write(directory: &Path, identity: &Identity, client_ca: &Authority) -> Outcome {
    fs::write(directory.join("tls.crt"), &identity.cert)?;
    fs::write(directory.join("tls.key"), &identity.key)?;
    fs::write(directory.join("ca.crt"), &client_ca.pem)?;
    Ok(())
}

/// A Secret and the `TriggerAuthentication` that hands it to KEDA.
fn authentication(
    space: &str,
    name: &str,
    authority: &Authority,
    client: Option<&Identity>,
) -> String {
    let mut parts = vec![("caCert", "ca.crt", &authority.pem)];
    if let Some(client) = client {
        parts.push(("tlsClientCert", "tls.crt", &client.cert));
        parts.push(("tlsClientKey", "tls.key", &client.key));
    }
    let mut yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{namespace: {space}, name: {name}}}\nstringData:\n"
    );
    for (_, key, pem) in &parts {
        // Writing to a String cannot fail.
        let _ = writeln!(
            yaml,
            "  {key}: |\n    {}",
            pem.trim().replace('\n', "\n    ")
        );
    }
    let _ = write!(
        yaml,
        "---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {{namespace: {space}, name: {name}}}
spec:
  secretTargetRef:
"
    );
    for (parameter, key, _) in &parts {
        let _ = writeln!(
            yaml,
            "  - {{parameter: {parameter}, name: {name}, key: {key}}}"
        );
    }
    yaml
}

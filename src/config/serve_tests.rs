//! Tests of `serve`'s configuration.

use std::{collections::HashMap, io::Write as _};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, builder::Resettable};
use secrecy::ExposeSecret as _;

use super::*;
use crate::config::TokenConfig;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    args: ServeArgs,
}

struct Variables(HashMap<&'static str, &'static str>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }
}

const URL: &str = "--url=https://dev.azure.com/contoso";
const TOKEN: (&str, &str) = ("AZP_TOKEN", " s3cret-token\n");

fn resolve(
    flags: &[&str],
    variables: &[(&'static str, &'static str)],
) -> Result<ServeConfig, ConfigError> {
    // The variables of whoever runs the tests must not decide them.
    let command = Program::command().mut_args(|arg| arg.env(Resettable::Reset));
    let matches = command.get_matches_from([&["azp-scaler"], flags].concat());
    let program = Program::from_arg_matches(&matches).unwrap();
    let variables = Variables(variables.iter().copied().collect());
    program.args.resolve_in(&variables)
}

#[track_caller]
fn check_refused(
    flags: &[&str],
    variables: &[(&'static str, &'static str)],
    expected: &[(&str, &str)],
) {
    let error = resolve(flags, variables).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert_eq!(error.problems().len(), expected.len(), "{error}");
    for (problem, (name, part)) in error.problems().iter().zip(expected) {
        assert!(
            problem.starts_with(name) && problem.contains(part),
            "{problem}"
        );
    }
}

#[test]
fn parallel_jobs_cap_where_that_is_said() {
    let capped = |flags: &[&str]| {
        let config = resolve(&[&[URL], flags].concat(), &[TOKEN]).unwrap();
        config.tenancy.capped().len()
    };
    assert_eq!(capped(&[]), 0, "off unless it is asked for");
    assert_eq!(capped(&["--parallel-jobs=ignore"]), 0);
    assert_eq!(capped(&["--parallel-jobs=cap"]), 1);
    let wrong = ("--parallel-jobs", "is \"on\"; write cap or ignore");
    check_refused(&[URL, "--parallel-jobs=on"], &[TOKEN], &[wrong]);
}

#[test]
fn the_flags_are_well_formed() {
    Program::command().debug_assert();
}

#[test]
fn the_shortest_start_has_every_default() {
    let config = resolve(&[URL], &[TOKEN]).unwrap();
    let organizations = &config.tenancy.rules.organizations;
    assert_eq!(organizations[0].as_str(), "https://dev.azure.com/contoso");
    let TokenConfig::Fixed(token) = &config.tenancy.credentials[0].token else {
        panic!("{config:?}")
    };
    assert_eq!(token.expose_secret(), "s3cret-token");
    assert_eq!(config.grpc_listen.to_string(), "0.0.0.0:9090");
    assert_eq!(config.http_listen.to_string(), "0.0.0.0:8080");
    let seconds = [
        config.poll_interval,
        config.idle_interval,
        config.max_stale,
        config.learn,
        config.forget_after,
        config.request_timeout,
        config.drain_delay,
        config.drain_deadline,
    ]
    .map(|duration| duration.as_secs());
    assert_eq!(seconds, [5, 15, 300, 30, 600, 30, 5, 25]);
    assert_eq!(
        (config.max_pools, config.max_scaling_objects),
        (2000, 10_000)
    );
    assert_eq!(config.body_cap, 256 << 20);
    assert!(config.hook_secret.is_none() && config.log_json.is_none());
    assert_eq!(config.tls, None);
    assert_eq!(config.log, "info");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_secret_comes_from_its_variable_or_its_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"from-file\n").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let path = path.as_str();
    let flags = [URL, "--token-file", path, "--hook-secret-file", path];
    let config = resolve(&flags, &[]).unwrap();
    let token = &config.tenancy.credentials[0].token;
    assert!(matches!(token, TokenConfig::File(_)), "{token:?}");
    assert_eq!(config.hook_secret.unwrap().expose_secret(), "from-file");
    check_refused(
        &flags,
        &[TOKEN, ("AZP_HOOK_SECRET", "s3cret")],
        &[
            ("AZP_TOKEN and AZP_TOKEN_FILE", "set one of them"),
            (
                "AZP_HOOK_SECRET and AZP_HOOK_SECRET_FILE",
                "set one of them",
            ),
        ],
    );
    file.write_all(&[0xff]).unwrap();
    check_refused(
        &[URL, "--token-file", path],
        &[],
        &[("AZP_TOKEN_FILE", "not text")],
    );
    file.write_all(&[b'a'; 65 * 1024]).unwrap();
    check_refused(
        &[URL, "--token-file", path],
        &[],
        &[("AZP_TOKEN_FILE", "larger than")],
    );
    check_refused(
        &[URL, "--token-file", "/nowhere/token"],
        &[],
        &[("AZP_TOKEN_FILE", "/nowhere/token cannot be read")],
    );
}

#[test]
fn every_problem_is_told_at_once_with_its_remedy() {
    check_refused(
        &[
            "--grpc-listen=9090",
            "--poll-interval=5",
            "--max-stale=2d",
            "--max-pools=0",
            "--body-cap=1KiB",
            "--log-format=xml",
        ],
        &[("AZP_HOOK_SECRET", " \n")],
        &[
            (
                "AZP_URL",
                "is not set; set AZP_URL to https://dev.azure.com/",
            ),
            ("AZP_TOKEN", "is not set; set AZP_TOKEN"),
            ("AZP_HOOK_SECRET", "is empty"),
            ("--grpc-listen", "write IP:PORT"),
            ("--log-format", "write text or json"),
            ("--poll-interval", "write a whole number and a unit"),
            ("--max-stale", "write a whole number and a unit"),
            ("--max-pools", "from 1 to 100000"),
            ("--body-cap", "from 1048576B"),
        ],
    );
}

#[test]
fn what_does_not_fit_together_is_told() {
    check_refused(
        &[URL, "--poll-interval=99ms"],
        &[TOKEN],
        &[("--poll-interval", "from 100ms to 3600s")],
    );
    check_refused(
        &[
            URL,
            "--poll-interval=20s",
            "--max-stale=20s",
            "--drain-delay=25s",
        ],
        &[TOKEN],
        &[
            ("--idle-interval", "below --poll-interval (20s)"),
            ("--max-stale", "below twice --idle-interval (15s)"),
            ("--drain-deadline", "not above --drain-delay (25s)"),
        ],
    );
    check_refused(
        &[
            URL,
            "--grpc-listen=127.0.0.1:1",
            "--http-listen=127.0.0.1:1",
        ],
        &[TOKEN],
        &[("--http-listen", "choose another port")],
    );
    check_refused(
        &[URL],
        &[("AZP_TOKEN", "s3cret token")],
        &[("AZP_TOKEN", "copy it again")],
    );
}

#[test]
fn tls_is_whole_or_not_there() {
    let (cert, key, ca) = (
        "--tls-cert=c.pem",
        "--tls-key=k.pem",
        "--tls-client-ca=ca.pem",
    );
    let tls = |flags: &[&str]| resolve(&[&[URL], flags].concat(), &[TOKEN]).unwrap().tls;
    let files = |client_ca: Option<&str>| {
        Some(TlsFiles {
            cert: "c.pem".into(),
            key: "k.pem".into(),
            client_ca: client_ca.map(Into::into),
        })
    };
    assert_eq!(tls(&[cert, key]), files(None));
    assert_eq!(tls(&[cert, key, ca]), files(Some("ca.pem")));
    let refused = |flags: &[&str], flag, part| {
        check_refused(&[&[URL], flags].concat(), &[TOKEN], &[(flag, part)]);
    };
    refused(&[cert], "--tls-key", "name the key of --tls-cert");
    refused(&[key], "--tls-cert", "name the certificate of --tls-key");
    refused(&[ca], "--tls-client-ca", "set --tls-cert and --tls-key");
}

#[test]
fn no_flag_holds_a_secret() {
    let help = Program::command().render_long_help().to_string();
    assert!(
        !help.contains("--token ") && !help.contains("--hook-secret "),
        "{help}"
    );
    assert!(
        help.contains("--token-file") && help.contains("[env: AZP_URL]"),
        "{help}"
    );
}

//! `azp-scaler probe`: its flags and what they become.
//!
//! May import: its siblings. Invariant: files of TLS are named together or not at
//! all; without them the call goes in clear text, as the scaler's port does without
//! its own.

use std::{path::PathBuf, time::Duration};

use url::Url;

use super::{ConfigError, quantity};

/// The flags of `probe`, as text.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
It asks as KEDA does: at the address that stands in the triggers, by TLS where that is what the \
scaler speaks. From within the cluster:
  azp-scaler probe --address azp-scaler.azp-scaler.svc:9090
By TLS, with the authority of the scaler's certificate, and with a certificate of one's own where the \
scaler wants one:
  azp-scaler probe --address azp-scaler.azp-scaler.svc:9090 --ca ca.crt --cert tls.crt --key tls.key

Exit codes: 0 it serves KEDA's protocol; 1 it does not, with what to do about it; 64 the command line \
is wrong; 78 a flag's value is.")]
pub struct ProbeArgs {
    /// The scaler's gRPC port, as in the scalerAddress of a trigger.
    #[arg(long, value_name = "HOST:PORT")]
    address: String,

    /// The authorities (PEM) of the scaler's certificate: with it the call goes by TLS.
    #[arg(long, value_name = "PATH")]
    ca: Option<PathBuf>,

    /// The certificate (PEM) that is shown to the scaler.
    #[arg(long, value_name = "PATH", requires = "ca", requires = "key")]
    cert: Option<PathBuf>,

    /// The key (PEM) of that certificate.
    #[arg(long, value_name = "PATH", requires = "cert")]
    key: Option<PathBuf>,

    /// The name in the scaler's certificate. Unset: the host of the address.
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,

    /// How long to ask again while it does not serve.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    within: String,
}

/// What `probe` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// The scaler, as `HOST:PORT`.
    pub address: String,
    /// By TLS, and how.
    pub tls: Option<ProbeTls>,
    /// How long it is asked.
    pub within: Duration,
}

/// How a caller speaks TLS: the name that it expects, and files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTls {
    /// The authorities of the scaler's certificate.
    pub ca: PathBuf,
    /// The certificate that is shown, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the scaler's certificate.
    pub server_name: String,
}

// === impl ProbeArgs ===

impl ProbeArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// Every problem at once, each with its flag and a remedy.
    pub fn resolve(self) -> Result<ProbeConfig, ConfigError> {
        let mut problems = ConfigError::default();
        let host = problems.take("--address", host(&self.address));
        let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
        let within = problems.take("--within", quantity::duration(&self.within, bounds));
        let (Some(host), Some(within)) = (host, within) else {
            return Err(problems);
        };
        let tls = self.ca.map(|ca| ProbeTls {
            ca,
            identity: self.cert.zip(self.key),
            server_name: self.server_name.unwrap_or(host),
        });
        Ok(ProbeConfig {
            address: self.address,
            tls,
            within,
        })
    }
}

/// The host of an address, which is nothing but a host and a port.
fn host(address: &str) -> Result<String, String> {
    let wrong = || format!("{address:?} is no address; write HOST:PORT, as in scalerAddress");
    // A port that is the scheme's own is none to the parser, so none is asked of it.
    let url = Url::parse(&format!("grpc://{address}")).map_err(|_| wrong())?;
    let plain = url.path().is_empty()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    match (url.host_str(), url.port()) {
        (Some(host), Some(_)) if plain && !host.is_empty() => Ok(host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ProbeArgs,
    }

    fn resolve(flags: &[&str]) -> Result<ProbeConfig, String> {
        let program = Program::try_parse_from([&["azp-scaler"], flags].concat());
        program
            .map_err(|error| error.to_string())
            .and_then(|program| program.args.resolve().map_err(|error| error.to_string()))
    }

    #[test]
    fn flags_become_a_question() {
        Program::command().debug_assert();
        let plain = resolve(&["--address", "azp-scaler.keda.svc:9090"]).unwrap();
        assert_eq!((plain.tls, plain.within), (None, Duration::from_secs(10)));
        let by_tls = |flags: &[&str]| {
            let tls = resolve(&[flags, &["--ca=ca.crt"]].concat()).unwrap().tls;
            let tls = tls.unwrap();
            (tls.server_name, tls.identity.is_some())
        };
        let at = "--address=azp-scaler.keda.svc:9090";
        assert_eq!(by_tls(&[at]), ("azp-scaler.keda.svc".to_owned(), false));
        assert_eq!(by_tls(&["--address=[::1]:443"]), ("::1".to_owned(), false));
        assert_eq!(
            by_tls(&[at, "--server-name=x.y", "--cert=c", "--key=k"]),
            ("x.y".to_owned(), true)
        );
    }

    #[test]
    fn what_is_no_question_is_told() {
        for address in [
            "azp-scaler",
            "http://a:1",
            "a:1/b",
            "a:1?b",
            "u@a:1",
            ":1",
            "a:x",
            "",
        ] {
            let error = resolve(&["--address", address]).unwrap_err();
            assert!(
                error.contains("--address: ") && error.contains("HOST:PORT"),
                "{error}"
            );
        }
        let at = "--address=a:1";
        for (flags, part) in [
            (&[at, "--cert=c", "--ca=c"][..], "--key"),
            (&[at, "--key=k", "--ca=c"], "--cert"),
            (&[at, "--server-name=n"], "--ca"),
            (&[at, "--within=0s"], "--within: 0s is out of bounds"),
        ] {
            let error = resolve(flags).unwrap_err();
            assert!(error.contains(part), "{flags:?}: {error}");
        }
    }
}

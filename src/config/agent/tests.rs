//! Each way of `start.sh` to give a credential, and what is said of wrong ones.

use std::collections::HashMap;

use super::{
    credential::{Names, TokenPlace, read},
    handover::{Readable, Secrets},
    *,
};
use crate::config::{IdentityConfig, TokenConfig};

struct Variables(HashMap<&'static str, &'static str>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }
}

/// Variables with their values.
type Given<'a> = &'a [(&'static str, &'static str)];

const FEDERATED: (&str, &str) = ("AZURE_FEDERATED_TOKEN_FILE", "/token");
const CLIENT: (&str, &str) = ("AZURE_CLIENT_ID", "c");
const TENANT: (&str, &str) = ("AZURE_TENANT_ID", "t");
const TOKEN: (&str, &str) = ("AZP_TOKEN", "pat");
const SECRET: (&str, &str) = ("AZP_CLIENTSECRET", "s");

#[test]
fn the_credential_is_the_one_that_start_sh_would_take() {
    use TokenPlace::{ClientSecret, File, Token, WorkloadIdentity};
    // variables, AZP_CLIENTID, a file that stays, what is taken
    let rows: &[(Given<'_>, Option<&str>, bool, TokenPlace)] = &[
        (&[TOKEN], None, false, Token),
        (&[TOKEN], None, true, File),
        (&[TOKEN, SECRET, TENANT], Some("c"), false, ClientSecret),
        (&[SECRET, TENANT], Some("c"), true, File),
        (&[FEDERATED, CLIENT, TENANT], None, false, WorkloadIdentity),
        (&[FEDERATED, TENANT], Some("c"), false, WorkloadIdentity),
        (&[TOKEN, FEDERATED, CLIENT, TENANT], None, false, Token),
    ];
    for (variables, client, file, expected) in rows {
        let variables = Variables(variables.iter().copied().collect());
        let mut secrets = Secrets::default();
        secrets.readable = file.then(|| Readable {
            path: "/mounted".into(),
            why: "read-only".to_owned(),
        });
        let names = Names {
            client: client.map(str::to_owned),
            tenant: None,
        };
        let mut problems = ConfigError::default();
        let read = read(&names, &secrets, &variables, &mut problems);
        let (place, config) = read.unwrap_or_else(|| panic!("{problems}"));
        assert_eq!(
            place,
            *expected,
            "{variables:?} {client:?} {file}",
            variables = variables.0
        );
        let fits = match place {
            Token => matches!(config, TokenConfig::Fixed(_)),
            File => matches!(config, TokenConfig::File(_)),
            ClientSecret => matches!(config, TokenConfig::Identity(IdentityConfig::Secret { .. })),
            WorkloadIdentity => {
                matches!(
                    config,
                    TokenConfig::Identity(IdentityConfig::Workload { .. })
                )
            }
        };
        assert!(fits, "{config:?}");
    }
}

#[test]
fn what_is_missing_is_named_with_its_remedy() {
    // variables, AZP_CLIENTID, what is named
    let rows: &[(Given<'_>, Option<&str>, &str)] = &[
        (&[], None, "AZP_TOKEN: is not set"),
        (&[], Some("c"), "AZP_CLIENTSECRET: is not set"),
        (&[SECRET], Some("c"), "AZP_TENANTID: is not set"),
        (&[FEDERATED], None, "AZP_CLIENTID: is not set"),
    ];
    for (variables, client, expected) in rows {
        let variables = Variables(variables.iter().copied().collect());
        let names = Names {
            client: client.map(str::to_owned),
            tenant: None,
        };
        let mut problems = ConfigError::default();
        let read = read(&names, &Secrets::default(), &variables, &mut problems);
        assert!(read.is_none());
        assert!(problems.to_string().contains(expected), "{problems}");
    }
}

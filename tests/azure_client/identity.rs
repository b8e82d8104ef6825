//! Identities in Entra ID and tokens in files, against the emulator and its
//! authority. Tokio's clock is paused, so an hour passes at once.

use std::{fs, path::Path, sync::Arc};

use azp_scaler::{
    azure::{Credential, TokenFile},
    config::{
        Application, ConnectionSettings, IdentityConfig, IdentityEndpoint, SecretSource,
        TokenConfig,
    },
    domain::{organization::OrganizationUrl, pool::Pool},
    emulator::{AuthorityFault, Emulator, EmulatorHandle, Fault, FaultKind, Settings},
    ports::Tokens as _,
};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::{net::TcpListener, time::advance};

use super::*;

pub const SECRET: &str = "s3cr3tXclient";

/// The emulator with a pool, and files beside it.
pub struct Cloud {
    address: String,
    pub emulator: EmulatorHandle,
    folder: TempDir,
}

impl Cloud {
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub async fn start_with(settings: Settings) -> Self {
        let emulator = Emulator::new(Settings {
            token: Some(SECRET.into()),
            pools: vec!["linux".into()],
            ..settings
        });
        let emulator = emulator.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let handle = emulator.handle();
        tokio::spawn(emulator.run(listener, std::future::pending()));
        Self {
            address,
            emulator: handle,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn url(&self, path: &str) -> url::Url {
        format!("http://{}/{path}", self.address).parse().unwrap()
    }

    pub fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn application(&self) -> Application {
        Application {
            client_id: "c11e".into(),
            tenant_id: "7e11".into(),
            // Some are told with a slash at the end, some without.
            authority: self.url(""),
        }
    }

    pub fn secret(&self, secret: &str) -> Credential {
        self.identity(IdentityConfig::Secret {
            application: self.application(),
            secret: SecretSource::Fixed(secret.into()),
        })
    }

    pub fn identity(&self, identity: IdentityConfig) -> Credential {
        let config = TokenConfig::Identity(identity);
        Credential::new(&config, &ConnectionSettings::default()).unwrap()
    }

    pub fn file(&self, path: &Path) -> Credential {
        Credential::Held(Arc::new(TokenFile::new(path)))
    }

    pub fn client(&self, credential: &Credential) -> Client {
        let organization = OrganizationUrl::parse(self.url("contoso").as_str()).unwrap();
        Client::new(ClientSettings::new(organization, credential.clone())).unwrap()
    }

    pub fn asked(&self) -> u64 {
        self.emulator.exchanges().asked
    }
}

async fn look(client: &Client) -> Result<Pool, ReadError> {
    let got = client.pool(&PoolRef::Name("linux".into())).await.outcome;
    let shown = format!("{client:?} {got:?}");
    assert!(
        !shown.contains("s3cr3t") && !shown.contains("eyJ0"),
        "{shown}"
    );
    got
}

async fn fails(client: &Client, kind: &str, parts: &[&str]) {
    let error = look(client).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(
            error.to_string().contains(part),
            "{part:?} is not in {error}"
        );
    }
}

/// Lets what is under way in the background go on until this has come about.
/// Nobody sleeps, so the paused clock stands.
async fn settle(what: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if what() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came about");
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_identity_has_one_token_for_all_its_readings() {
    let cloud = Cloud::start().await;
    let token_file = cloud.write("assertion", "eyJ0.e.f\n");
    let kinds = [
        IdentityConfig::Workload {
            application: cloud.application(),
            token_file,
        },
        IdentityConfig::Secret {
            application: cloud.application(),
            secret: SecretSource::File(cloud.write("secret", SECRET)),
        },
        IdentityConfig::Managed {
            client_id: Some("c11e".into()),
            endpoint: IdentityEndpoint::Metadata(cloud.url("")),
        },
        IdentityConfig::Managed {
            client_id: None,
            endpoint: IdentityEndpoint::Platform {
                url: cloud.url("msi/token"),
                header: "s3cr3tXheader".into(),
            },
        },
    ];
    for (index, kind) in kinds.into_iter().enumerate() {
        let shown = format!("{kind:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        let credential = cloud.identity(kind);
        assert_eq!(credential.expires(), None);
        let (one, other) = (cloud.client(&credential), cloud.client(&credential));
        let readings = (0..10).flat_map(|_| [look(&one), look(&other)]);
        for got in futures::future::join_all(readings).await {
            assert_eq!(got.unwrap().id, PoolId(27), "{shown}");
        }
        assert_eq!(cloud.asked(), index as u64 + 1, "{shown}");
        assert_eq!(one.standing().valid, Some(true));
        let expires = credential.expires().unwrap();
        let left = expires.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((3500..3700).contains(&left), "{left}");
    }
}

/// What `config.sh` is given, from each of the places that a token may be in.
#[tokio::test(start_paused = true)]
async fn the_token_itself_is_had_from_each_kind_of_credential() {
    let cloud = Cloud::start().await;
    let fixed = TokenConfig::Fixed(format!("{SECRET}\n").into());
    let fixed = Credential::new(&fixed, &ConnectionSettings::default()).unwrap();
    let file = cloud.file(&cloud.write("token", &format!("{SECRET}\n")));
    for credential in [fixed, file] {
        let token = credential.token().await.unwrap();
        assert_eq!(token.expose_secret(), SECRET);
    }
    assert_eq!(cloud.asked(), 0);
    let workload = cloud.identity(IdentityConfig::Workload {
        application: cloud.application(),
        token_file: cloud.write("assertion", "eyJ0.e.f\n"),
    });
    for (index, credential) in [cloud.secret(SECRET), workload].into_iter().enumerate() {
        let token = credential.token().await.unwrap();
        assert!(token.expose_secret().starts_with("eyJ0"));
        // It is the one that requests are signed with.
        look(&cloud.client(&credential)).await.unwrap();
        let again = credential.token().await.unwrap();
        assert_eq!(again.expose_secret(), token.expose_secret());
        assert_eq!(cloud.asked(), index as u64 + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_token_it_is_told_why() {
    let cloud = Cloud::start().await;
    let workload = IdentityConfig::Workload {
        application: cloud.application(),
        token_file: cloud.folder.path().join("nowhere"),
    };
    for (credential, kind) in [
        (
            cloud.file(&cloud.folder.path().join("nowhere")),
            "credential-missing",
        ),
        (
            cloud.file(&cloud.write("empty", " \n")),
            "credential-missing",
        ),
        (cloud.identity(workload), "credential-missing"),
        (cloud.secret("s3cr3tXwrong"), "authority-failed"),
    ] {
        let error = credential.token().await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_outlives_who_began_it() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    let mut gone = Box::pin(look(&client));
    assert!(futures::poll!(&mut gone).is_pending());
    drop(gone);
    look(&client).await.unwrap();
    assert_eq!(cloud.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_ends_and_nobody_waits() {
    let cloud = Cloud::start().await;
    let credential = cloud.secret(SECRET);
    let client = cloud.client(&credential);
    cloud.emulator.set_token_lifetime(Duration::from_secs(1000));
    // seconds that pass, exchanges after the look
    for (seconds, asked) in [(0, 1), (890, 1), (15, 2), (890, 2), (15, 3)] {
        advance(Duration::from_secs(seconds)).await;
        let (before, known) = (cloud.asked(), credential.expires());
        look(&client).await.unwrap();
        settle(|| before == asked || credential.expires() != known).await;
        assert_eq!(cloud.asked(), asked, "after {seconds} s");
    }
    assert_eq!(cloud.emulator.requests().total, 5, "no token had ended");
}

#[tokio::test(start_paused = true)]
async fn a_dead_authority_costs_little_and_a_token_with_life_is_used() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    look(&client).await.unwrap();
    let dead = Some(AuthorityFault::Unavailable);
    cloud.emulator.set_authority_fault(dead);
    advance(Duration::from_secs(3599 - 300)).await;
    for _ in 0..290 {
        advance(Duration::from_secs(1)).await;
        look(&client).await.unwrap();
    }
    let asked = cloud.asked();
    assert!((5..=12).contains(&asked), "{asked} requests in 290 s");
    advance(Duration::from_secs(30)).await;
    let words = ["no token from 127.0.0.1", "status 503"];
    fails(&client, "authority-failed", &words).await;
    assert_eq!(client.standing().valid, Some(false));
    cloud.emulator.set_authority_fault(None);
    advance(Duration::from_secs(61)).await;
    look(&client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_authority_says_is_told_by_its_code_and_without_the_secret() {
    let cloud = Cloud::start().await;
    let refused = cloud.client(&cloud.secret("s3cr3tXwrong"));
    let words = ["status 401, invalid_client: AADSTS7000215: Invalid client secret provided.)"];
    let words = [words[0].trim_end_matches(')')];
    fails(&refused, "authority-failed", &words).await;
    let error = look(&refused).await.unwrap_err().to_string();
    assert!(!error.contains("Trace"), "{error}");
    assert_eq!(cloud.asked(), 1, "the second look is within the rest");
    assert_eq!(cloud.emulator.requests().total, 0);
    for (fault, part) in [
        (AuthorityFault::Garbage, "status is 200"),
        (AuthorityFault::Refuse, "AADSTS700016: Application"),
        (AuthorityFault::Hang, "no answer in time"),
    ] {
        let client = cloud.client(&cloud.secret(SECRET));
        cloud.emulator.set_authority_fault(Some(fault));
        fails(&client, "authority-failed", &[part]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_assertion_is_read_at_each_exchange() {
    let cloud = Cloud::start().await;
    let token_file = cloud.folder.path().join("assertion");
    let client = cloud.client(&cloud.identity(IdentityConfig::Workload {
        application: cloud.application(),
        token_file: token_file.clone(),
    }));
    let path = token_file.to_str().unwrap();
    fails(&client, "credential-missing", &[path, "is it there"]).await;
    assert_eq!(cloud.asked(), 0, "no request without an assertion");
    cloud.write("assertion", "s3cr3tXmalformed");
    advance(Duration::from_secs(60)).await;
    fails(&client, "authority-failed", &["AADSTS50027"]).await;
    cloud.write("assertion", "s3cr3t.e.f");
    advance(Duration::from_secs(60)).await;
    look(&client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_a_minute_and_no_more() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    look(&client).await.unwrap();
    let refuse = |count| {
        let fault = Fault::new(FaultKind::Redirect);
        cloud.emulator.set_fault(Fault { count, ..fault });
    };
    refuse(Some(1));
    look(&client).await.unwrap();
    assert_eq!(cloud.asked(), 2);
    refuse(None);
    let before = cloud.emulator.requests().total;
    for _ in 0..5 {
        let words = ["is the identity a user of this organization?"];
        fails(&client, "credential-rejected", &words).await;
    }
    assert_eq!(cloud.asked(), 2, "within the minute");
    assert_eq!(cloud.emulator.requests().total, before + 5);
    advance(Duration::from_secs(61)).await;
    fails(&client, "credential-rejected", &["302"]).await;
    assert_eq!(cloud.asked(), 3);
    assert_eq!(cloud.emulator.requests().total, before + 7);
}

/// Two pools are read at a time: the second refusal comes while the first one's
/// new token is under way.
#[tokio::test(start_paused = true)]
async fn refusals_at_the_same_time_share_the_new_token() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    look(&client).await.unwrap();
    let fault = Fault::new(FaultKind::Redirect);
    let count = Some(2);
    cloud.emulator.set_fault(Fault { count, ..fault });
    let (one, other) = futures::join!(look(&client), look(&client));
    one.unwrap();
    other.unwrap();
    assert_eq!(cloud.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_limit_is_told_while_the_service_tells_it() {
    let cloud = Cloud::start().await;
    let client = cloud.client(&cloud.secret(SECRET));
    look(&client).await.unwrap();
    assert_eq!(client.standing().rate_limit_left, None);
    let fault = Fault::new(FaultKind::SlowDown);
    let count = Some(1);
    cloud.emulator.set_fault(Fault { count, ..fault });
    look(&client).await.unwrap();
    assert!(client.standing().rate_limit_left.is_some());
    look(&client).await.unwrap();
    assert_eq!(client.standing().rate_limit_left, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_in_a_file_is_followed_and_one_that_can_be_none_is_not_sent() {
    let cloud = Cloud::start().await;
    let path = cloud.folder.path().join("token");
    let client = cloud.client(&cloud.file(&path));
    fails(&client, "credential-missing", &[path.to_str().unwrap()]).await;
    cloud.write("token", "s3cr3t token");
    fails(&client, "credential-missing", &["no token has"]).await;
    assert_eq!(cloud.emulator.requests().total, 0);
    assert_eq!(client.standing().valid, Some(false));
    cloud.write("token", "s3cr3tXold");
    fails(&client, "credential-rejected", &["203"]).await;
    cloud.write("token", &format!("{SECRET}\n"));
    look(&client).await.unwrap();
    assert_eq!(client.standing().valid, Some(true));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_a_queue_is_told_with_the_pools_own() {
    let cloud = Cloud::start().await;
    cloud.emulator.add_queue(812, "linux").unwrap();
    let client = cloud.client(&cloud.file(&cloud.write("token", SECRET)));
    let look = async |number| client.pool(&PoolRef::Id(PoolId(number))).await.outcome;
    assert_eq!(look(27).await.unwrap().id, PoolId(27));
    let error = look(812).await.unwrap_err();
    assert_eq!(error.kind(), "queue-id");
    let words = "812 is a project's queue id; the pool's id is 27 (linux): write poolID \"27\"";
    assert_eq!(error.to_string(), words);
    assert_eq!(look(813).await.unwrap_err().kind(), "pool-not-found");
    assert_eq!(cloud.emulator.requests().of("queues/{id}"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_proves_an_identity_reaches_no_log_at_any_level() {
    let (log, _guard) = Log::of_everything();
    let cloud = Cloud::start().await;
    let workload = IdentityConfig::Workload {
        application: cloud.application(),
        token_file: cloud.write("assertion", "s3cr3tXhead.s3cr3tXbody.s3cr3tXsignature"),
    };
    let platform = IdentityConfig::Managed {
        client_id: None,
        endpoint: IdentityEndpoint::Platform {
            url: cloud.url("msi/token"),
            header: "s3cr3tXheader".into(),
        },
    };
    cloud.emulator.set_token_lifetime(Duration::from_secs(100));
    let told = || {
        let text = log.text();
        text.matches("no new token; the old one is used").count()
    };
    // the credential, and how often a background renewal has failed after it
    for (credential, failed) in [
        (cloud.secret(SECRET), 1),
        (cloud.secret("s3cr3tXwrong"), 1),
        (cloud.identity(workload), 2),
        // It tells the end by the emulator's clock, which was moved on.
        (cloud.identity(platform), 2),
        (cloud.file(&cloud.write("token", SECRET)), 2),
    ] {
        let client = cloud.client(&credential);
        let _ = look(&client).await;
        cloud
            .emulator
            .set_authority_fault(Some(AuthorityFault::Refuse));
        advance(Duration::from_secs(60)).await;
        let _ = look(&client).await;
        settle(|| told() == failed).await;
        cloud.emulator.set_authority_fault(None);
    }
    let text = log.text();
    let asked: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("s3cr3t"))
        .collect();
    assert!(asked.is_empty(), "{asked:#?}");
    let tokens = text.matches("eyJ0").count();
    assert_eq!(tokens, 0, "a bearer token is logged");
}

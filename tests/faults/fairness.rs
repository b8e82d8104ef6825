//! Who is slowed when the service asks for it: every pool and organization of
//! the credential that was told, alike, and nobody else.
//!
//! Azure DevOps: limits the rate of an identity, whichever pool or organization
//! it asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use azp_scaler::{
    app::App,
    config::{ConnectionConfig, ConnectionSettings, CredentialConfig, TokenConfig},
    domain::{
        organization::OrganizationUrl,
        tenancy::{CredentialRule, Rules},
    },
    scaler::{
        Scaler,
        answers::{Answers as _, Call},
    },
    shutdown::Shutdown,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{sleep, timeout},
};

use crate::stage::config;

/// A queue that was read: by which token, in which organization, of which pool.
type Read = (String, String, u32);

/// More pools than are read at a time, in two organizations, and one that is
/// read with another credential.
const ONE: [(&str, u32); 2] = [("contoso", 9), ("fabrikam", 3)];
const OTHER: (&str, u32) = ("contoso", 1);

/// The service: it writes down what is read, and asks one reading for a pause.
struct Service {
    reads: watch::Sender<Vec<Read>>,
    /// What the next reading with the token `one` is answered with, and how many
    /// there were before it.
    order: Mutex<Option<(StatusCode, HeaderMap)>>,
    told_at: Mutex<Option<usize>>,
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let number = parts.get(4).and_then(|number| number.parse::<u32>().ok());
    let json = [(header::CONTENT_TYPE, "application/json")];
    match (number, parts.get(5)) {
        (Some(number), None) => {
            let pool = format!(r#"{{"id":{number},"name":"pool-{number}"}}"#);
            (json, pool).into_response()
        }
        (Some(number), Some(_)) => {
            let token = token(request.headers());
            let mut answer = (json, r#"{"count":0,"value":[]}"#).into_response();
            if token == "one"
                && let Some((status, headers)) = service.order.lock().unwrap().take()
            {
                let before = service.reads.borrow().len();
                *service.told_at.lock().unwrap() = Some(before);
                *answer.status_mut() = status;
                answer.headers_mut().extend(headers);
            }
            let read = (token, parts[0].to_owned(), number);
            service.reads.send_modify(|reads| reads.push(read));
            answer
        }
        _ => panic!("nobody asks for {path}"),
    }
}

fn token(headers: &HeaderMap) -> String {
    let value = headers[header::AUTHORIZATION].to_str().unwrap();
    let value = value.strip_prefix("Basic ").unwrap();
    let value = String::from_utf8(BASE64_STANDARD.decode(value).unwrap()).unwrap();
    value.strip_prefix(':').unwrap().to_owned()
}

async fn serve() -> (SocketAddr, Arc<Service>) {
    let service = Arc::new(Service {
        reads: watch::Sender::default(),
        order: Mutex::default(),
        told_at: Mutex::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer);
    let router = router.with_state(Arc::clone(&service));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (at, service)
}

async fn scaler(at: SocketAddr) -> (Arc<Scaler>, Shutdown) {
    let url = |name: &str| OrganizationUrl::parse(&format!("http://{at}/{name}")).unwrap();
    let organizations: Vec<OrganizationUrl> = ONE.map(|(name, _)| url(name)).into();
    let mut config = config(url("contoso"), TokenConfig::Fixed("unused".into()));
    config.tenancy.rules = Rules {
        credentials: ["one", "other"]
            .map(|name| CredentialRule {
                name: name.into(),
                organizations: organizations.clone(),
                namespaces: None,
                pools: None,
            })
            .into(),
        organizations: organizations.clone(),
        own_tokens: Vec::new(),
    };
    config.tenancy.connections = organizations
        .into_iter()
        .map(|organization| ConnectionConfig {
            organization,
            settings: ConnectionSettings::default(),
        })
        .collect();
    config.tenancy.credentials = ["one", "other"]
        .map(|name| CredentialConfig {
            name: name.into(),
            token: TokenConfig::Fixed(name.into()),
        })
        .into();
    let app = App::build(config).await.unwrap();
    let (scaler, shutdown) = (app.scaler(), Shutdown::new());
    tokio::spawn(app.run(shutdown.clone()));
    for (organization, pools) in ONE {
        for pool in 1..=pools {
            watch(&scaler, "one", &url(organization), pool).await;
        }
    }
    watch(&scaler, "other", &url(OTHER.0), OTHER.1).await;
    (scaler, shutdown)
}

/// The pool is read from now on.
async fn watch(scaler: &Scaler, credential: &str, organization: &OrganizationUrl, pool: u32) {
    let metadata = [
        ("poolID", pool.to_string()),
        ("organizationURL", organization.as_str().to_owned()),
        ("credential", credential.to_owned()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    let name = format!("{}-{credential}-{pool}", organization.name());
    let call = Call {
        namespace: "ci",
        name: &name,
        metadata: &metadata,
        encrypted: false,
    };
    assert_eq!(scaler.answer(&call).await.unwrap().number.value(), 0);
}

/// Waits until the service has been asked so often.
async fn until_read(service: &Service, reads: impl Fn(&[Read]) -> bool) -> Vec<Read> {
    let mut all = service.reads.subscribe();
    let all = timeout(Duration::from_secs(60), all.wait_for(|all| reads(all)));
    all.await.expect("the pools are read").unwrap().clone()
}

fn by_one(reads: &[Read]) -> impl Iterator<Item = (&str, u32)> {
    let reads = reads.iter().filter(|(token, ..)| token == "one");
    reads.map(|(_, organization, pool)| (organization.as_str(), *pool))
}

async fn check(name: &str, status: StatusCode, headers: &[(&str, String)]) {
    let (at, service) = serve().await;
    let (_scaler, shutdown) = scaler(at).await;
    let pools: u32 = ONE.iter().map(|(_, pools)| pools).sum();
    let pools = usize::try_from(pools).unwrap();
    until_read(&service, |reads| {
        by_one(reads).collect::<BTreeSet<_>>().len() == pools
    })
    .await;

    let headers = headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    *service.order.lock().unwrap() = Some((status, headers.collect()));
    let told_at = loop {
        if let Some(before) = *service.told_at.lock().unwrap() {
            break before;
        }
        sleep(Duration::from_millis(5)).await;
    };

    // Every pool once, and once more after that: two rounds after the pause.
    let reads = until_read(&service, |reads| {
        let after = &reads[told_at + 1..];
        quiet_end(after).is_some_and(|end| by_one(&after[end..]).count() >= 2 * pools)
    })
    .await;
    let after = &reads[told_at + 1..];
    let end = quiet_end(after).unwrap();

    // What was under way when the service spoke: each pool once at most.
    let under_way: Vec<_> = by_one(&after[..end]).collect();
    let distinct: BTreeSet<_> = under_way.iter().collect();
    assert_eq!(under_way.len(), distinct.len(), "{name}: {under_way:?}");
    // Then every pool is read before any is read twice.
    let first_round: Vec<_> = by_one(&after[end..]).take(pools).collect();
    let mut times: BTreeMap<_, u32> = BTreeMap::new();
    for read in &first_round {
        *times.entry(*read).or_default() += 1;
    }
    assert_eq!(times.len(), pools, "{name}: {first_round:?}");
    shutdown.cut_now();
}

/// Where the pause ends: the first reading with the credential that was told
/// after six of the other's in a row, which go on every tenth of a second.
fn quiet_end(after: &[Read]) -> Option<usize> {
    let mut others = 0;
    for (index, (token, ..)) in after.iter().enumerate() {
        if token == "other" {
            others += 1;
        } else if others >= 6 {
            return Some(index);
        } else {
            others = 0;
        }
    }
    None
}

#[tokio::test]
async fn a_refusal_slows_all_of_its_credential_and_no_other() {
    let headers = [("retry-after", "2".to_owned())];
    check("429", StatusCode::TOO_MANY_REQUESTS, &headers).await;
}

#[tokio::test]
async fn a_limit_that_is_near_slows_all_of_its_credential_and_no_other() {
    let reset = Timestamp::now().as_second() + 20;
    let headers = [
        ("x-ratelimit-limit", "200".to_owned()),
        ("x-ratelimit-remaining", "15".to_owned()),
        ("x-ratelimit-reset", reset.to_string()),
    ];
    check("X-RateLimit-Remaining", StatusCode::OK, &headers).await;
}

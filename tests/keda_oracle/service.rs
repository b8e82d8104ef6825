//! A service that says what the emulator never says, word for word: the second
//! table of `docs/keda-differences.md`.
//!
//! May import: axum. Invariant: it has one pool, and knows no more of Azure
//! DevOps than the paths that both sides ask for.

use axum::{
    Router,
    http::{HeaderMap, Uri, header::CONTENT_TYPE},
};
use tokio::net::TcpListener;

/// An answer of the service that the emulator does not give, and what both sides
/// make of it; `None` is no number but an error.
pub struct OddAnswer {
    pub name: &'static str,
    /// The pages of the list of job requests.
    pub pages: &'static [&'static str],
    /// What the trigger says beside its pool.
    pub trigger: (&'static str, &'static str),
    pub keda: Option<u64>,
    pub here: Option<u64>,
}

pub const ODD_ANSWERS: &[OddAnswer] = &[
    OddAnswer {
        name: "no-list",
        pages: &["{}"],
        trigger: ALL,
        keda: Some(0),
        here: None,
    },
    OddAnswer {
        name: "no-list",
        pages: &[r#"{"count":1,"value":null}"#],
        trigger: ALL,
        keda: Some(0),
        here: None,
    },
    OddAnswer {
        name: "pages",
        pages: &[
            r#"{"value":[{"requestId":1},{"requestId":2}]}"#,
            r#"{"value":[{"requestId":3}]}"#,
        ],
        trigger: ALL,
        keda: Some(2),
        here: Some(3),
    },
    OddAnswer {
        name: "job-twice",
        pages: &[r#"{"value":[{"requestId":1},{"requestId":1}]}"#],
        trigger: ALL,
        keda: Some(2),
        here: Some(1),
    },
    OddAnswer {
        name: "no-result",
        pages: &[r#"{"value":[{"requestId":1,"result":"none"},{"requestId":2,"result":""}]}"#],
        trigger: ALL,
        keda: Some(0),
        here: Some(2),
    },
    OddAnswer {
        name: "no-demand",
        pages: &[r#"{"value":[{"requestId":1,"demands":["java",null]}]}"#],
        trigger: ("demands", "java"),
        keda: Some(0),
        here: Some(1),
    },
    OddAnswer {
        name: "no-time",
        pages: &[r#"{"value":[{"requestId":1,"queueTime":"yesterday"}]}"#],
        trigger: ALL,
        keda: None,
        here: Some(1),
    },
    OddAnswer {
        name: "bare-list",
        pages: &[r#"[{"requestId":1}]"#],
        trigger: ALL,
        keda: None,
        here: Some(1),
    },
    // Here they agree: both take the year 1 for no time.
    OddAnswer {
        name: "",
        pages: &[r#"{"value":[{"requestId":1,"receiveTime":"0001-01-01T00:00:00Z"}]}"#],
        trigger: ("scaleOnInFlight", "false"),
        keda: Some(1),
        here: Some(1),
    },
];

const ALL: (&str, &str) = ("fetchUnfinishedJobsOnly", "true");

pub const POOL: &str = "odd";
pub const POOL_ID: u32 = 27;

/// Serves these pages of job requests until the runtime ends; tells where.
pub async fn start(pages: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/contoso", listener.local_addr().unwrap());
    let router = Router::new().fallback(move |uri: Uri| async move { answer(&uri, pages) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn answer(uri: &Uri, pages: &[&str]) -> (HeaderMap, String) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    if !uri.path().ends_with("/jobrequests") {
        let list = format!(r#"{{"count":1,"value":[{{"id":{POOL_ID},"name":"{POOL}"}}]}}"#);
        return (headers, list);
    }
    let token = uri.query().unwrap_or_default().split('&');
    let token = token
        .filter_map(|pair| pair.strip_prefix("continuationToken="))
        .next();
    let page: usize = token.map_or(0, |token| token.parse().unwrap());
    if page + 1 < pages.len() {
        let next = (page + 1).to_string();
        headers.insert("x-ms-continuationtoken", next.parse().unwrap());
    }
    (headers, pages[page].to_owned())
}

//! The HTTP server, asked over a real connection, word for word.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail so")]

mod support;

use std::{net::SocketAddr, sync::Arc};

use azp_scaler::{
    domain::profile::ScalingObject,
    http::{self, HttpError, Latch, Site},
    scaler::status::{PoolStatus, Status, Wanted},
    shutdown::Shutdown,
    telemetry::metrics::{HookOutcome, Metrics},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::SecretString;
use support::{
    http::{Reply, ask, begin, get, reply},
    scripted::Scripted,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const HOOK: &str = "POST /hooks/azure-devops";
const SECRET: &str = "X-Azp-Hook-Secret: s3cret:hook";

struct Served {
    answers: Arc<Scripted>,
    metrics: Arc<Metrics>,
    ready: Latch,
    shutdown: Shutdown,
    at: SocketAddr,
    server: JoinHandle<Result<(), HttpError>>,
}

async fn serve() -> Served {
    serve_with(Some("s3cret:hook")).await
}

async fn serve_with(hook_secret: Option<&str>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let site = Site {
        answers: Arc::new(Scripted::new(Ok(0))),
        metrics: Arc::new(Metrics::new()),
        ready: Latch::default(),
        hook_secret: hook_secret.map(SecretString::from),
        shutdown: Shutdown::new(),
    };
    Served {
        answers: Arc::clone(&site.answers),
        metrics: Arc::clone(&site.metrics),
        ready: site.ready.clone(),
        shutdown: site.shutdown.clone(),
        at,
        server: tokio::spawn(http::serve(listener, site)),
    }
}

impl Served {
    fn nudged(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.answers.nudged.lock().unwrap())
    }

    fn hooks(&self, outcome: HookOutcome) -> String {
        let text = self.metrics.scrape().text();
        let start = format!("azp_hooks_total{{outcome=\"{}\"}} ", outcome.as_str());
        let count = text.lines().find_map(|line| line.strip_prefix(&start));
        count.expect("a count").to_owned()
    }
}

#[track_caller]
fn check(reply: &Reply, status: u16, part: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.body.contains(part), "{reply:?}");
}

#[tokio::test]
async fn ready_once_everything_listens_and_until_it_drains() {
    let served = serve().await;
    check(&get(served.at, "/readyz").await, 503, "starting");
    check(&get(served.at, "/livez").await, 200, "alive");
    served.ready.open();
    check(&get(served.at, "/readyz").await, 200, "ready");
    served.shutdown.begin_draining();
    check(&get(served.at, "/readyz").await, 503, "shutting down");
    check(&get(served.at, "/livez").await, 200, "alive");
    served.shutdown.begin_stop();
    served.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(served.at).await.is_err());
}

#[tokio::test]
async fn alive_unless_a_loop_is_stuck() {
    let served = serve().await;
    let stuck = "the watcher of pool linux".to_owned();
    *served.answers.stuck.lock().unwrap() = Some(stuck);
    check(
        &get(served.at, "/livez").await,
        503,
        "stuck: the watcher of pool linux",
    );
}

#[tokio::test]
async fn an_unknown_path_tells_the_known_ones() {
    let served = serve().await;
    check(
        &get(served.at, "/").await,
        404,
        "there are /status, /metrics",
    );
    check(&get(served.at, "/hooks/azure-devops").await, 405, "");
}

#[tokio::test]
async fn the_status_is_json_and_can_be_narrowed() {
    let served = serve().await;
    let pool = |name: &str| PoolStatus {
        parallel_jobs: None,
        organization: "https://dev.azure.com/contoso".to_owned(),
        pool: name.to_owned(),
        pool_id: Some(7),
        age_seconds: Some(1.5),
        failure: None,
        queued: 3,
        assigned: 0,
        running: 1,
        unclaimed: 0,
        profiles: Vec::new(),
        jobs: Vec::new(),
        jobs_not_shown: 0,
    };
    *served.answers.status.lock().unwrap() = Status {
        version: "0.0.0",
        learning_seconds_left: None,
        pools: vec![pool("Linux x64"), pool("windows")],
        refused: Vec::new(),
    };
    let names = async |path: &str| {
        let reply = get(served.at, path).await;
        assert!(
            reply
                .head
                .to_lowercase()
                .contains("content-type: application/json")
        );
        let status: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(status["pools"][0]["queued"].as_u64().unwrap_or(3), 3);
        let pools = status["pools"].as_array().unwrap();
        pools
            .iter()
            .map(|pool| pool["pool"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/status").await, ["Linux x64", "windows"]);
    let object = Some(ScalingObject {
        namespace: "ci".into(),
        name: "linux".into(),
    });
    let table = [
        ("", Wanted::default()),
        (
            "?pool=linux%20X64&unclaimed=true",
            Wanted {
                pool: Some("linux X64".to_owned()),
                unclaimed: true,
                ..Wanted::default()
            },
        ),
        (
            "?object=ci/linux&job=90403",
            Wanted {
                object,
                job: Some(90_403),
                ..Wanted::default()
            },
        ),
    ];
    for (query, wanted) in table {
        names(&format!("/status{query}")).await;
        assert_eq!(*served.answers.wanted.lock().unwrap(), wanted, "{query}");
    }
    for (query, told) in [("object=linux", "write NAMESPACE/NAME"), ("job=x", "job")] {
        let reply = get(served.at, &format!("/status?{query}")).await;
        check(&reply, 400, told);
    }
}

#[tokio::test]
async fn a_hook_needs_the_secret() {
    let basic = |text: &str| format!("Authorization: Basic {}", BASE64_STANDARD.encode(text));
    let table = [
        (SECRET.to_owned(), 202),
        (basic("anybody:s3cret:hook"), 202),
        (basic(":s3cret:hook").replace("Basic", "basic"), 202),
        (basic("s3cret:hook"), 401),
        (basic("s3cret"), 401),
        ("Authorization: Basic !!!".to_owned(), 401),
        ("Authorization: Bearer s3cret:hook".to_owned(), 401),
        ("X-Azp-Hook-Secret: s3cret:hoo".to_owned(), 401),
        ("X-Azp-Hook-Secret: s3cret:hooks".to_owned(), 401),
        ("X-Azp-Hook-Secret: ".to_owned(), 401),
        ("X-Other: 1".to_owned(), 401),
    ];
    let served = serve().await;
    for (header, status) in &table {
        let reply = ask(served.at, HOOK, &[header], b"{}").await;
        assert_eq!(reply.status, *status, "{header}: {reply:?}");
        assert_eq!(
            served.nudged().len(),
            usize::from(*status == 202),
            "{header}"
        );
        assert!(!format!("{reply:?}").contains("s3cret"), "{reply:?}");
    }
    assert_eq!(served.hooks(HookOutcome::Accepted), "3");
    assert_eq!(served.hooks(HookOutcome::Unauthorized), "8");

    let served = serve_with(None).await;
    let reply = ask(served.at, HOOK, &[SECRET], b"{}").await;
    check(&reply, 401, "set AZP_HOOK_SECRET or --hook-secret-file");
}

#[tokio::test]
async fn a_hook_wakes_its_organization_or_all() {
    const CONTOSO: &str = "https://dev.azure.com/contoso";
    let event = |containers: &str| format!(r#"{{"resourceContainers":{{{containers}}}}}"#);
    let project = |url: &str| event(&format!(r#""project":{{"id":"1","baseUrl":"{url}"}}"#));
    let many: Vec<_> = (0..9)
        .map(|n| format!(r#""c{n}":{{"baseUrl":"{CONTOSO}"}}"#))
        .collect();
    let all = || vec![None];
    let contoso = || vec![Some(CONTOSO.to_owned())];
    let table = [
        (project("https://dev.azure.com/contoso/"), contoso()),
        (
            event(
                r#""collection":{"id":"2"},"account":{"baseUrl":"https://dev.azure.com/contoso"},
                "project":{"baseUrl":"https://dev.azure.com/contoso/"}"#,
            ),
            contoso(),
        ),
        // the same organization by its older name: nobody watches that one
        (
            project("https://contoso.visualstudio.com/"),
            vec![Some("https://contoso.visualstudio.com".to_owned()), None],
        ),
        (project("http://dev.azure.com/contoso/"), all()),
        (project("here"), all()),
        (event(&many.join(",")), all()),
        (event(r#""project":"p""#), all()),
        (event(""), all()),
        (r#"{"resourceContainers":[]}"#.to_owned(), all()),
        ("{}".to_owned(), all()),
        ("[]".to_owned(), all()),
        ("{\"resource".to_owned(), all()),
        ("\u{0}\u{1}".to_owned(), all()),
        (String::new(), all()),
    ];
    let served = serve().await;
    for (body, nudged) in table {
        let reply = ask(served.at, HOOK, &[SECRET], body.as_bytes()).await;
        check(&reply, 202, r#"{"poolsWoken":2}"#);
        assert_eq!(served.nudged(), nudged, "{body}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_and_while_it_comes() {
    const LARGEST: usize = 2 * 1024 * 1024;
    let served = serve().await;
    let whole = ask(served.at, HOOK, &[SECRET], &vec![b' '; LARGEST]).await;
    assert_eq!(whole.status, 202);

    let announced = format!("Content-Length: {}", LARGEST + 1);
    let stream = begin(served.at, HOOK, &[SECRET, &announced]).await;
    check(&reply(stream).await, 413, "larger than 2 MiB");

    let mut stream = begin(served.at, HOOK, &[SECRET, "Transfer-Encoding: chunked"]).await;
    let size = format!("{:x}\r\n", LARGEST + 1);
    stream.write_all(size.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; LARGEST + 1]).await.unwrap();
    check(&reply(stream).await, 413, "larger than 2 MiB");
    assert_eq!(served.hooks(HookOutcome::TooLarge), "2");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_asked_for_again_later() {
    let served = serve().await;
    let stream = begin(served.at, HOOK, &[SECRET, "Content-Length: 10"]).await;
    check(&reply(stream).await, 503, "did not come in time");
    assert_eq!(served.hooks(HookOutcome::Unfinished), "1");
    assert!(served.nudged().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_does_not_hold_a_place_for_ever() {
    let served = serve().await;
    let mut stream = TcpStream::connect(served.at).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ")
        .await
        .unwrap();
    let mut rest = Vec::new();
    // However it ends, it ends.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("alive"));
}

#[tokio::test]
async fn deliveries_beyond_the_places_for_bodies_come_again() {
    let served = serve().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        let headers = [SECRET, "Content-Length: 2", "Expect: 100-continue"];
        let mut stream = begin(served.at, HOOK, &headers).await;
        // The server asks for the body once it has a place for it.
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        open.push(stream);
    }
    check(
        &ask(served.at, HOOK, &[SECRET], b"{}").await,
        503,
        "too many",
    );
    assert_eq!(served.hooks(HookOutcome::Busy), "1");
    for mut stream in open {
        stream.write_all(b"{}").await.unwrap();
        assert_eq!(reply(stream).await.status, 202);
    }
    assert_eq!(ask(served.at, HOOK, &[SECRET], b"{}").await.status, 202);
}

#[tokio::test]
async fn hooks_come_again_elsewhere_while_the_scaler_drains() {
    let served = serve().await;
    served.shutdown.begin_draining();
    check(
        &ask(served.at, HOOK, &[SECRET], b"{}").await,
        503,
        "shutting down",
    );
    check(
        &ask(served.at, HOOK, &[], b"{}").await,
        401,
        "missing or wrong",
    );
    assert!(served.nudged().is_empty());
    assert_eq!(served.hooks(HookOutcome::Draining), "1");
}

//! Packages of the agent's software: which one, and its way into a file.

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use azp_scaler::{
    config::ConnectionSettings,
    emulator::{self, Settings},
    ports::packages::{AgentPackage, FetchError, Fetched, HashCheck, Packages},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{
    connect::private_authority,
    identity::{Cloud, SECRET},
    *,
};

const NEWEST: &str = "/contoso/_apis/distributedtask/packages/agent?platform=linux-x64&$top=1";

/// The file that is fetched, and its SHA-256.
const FILE: &[u8] = b"the agent";
const HASH: &str = "c770ef7d03b6965625b626eb0871705a566d6a89a39bb670f0cccffbac97270d";

/// Ends an answer after which nothing more comes, while the connection stays.
const HANGS: &[u8] = b"\0and hangs";

/// A server that gives these answers, one for each connection, and keeps the
/// heads of what it was asked.
struct Site {
    address: String,
    task: JoinHandle<Vec<String>>,
}

impl Site {
    async fn start(tls: Option<TlsAcceptor>, answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            let mut heads = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                heads.push(match &tls {
                    Some(tls) => talk(tls.accept(stream).await.unwrap(), &answer).await,
                    None => talk(stream, &answer).await,
                });
            }
            heads
        });
        Self { address, task }
    }

    /// All answers were given; what was asked for each.
    async fn heads(self) -> Vec<String> {
        let heads = tokio::time::timeout(NO_LIMIT, self.task).await;
        heads.expect("a request is missing").unwrap()
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let said = answer.strip_suffix(HANGS).unwrap_or(answer);
    stream.write_all(said).await.unwrap();
    stream.flush().await.unwrap();
    if said != answer {
        // Until the client goes.
        let _ = stream.read(&mut [0]).await;
    }
    let _ = stream.shutdown().await;
    String::from_utf8(head).unwrap()
}

fn file() -> Vec<u8> {
    answer("200 OK\r\ncontent-type: application/octet-stream", FILE)
}

fn to(target: &str) -> Vec<u8> {
    answer(&format!("302 Found\r\nlocation: {target}"), "")
}

fn package(url: &str) -> AgentPackage {
    AgentPackage {
        version: "4.260.0".into(),
        file_name: "agent.tar.gz".into(),
        url: url.parse().unwrap(),
        hash: HASH.into(),
    }
}

/// What came of a package, what is in the folder after it, and the progress that
/// was told.
struct Outcome {
    got: Result<Fetched, FetchError>,
    files: Vec<String>,
    progress: Vec<(u64, Option<u64>)>,
}

/// Fetches a package into a fresh folder.
async fn fetch(settings: ClientSettings, package: &AgentPackage) -> Outcome {
    let client = Client::new(settings).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.tar.gz");
    let told = Mutex::new(Vec::new());
    let progress = |bytes, total| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push((bytes, total));
    };
    let got = client.fetch(package, &path, &progress).await;
    assert_hidden(&format!("{got:?}"));
    if got.is_ok() {
        assert_eq!(fs::read(&path).unwrap(), FILE);
    }
    let files = fs::read_dir(&folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    Outcome {
        got,
        files: files
            .map(|file| name(file).into_string().unwrap())
            .collect(),
        progress: told.into_inner().unwrap(),
    }
}

/// Fetches from the organization's own address, which gives these answers.
async fn fetch_own(answers: Vec<Vec<u8>>, hash: &str) -> (Outcome, Vec<String>) {
    let site = Site::start(None, answers).await;
    let package = AgentPackage {
        hash: hash.into(),
        ..package(&format!("http://{}/files/agent.tar.gz", site.address))
    };
    let mut settings = settings(&format!("http://{}/contoso", site.address));
    settings.package_cap = 1000;
    let outcome = fetch(settings, &package).await;
    (outcome, site.heads().await)
}

fn is_signed(head: &str) -> bool {
    head.to_lowercase().contains("\r\nauthorization: basic ")
}

#[tokio::test]
async fn the_organization_names_the_newest_package() {
    let row = r#"{"type":"agent","platform":"linux-x64","version":{"major":4,"minor":260,"patch":0},
        "downloadUrl":"https://download.agent.dev.azure.com/agent/4.260.0/a.tar.gz",
        "hashValue":"ABCD","filename":"a.tar.gz"}"#;
    let list = json(&format!(r#"{{"count":1,"value":[{row}]}}"#));
    let server = Server::start(vec![
        turn(NEWEST, list),
        turn(NEWEST, json(EMPTY)),
        turn(NEWEST, answer("403 Forbidden", "")),
    ]);
    let client = Client::new(server.settings()).unwrap();
    let newest = async || client.newest("linux-x64").await;
    let url = "https://download.agent.dev.azure.com/agent/4.260.0/a.tar.gz";
    let expected = AgentPackage {
        file_name: "a.tar.gz".into(),
        hash: "ABCD".into(),
        ..package(url)
    };
    assert_eq!(newest().await, Ok(Some(expected)));
    assert_eq!(newest().await, Ok(None));
    assert_eq!(newest().await.unwrap_err().kind(), "forbidden");
    server.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_package_of_the_emulator_is_found_and_fetched() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("source.tar.gz");
    fs::write(&source, FILE).unwrap();
    let offered = |version: &str| emulator::AgentPackage {
        platform: "linux-x64".into(),
        version: version.into(),
        file: source.clone(),
    };
    let cloud = Cloud::start_with(Settings {
        packages: vec![offered("4.99.0"), offered("4.260.1")],
        ..Settings::default()
    });
    let cloud = cloud.await;
    let client = cloud.client(&cloud.secret(SECRET));
    assert_eq!(client.newest("linux-arm64").await, Ok(None));
    let package = client.newest("linux-x64").await.unwrap().unwrap();
    assert_eq!(&*package.version, "4.260.1");
    let path = folder.path().join("agent.tar.gz");
    let fetched = client.fetch(&package, &path, &|_, _| {}).await.unwrap();
    assert_eq!(
        (fetched.bytes, fetched.hash),
        (FILE.len() as u64, HashCheck::Matches)
    );
    assert_eq!(fs::read(&path).unwrap(), FILE);
}

#[tokio::test(start_paused = true)]
async fn a_package_is_fetched_and_its_hash_is_looked_at() {
    let length = FILE.len() as u64;
    for (hash, expected) in [
        (HASH, HashCheck::Matches),
        ("", HashCheck::NotGiven),
        ("1B2M2Y8AsgTpgAmY7PhCfg==", HashCheck::UnknownForm),
    ] {
        let (outcome, heads) = fetch_own(vec![file()], hash).await;
        let fetched = outcome.got.unwrap();
        assert_eq!((fetched.bytes, fetched.hash), (length, expected));
        assert_eq!(outcome.files, ["agent.tar.gz"]);
        assert_eq!(outcome.progress.last(), Some(&(length, Some(length))));
        assert!(is_signed(&heads[0]), "its own address: {}", heads[0]);
        assert!(!heads[0].contains("gzip"), "{}", heads[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_three_times_and_nothing_else() {
    let cut = || [&file()[..file().len() - FILE.len()], b"the "].concat();
    let silent = || [&cut(), HANGS].concat();
    let broken = || answer("503 Oh", "");
    let large = |length: u64| {
        let head =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        head.into_bytes()
    };
    let endless = [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        &[b'x'; 1001][..],
    ]
    .concat();
    let page = "200 OK\r\ncontent-type: text/html";
    let wrong = || answer("200 OK", "another");
    for (answers, expected) in [
        (vec![cut(), file()], Ok(())),
        (vec![silent(), broken(), file()], Ok(())),
        (vec![wrong(), file()], Ok(())),
        (vec![HANGS.to_vec(), file()], Ok(())),
        (vec![Vec::new(), file()], Ok(())),
        (vec![cut(), cut(), cut()], Err("cut")),
        (vec![silent(), silent(), silent()], Err("silent")),
        (vec![wrong(), wrong(), wrong()], Err("wrong-hash")),
        (
            vec![broken(), broken(), answer("429 Slow", "")],
            Err("status"),
        ),
        (vec![answer("404 Not Found", "")], Err("status")),
        (vec![answer("204 No Content", "")], Err("status")),
        (vec![answer("302 Found", "")], Err("status")),
        (vec![answer(page, "<html>")], Err("page")),
        (vec![large(1001)], Err("too-large")),
        (vec![endless], Err("too-large")),
    ] {
        let attempts = answers.len();
        let (outcome, heads) = fetch_own(answers, HASH).await;
        let got = outcome.got.as_ref().map(|_| ()).map_err(FetchError::kind);
        assert_eq!(
            (got, heads.len()),
            (expected, attempts),
            "{:?}",
            outcome.got
        );
        let files = usize::from(got.is_ok());
        assert_eq!(outcome.files.len(), files, "{:?}", outcome.files);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_is_left_after_half_a_minute() {
    let before = Instant::now();
    let (outcome, _) = fetch_own(vec![HANGS.to_vec(), file()], HASH).await;
    outcome.got.unwrap();
    // And the pause before the second attempt.
    assert_eq!(before.elapsed().as_secs(), 32);
}

/// The organization's own address and another one over TLS, which the client
/// trusts.
async fn fetch_by(
    other: Vec<Vec<u8>>,
    own: impl Fn(&str) -> Vec<Vec<u8>>,
) -> (Outcome, Vec<String>, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    let other = Site::start(Some(private_authority(&ca)), other).await;
    let target = other.address.replace("127.0.0.1", "https://localhost");
    let own = Site::start(None, own(&target)).await;
    let connection = ConnectionSettings {
        ca: Some(ca),
        ..ConnectionSettings::default()
    };
    let settings = settings(&format!("http://{}/contoso", own.address)).with(&connection);
    let outcome = fetch(settings, &package(&format!("http://{}/a", own.address))).await;
    (outcome, own.heads().await, other.heads().await)
}

#[tokio::test]
async fn another_host_is_never_shown_the_credential() {
    let (outcome, own, other) =
        fetch_by(vec![to("/b?sig=1"), file()], |target| vec![to(target)]).await;
    outcome.got.unwrap();
    assert!(is_signed(&own[0]));
    let lines: Vec<_> = other
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    assert_eq!(lines, ["GET / HTTP/1.1", "GET /b?sig=1 HTTP/1.1"]);
    for head in other {
        assert!(!is_signed(&head), "{head}");
        assert_hidden(&head);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_in_clear_text_from_another_host() {
    let elsewhere = fresh_listener();
    let target = format!("http://{}/agent.tar.gz", elsewhere.local_addr().unwrap());
    let insecure = |outcome: Outcome| {
        let error = outcome.got.unwrap_err();
        let shown = error.to_string();
        assert_eq!(error.kind(), "insecure", "{shown}");
        assert!(
            shown.contains("http://127.0.0.1, which is neither https"),
            "{shown}"
        );
        assert!(outcome.files.is_empty());
    };
    insecure(fetch(settings("http://127.0.0.1:1/contoso"), &package(&target)).await);
    insecure(fetch_own(vec![to(&target)], HASH).await.0);
    // TLS on the way there makes the rest of it no better.
    let (outcome, _, _) = fetch_by(vec![to(&target)], |secure| vec![to(secure)]).await;
    insecure(outcome);
    // The same host, and another door.
    insecure(fetch(settings("https://127.0.0.1/contoso"), &package(&target)).await);
    let ftp = fetch(
        settings("https://127.0.0.1/contoso"),
        &package("ftp://127.0.0.1/a"),
    )
    .await;
    assert_eq!(ftp.got.unwrap_err().kind(), "insecure");
    assert_nobody_came(&elsewhere);
}

#[tokio::test]
async fn an_address_that_leads_to_itself_is_left() {
    let (outcome, heads) = fetch_own((0..6).map(|_| to("/again")).collect(), HASH).await;
    assert_eq!(outcome.got.unwrap_err().kind(), "redirects");
    assert_eq!(heads.len(), 6);
}

#[tokio::test]
async fn a_host_that_repeats_the_token_is_not_shown_with_it() {
    let target = format!("ftp://{}.example/", TOKEN.to_lowercase());
    let (outcome, _) = fetch_own(vec![to(&target)], HASH).await;
    let shown = outcome.got.unwrap_err().to_string();
    assert!(shown.contains("ftp://***"), "{shown}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let site = Site::start(None, vec![file()]).await;
    let own = format!("http://{}/", site.address);
    let client = Client::new(settings(&format!("{own}contoso"))).unwrap();
    let path = Path::new("/nowhere/agent.tar.gz");
    let error = client
        .fetch(&package(&own), path, &|_, _| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "file");
    assert!(
        error.to_string().contains("/nowhere/agent.tar.gz"),
        "{error}"
    );
    site.heads().await;
}

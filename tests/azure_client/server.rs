//! The server that says exactly what the test wrote, and the client that asks
//! it.

use std::{
    io,
    net::TcpListener as StdListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use azp_scaler::{
    azure::{ClientSettings, Credential, PersonalAccessToken},
    domain::organization::OrganizationUrl,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The token that every request must show.
pub const TOKEN: &str = "s3cr3tT0ken";

/// Longer than any of these tests.
pub const NO_LIMIT: Duration = Duration::from_secs(60);

/// What the server does with one connection.
pub struct Turn {
    pub method: &'static str,
    /// The path and query that it waits for.
    pub path: &'static str,
    /// The JSON that it waits for; empty for none.
    pub body: &'static str,
    pub answer: Vec<u8>,
    /// Keeps the connection open, without another word, until the client goes.
    pub hangs: bool,
}

pub struct Server {
    address: String,
    task: JoinHandle<StdListener>,
}

pub fn turn(path: &'static str, answer: impl AsRef<[u8]>) -> Turn {
    Turn {
        method: "GET",
        path,
        body: "",
        answer: answer.as_ref().into(),
        hangs: false,
    }
}

pub fn answer(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub fn json(body: &str) -> Vec<u8> {
    answer(
        "200 OK\r\ncontent-type: application/json; charset=utf-8",
        body,
    )
}

pub fn fresh_listener() -> StdListener {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

pub fn assert_nobody_came(listener: &StdListener) {
    let error = listener.accept().map(|_| ()).unwrap_err();
    assert_eq!(
        error.kind(),
        io::ErrorKind::WouldBlock,
        "a request too many"
    );
}

/// Reads one request and checks all that every request must have.
async fn check_request(stream: &mut TcpStream, address: &str, turn: &Turn) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let Turn { method, path, .. } = turn;
    assert_eq!(line, format!("{method} {path} HTTP/1.1"));
    let header = |name: &str| {
        let named = |line: &str| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        let values: Vec<_> = headers.lines().filter_map(named).collect();
        assert!(values.len() <= 1, "{name} comes twice in {head}");
        values.into_iter().next().unwrap_or_default()
    };
    let basic = format!("Basic {}", STANDARD.encode(format!(":{TOKEN}")));
    assert_eq!(header("authorization"), basic);
    assert_eq!(header("host"), address);
    assert_eq!(header("accept"), "application/json");
    assert_eq!(header("accept-encoding"), "gzip");
    assert_eq!(header("x-tfs-fedauthredirect"), "Suppress");
    let agent = header("user-agent");
    assert!(
        agent.starts_with("azp-scaler/") && agent.contains(" (+https://"),
        "{agent}"
    );
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let length = header("content-length").parse().unwrap_or_default();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let body = String::from_utf8(body).unwrap();
    assert_eq!(body.is_empty(), turn.body.is_empty(), "{body}");
    if !body.is_empty() {
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(json(&body), json(turn.body));
    }
}

impl Server {
    pub fn start(turns: Vec<Turn>) -> Self {
        let listener = fresh_listener();
        let address = listener.local_addr().unwrap().to_string();
        let host = address.clone();
        let accepting = TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
        let task = tokio::spawn(async move {
            for turn in turns {
                let (mut stream, _) = accepting.accept().await.unwrap();
                check_request(&mut stream, &host, &turn).await;
                stream.write_all(&turn.answer).await.unwrap();
                if turn.hangs {
                    let _ = stream.read(&mut [0]).await;
                }
            }
            listener
        });
        Self { address, task }
    }

    pub fn settings(&self) -> ClientSettings {
        settings(&format!("http://{}/contoso", self.address))
    }

    /// All turns were taken, and nobody came after.
    pub async fn finish(self) {
        let listener = tokio::time::timeout(NO_LIMIT, self.task).await;
        assert_nobody_came(&listener.expect("a request is missing").unwrap());
    }
}

pub fn settings(organization: &str) -> ClientSettings {
    let token = PersonalAccessToken::parse(&format!("{TOKEN}\n").into()).unwrap();
    let credential = Credential::PersonalAccessToken(token);
    let organization = OrganizationUrl::parse(organization).unwrap();
    let mut settings = ClientSettings::new(organization, credential);
    settings.request_timeout = NO_LIMIT;
    settings
}

/// Neither the token nor its header is in a text.
pub fn assert_hidden(text: &str) {
    let encoded = STANDARD.encode(format!(":{TOKEN}"));
    assert!(!text.contains(TOKEN) && !text.contains(&encoded), "{text}");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<u8>>>);

impl Log {
    /// All that is logged from now on in this thread, at every level, until the
    /// guard is dropped.
    pub fn of_everything() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// What there is of it.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! A server that repeats what it was sent: in bodies, redirects, content types,
//! reasons and headers, whole, encoded and cut. It is an organization, an
//! authority and a proxy alike.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// After so many requests it has repeated everything in every way.
pub(crate) const TURNS: usize = 12;

pub(crate) struct Mirror {
    pub(crate) at: String,
    heard: Arc<Mutex<String>>,
}

impl Mirror {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(String::new()));
        let hears = Arc::clone(&heard);
        let turns = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, turns) = (Arc::clone(&hears), Arc::clone(&turns));
                tokio::spawn(async move {
                    // Whoever goes away goes away.
                    let _ = repeat(stream, &heard, &turns).await;
                });
            }
        });
        Self { at, heard }
    }

    /// Everything that it was sent.
    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

async fn repeat(
    mut stream: TcpStream,
    heard: &Mutex<String>,
    turns: &AtomicUsize,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    heard.lock().unwrap().push_str(&format!("{head}\n{body}\n"));
    let turn = turns.fetch_add(1, Ordering::Relaxed);
    let said = secrets_of(&head, &body);
    // Which of them is said apart changes more slowly than the way.
    let one = said[turn / TURNS % said.len()].clone();
    stream
        .write_all(answer(turn % TURNS, &one, &said.join(" ")).as_bytes())
        .await?;
    stream.shutdown().await
}

/// What looks like a secret to a server that repeats.
fn secrets_of(head: &str, body: &str) -> Vec<String> {
    let telling = ["authorization", "proxy-authorization", "x-identity-header"];
    let headers = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let name = name.to_lowercase();
        telling
            .contains(&name.as_str())
            .then(|| value.trim().to_owned())
    });
    let fields = body.split('&').filter(|field| !field.is_empty());
    let fields = fields.filter(|field| {
        field.starts_with("client_secret=") || field.starts_with("client_assertion=")
    });
    let mut said: Vec<String> = headers.chain(fields.map(str::to_owned)).collect();
    let decoded = url::form_urlencoded::parse(body.as_bytes());
    said.extend(
        decoded
            .filter(|(key, _)| matches!(&**key, "client_secret" | "client_assertion"))
            .map(|(_, value)| value.into_owned()),
    );
    if said.is_empty() {
        said.push("nothing".to_owned());
    }
    said
}

fn answer(turn: usize, one: &str, all: &str) -> String {
    let last = one.rsplit([' ']).next().unwrap();
    let encoded: String = url::form_urlencoded::byte_serialize(one.as_bytes()).collect();
    let json = |message: &str| {
        let told = serde_json::json!({
            "message": message, "error": message, "error_description": message, "typeKey": message,
        });
        told.to_string()
    };
    let json_type = "content-type: application/json";
    let (head, body) = match turn {
        0 => (format!("403 Forbidden\r\n{json_type}"), json(all)),
        // It begins within what is shown of a message and ends beyond it.
        1 => {
            let long = format!("{}{last}", "denied ".repeat(26));
            (format!("403 Forbidden\r\n{json_type}"), json(&long))
        }
        2 => {
            let long = format!("{} {encoded}", "no".repeat(85));
            (format!("400 Bad\r\n{json_type}"), json(&long))
        }
        3 => (
            format!("401 Unauthorized\r\nwww-authenticate: {one}\r\nx-tfs-serviceerror: {encoded}"),
            all.to_owned(),
        ),
        4 => {
            let host: String = last.chars().filter(char::is_ascii_alphanumeric).collect();
            (
                format!("302 Found\r\nlocation: https://{host}.example/?{encoded}"),
                String::new(),
            )
        }
        5 => (
            format!("200 OK\r\ncontent-type: text/html; {one}"),
            all.to_owned(),
        ),
        6 => {
            let rows = serde_json::json!({"value": [{"requestId": one, "id": one}]});
            (format!("200 OK\r\n{json_type}"), rows.to_string())
        }
        7 => {
            let odd = serde_json::json!({all: one, "access_token": format!("{one} {one}")});
            (format!("200 OK\r\n{json_type}"), odd.to_string())
        }
        8 => (format!("418 {one}\r\n{json_type}"), json(&encoded)),
        9 => return format!("HTTP/1.1 {all}\r\n\r\n"),
        10 => {
            return format!(
                "HTTP/1.1 200 OK\r\n{json_type}\r\ntransfer-encoding: chunked\r\n\r\n{all}"
            );
        }
        _ => (
            format!("500 {last}\r\ncontent-type: text/plain"),
            all.to_owned(),
        ),
    };
    let length = body.len();
    format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

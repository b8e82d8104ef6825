//! HTTP/1.1 by hand, one request for each connection, so that a test can send
//! what no well-behaved client would.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends a request with these header lines and this body, and reads the answer.
pub async fn ask(at: SocketAddr, request: &str, headers: &[&str], body: &[u8]) -> Reply {
    let length = format!("Content-Length: {}", body.len());
    let headers = [headers, &[length.as_str()]].concat();
    let mut stream = begin(at, request, &headers).await;
    stream.write_all(body).await.unwrap();
    reply(stream).await
}

/// `GET` without more.
pub async fn get(at: SocketAddr, path: &str) -> Reply {
    reply(begin(at, &format!("GET {path}"), &[]).await).await
}

/// Sends the head alone.
pub async fn begin(at: SocketAddr, request: &str, headers: &[&str]) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("{request} HTTP/1.1\r\nHost: scaler\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Reads the answer, until the other side closes.
pub async fn reply(mut stream: TcpStream) -> Reply {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Reply {
        status: status.expect("a status"),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

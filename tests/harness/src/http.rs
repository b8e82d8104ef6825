//! The smallest HTTP client that does for a test: one request, one connection,
//! plain text on loopback. It imports nothing, so that a test of the scaler's
//! own client and server stands on none of their code.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::error::{Doing, Error, Result};

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, whole.
    pub body: String,
}

/// Sends one request to `address` (`127.0.0.1:8080`, with or without `http://`).
/// A body is sent as JSON, unless a header says otherwise.
///
/// # Errors
/// When there is no answer within ten seconds, or none that is HTTP.
pub fn request(
    method: &str,
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response> {
    let what = || format!("{method} {address}{path}");
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).doing(what)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .doing(what)?;

    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let typed = headers.iter().any(|(name, _)| *name == "content-type");
    if !body.is_empty() && !typed {
        head += "content-type: application/json\r\n";
    }
    head += &format!("content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).doing(what)?;

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).doing(what)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    parse(&answer).ok_or(Error::Answer {
        what: what(),
        answer,
    })
}

fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(body)?
    } else {
        body.to_owned()
    };
    Some(Response { status, body })
}

fn unchunk(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole += rest.get(..size)?;
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let table = [
            ("HTTP/1.1 202 Accepted\r\nx: y\r\n\r\n", Some((202, ""))),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
                Some((200, "{}")),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
                Some((200, "abcd")),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
                None,
            ),
            ("nonsense", None),
        ];
        for (answer, expected) in table {
            let parsed = parse(answer);
            let seen = parsed
                .as_ref()
                .map(|response| (response.status, response.body.as_str()));
            assert_eq!(seen, expected, "{answer:?}");
        }
    }
}

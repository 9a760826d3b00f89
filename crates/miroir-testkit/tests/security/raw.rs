//! HTTP over a bare socket: what no client library would send.

use std::time::Duration;

use miroir_testkit::client::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Debug)]
pub struct RawReply {
    pub status: u16,
    pub text: String,
}

/// Sends these bytes; the answer is what comes until the server closes or has said as much as it announced. None if it
/// says nothing in time.
pub async fn exchange(target: &Target, request: &[u8]) -> Option<RawReply> {
    tokio::time::timeout(DEADLINE, talk(target, request)).await.ok().flatten()
}

async fn talk(target: &Target, request: &[u8]) -> Option<RawReply> {
    let mut socket = TcpStream::connect(target.url.strip_prefix("http://")?).await.ok()?;
    socket.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        if socket.read_buf(&mut answer).await.ok()? == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some(RawReply { status, text })
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}

/// A request with this key and, where there is a body, its length. The target stands in it letter by letter.
pub fn request(method: &str, target: &str, key: &str, body: Option<&str>) -> Vec<u8> {
    let key = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    let length = body.map_or_else(String::new, |body| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    });
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: miroir\r\nConnection: close\r\n{key}{length}\r\n");
    (head + body.unwrap_or_default()).into_bytes()
}

//! What of a request's head is gone before anybody can look at it: hyper folds equal lengths into one, and forgets a length
//! that stands beside `Transfer-Encoding`. Two servers in a row that disagree about where a body ends take one request for
//! two, so Meilisearch refuses both with 400, and so does this: it follows the bytes of a connection from head to head. An
//! address with other bytes than ASCII, which hyper lets pass, gets the same answer.

/// What is kept of a line: no line that matters is longer.
const MAX_LINE: usize = 256;

/// How a client begins who speaks HTTP/2, which says a length in another way.
const HTTP2: &[u8] = b"PRI * HTTP/2.0";

/// Where in a connection's bytes we are.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    has_begun: bool,
    /// The line as far as it has come.
    line: Vec<u8>,
    /// The line has other bytes than ASCII, also beyond what is kept.
    is_foreign: bool,
    head: Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request's first line.
    Start,
    Fields,
    /// So many bytes of a body are to come.
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// HTTP/2, or something that hyper refuses.
    Opaque,
}

/// What a head says about its body.
#[derive(Debug, Default)]
struct Head {
    length: Option<u64>,
    is_coded: bool,
    is_chunked: bool,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Start,
            has_begun: false,
            line: Vec::new(),
            is_foreign: false,
            head: Head::default(),
        }
    }

    /// Whether the first line of the first request has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Follows the next bytes. `Err` says where among them the line ends after which nobody knows how long a body is.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                State::Opaque => return Ok(()),
                State::Body(left) => at += self.skip(left, rest.len(), State::Body, State::Start),
                State::Chunk(left) => at += self.skip(left, rest.len(), State::Chunk, State::ChunkEnd),
                _ => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    let part = &rest[..end.unwrap_or(rest.len())];
                    self.is_foreign |= !part.is_ascii();
                    let kept = part.len().min(MAX_LINE - self.line.len());
                    self.line.extend_from_slice(&part[..kept]);
                    let Some(end) = end else { return Ok(()) };
                    self.end_line().map_err(|Ambiguous| at + end)?;
                    at += end + 1;
                }
            }
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, there: usize, during: fn(u64) -> State, after: State) -> usize {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        let left = left - skipped as u64;
        self.state = if left == 0 { after } else { during(left) };
        skipped
    }

    fn end_line(&mut self) -> Result<(), Ambiguous> {
        let line = std::mem::take(&mut self.line);
        let is_foreign = std::mem::take(&mut self.is_foreign);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        self.state = match self.state {
            State::Start | State::Trailers if text.is_empty() => State::Start,
            State::Start if text.starts_with(HTTP2) => State::Opaque,
            State::Start if is_foreign => return Err(Ambiguous),
            State::Start => {
                self.head = Head::default();
                State::Fields
            }
            State::Fields if text.is_empty() => self.head.body(),
            State::Fields => {
                self.head.note(text)?;
                State::Fields
            }
            State::ChunkSize => chunk(text),
            State::ChunkEnd => State::ChunkSize,
            other => other,
        };
        self.has_begun |= self.state != State::Start;
        self.line = line;
        self.line.clear();
        Ok(())
    }
}

/// Two statements about a body's length, or an address that is read in two ways.
struct Ambiguous;

impl Head {
    fn note(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        let is_coding = name.eq_ignore_ascii_case(b"transfer-encoding");
        if !is_length && !is_coding {
            return Ok(());
        }
        if self.length.is_some() || (is_length && self.is_coded) || line.len() >= MAX_LINE {
            return Err(Ambiguous);
        }
        if is_length {
            // What is no number hyper refuses.
            self.length = Some(decimal(value).unwrap_or(u64::MAX));
        } else {
            self.is_coded = true;
            self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
            // One coding before another says what nobody here undoes.
            if !self.is_chunked && value.contains(&b',') {
                return Err(Ambiguous);
            }
        }
        Ok(())
    }

    fn body(&self) -> State {
        match (self.length, self.is_coded, self.is_chunked) {
            (_, true, true) => State::ChunkSize,
            // Hyper refuses other codings.
            (_, true, false) => State::Opaque,
            (Some(length), ..) if length > 0 => State::Body(length),
            _ => State::Start,
        }
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn chunk(line: &[u8]) -> State {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match size {
        Some(0) => State::Trailers,
        Some(size) => State::Chunk(size),
        None => State::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const SIZED: &str =
        "POST / HTTP/1.1\r\nContent-Length: 37\r\n\r\nContent-Length: 1\r\nContent-Length: 1\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\nA: b\r\n\r\n12;x=y\r\nContent-Length: 1\n\r\n0\r\nContent-Length: 1\r\n\r\n";
    const AMBIGUOUS: [&str; 5] = [
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\nHost: a\r\ncontent-length: 2\r\n\r\n{}",
        "POST / HTTP/1.1\nContent-Length: 2\nTransfer-Encoding: chunked\n\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: identity\r\n\r\n",
    ];

    fn follow(bytes: &str, size: usize) -> Result<Framing, usize> {
        let mut framing = Framing::new();
        for (number, part) in bytes.as_bytes().chunks(size).enumerate() {
            framing.follow(part).map_err(|at| number * size + at)?;
        }
        Ok(framing)
    }

    #[test]
    fn what_lies_in_a_body_is_no_head_however_the_bytes_arrive() {
        let all = [PLAIN, SIZED, CHUNKED, "\r\n\n", PLAIN, CHUNKED, SIZED].concat();
        for size in 1..=all.len() {
            assert!(follow(&all, size).is_ok_and(|framing| framing.state == State::Start), "{size}");
        }
    }

    #[test]
    fn two_statements_about_a_length_are_refused_where_the_second_ends() {
        for ambiguous in AMBIGUOUS {
            let all = [PLAIN, CHUNKED, SIZED, ambiguous].concat();
            let line =
                ambiguous.lines().rfind(|line| line.to_ascii_lowercase().starts_with(['c', 't'])).unwrap();
            let end = all.rfind(line).unwrap() + line.len();
            for size in 1..=all.len() {
                let at = follow(&all, size).unwrap_err();
                assert!(
                    at == end || all.as_bytes()[at - 1] == b'\r' && at == end + 1,
                    "{at} is not {end}: {all}"
                );
            }
        }
    }

    #[test]
    fn an_address_of_other_bytes_than_ascii_is_refused_and_a_value_is_not() {
        for (bytes, is_right) in [
            ("GET /documents/\u{661} HTTP/1.1\r\n\r\n".to_owned(), false),
            (format!("GET /{}?q=é HTTP/1.1\r\n\r\n", "a".repeat(2 * MAX_LINE)), false),
            ("GET / HTTP/1.1\r\nX-Name: é\r\n\r\n".to_owned(), true),
            ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\né".to_owned(), true),
        ] {
            for size in [1, 7, 1000] {
                let parts = bytes.as_bytes().chunks(size);
                let mut framing = Framing::new();
                let followed = parts.map(|part| framing.follow(part)).collect::<Result<Vec<_>, _>>();
                assert_eq!(followed.is_ok(), is_right, "{bytes}");
            }
        }
    }

    #[test]
    fn a_request_has_begun_also_when_it_has_ended() {
        for (bytes, has_begun) in [
            ("", false),
            ("\r\n\r\n", false),
            ("GET / HT", false),
            (PLAIN, true),
            (SIZED, true),
            (CHUNKED, true),
        ] {
            assert_eq!(
                follow(bytes, 1000).map(|framing| framing.has_begun()).ok(),
                Some(has_begun),
                "{bytes}"
            );
        }
    }

    #[test]
    fn other_ways_to_speak_are_left_to_others() {
        for opaque in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: br\r\n\r\n"]
        {
            let rest = "\r\nContent-Length: 1\r\nContent-Length: 1\r\n";
            assert!(follow(&[opaque, rest].concat(), 7).is_ok_and(|framing| framing.has_begun()));
        }
    }
}

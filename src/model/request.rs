//! What came in at the socket. Nobody has vouched for it.

use bytes::Bytes;
use jiff::Timestamp;

/// A request, read up to its address's limit.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path, percent-decoded.
    pub path: String,
    /// The path as it came, not decoded: what senders sign.
    pub target: String,
    /// What stood behind the `?`, not decoded.
    pub query: String,
    /// Names in small letters, in the order they came.
    pub headers: Vec<(String, String)>,
    pub ip: String,
    pub body: Bytes,
    pub received: Timestamp,
}

impl Request {
    /// A request that nobody made, to begin others with.
    pub fn nobody() -> Self {
        Self {
            method: "POST".into(),
            path: "/".into(),
            target: "/".into(),
            query: String::new(),
            headers: Vec::new(),
            ip: String::new(),
            body: Bytes::new(),
            received: Timestamp::UNIX_EPOCH,
        }
    }

    /// The only value of a header. The error is a reason for the operator: it is missing, or came with different values.
    pub fn only_header(&self, name: &str) -> Result<&str, String> {
        let mut all = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let first = all.next();
        match first {
            None => Err(format!("the header {name} is missing")),
            Some(_) if all.any(|v| Some(v) != first) => Err(format!("the header {name} was sent twice with different values")),
            Some(value) => Ok(value),
        }
    }
}

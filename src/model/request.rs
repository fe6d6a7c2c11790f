//! A request as received on the socket. It is not authenticated.

use bytes::Bytes;
use jiff::Timestamp;

/// A request, read up to the limit of its address.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path, percent-decoded.
    pub path: String,
    /// The path as received, not decoded: this is what senders sign.
    pub target: String,
    /// What followed the `?`, not decoded.
    pub query: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub ip: String,
    pub body: Bytes,
    pub received: Timestamp,
}

impl Request {
    /// An empty request, as a base for others.
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

    /// The only value of a header. The error is a reason for the operator: it is missing, or has several different values.
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

//! Cross-origin calls: what a browser has to read in an answer so that it shows it to the script of another site's page, and its
//! question beforehand (a preflight). Which pages may call is in the rules of the address ([`Cors`]).
//!
//! Credentials of the browser (cookies) are never allowed: Doorbell has none, and nobody should be able to use those of others.

use warp::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, HeaderMap, VARY,
};
use warp::http::{HeaderName, HeaderValue};

use crate::rule::cors::Cors;

/// What a browser asks.
const ASKED_METHOD: &str = "access-control-request-method";
const ASKED_HEADERS: &str = "access-control-request-headers";
/// The headers that scripts may read, besides those that they may always read.
const EXPOSED: &str = "Doorbell-Event, Doorbell-Request, Retry-After";
/// How long a browser may remember the answer to a preflight, in seconds.
const REMEMBERED: &str = "600";
/// The longest list of headers that is repeated, in bytes.
const LONGEST: usize = 4_096;

/// What a browser sends with a call of a script.
pub struct Asked {
    pub origin: Option<String>,
    /// The headers that it wants to send later, if this is a preflight.
    preflight: Option<String>,
}

impl Asked {
    pub fn of(method: &str, headers: &[(String, String)]) -> Self {
        let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let origin = value("origin");
        let is_preflight = method == "OPTIONS" && origin.is_some() && value(ASKED_METHOD).is_some();
        Self { origin, preflight: is_preflight.then(|| value(ASKED_HEADERS).unwrap_or_default()) }
    }

    pub fn is_preflight(&self) -> bool {
        self.preflight.is_some()
    }

    /// Adds to an answer of an address what the browser needs; what a rule has written itself is replaced.
    pub fn add_to(&self, headers: &mut HeaderMap, cors: &Cors) {
        let varies = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.split(',').any(|name| is_one_of(name, &["origin", "*"])));
        if !headers.get_all(VARY).iter().any(varies) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        let allowed = match cors {
            Cors::Any => Some(HeaderValue::from_static("*")),
            Cors::Of(_) => self.origin.as_ref().filter(|origin| cors.allows(origin)).and_then(|origin| HeaderValue::from_str(origin).ok()),
        };
        if let Some(allowed) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// Adds to the answer to a preflight what the browser may do.
    pub fn allow(&self, headers: &mut HeaderMap, methods: &[String]) {
        let asked = self.preflight.as_ref().filter(|asked| !asked.is_empty() && asked.len() <= LONGEST);
        let lines: [(HeaderName, Option<HeaderValue>); 4] = [
            (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_str(&methods.join(", ")).ok()),
            (ACCESS_CONTROL_ALLOW_HEADERS, asked.and_then(|asked| HeaderValue::from_str(asked).ok())),
            (ACCESS_CONTROL_MAX_AGE, Some(HeaderValue::from_static(REMEMBERED))),
            (VARY, Some(HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"))),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                headers.append(name, value);
            }
        }
    }
}

fn is_one_of(name: &str, all: &[&str]) -> bool {
    all.iter().any(|one| name.trim().eq_ignore_ascii_case(one))
}

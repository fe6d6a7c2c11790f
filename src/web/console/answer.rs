//! What the console answers with: a page, a redirect, JSON, a file, a stream. The headers that keep browsers from doing
//! anything else with it are set here, for all of them.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use maud::Markup;
use serde_json::Value;
use warp::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use warp::http::{HeaderName, HeaderValue, Response, StatusCode};

/// The body of an answer; a stream of events has no known length.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Nothing is loaded from anywhere else, no script but the console's own runs, and no text becomes markup but in the one place
/// that the script names.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types doorbell";

/// A page of the console, without its frame.
pub struct Page {
    pub title: String,
    /// Which entry of the navigation it belongs to, by its path.
    pub place: &'static str,
    /// What stays as it is: filters, forms.
    pub still: Markup,
    /// What changes while one looks at it: it is replaced whenever something happens.
    pub live: Option<Markup>,
    /// What comes below.
    pub below: Markup,
}

impl Page {
    pub fn new(title: impl Into<String>, place: &'static str, still: Markup) -> Self {
        Self { title: title.into(), place, still, live: None, below: maud::html! {} }
    }

    pub fn live(self, live: Markup) -> Self {
        Self { live: Some(live), ..self }
    }

    pub fn below(self, below: Markup) -> Self {
        Self { below, ..self }
    }
}

/// An answer.
pub enum Answer {
    Page(Page),
    /// To another page of the console, after something was done.
    See(String),
    /// Values, for the console's script.
    Json(Value),
    /// A file to save.
    File {
        name: String,
        kind: &'static str,
        /// In bytes.
        size: u64,
        body: Body,
    },
}

/// A whole HTML page.
pub fn html(status: StatusCode, page: Markup) -> Response<Body> {
    let mut response = bytes(status, "text/html; charset=utf-8", page.into_string().into());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Sends a browser to another address, with a GET.
pub fn see(address: &str) -> Response<Body> {
    let mut response = bytes(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new());
    set(&mut response, LOCATION, address);
    response
}

pub fn json(status: StatusCode, value: &Value) -> Response<Body> {
    bytes(status, "application/json", value.to_string().into())
}

/// A file that a browser saves instead of showing it.
pub fn file(name: &str, kind: &str, size: u64, body: Body) -> Response<Body> {
    let mut response = with_body(StatusCode::OK, kind, body);
    set(&mut response, CONTENT_LENGTH, &size.to_string());
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    set(&mut response, CONTENT_DISPOSITION, &format!("attachment; filename=\"{plain}\""));
    response
}

pub fn bytes(status: StatusCode, kind: &str, content: Bytes) -> Response<Body> {
    with_body(status, kind, Full::new(content).boxed_unsync())
}

pub fn with_body(status: StatusCode, kind: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, kind);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Pages show what other people sent: nothing of that may stay in a cache, or be told to other servers.
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        set(&mut response, name, value);
    }
    response
}

/// Adds a cookie to an answer.
pub fn with_cookie(mut response: Response<Body>, cookie: &str) -> Response<Body> {
    set(&mut response, SET_COOKIE, cookie);
    response
}

/// A value that no header can have is left out.
pub fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

//! The door of the console: which requests are let in. Each must call the console by one of its own names, come from somebody
//! who has logged in, and, where it changes something, from a page of the console itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use warp::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use warp::http::{HeaderName, Method, Request, Response, StatusCode};

use super::answer::{self, Answer, Body, html, see, set, with_cookie};
use super::ask::{Ask, MAX_FORM, MAX_LOGIN};
use super::fault::Fault;
use super::frame::{MOST_COUNTED, framed, login, plain};
use super::session::{NotIn, Visitor};
use super::{Console, api, assets, live, pages};
use crate::expr::spell::spell;
use crate::operations::metrics::CONTENT_TYPE as METRICS_TYPE;
use crate::route::decode;
use crate::web::door::Door;

/// The console's door.
#[derive(Clone)]
pub struct Gate(pub Arc<Console>);

impl Door for Gate {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        let mut response = self.let_in(request, peer).await;
        if is_head {
            *response.body_mut() = http_body_util::Empty::new().boxed_unsync();
        }
        response
    }

    fn unread(&self, peer: SocketAddr, (method, path): (String, String), status: u16, why: &str) {
        tracing::debug!(%peer, method, path, status, "request to the console refused: {why}");
    }
}

impl Gate {
    async fn let_in(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let console = &self.0;
        let header = |name: HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let host = request.uri().authority().map_or_else(|| header(HOST), |a| a.as_str().to_owned());
        if !console.settings.is_own(&host) {
            tracing::debug!(%peer, host, "request to the console refused: it has none of the console's names");
            let said = "This console is not known by this name. Open it by the address that Doorbell printed, or start Doorbell with --console-host NAME.";
            return html(StatusCode::MISDIRECTED_REQUEST, plain("Wrong name", said));
        }
        let Some(path) = below(&console.settings.base, request.uri().path()) else { return see(&console.at("/")) };
        let path = path.to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_post = match *request.method() {
            Method::GET | Method::HEAD => false,
            Method::POST => true,
            _ => {
                let mut response = html(StatusCode::METHOD_NOT_ALLOWED, plain("Wrong method", "The console knows GET and POST."));
                set(&mut response, ALLOW, "GET, POST");
                return response;
            }
        };
        if let Some(asset) = assets::find(&path) {
            return asset;
        }
        let parts = Ask::parts(&path);
        let (ip, now) = (self.caller(&request, peer), Timestamp::now());
        let has_key = request.headers().contains_key(AUTHORIZATION);
        // Prometheus sends a key, and people look at the metrics with their browser.
        let is_api = parts.first().is_some_and(|p| p == "api") || (parts == ["metrics"] && has_key);
        let visitor = match header(AUTHORIZATION).strip_prefix("Bearer ") {
            Some(key) if is_api => {
                let visitor = Visitor { id: String::new(), may_change: true, ip };
                console.sessions.is_api_key(key, ip, now).then_some(visitor)
            }
            _ if is_api => None,
            _ => console.sessions.visitor(&header(COOKIE), ip, now),
        };
        if is_post && !is_api && !is_from_here(&header(HeaderName::from_static("sec-fetch-site")), &header(ORIGIN), &host, console) {
            let said = "This change did not come from a page of this console, so nothing was changed.";
            return html(StatusCode::FORBIDDEN, plain("Not changed", said));
        }
        let ask = |visitor| Ask { console: console.clone(), path: parts.clone(), query: query.clone(), form: Vec::new(), visitor };
        if parts == ["login"] {
            let ask = ask(Visitor { id: String::new(), may_change: false, ip });
            return match is_post {
                true => match read_form(request, false, MAX_LOGIN).await {
                    Ok(form) => self.log_in(&Ask { form, ..ask }, true),
                    Err(response) => response,
                },
                false => self.log_in(&ask, false),
            };
        }
        // Nothing that a stranger sends is read.
        let ask = match visitor {
            Some(visitor) => ask(visitor),
            None if is_api => {
                let said = "Send the header `Authorization: Bearer KEY`; `doorbell console --api-key` prints the key.";
                return answer::json(StatusCode::UNAUTHORIZED, &json!({ "error": said }));
            }
            None => return see(&console.at(&format!("/login?to={}", super::ask::escaped(&with_query(&path, &query))))),
        };
        if !is_post {
            return shown(ask, is_api).await;
        }
        match read_form(request, is_api, MAX_FORM).await {
            Ok(form) => acted(Ask { form, ..ask }, is_api).await,
            Err(response) => response,
        }
    }

    /// Whoever sends this: the one whom a trusted proxy names.
    fn caller(&self, request: &Request<Incoming>, peer: SocketAddr) -> IpAddr {
        let proxies = &self.0.proxies;
        let lines = request.headers().get_all(proxies.header.as_str()).iter();
        let named: Vec<_> = lines.map(|line| (proxies.header.clone(), String::from_utf8_lossy(line.as_bytes()).into_owned())).collect();
        proxies.caller(peer.ip(), &named).parse().unwrap_or_else(|_| peer.ip().to_canonical())
    }

    /// The page that asks for the password, and what it sends; also the link with the key.
    fn log_in(&self, ask: &Ask, is_post: bool) -> Response<Body> {
        let (console, ip, now) = (&self.0, ask.visitor.ip, Timestamp::now());
        let to = ask.field("to").or(ask.query("to")).filter(|to| is_page(to)).unwrap_or_else(|| "/".to_owned());
        let tried = match (is_post, ask.query("key")) {
            (true, _) => Some(console.sessions.by_password(&ask.field("password").unwrap_or_default(), ip, now)),
            (false, Some(key)) => Some(console.sessions.by_link(&key, ip, now)),
            (false, None) => None,
        };
        match tried {
            Some(Ok(cookie)) => with_cookie(see(&console.at(&to)), &console.sessions.set_cookie(&cookie, &console.settings.base)),
            Some(Err(NotIn::Wait)) => {
                html(StatusCode::TOO_MANY_REQUESTS, login(console, &to, Some("Too many attempts. Wait a minute, then try again.")))
            }
            Some(Err(NotIn::Wrong)) if is_post => html(StatusCode::UNAUTHORIZED, login(console, &to, Some("This password is wrong."))),
            Some(Err(NotIn::Wrong)) => html(StatusCode::UNAUTHORIZED, login(console, &to, Some("This link is not valid any more."))),
            None => html(StatusCode::OK, login(console, &to, None)),
        }
    }
}

/// Shows something to somebody who may be here.
async fn shown(ask: Ask, is_api: bool) -> Response<Body> {
    if ask.path == ["metrics"] {
        return match ask.console.metrics.text().await {
            Ok(text) => answer::bytes(StatusCode::OK, METRICS_TYPE, text.into()),
            Err(e) => answer::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": e.to_string() })),
        };
    }
    if is_api {
        return for_programs(api::show(&ask).await);
    }
    if ask.path == ["live"] {
        return live::stream(ask);
    }
    let answer = pages::show(&ask).await;
    for_people(&ask, answer).await
}

/// Does what somebody who may be here asks for, if they may change things.
async fn acted(ask: Ask, is_api: bool) -> Response<Body> {
    let console = &ask.console;
    if !is_api && ask.path == ["logout"] {
        console.sessions.end(&ask.visitor, Timestamp::now());
        return with_cookie(see(&console.at("/login")), &console.sessions.set_cookie("", &console.settings.base));
    }
    let allowed =
        ask.may_change().then_some(()).ok_or_else(|| Fault::Forbidden("This console only shows things; nothing was changed.".to_owned()));
    match (allowed, is_api) {
        (Err(no), true) => for_programs(Err(no)),
        (Err(no), false) => for_people(&ask, Err(no)).await,
        (Ok(()), true) => for_programs(api::act(&ask).await),
        (Ok(()), false) => {
            let answer = pages::act(&ask).await;
            for_people(&ask, answer).await
        }
    }
}

fn for_programs(answer: Result<Value, Fault>) -> Response<Body> {
    match answer {
        Ok(value) => answer::json(StatusCode::OK, &value),
        Err(fault) => answer::json(fault.status(), &json!({ "error": fault.said() })),
    }
}

async fn for_people(ask: &Ask, answer: Result<Answer, Fault>) -> Response<Body> {
    let (status, page) = match answer {
        Ok(Answer::Page(page)) => (StatusCode::OK, page),
        Ok(Answer::See(to)) => return see(&ask.at(&to)),
        Ok(Answer::Json(value)) => return answer::json(StatusCode::OK, &value),
        Ok(Answer::File { name, kind, size, body }) => return answer::file(&name, kind, size, body),
        Err(fault) => (fault.status(), pages::fault(&fault)),
    };
    // A page is shown even if nothing can be counted.
    let failed = ask.console.queries.counts(MOST_COUNTED).await.map_or(0, |counts| counts.failed);
    html(status, framed(ask, &page, failed))
}

/// The path below the console's own; `None` for a path that is not below it.
fn below<'p>(base: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(base)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(if rest.is_empty() { "/" } else { rest })
}

/// Whether a browser says that a page of this console sends this.
fn is_from_here(site: &str, origin: &str, host: &str, console: &Console) -> bool {
    match site {
        "same-origin" => true,
        // Browsers leave it out for plain http to a name; they always send the origin of a form.
        "" => {
            let own = |scheme: &str| origin.strip_prefix(scheme).is_some_and(|o| o.eq_ignore_ascii_case(host));
            if console.settings.is_secure { own("https://") } else { own("http://") }
        }
        _ => false,
    }
}

/// Only to pages of this console: `//example.com` would lead to somebody else's.
fn is_page(to: &str) -> bool {
    let path = to.split(['?', '#']).next().unwrap_or_default();
    let leads_up = decode(path).split('/').any(|part| part == ".." || part == ".");
    to.starts_with('/') && !to.starts_with("//") && !leads_up && !to.contains(['\\', '\r', '\n', '\t']) && !to.starts_with("/login")
}

fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The fields of a form. Programs may send them as one JSON object.
async fn read_form(request: Request<Incoming>, is_api: bool, most: usize) -> Result<Vec<(String, String)>, Response<Body>> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = is_api && kind.starts_with("application/json");
    if !is_json && !kind.starts_with("application/x-www-form-urlencoded") {
        let said = "Changes are sent as forms, with the type application/x-www-form-urlencoded.";
        return Err(html(StatusCode::UNSUPPORTED_MEDIA_TYPE, plain("Not changed", said)));
    }
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), Limited::new(request.into_body(), most).collect()).await;
    let bytes: Bytes = match read {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            let said = format!("What was sent is larger than {} KB.", most >> 10);
            return Err(html(StatusCode::PAYLOAD_TOO_LARGE, plain("Not changed", &said)));
        }
        Err(_) => return Err(html(StatusCode::REQUEST_TIMEOUT, plain("Not changed", "What was sent did not arrive in time."))),
    };
    if !is_json {
        return Ok(form_urlencoded::parse(&bytes).into_owned().collect());
    }
    match serde_json::from_slice::<Map<String, Value>>(&bytes) {
        Ok(fields) => Ok(fields.into_iter().filter_map(|(name, value)| Some((name, spell(&value)?.into_owned()))).collect()),
        Err(e) => Err(answer::json(StatusCode::BAD_REQUEST, &json!({ "error": format!("The body is not a JSON object: {e}") }))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_only_to_pages_of_the_console() {
        for to in ["/", "/events?text=a", "/rules/a%2Fb"] {
            assert!(is_page(to), "{to}");
        }
        for to in [
            "",
            "events",
            "//example.com",
            "/\\example.com",
            "/\tevil",
            "https://example.com",
            "/login?to=/",
            "/..//x",
            "/%2e%2E/x",
            "/events/./..",
        ] {
            assert!(!is_page(to), "{to}");
        }
    }

    #[test]
    fn a_base_path_is_only_taken_off_where_it_ends() {
        assert_eq!(below("", "/events"), Some("/events"));
        assert_eq!(below("/doorbell", "/doorbell/events"), Some("/events"));
        assert_eq!(below("/doorbell", "/doorbell"), Some("/"));
        assert_eq!(below("/doorbell", "/doorbells"), None);
    }
}

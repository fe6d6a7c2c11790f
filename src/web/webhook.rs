//! Handles requests: passes any path to the intake and sends its answer; also serves the two addresses that report
//! whether Doorbell is healthy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;
use warp::Filter;
use warp::http::header::X_CONTENT_TYPE_OPTIONS;
use warp::http::uri::Authority;
use warp::http::{HeaderName, HeaderValue, Request as HttpRequest, Response, StatusCode, Version};

use super::body_room::{BodyRoom, Full, Taken};
use super::client_ip::Proxies;
use super::cors::Asked;
use super::door::Door;
use super::head::MAX_HEADERS;
use crate::body::packed::most_unpacked;
use crate::engine::care::health::{Health, Status};
use crate::engine::intake::kept_requests::KeptRequests;
use crate::engine::intake::refusal::Refusal;
use crate::engine::intake::rejections::{Rejection, Rejections};
use crate::engine::intake::{Answered, Intake, Received, RoutedAddress};
use crate::model::answer::Answer;
use crate::model::event::{EventId, MOST_HOPS, hops};
use crate::model::request::Request;
use crate::route::{MAX_PATH, RESERVED, decode};

/// The body of an answer, as warp sends it.
pub type Body = <warp::reply::Response as BodyOf>::Body;

/// Names the body type of a response.
pub trait BodyOf {
    type Body;
}
impl<B> BodyOf for Response<B> {
    type Body = B;
}

/// The header of an answer that names the event.
const EVENT_ID: HeaderName = HeaderName::from_static("doorbell-event");
/// How long a body may stall, and how long it may take in total.
const CHUNK: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(30);
/// How long senders are asked to wait when Doorbell is overloaded or full, in seconds.
const RETRY_AFTER: &str = "10";

/// A request's head, read before warp sees it.
#[derive(Debug)]
struct RequestHead {
    method: String,
    path: String,
    /// The path as received, not decoded.
    target: String,
    query: String,
    headers: Vec<(String, String)>,
    ip: String,
    /// The length of the body that the sender announced.
    length: Option<u64>,
    /// A copy of the whole request, to be kept if its sender cannot be verified.
    kept: Option<Box<Request>>,
}

impl RequestHead {
    /// Parses the head; the error is a status and a message for the sender. Whatever one version of HTTP forbids is
    /// rejected in the other versions, too.
    fn new(request: &HttpRequest<Incoming>, peer: SocketAddr, proxies: &Proxies) -> Result<Self, (StatusCode, &'static str)> {
        let bad = |said| (StatusCode::BAD_REQUEST, said);
        let target = request.uri().path_and_query().ok_or(bad("This request cannot be answered."))?;
        if request.method() == warp::http::Method::CONNECT || !target.path().starts_with('/') {
            return Err(bad("This request cannot be answered."));
        }
        if request.headers().len() > MAX_HEADERS {
            return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many headers."));
        }
        if !names_one_host(request) {
            return Err(bad("The request must name one host, in one Host header."));
        }
        if target.path().len() > MAX_PATH {
            return Err(bad("The path is too long."));
        }
        let path = decode(target.path());
        if path.contains('\0') {
            return Err(bad("The path contains a NUL character."));
        }
        let value = |v: &HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let headers: Vec<(String, String)> = request.headers().iter().map(|(n, v)| (n.as_str().to_owned(), value(v))).collect();
        let ip = proxies.caller(peer.ip(), &headers);
        let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok());
        Ok(Self {
            method: request.method().as_str().to_owned(),
            path,
            target: target.path().to_owned(),
            query: target.query().unwrap_or("").to_owned(),
            headers,
            ip,
            length,
            kept: None,
        })
    }
}

/// Whether a request names its host as required (RFC 9112, 3.2; RFC 9113, 8.3.1): once, and consistently if HTTP/2 gives it
/// in two places. HTTP/1.0 does not require it.
fn names_one_host(request: &HttpRequest<Incoming>) -> bool {
    let mut hosts = request.headers().get_all("host").iter();
    let (first, second) = (hosts.next(), hosts.next());
    let is_host = |v: &HeaderValue| v.is_empty() || Authority::try_from(v.as_bytes()).is_ok();
    if second.is_some() || !first.is_none_or(is_host) {
        return false;
    }
    let authority = request.uri().authority().map(Authority::as_str);
    match (request.version(), first, authority) {
        (Version::HTTP_2, Some(host), Some(authority)) => host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()),
        (Version::HTTP_2, None, None) | (Version::HTTP_11, None, _) => false,
        _ => true,
    }
}

/// Everything the handlers need.
#[derive(Clone)]
pub struct Hook {
    pub intake: Arc<Intake>,
    pub bodies: Arc<BodyRoom>,
    pub rejections: Arc<Rejections>,
    pub health: Arc<Health>,
}

/// The door for webhooks: what warp cannot handle is rejected here, the rest goes through its filters.
pub fn door(hook: Hook, proxies: Arc<Proxies>) -> impl Door<Body = Body> {
    let unread = Unread { rejections: hook.rejections.clone(), intake: hook.intake.clone() };
    Webhooks { routes: TowerToHyperService::new(warp::service(routes(hook))), proxies, unread }
}

#[derive(Clone)]
struct Webhooks<S> {
    routes: S,
    proxies: Arc<Proxies>,
    unread: Unread,
}

/// Remembers requests that were refused before their address was looked up.
#[derive(Clone)]
struct Unread {
    rejections: Arc<Rejections>,
    intake: Arc<Intake>,
}

impl<S> Door for Webhooks<S>
where
    S: Service<HttpRequest<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    type Body = Body;

    async fn answer(&self, mut request: HttpRequest<Incoming>, peer: SocketAddr) -> Response<Body> {
        match RequestHead::new(&request, peer, &self.proxies) {
            Ok(head) => {
                request.extensions_mut().insert(Arc::new(Mutex::new(Some(head))));
                let Ok(response) = self.routes.call(request).await;
                response
            }
            Err((status, said)) => {
                let called = (request.method().to_string(), request.uri().path().to_owned());
                let id = self.unread.remember(peer.ip().to_string(), called, status.as_u16(), said);
                let mut refused = plain(&Answer::json(status.as_u16(), "refused", said));
                if let Ok(id) = HeaderValue::from_str(&id) {
                    refused.headers_mut().insert("doorbell-request", id);
                }
                refused
            }
        }
    }

    fn unread(&self, peer: SocketAddr, called: (String, String), status: u16, why: &str) {
        self.unread.remember(peer.ip().to_string(), called, status, why);
    }
}

/// The one filter that takes every request.
fn routes(hook: Hook) -> impl Filter<Extract = (Response<Body>,), Error = warp::Rejection> + Clone {
    warp::any().map(move || hook.clone()).and(warp::ext::get::<Arc<Mutex<Option<RequestHead>>>>()).and(warp::body::stream()).then(
        |hook: Hook, head: Arc<Mutex<Option<RequestHead>>>, body| async move {
            // warp clones what it extracts, so it gets a reference, from which the head is taken once.
            let head = head.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            match head {
                Some(head) => hook.answer(head, body).await,
                None => plain(&Answer::json(400, "refused", "This request cannot be answered.")),
            }
        },
    )
}

impl Hook {
    async fn answer<S, B>(&self, mut head: RequestHead, body: S) -> Response<Body>
    where
        S: warp::Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        if RESERVED.iter().any(|r| head.path == *r || head.path.strip_prefix(r).is_some_and(|rest| rest.starts_with('/'))) {
            return self.own(&head);
        }
        let cors = self.intake.cors_address(&head.path).map(|address| (address, Asked::of(&head.method, &head.headers)));
        let mut response = match &cors {
            Some((address, asked)) if asked.is_preflight() => self.preflight(address, asked, &head),
            _ => match self.take(&mut head, body).await {
                Ok(Answered { event: Some(event), answer }) => accepted(answer, event),
                Ok(Answered { event: None, answer }) => plain(&answer),
                Err(refusal) => {
                    let sent = head.kept.take();
                    self.refused_with(&refusal, &head, sent)
                }
            },
        };
        if let Some((address, asked)) = &cors
            && let Some(cors) = address.cors()
        {
            asked.add_to(response.headers_mut(), cors);
        }
        response
    }

    /// Answers a browser that asks whether the script of a page may call an address. That is no event, and nobody is verified:
    /// browsers ask without any header of the script.
    fn preflight(&self, address: &RoutedAddress, asked: &Asked, head: &RequestHead) -> Response<Body> {
        let origin = asked.origin.as_deref().unwrap_or_default();
        if !address.cors().is_some_and(|cors| cors.allows(origin)) {
            return self.refused(&Refusal::OtherPage(origin.to_owned()), head);
        }
        let mut response = plain(&Answer { status: 204, headers: Vec::new(), body: Bytes::new() });
        asked.allow(response.headers_mut(), address.methods());
        response
    }

    async fn take<S, B>(&self, head: &mut RequestHead, body: S) -> Result<Answered, Refusal>
    where
        S: warp::Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        if hops(&head.headers) > MOST_HOPS {
            return Err(Refusal::Loop);
        }
        let routed = self.intake.routed(&head.method, &head.path, &head.ip)?;
        let limit = routed.max_body();
        if head.length.is_some_and(|n| n > limit as u64) {
            return Err(Refusal::TooLarge(limit));
        }
        // Held only until the event is stored: the bodies of all callers together take no more memory than this.
        let ip = head.ip.clone();
        let mut room = self.bodies.body(&ip);
        let body = match head.length {
            Some(0) => Bytes::new(),
            _ => tokio::time::timeout(WHOLE, read(body, limit, head.length, &mut room)).await.map_err(|_| Refusal::TooSlow)??,
        };
        if head.headers.iter().any(|(n, _)| n == "content-encoding") {
            // Its unpacked contents need memory as well.
            room.grow(body.len() + limit.min(most_unpacked(body.len())), true)?;
        }
        let request = Request {
            method: head.method.clone(),
            path: head.path.clone(),
            target: std::mem::take(&mut head.target),
            query: std::mem::take(&mut head.query),
            headers: std::mem::take(&mut head.headers),
            ip: head.ip.clone(),
            body,
            received: Timestamp::now(),
        };
        head.kept = self.rejections.kept.as_ref().and_then(|_| KeptRequests::copy(&request)).map(Box::new);
        let reply = self.intake.receive(routed, request).await?;
        drop((room, head.kept.take()));
        Ok(match reply {
            Received::Now(answered) => answered,
            Received::Later(responding) => Box::pin(responding.answer()).await,
        })
    }

    /// Doorbell's own addresses.
    fn own(&self, head: &RequestHead) -> Response<Body> {
        if head.method != "GET" && head.method != "HEAD" {
            return self.refused(&Refusal::WrongMethod(vec!["GET".into()]), head);
        }
        match head.path.trim_end_matches('/') {
            "/health/live" => plain(&Answer::json(200, "alive", "Doorbell is running.")),
            "/health" | "/health/ready" => {
                // Anybody may ask, so nothing more is revealed: the reasons are for operators.
                let status = self.health.status();
                let body = json!({ "status": status.word() }).to_string();
                let code = if status == Status::Ready { 200 } else { 503 };
                plain(&Answer { status: code, headers: vec![("content-type".into(), "application/json".into())], body: body.into() })
            }
            _ => self.refused(&Refusal::NoAddress, head),
        }
    }

    fn refused(&self, refusal: &Refusal, head: &RequestHead) -> Response<Body> {
        self.refused_with(refusal, head, None)
    }

    /// What the sender receives, and what is logged for the operator.
    fn refused_with(&self, refusal: &Refusal, head: &RequestHead, sent: Option<Box<Request>>) -> Response<Body> {
        let id = Uuid::now_v7();
        let (status, said) = refusal.answer();
        self.intake.count_refusal(&head.path, refusal);
        match refusal {
            Refusal::Denied(why) => tracing::warn!(request = %id, ip = head.ip, address = head.path, "request denied: {why}"),
            Refusal::CannotKeep(why) => tracing::error!(request = %id, address = head.path, "event not saved: {why}"),
            _ => tracing::info!(request = %id, ip = head.ip, address = head.path, status, "request refused: {said}"),
        }
        let why = match refusal {
            Refusal::Denied(why) | Refusal::CannotKeep(why) => why.clone(),
            Refusal::OtherPage(origin) => format!("scripts of pages from {origin} may not call this address (`cors:`)"),
            _ => said.clone(),
        };
        let is_stored = self.rejections.remember(Rejection {
            id: id.to_string(),
            at: Timestamp::now(),
            ip: head.ip.clone(),
            method: head.method.clone(),
            address: head.path.clone(),
            status,
            why,
        });
        if let (Some(kept), Some(sent), Refusal::Denied(_), true) = (&self.rejections.kept, sent, refusal, is_stored) {
            kept.keep(id.to_string(), *sent);
        }
        // Pages of the console show it at once.
        self.intake.store.news().tell();
        let mut response = plain(&Answer::json(status, "refused", &said));
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("doorbell-request", id);
        }
        match refusal {
            Refusal::WrongMethod(methods) => {
                if let Ok(methods) = HeaderValue::from_str(&methods.join(", ")) {
                    headers.insert("allow", methods);
                }
            }
            Refusal::TooOften(wait) => {
                headers.insert("retry-after", HeaderValue::from(wait.as_secs() + 1));
            }
            Refusal::CannotKeep(_) => {
                headers.insert("retry-after", HeaderValue::from_static(RETRY_AFTER));
            }
            // Doorbell does not wait for the rest of the body.
            Refusal::TooLarge(_) | Refusal::TooSlow => {
                headers.insert("connection", HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

impl Unread {
    /// Returns the id of the refusal.
    fn remember(&self, ip: String, (method, address): (String, String), status: u16, why: &str) -> String {
        let id = Uuid::now_v7().to_string();
        tracing::info!(request = %id, ip, address, status, "request refused: {why}");
        self.intake.counters.unread.one();
        self.rejections.remember(Rejection { id: id.clone(), at: Timestamp::now(), ip, method, address, status, why: why.to_owned() });
        id
    }
}

impl From<Full> for Refusal {
    fn from(_: Full) -> Self {
        Refusal::CannotKeep("too many large bodies are arriving at once".into())
    }
}

/// Reads a body up to the limit, and reserves memory for it as it arrives.
async fn read<S, B>(body: S, limit: usize, length: Option<u64>, room: &mut Taken<'_>) -> Result<Bytes, Refusal>
where
    S: warp::Stream<Item = Result<B, warp::Error>> + Send,
    B: Buf,
{
    let mut body = std::pin::pin!(body);
    let mut all = BytesMut::new();
    loop {
        let next = std::future::poll_fn(|context| body.as_mut().poll_next(context));
        match tokio::time::timeout(CHUNK, next).await {
            Err(_) => return Err(Refusal::TooSlow),
            Ok(None) => return Ok(all.freeze()),
            Ok(Some(Err(_))) => return Err(Refusal::Malformed("The body ended early.".into())),
            Ok(Some(Ok(mut chunk))) => {
                if all.len() + chunk.remaining() > limit {
                    return Err(Refusal::TooLarge(limit));
                }
                let so_far = all.len() + chunk.remaining();
                let is_whole = length == Some(so_far as u64);
                room.grow(so_far, is_whole)?;
                if all.is_empty() && is_whole {
                    // It arrived in one piece, as most bodies do: no copy is needed.
                    return Ok(chunk.copy_to_bytes(chunk.remaining()));
                }
                all.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
            }
        }
    }
}

fn plain(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    // No browser may take an answer for something else than it says it is.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            let headers = response.headers_mut();
            match name == X_CONTENT_TYPE_OPTIONS {
                true => headers.insert(name, value).is_some(),
                false => headers.append(name, value),
            };
        }
    }
    response
}

fn accepted(answer: Answer, event: EventId) -> Response<Body> {
    let mut response = plain(&answer);
    if let Ok(id) = HeaderValue::from_str(&event.to_string()) {
        response.headers_mut().insert(EVENT_ID, id);
    }
    response
}

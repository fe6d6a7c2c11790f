//! What changes while one looks at a page: whenever something happens in Doorbell, the changing part of the page is made again,
//! by the page itself, and sent if it is different.
//!
//! A browser that is slow gets fewer of them, never old ones. The stream ends with the login, and when Doorbell stops.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Channel};
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until, timeout};
use warp::http::header::HeaderName;
use warp::http::{Response, StatusCode};

use super::answer::{Answer, Body, set, with_body};
use super::ask::Ask;
use super::pages;
use crate::engine::care::health::Status;

/// The shortest time between two updates of a page.
const PACE: Duration = Duration::from_millis(400);
/// How often something is sent even if nothing happens, so that nobody on the way closes the connection; times that are shown
/// as "in 5 minutes" are then right again, too.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a browser may take to read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one stream lasts; the browser then opens a new one, and shows that its login is still valid.
const LASTS: Duration = Duration::from_secs(600);

/// Streams the changing part of the page that the query names.
pub fn stream(ask: Ask) -> Response<Body> {
    let of = ask.query("of").unwrap_or_default();
    let (path, query) = of.split_once('?').unwrap_or((&of, ""));
    let path = path.strip_prefix(ask.console.settings.base.as_str()).unwrap_or(path);
    let ask = Ask { path: Ask::parts(path), query: query.to_owned(), ..ask };
    let (mut send, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        let mut happened = ask.console.store.news().watch();
        let end = Instant::now() + LASTS;
        let mut shown = String::new();
        loop {
            let soonest = Instant::now() + PACE;
            let part = part(&ask).await;
            let text = if part == shown { ": still here\n\n".to_owned() } else { event(&part) };
            shown = part;
            if !matches!(timeout(PATIENCE, send.send(Frame::data(text.into()))).await, Ok(Ok(()))) || Instant::now() >= end {
                return;
            }
            if ask.console.health.status() == Status::Stopping {
                return;
            }
            sleep_until(soonest).await;
            if let Ok(Err(_)) = timeout(HEARTBEAT, happened.changed()).await {
                return;
            }
        }
    });
    let mut response = with_body(StatusCode::OK, "text/event-stream", body.boxed_unsync());
    // Some proxies hold back what they pass on.
    set(&mut response, HeaderName::from_static("x-accel-buffering"), "no");
    response
}

/// The changing part of a page; empty if it has none.
async fn part(ask: &Ask) -> String {
    match pages::show(ask).await {
        Ok(Answer::Page(page)) => page.live.map(|live| live.into_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// As server-sent events are written (WHATWG HTML, 9.2.5): every line of the data has a field of its own.
fn event(part: &str) -> String {
    let lines: String = part.split('\n').map(|line| format!("data: {}\n", line.trim_end_matches('\r'))).collect();
    format!("event: part\n{lines}\n")
}

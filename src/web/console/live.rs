//! What changes while one looks at a page: whenever something happens in Doorbell, the changing part of the page is made again,
//! by the page itself, and sent if it is different; so is the number of failed runs in the navigation.
//!
//! A browser that is slow gets fewer of them, never old ones. The stream ends with the login, and when Doorbell stops. How
//! many there may be is in [`super::streams`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Sender;
use http_body_util::{BodyExt, Channel};
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until, timeout};
use warp::http::header::HeaderName;
use warp::http::{Response, StatusCode};

use super::answer::{Answer, Body, set, with_body};
use super::ask::Ask;
use super::frame::{MOST_COUNTED, counted};
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

/// Streams the changing part of the page that the query names; of a page without one, only the number in the navigation.
pub fn stream(ask: Ask) -> Response<Body> {
    let place = ask.console.streams.enter(&ask.visitor.id);
    let of = ask.query("of").unwrap_or_default();
    let (path, query) = of.split_once('?').unwrap_or((&of, ""));
    let path = path.strip_prefix(ask.console.settings.base.as_str()).unwrap_or(path);
    let has_part = !of.is_empty();
    let ask = Ask { path: Ask::parts(path), query: query.to_owned(), ..ask };
    let (send, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        tokio::select! {
            () = tell(&ask, has_part, send) => {}
            () = place.ends() => {}
        }
    });
    let mut response = with_body(StatusCode::OK, "text/event-stream", body.boxed_unsync());
    // Some proxies hold back what they pass on.
    set(&mut response, HeaderName::from_static("x-accel-buffering"), "no");
    response
}

/// Sends what is different, whenever something has happened, until nobody reads it any more.
async fn tell(ask: &Ask, has_part: bool, mut send: Sender<Bytes>) {
    let mut happened = ask.console.store.news().watch();
    let end = Instant::now() + LASTS;
    let (mut shown, mut failed) = (String::new(), None);
    loop {
        let soonest = Instant::now() + PACE;
        let (part, count) = {
            let Some(_turn) = ask.console.streams.turn().await else { return };
            let part = if has_part { part(ask).await } else { String::new() };
            (part, ask.console.queries.counts(MOST_COUNTED).await.map(|counts| counted(counts.failed)).ok())
        };
        let mut text = if part == shown { String::new() } else { event("part", &part) };
        if count.is_some() && count != failed {
            text += &event("failed", count.as_deref().unwrap_or_default());
        }
        if text.is_empty() {
            text = ": still here\n\n".to_owned();
        }
        (shown, failed) = (part, count.or(failed));
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
}

/// The changing part of a page; empty if it has none.
async fn part(ask: &Ask) -> String {
    match pages::show(ask).await {
        Ok(Answer::Page(page)) => page.live.map(|live| live.into_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// As server-sent events are written (WHATWG HTML, 9.2.5): every line of the data has a field of its own.
fn event(kind: &str, content: &str) -> String {
    let lines: String = content.split('\n').map(|line| format!("data: {}\n", line.trim_end_matches('\r'))).collect();
    format!("event: {kind}\n{lines}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_field_of_its_own() {
        assert_eq!(event("part", "a\r\nb"), "event: part\ndata: a\ndata: b\n\n");
        assert_eq!(event("failed", ""), "event: failed\ndata: \n\n");
    }
}

//! `/ring`: sends a test event to a rule's own address, as a sender would: through the same intake, and really.

use std::net::IpAddr;

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::json;

use crate::engine::intake::Received;
use crate::model::request::Request;
use crate::rule::Rule;
use crate::rule::test::Body;
use crate::web::console::answer::Answer;
use crate::web::console::ask::{Ask, escaped, escaped_path};
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// The address and the body of a test event for a rule; `None` if its address asks for a proof, or has placeholders.
pub fn sample(ask: &Ask, rule: &Rule) -> Option<(String, String)> {
    let ruleset = &ask.console.health.rules.load().ruleset;
    let when = rule.when.iter().find(|when| when.route.placeholders().next().is_none())?;
    let path = when.route.text().to_owned();
    let is_open = ruleset.address(&path).is_some_and(|address| address.guard.is_open());
    let body = rule.tests.iter().find_map(|test| match &test.send.body {
        Body::Json(value) => Some(value.to_string()),
        _ => None,
    });
    is_open.then(|| (path, body.unwrap_or_else(|| json!({ "text": "Hello" }).to_string())))
}

pub async fn send(ask: &Ask) -> Result<Answer, Fault> {
    let name = ask.must("rule")?;
    let rules = ask.console.health.rules.load_full();
    let rule = rules.ruleset.rule(&name);
    let rule = rule.ok_or_else(|| Fault::NotFound(format!("No rule is called “{}” any more.", draw::plain(&name))))?;
    let (path, body) =
        sample(ask, rule).ok_or_else(|| Fault::Bad("A test event can be sent only to an address that accepts every sender.".to_owned()))?;
    let ip: IpAddr = ask.visitor.ip;
    let routed = ask.console.intake.routed("POST", &path, &ip.to_string()).map_err(|refusal| Fault::Failed(refusal.answer().1))?;
    let request = Request {
        method: "POST".to_owned(),
        path: path.clone(),
        target: path,
        headers: vec![("content-type".to_owned(), "application/json".to_owned()), ("user-agent".to_owned(), "Doorbell console".to_owned())],
        ip: ip.to_string(),
        body: body.into(),
        received: Timestamp::now(),
        ..Request::nobody()
    };
    let event = match ask.console.intake.receive(routed, request).await.map_err(|refusal| Fault::Failed(refusal.answer().1))? {
        Received::Now(answered) => answered.event,
        // Nobody waits for its answer.
        Received::Later(responding) => responding.answer().await.event,
    };
    ask.console
        .sessions
        .say(&ask.visitor, "It works: the test event arrived and is stored. This is what the rules did with it.".to_owned());
    Ok(Answer::See(event.map_or_else(|| "/".to_owned(), |event| format!("/events/{event}?tested={}", escaped(&name)))))
}

/// What to do after a test event.
pub fn next(ask: &Ask, rule: &str) -> Markup {
    let rules = ask.console.health.rules.load();
    let file = rules.ruleset.rule(rule).and_then(|rule| ask.console.editor.below(&rule.source.name));
    html! {
        @if ask.may_edit() {
            p.deeds {
                "Next: "
                @if let Some(file) = file { a.button href=(ask.at(&format!("/edit/{}", escaped_path(&file)))) { "Change what the rule does" } }
                a.button href=(ask.at("/new")) { "Connect your own app" }
            }
        }
    }
}

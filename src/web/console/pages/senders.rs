//! `/senders`: requests that were refused lately, why one is denied, and the senders that are known by name.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::engine::intake::rejections::Rejections;
use crate::model::request::Request;
use crate::operations::verification::{Verification, verify};
use crate::route::decode;
use crate::rule::address::Address;
use crate::text::count::number;
use crate::text::printable::one_line;
use crate::verify::known_senders;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::Ask;
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many refused requests are shown.
const SHOWN: usize = 50;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let data = ask.console.data.clone();
    let refused = tokio::task::spawn_blocking(move || Rejections::latest(&data, SHOWN)).await.unwrap_or_default();
    let live = html! {
        section {
            h2 { "Refused lately" }
            @if refused.is_empty() { p.calm { span aria-hidden="true" { "✓ " } "No request was refused." } } @else {
                table.rows {
                    thead { tr { th { "When" } th { "Called" } th { "Answer" } th { "Why" } th { "From" } } }
                    tbody { @for one in &refused {
                        tr id=(format!("r-{}", one.id)) {
                            td { a href=(ask.at(&format!("/events/{}", one.id))) { (draw::time(one.at)) } }
                            td.call { span.method { (draw::brief(&one.method)) } " " code { (draw::brief(&one.address)) } }
                            td { (draw::status(Some(one.status))) }
                            td { (draw::text(&one.why)) }
                            td { (draw::brief(&one.ip)) }
                        }
                    } }
                }
            }
        }
    };
    let below = html! { (form(ask, None, &Typed::default())) (known()) };
    Ok(Answer::Page(Page::new("Senders", "/senders", html! {}).live(live).below(below)))
}

/// The form that asks for a request that was denied, and what was found.
fn form(ask: &Ask, found: Option<&Verification>, typed: &Typed) -> Markup {
    let rules = ask.console.health.rules.load();
    let Typed { address: chosen, headers, body } = typed;
    html! {
        section #verify {
            h2 { "Why is it denied?" }
            p { "Paste a request as the sender shows it in its log. Doorbell checks it as it does at the door, and says which part is wrong." }
            @if let Some(found) = found { (judged(found)) }
            form.stack method="post" action=(ask.at("/senders")) {
                label for="address" { "Address" }
                select #address name="address" { @for address in &rules.ruleset.addresses {
                    @let text = address.route.text();
                    option value=(text) selected[chosen.as_deref() == Some(text)] { (draw::brief(text)) }
                } }
                label for="headers" { "Headers, one a line" }
                textarea #headers name="headers" rows="4" spellcheck="false" placeholder="X-Hub-Signature-256: sha256=…" { "\n" (headers) }
                label for="body" { "Body, exactly as it was sent" }
                textarea #body name="body" rows="6" spellcheck="false" { "\n" (body) }
                div { button.primary { "Check it" } }
            }
        }
    }
}

fn judged(found: &Verification) -> Markup {
    html! {
        @match (&found.denied, found.is_open) {
            (_, true) => p.said { "Accepted: this address accepts every sender." },
            (None, false) => p.said { "Accepted." @if let Some(sender) = &found.sender { " Rules see the sender " code { (draw::text(sender)) } "." } },
            (Some(why), false) => p.said.bad role="alert" { "Denied: " (draw::text(why)) },
        }
        @if let Some((signed, bytes)) = &found.signed {
            p { "The content that has to be signed, " (number(*bytes, "byte")) ":" }
            (draw::block(signed))
        }
    }
}

fn known() -> Markup {
    html! {
        section {
            h2 { "Senders that Doorbell knows" }
            p { "Write for example " code { "verify: { stripe: \"{{ secret.STRIPE }}\" }" } ". Others: " code { "bearer" } ", " code { "basic" } ", " code { "token" } ", and " code { "custom" } " for any other way of signing." }
            @for (name, facts) in known_senders() {
                details {
                    summary { (facts.title) " " code { (name) } }
                    (draw::copy(&format!("webhooks:\n  /{name}:\n    verify: {}", facts.write)))
                    p { "At " (facts.title) ": " (facts.paste) "." }
                    @if !facts.note.is_empty() { p.note { (facts.note) "." } }
                }
            }
        }
    }
}

/// Checks a request that was typed, or one that was refused and is kept.
pub async fn check(ask: &Ask) -> Result<Answer, Fault> {
    let rules = ask.console.health.rules.load_full();
    if let Some(id) = ask.field("refused") {
        ask.must_show_bodies()?;
        let kept = ask.console.rejections.kept.as_ref().and_then(|kept| kept.find(&id));
        let kept = kept.ok_or_else(|| Fault::Gone("What was sent with this request is not kept any more.".to_owned()))?;
        let known = rules.ruleset.address_number(&kept.path).and_then(|number| rules.ruleset.addresses.get(number));
        let known = known.ok_or_else(|| Fault::NotFound(format!("No rule uses {} any more.", draw::plain(&kept.path))))?;
        let shown = ask.refused_request(&id);
        let typed = shown.as_ref().map(|shown| Typed::of(known, shown)).unwrap_or_default();
        return checked(ask, known, &kept, shown.as_ref(), &typed).await;
    }
    let address = ask.must("address")?;
    let number = rules.ruleset.addresses.iter().position(|known| known.route.text() == address);
    let Some(known) = number.and_then(|number| rules.ruleset.addresses.get(number)) else {
        return Err(Fault::NotFound(format!("No rule uses {} any more.", draw::plain(&address))));
    };
    let typed = Typed {
        address: Some(address.clone()),
        headers: ask.field("headers").unwrap_or_default(),
        body: ask.field("body").unwrap_or_default(),
    };
    let headers =
        typed.headers.lines().filter_map(|line| line.split_once(':')).map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned()));
    let request = Request {
        method: known.methods.first().cloned().unwrap_or_else(|| "POST".to_owned()),
        path: decode(&address),
        target: address.clone(),
        headers: headers.collect(),
        // Browsers send the line ends of forms as CR LF.
        body: typed.body.replace("\r\n", "\n").into(),
        received: Timestamp::now(),
        ..Request::nobody()
    };
    checked(ask, known, &request, None, &typed).await
}

/// What is in the form.
#[derive(Default)]
struct Typed {
    address: Option<String>,
    headers: String,
    body: String,
}

impl Typed {
    fn of(address: &Address, request: &Request) -> Self {
        Self {
            address: Some(address.route.text().to_owned()),
            headers: request.headers.iter().map(|(name, value)| format!("{name}: {}\n", one_line(value))).collect(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
        }
    }
}

/// The page with what was found about a request. What had to be signed is shown as it is in `shown`, if that is given: a copy
/// without secrets.
async fn checked(ask: &Ask, known: &Address, request: &Request, shown: Option<&Request>, typed: &Typed) -> Result<Answer, Fault> {
    let keys = match known.guard.keys_at(request) {
        at if at.is_empty() => Ok(Default::default()),
        at => ask.console.intake.key_cache.keys(&at, "").await,
    };
    let mut found = verify(&known.guard, request, keys);
    if let (Some(shown), Some((content, _))) = (shown, &mut found.signed) {
        let struck = verify(&known.guard, shown, Err(String::new())).signed;
        *content = struck.map(|(content, _)| content).unwrap_or_default();
    }
    Ok(Answer::Page(Page::new("Senders", "/senders", form(ask, Some(&found), typed))))
}

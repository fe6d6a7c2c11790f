//! `/edit/FILE`: a rule file, and beside it what it would do with an event that really came. What is typed is checked by the
//! product's own loader; saving puts it to use at once.

use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::json;

use crate::model::event::Event;
use crate::model::hash::hash;
use crate::operations::drafts::{self, Sample};
use crate::operations::dry_run::{Webhook, preview};
use crate::operations::editing::{NotSaved, RuleFile};
use crate::operations::history;
use crate::operations::kept_test::with_test;
use crate::operations::recipes;
use crate::operations::rule_tests;
use crate::problem::{Problem, Severity, any_error};
use crate::route::Route;
use crate::rule::load::Loaded;
use crate::rule::ruleset::Ruleset;
use crate::store::contract::EventFilter;
use crate::text::count::number;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped_path};
use crate::web::console::assets;
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::preview;

/// How many of the latest events are searched for some of this file's addresses, and how many can be chosen.
const LOOKED: usize = 300;
const CHOICES: usize = 8;
/// How long saving waits until the rules are in use.
const PATIENCE: Duration = Duration::from_secs(5);
/// A file to start from nothing.
const EMPTY: &str = r#"# yaml-language-server: $schema=doorbell.schema.json
# When something arrives at this address, a line is written to a file in the output folder.

webhooks:
  /my-app:
    verify: none   # anyone can call this address; better: { token: { header: X-Token, value: "{{ secret.MY_TOKEN }}" } }

rules:
  My first rule:
    when: { webhook: /my-app }
    then:
      - append: my-app.log
        text: "{{ now }} something arrived"
"#;

/// What is in the editor.
struct Draft {
    name: String,
    text: String,
    /// The version that was opened; nothing for a new file.
    opened: Option<String>,
    /// The event that it is tried on.
    event: Option<String>,
    /// A body that was typed instead, and the address it is sent to.
    typed: Option<String>,
    address: Option<String>,
}

pub async fn show(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    let file = ask.console.editor.read(name).map_err(Fault::NotFound)?;
    let (mut text, opened) = match file {
        Some(file) => (file.text, Some(file.version)),
        None => (new_text(ask, name).await?, None),
    };
    if let Some(id) = ask.query("keep") {
        text = kept(ask, name, &id, &text).await?;
    }
    if let Some(hash) = ask.query("version") {
        let earlier = ask.console.queries.text(hash.as_str().into()).await?;
        text = earlier.ok_or_else(|| Fault::Gone("This version of the file is not kept any more.".to_owned()))?;
    }
    // An event that is kept as a test is also what the file is tried on.
    let event = ask.query("event").or(ask.query("keep"));
    let draft = Draft { name: name.to_owned(), text, opened, event, typed: None, address: None };
    let page = page(ask, &draft, None).await?;
    let what = match (ask.query("keep"), ask.query("version")) {
        (Some(_), _) => "The event is in the text now, as the last of the rule's tests.",
        (None, Some(_)) => "This is the earlier version.",
        (None, None) if draft.opened.is_none() => "This file is a draft.",
        (None, None) => return Ok(page),
    };
    Ok(match page {
        Answer::Page(page) => {
            let still = html! { p.card.wait role="status" { (what) " It is used as soon as you save it." } (page.still) };
            Answer::Page(Page { still, ..page })
        }
        other => other,
    })
}

/// The text with an event as a new test of the rule that the address of the page names.
async fn kept(ask: &Ask, name: &str, id: &str, text: &str) -> Result<String, Fault> {
    let rule = ask.query("rule").ok_or_else(|| Fault::Bad("This link is not complete.".to_owned()))?;
    let event = ask.content(ask.event_id(id).await?).await?;
    let (console, file, text) = (ask.console.clone(), name.to_owned(), text.to_owned());
    let work = move || {
        let load = |text: &str| console.editor.with(&file, text, true).map(|loaded| loaded.ruleset);
        let ruleset = load(&text)?.ok_or("this file has errors; fix them first")?;
        let found = ruleset.rules.iter().find(|found| *found.name == *rule).ok_or("this rule is not in the file any more")?;
        with_test(found, &event, &load)
    };
    let kept = tokio::task::spawn_blocking(work).await.map_err(|e| Fault::Failed(e.to_string()))?;
    kept.map_err(|why| Fault::Failed(format!("The event cannot be kept as a test: {why}.")))
}

/// The text that a new file begins with.
async fn new_text(ask: &Ask, name: &str) -> Result<String, Fault> {
    if let Some(id) = ask.query("event") {
        let event = ask.event_id(&id).await?;
        let event = ask.content(event).await?;
        let console = ask.console.clone();
        // Reading all files is work for another thread.
        let neighbours =
            tokio::task::spawn_blocking(move || console.editor.neighbours()).await.map_err(|e| Fault::Failed(e.to_string()))?;
        return Ok(drafts::draft(&Sample::from(event), &format!("the event {id}"), &neighbours).text);
    }
    if let Some(recipe) = ask.query("recipe") {
        return recipes::find(&recipe).map(|recipe| recipe.text.to_owned()).map_err(Fault::NotFound);
    }
    if ask.query("empty").is_some() || ask.query("version").is_some() {
        return Ok(EMPTY.to_owned());
    }
    Err(Fault::NotFound(format!("There is no rule file called “{}”.", draw::plain(name))))
}

pub async fn act(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    if !ask.may_edit() {
        return Err(Fault::Forbidden("Rules cannot be edited in this console; start Doorbell with --console-edit to allow it.".to_owned()));
    }
    let draft = Draft {
        name: name.to_owned(),
        // Browsers send the line ends of forms as CR LF.
        text: ask.field("text").unwrap_or_default().replace("\r\n", "\n"),
        opened: ask.field("opened"),
        event: ask.field("event"),
        typed: ask.field("typed"),
        address: ask.field("address"),
    };
    match ask.field("do").as_deref() {
        Some("save") => save(ask, draft).await,
        Some("look") => {
            let Looked { problems, shown } = look(ask, &draft).await?;
            let problems: Vec<_> = problems.iter().map(Problem::json).collect();
            Ok(Answer::Json(json!({ "problems": problems, "shown": shown.into_string() })))
        }
        _ => page(ask, &draft, None).await,
    }
}

async fn save(ask: &Ask, draft: Draft) -> Result<Answer, Fault> {
    let loaded = load(ask, &draft, false).await?;
    let errors = loaded.problems.iter().filter(|p| p.severity == Severity::Error).count();
    if errors > 0 && ask.field("anyway").is_none() {
        let said = html! { p.said.bad role="alert" { "Not saved: there " (if errors == 1 { "is " } else { "are " }) (number(errors, "error")) ". Fix it, or save anyway: then the rules from before stay in use until it is fixed." } };
        return page(ask, &draft, Some(said)).await;
    }
    match ask.console.editor.save(&draft.name, &draft.text, draft.opened.as_deref()) {
        Ok(file) => {
            let what = if draft.opened.is_none() { "created" } else { "edited" };
            let did = format!("{what} the rule file {} in the console, from {}", draft.name, ask.visitor.ip);
            ask.console.audit.write(Timestamp::now(), None, did);
            let said = match in_use(ask, &file).await {
                true => "Saved, and in use.".to_owned(),
                false if errors > 0 => "Saved, but not in use: the rules from before stay in use until the errors are fixed.".to_owned(),
                false => "Saved. It is not in use yet; the page “Rules” shows why.".to_owned(),
            };
            ask.console.sessions.say(&ask.visitor, said);
            Ok(Answer::See(format!("/edit/{}", escaped_path(&draft.name))))
        }
        Err(NotSaved::Changed(now)) => page(ask, &draft, Some(changed(&draft, now.as_ref()))).await,
        Err(NotSaved::Name(why)) => Err(Fault::Bad(format!("{why}."))),
        Err(NotSaved::TooLarge) => {
            Err(Fault::Bad("A rule file can have at most 1 MB; put some of the rules into another file.".to_owned()))
        }
        Err(NotSaved::Disk(why)) => {
            let said =
                html! { p.said.bad role="alert" { "Not saved: " (why) ". Your text is still here; copy it before you leave this page." } };
            page(ask, &draft, Some(said)).await
        }
    }
}

/// Waits until the file is among the rules in use.
async fn in_use(ask: &Ask, file: &RuleFile) -> bool {
    let wanted = hash(file.text.as_bytes());
    let is_used = || ask.console.health.rules.load().ruleset.texts.iter().any(|(hash, _)| **hash == *wanted);
    let mut changes = ask.console.store.news().watch();
    ask.console.reload.notify_one();
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_used() {
        let failed = !ask.console.health.last_edit.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty();
        if failed || tokio::time::Instant::now() >= end {
            return false;
        }
        // The rules are stored before they are used.
        let _ = tokio::time::timeout(Duration::from_millis(100), changes.changed()).await;
    }
    true
}

/// Somebody else was faster: both texts.
fn changed(draft: &Draft, now: Option<&RuleFile>) -> Markup {
    html! {
        div.said.bad role="alert" {
            @match now {
                Some(file) => {
                    p { "Not saved: " code { (draft.name) } " was changed while you edited it. This is what it says now; take over what you need, then save again." }
                    (draw::block(&file.text))
                },
                None => p { "Not saved: " code { (draft.name) } " was deleted while you edited it. Save again to make it anew." },
            }
        }
    }
}

async fn page(ask: &Ask, draft: &Draft, said: Option<Markup>) -> Result<Answer, Fault> {
    let read_only = if ask.may_edit() { ask.console.editor.read_only() } else { Some("Rules cannot be edited in this console.") };
    let right = look(ask, draft).await?.shown;
    // What is saved next replaces what was shown, even if somebody else wrote it.
    let opened = match &said {
        Some(_) => ask.console.editor.read(&draft.name).ok().flatten().map(|file| file.version),
        None => draft.opened.clone(),
    };
    let still = html! {
        @if let Some(said) = &said { (said) }
        @if let Some(why) = read_only {
            p.card.off { (why) " " @if ask.may_edit() { "You can try changes here, and copy the text." } @else { "You can read and copy the text." } }
        }
        form.editor #editor method="post" action=(ask.at(&format!("/edit/{}", escaped_path(&draft.name)))) data-address=(ask.at(&format!("/edit/{}", escaped_path(&draft.name)))) data-words=(ask.at("/words")) {
            div.written {
                label for="text" { "The rule file" }
                textarea #text name="text" rows="28" spellcheck="false" autocapitalize="off" autocomplete="off" wrap="off" readonly[!ask.may_edit()] { "\n" (draft.text) }
                @if let Some(opened) = &opened { input type="hidden" name="opened" value=(opened); }
                div.deeds {
                    @if read_only.is_none() { button.primary name="do" value="save" { "Save" } }
                    @if ask.may_edit() { button name="do" value="try" { "Check and try" } }
                    @if opened.is_some() { a.button href=(ask.at(&format!("/history/{}", escaped_path(&draft.name)))) { "Versions" } }
                    @if said.is_some() && read_only.is_none() { label { input type="checkbox" name="anyway" value="yes"; " save although there are errors" } }
                }
            }
            div.tried {
                @if ask.may_edit() { (choices(ask, draft).await?) }
                div #look aria-live="polite" { (right) }
            }
        }
        script src=(ask.at(assets::path("editor.js"))) defer {}
    };
    let title = if draft.opened.is_some() { draft.name.clone() } else { format!("New file: {}", draft.name) };
    Ok(Answer::Page(Page::new(title, "/rules", still)))
}

/// The events that the file can be tried on.
async fn choices(ask: &Ask, draft: &Draft) -> Result<Markup, Fault> {
    let found = history::search(ask.console.queries.as_ref(), &EventFilter::default(), None, LOOKED).await?;
    let ruleset = load(ask, draft, true).await?.ruleset;
    let routes = ruleset.map(|ruleset| routes(ask, &ruleset, &draft.name));
    let is_mine = |address: &str| routes.as_ref().is_none_or(|routes| routes.iter().any(|route| route.fit(address).is_some()));
    let chosen: Vec<_> = found.events.iter().filter(|event| is_mine(&event.address)).take(CHOICES).collect();
    let picked = draft.event.as_deref();
    Ok(html! {
        div.choice {
            label { "Try it on "
                select name="event" {
                    option value="" { "the latest event of its address" }
                    @for event in &chosen {
                        @let id = event.id.to_string();
                        option value=(id) selected[picked == Some(id.as_str())] { (event.received.strftime("%m-%d %H:%M:%S")) " " (event.method) " " (draw::brief(&event.address)) }
                    }
                    @if let Some(picked) = picked.filter(|picked| chosen.iter().all(|event| event.id.to_string() != **picked)) {
                        option value=(picked) selected { "event " (picked) }
                    }
                }
            }
            details open[draft.typed.is_some()] {
                summary { "Or on something typed" }
                label { "Address " input name="address" value=[&draft.address] placeholder="/orders"; }
                label for="typed" { "Body (JSON)" }
                textarea #typed name="typed" rows="5" spellcheck="false" { "\n" (draft.typed.as_deref().unwrap_or_default()) }
            }
        }
    })
}

/// The addresses of this file's rules.
fn routes(ask: &Ask, ruleset: &Ruleset, name: &str) -> Vec<Route> {
    let shown = ask.console.editor.folder.join(name).to_string_lossy().into_owned();
    let mine = ruleset.rules.iter().filter(|rule| rule.source.name == shown);
    mine.flat_map(|rule| &rule.when).map(|when| when.route.clone()).collect()
}

async fn load(ask: &Ask, draft: &Draft, stand_ins: bool) -> Result<Loaded, Fault> {
    let (console, name, text) = (ask.console.clone(), draft.name.clone(), draft.text.clone());
    let work = move || console.editor.with(&name, &text, stand_ins);
    let loaded = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Fault::Failed("Doorbell crashed while reading this text; please report it.".to_owned()))?;
    loaded.map_err(Fault::Bad)
}

/// What there is to say about a text.
struct Looked {
    /// In the order in which they are shown.
    problems: Vec<Problem>,
    /// The problems, and what the text would do.
    shown: Markup,
}

async fn look(ask: &Ask, draft: &Draft) -> Result<Looked, Fault> {
    let real = load(ask, draft, false).await?;
    let here = |file: &str| ask.console.editor.below(file).as_deref() == Some(draft.name.as_str());
    let (problems, others): (Vec<_>, Vec<_>) = real.problems.into_iter().partition(|problem| here(&problem.file));
    let loaded = load(ask, draft, true).await?;
    let tried = match &loaded.ruleset {
        None => html! {},
        Some(ruleset) => match event(ask, draft, ruleset).await {
            Ok(Some(event)) => html! {
                h2 { "What it would do" }
                @match preview(ruleset, &event, None, &[]) {
                    Ok(shown) => (preview::preview(&shown)),
                    Err(why) => (preview::no_preview(&why)),
                }
            },
            Ok(None) => html! { p.note { "No event of its addresses can be shown yet. Type one above to try it." } },
            Err(fault) => html! { p.note { "It cannot be tried on this: " (fault.said()) } },
        },
    };
    let tests = match loaded.ruleset {
        Some(ruleset) => tests(ask, draft, ruleset).await,
        None => html! {},
    };
    let shown = html! {
        @if problems.is_empty() { p.calm { span aria-hidden="true" { "✓ " } "No problems." } }
        @for problem in &problems { (draw::problem(problem)) }
        @if any_error(&others) {
            div.card.bad {
                p { "Other files have errors, so nothing new can be used before these are fixed:" }
                ul { @for problem in others.iter().filter(|problem| problem.severity == Severity::Error) {
                    li {
                        @match ask.console.editor.below(&problem.file) {
                            Some(name) => a href=(ask.at(&format!("/edit/{}", escaped_path(&name)))) { (draw::plain(&name)) },
                            None => code { (draw::text(&problem.file)) },
                        }
                        ": " (draw::text(&problem.message))
                    }
                } }
            }
        }
        (tests)
        (tried)
    };
    Ok(Looked { problems, shown })
}

/// Whether the `tests:` of this file pass.
async fn tests(ask: &Ask, draft: &Draft, ruleset: Ruleset) -> Markup {
    let (console, shown) = (ask.console.clone(), ask.console.editor.folder.join(&draft.name).to_string_lossy().into_owned());
    let work = move || rule_tests::run(&ruleset, &console.editor.folder, None);
    let Ok(results) = tokio::task::spawn_blocking(work).await else { return html! {} };
    let mine: Vec<_> = results.tests.iter().filter(|test| test.file == shown).collect();
    let failed: Vec<_> = mine.iter().filter(|test| test.differences.is_some()).collect();
    html! {
        @if !mine.is_empty() && failed.is_empty() { p.calm { span aria-hidden="true" { "✓ " } (number(mine.len(), "test")) " of this file passed." } }
        @for test in failed {
            details.card.wait {
                summary { "The test “" (draw::brief(&test.test)) "” of “" (draw::brief(&test.rule)) "” fails" }
                (draw::block(test.differences.as_deref().unwrap_or_default()))
            }
        }
    }
}

/// The event that the text is tried on.
async fn event(ask: &Ask, draft: &Draft, ruleset: &Ruleset) -> Result<Option<Event>, Fault> {
    let routes = routes(ask, ruleset, &draft.name);
    if let Some(typed) = &draft.typed {
        let target =
            draft.address.clone().or_else(|| routes.first().map(|route| route.text().to_owned())).unwrap_or_else(|| "/".to_owned());
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let webhook = Webhook { method: "POST".to_owned(), target, headers, body: typed.clone().into_bytes() };
        return webhook.into_event(ruleset, None, Timestamp::now()).map(Some).map_err(Fault::Bad);
    }
    let id = match &draft.event {
        Some(id) => ask.event_id(id).await?,
        None if !ask.shows_bodies() => return Ok(None),
        None => {
            let found = history::search(ask.console.queries.as_ref(), &EventFilter::default(), None, LOOKED).await?;
            let latest = found.events.into_iter().find(|event| routes.iter().any(|route| route.fit(&event.address).is_some()));
            let Some(latest) = latest else { return Ok(None) };
            latest.id
        }
    };
    ask.content(id).await.map(Some)
}

//! `/edit/FILE`: a rule file, and beside it what it would do with an event that really came. What is typed is checked by the
//! product's own loader; saving puts it to use at once.

use maud::{Markup, html};
use serde_json::json;

use crate::operations::drafts::{self, Sample};
use crate::operations::history;
use crate::operations::kept_test::with_test;
use crate::operations::recipes;
use crate::problem::Problem;
use crate::store::contract::EventFilter;
use crate::text::count::with_and;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped_path};
use crate::web::console::assets;
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::draft::{Draft, LOOKED, Looked, look, shown};
use crate::web::console::pages::save::{self, Saved};

/// How many events can be chosen.
const CHOICES: usize = 8;
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
    let draft = Draft { event, ..Draft::of(name, text, opened) };
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
        let found = ruleset.rule(&rule).ok_or("this rule is not in the file any more")?;
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
    let draft = Draft::sent(ask, name);
    match ask.field("do").as_deref() {
        Some("save") => {
            // The name of a new file can be chosen.
            let chosen = ask.field("name").filter(|_| draft.opened.is_none()).map(|typed| save::named(&typed));
            match save::save(ask, &draft, chosen.as_deref()).await? {
                Saved::See(to) => Ok(Answer::See(to)),
                Saved::Not(said) => page(ask, &draft, Some(said)).await,
                Saved::Changed(said, now) => {
                    // What is saved next replaces what is shown now, even if somebody else wrote it.
                    let draft = Draft { opened: now.map(|file| file.version), ..draft };
                    page(ask, &draft, Some(said)).await
                }
            }
        }
        Some("delete") => done(ask, name, save::delete(ask, name).await?).await,
        Some("rename") => done(ask, name, save::rename(ask, name).await?).await,
        Some("look") => {
            let Looked { problems, shown } = look(ask, &draft).await?;
            let problems: Vec<_> = problems.iter().map(Problem::json).collect();
            Ok(Answer::Json(json!({ "problems": problems, "shown": shown.into_string() })))
        }
        _ => match ask.field("fix") {
            Some(fix) => match draft.corrected(ask, &fix).await? {
                Some(text) => page(ask, &Draft { text, ..draft }, None).await,
                None => {
                    page(
                        ask,
                        &draft,
                        Some(html! { p.said role="status" { "The text has changed since it was checked, so nothing was corrected." } }),
                    )
                    .await
                }
            },
            None => page(ask, &draft, None).await,
        },
    }
}

/// The page after a file was renamed or deleted, or was not.
async fn done(ask: &Ask, name: &str, saved: Saved) -> Result<Answer, Fault> {
    match saved {
        Saved::See(to) => Ok(Answer::See(to)),
        Saved::Not(said) | Saved::Changed(said, _) => {
            let file = ask.console.editor.read(name).map_err(Fault::NotFound)?;
            let file = file.ok_or_else(|| Fault::Gone(format!("The rule file “{}” is not there any more.", draw::plain(name))))?;
            page(ask, &Draft::of(name, file.text, Some(file.version)), Some(said)).await
        }
    }
}

async fn page(ask: &Ask, draft: &Draft, said: Option<Markup>) -> Result<Answer, Fault> {
    let read_only = if ask.may_edit() { ask.console.editor.read_only() } else { Some("Rules cannot be edited in this console.") };
    let right = look(ask, draft).await?.shown;
    let (may_save, address) = (read_only.is_none(), ask.at(&format!("/edit/{}", escaped_path(&draft.name))));
    let still = html! {
        @if let Some(said) = &said { (said) }
        @if let Some(why) = read_only {
            p.card.off { (why) " " @if ask.may_edit() { "You can try changes here, and copy the text." } @else { "You can read and copy the text." } }
        }
        form.editor #editor method="post" action=(address) data-address=(address) data-words=(ask.at("/words")) data-unsaved[is_unsaved(ask, draft)] {
            div.written {
                @if draft.opened.is_none() && may_save {
                    label for="name" { "Name of the file" }
                    input #name name="name" value=(ask.field("name").as_deref().unwrap_or(&draft.name)) required maxlength="200" spellcheck="false" autocapitalize="off" autocomplete="off";
                }
                label for="text" { "The rule file" }
                textarea #text name="text" rows="28" spellcheck="false" autocapitalize="off" autocomplete="off" wrap="off" readonly[!ask.may_edit()] { "\n" (draft.text) }
                @if let Some(opened) = &draft.opened { input type="hidden" name="opened" value=(opened); }
                div.deeds {
                    @if may_save { button.primary name="do" value="save" { "Save" } }
                    @if ask.may_edit() { button name="do" value="try" { "Check and try" } }
                    @if draft.opened.is_some() { a.button href=(ask.at(&format!("/history/{}", escaped_path(&draft.name)))) { "Versions" } }
                    @if said.is_some() && may_save { label { input type="checkbox" name="anyway" value="yes"; " save although there are errors" } }
                    @if may_save { span.note #unsaved role="status" { @if is_unsaved(ask, draft) { "Not saved yet." } } }
                }
            }
            div.tried {
                @if ask.may_edit() { (choices(ask, draft).await?) }
                div #look aria-live="polite" { (right) }
            }
        }
        @if let Some(opened) = draft.opened.as_deref().filter(|_| may_save) { (other_deeds(ask, draft, &address, opened)) }
        script src=(ask.at(assets::path("editor.js"))) defer {}
    };
    let title = if draft.opened.is_some() { draft.name.clone() } else { format!("New file: {}", draft.name) };
    Ok(Answer::Page(Page::new(title, "/rules", still)))
}

/// Whether something would be lost by leaving: a draft that nobody has touched can be made again.
fn is_unsaved(ask: &Ask, draft: &Draft) -> bool {
    match &draft.opened {
        None => !ask.form.is_empty(),
        Some(_) => ask.console.editor.read(&draft.name).ok().flatten().is_none_or(|file| file.text != draft.text),
    }
}

/// Renaming and deleting, with what deleting means.
fn other_deeds(ask: &Ask, draft: &Draft, address: &str, opened: &str) -> Markup {
    let mine = shown(ask, &draft.name);
    let rules = ask.console.health.rules.load();
    let running: Vec<String> = rules
        .ruleset
        .rules
        .iter()
        .filter(|rule| rule.source.name == mine && rule.enabled)
        .map(|rule| format!("“{}”", draw::plain(&rule.name)))
        .collect();
    let was_used = rules.ruleset.texts.iter().any(|(_, source)| source.name == mine);
    html! {
        details.other-deeds {
            summary { "Rename or delete this file" }
            section {
                form.stack method="post" action=(address) {
                    input type="hidden" name="opened" value=(opened);
                    label for="to" { "New name" }
                    div.with-button {
                        input #to name="to" value=(draft.name) required maxlength="200" spellcheck="false" autocapitalize="off" autocomplete="off";
                        button name="do" value="rename" { "Rename" }
                    }
                }
            }
            section {
                p {
                    @if running.is_empty() { "No rule of this file is in use. " } @else {
                        "The " (if running.len() == 1 { "rule" } else { "rules" }) " " (with_and(&running)) " will not run any more. Runs that have begun go on as they began. "
                    }
                    @if was_used { "The text is kept among the versions, and can be brought back." }
                    @else { "The text was never in use, so it is not kept: copy it if you may need it." }
                }
                form.inline method="post" action=(address) {
                    input type="hidden" name="opened" value=(opened);
                    button.danger name="do" value="delete" { "Delete this file" }
                }
            }
        }
    }
}

/// The events that the file can be tried on.
async fn choices(ask: &Ask, draft: &Draft) -> Result<Markup, Fault> {
    let found = history::search(ask.console.queries.as_ref(), &EventFilter::default(), None, LOOKED).await?;
    let ruleset = draft.load(ask, true).await?.ruleset;
    let routes = ruleset.map(|ruleset| draft.routes(ask, &ruleset));
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

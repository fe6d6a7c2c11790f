//! What is in the editor of a rule file: its text, what the checker says about it, and what it would do with an event. Saving
//! is in [`super::save`].

use jiff::Timestamp;
use maud::{Markup, html};

use crate::model::event::Event;
use crate::operations::dry_run::{Answers, StepAnswer, Webhook, preview};
use crate::operations::history;
use crate::operations::rule_tests;
use crate::operations::switched_off::not_set;
use crate::problem::{Problem, Severity, any_error};
use crate::route::Route;
use crate::rule::load::Loaded;
use crate::rule::ruleset::Ruleset;
use crate::store::contract::EventFilter;
use crate::text::count::{number, with_and};
use crate::web::console::ask::{Ask, escaped_path};
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::preview;

/// How many of the latest events are searched for some of this file's addresses.
pub const LOOKED: usize = 300;
/// How many events of these are shown in a line each.
const LATELY: usize = 5;
/// The mark that some editors put at the beginning of a file; corrections do not count it.
const MARK: char = '\u{feff}';

/// What is in the editor.
pub struct Draft {
    pub name: String,
    pub text: String,
    /// The version that was opened; nothing for a new file.
    pub opened: Option<String>,
    /// The event that it is tried on.
    pub event: Option<String>,
    /// A body that was typed instead, and the address it is sent to.
    pub typed: Option<String>,
    pub address: Option<String>,
    /// What other apps would answer.
    pub answers: Vec<StepAnswer>,
}

impl Draft {
    /// A file as it is, or a new one.
    pub fn of(name: &str, text: String, opened: Option<String>) -> Self {
        Self { name: name.to_owned(), text, opened, event: None, typed: None, address: None, answers: Vec::new() }
    }

    /// What the form of the editor sends.
    pub fn sent(ask: &Ask, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            // Browsers send the line ends of forms as CR LF.
            text: ask.field("text").unwrap_or_default().replace("\r\n", "\n"),
            opened: ask.field("opened"),
            event: ask.field("event"),
            typed: ask.field("typed"),
            address: ask.field("address"),
            answers: preview::answers(&ask.form),
        }
    }

    /// The file as problems name it.
    pub fn shown(&self, ask: &Ask) -> String {
        shown(ask, &self.name)
    }

    /// The addresses of this file's rules.
    pub fn routes(&self, ask: &Ask, ruleset: &Ruleset) -> Vec<Route> {
        let shown = self.shown(ask);
        let mine = ruleset.rules.iter().filter(|rule| rule.source.name == shown);
        mine.flat_map(|rule| &rule.when).map(|when| when.route.clone()).collect()
    }

    /// All rules with this text in place of the file: with the real secrets, or with stand-ins.
    pub async fn load(&self, ask: &Ask, stand_ins: bool) -> Result<Loaded, Fault> {
        let (console, name, text) = (ask.console.clone(), self.name.clone(), self.text.clone());
        let work = move || console.editor.with(&name, &text, stand_ins);
        let loaded = tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Fault::Failed("Doorbell crashed while reading this text; please report it.".to_owned()))?;
        loaded.map_err(Fault::Bad)
    }

    /// The text after a correction that was offered for it; `None` if it is not offered any more, because the text has changed.
    pub async fn corrected(&self, ask: &Ask, correction: &str) -> Result<Option<String>, Fault> {
        let (shown, problems) = (self.shown(ask), self.load(ask, false).await?.problems);
        let mut edits = problems.iter().filter_map(|problem| problem.correction.as_ref()).map(|found| found.edit());
        let Some(edit) = edits.find(|edit| edit.file == shown && key(edit) == correction) else { return Ok(None) };
        let bare = self.text.strip_prefix(MARK).unwrap_or(&self.text);
        let mark = self.text.get(..self.text.len() - bare.len()).unwrap_or_default();
        Ok(edit.applied(bare).map(|corrected| format!("{mark}{corrected}")))
    }
}

/// A file by its name below the folder, as problems name it.
pub fn shown(ask: &Ask, name: &str) -> String {
    ask.console.editor.folder.join(name).to_string_lossy().into_owned()
}

/// What names a correction in a form.
fn key(edit: &crate::problem::correction::Edit) -> String {
    format!("{}-{} {}", edit.span.start, edit.span.end, edit.text)
}

/// What there is to say about a text.
pub struct Looked {
    /// In the order in which they are shown.
    pub problems: Vec<Problem>,
    /// The problems, and what the text would do.
    pub shown: Markup,
}

/// Checks a text and tries it.
pub async fn look(ask: &Ask, draft: &Draft) -> Result<Looked, Fault> {
    let mine = draft.shown(ask);
    let (problems, others): (Vec<_>, Vec<_>) = draft.load(ask, false).await?.problems.into_iter().partition(|problem| problem.file == mine);
    let loaded = draft.load(ask, true).await?;
    let tried = match &loaded.ruleset {
        None => html! {},
        Some(ruleset) => match event(ask, draft, ruleset).await {
            Ok(Some(event)) => html! {
                h2 { "What it would do" }
                @match preview(ruleset, &event, None, Answers::OfSteps(&draft.answers)) {
                    Ok(shown) => (preview::preview(&shown, Some(&draft.answers))),
                    Err(why) => (preview::no_preview(&why)),
                }
            },
            Ok(None) => html! { p.note { "No event of its addresses can be shown yet. Type one above to try it." } },
            Err(fault) => html! { p.note { "It cannot be tried on this: " (fault.said()) } },
        },
    };
    let lately = match &loaded.ruleset {
        Some(ruleset) if draft.typed.is_none() => lately(ask, draft, ruleset).await?,
        _ => html! {},
    };
    let tests = match loaded.ruleset {
        Some(ruleset) => tests(ask, &mine, ruleset).await,
        None => html! {},
    };
    let missing = not_set(&problems, &mine);
    let shown = html! {
        @if problems.is_empty() { p.calm { span aria-hidden="true" { "✓ " } "No problems." } }
        @for problem in &problems { (with_button(ask, problem)) }
        @if !missing.is_empty() {
            p.card.wait { "You can save this. The rules that need " (with_and(&missing)) " are then switched off until " (if missing.len() == 1 { "it is" } else { "they are" }) " set." }
        }
        (of_others(ask, &others))
        (tests)
        (tried)
        (lately)
    };
    Ok(Looked { problems, shown })
}

/// A problem of the text, with a button that applies its correction. Where scripts run, the editor has one of its own.
fn with_button(ask: &Ask, problem: &Problem) -> Markup {
    let edit = problem.correction.as_ref().map(|found| found.edit()).filter(|edit| edit.file == problem.file && ask.may_edit());
    html! {
        (draw::problem(problem))
        @if let Some(edit) = edit { div.deeds.fix { button name="fix" value=(key(edit)) { "Apply this correction" } } }
    }
}

/// The errors in other files.
fn of_others(ask: &Ask, problems: &[Problem]) -> Markup {
    html! {
        @if any_error(problems) {
            div.card.bad {
                p { "Other files have errors, so nothing new can be used before these are fixed:" }
                ul { @for problem in problems.iter().filter(|problem| problem.severity == Severity::Error) {
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
    }
}

/// Whether the `tests:` of this file pass.
async fn tests(ask: &Ask, shown: &str, ruleset: Ruleset) -> Markup {
    let console = ask.console.clone();
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

/// What the rules of this file would do with the latest events of their addresses, in a line each.
async fn lately(ask: &Ask, draft: &Draft, ruleset: &Ruleset) -> Result<Markup, Fault> {
    if !ask.shows_bodies() {
        return Ok(html! {});
    }
    let (mine, routes) = (draft.shown(ask), draft.routes(ask, ruleset));
    let names: Vec<&str> = ruleset.rules.iter().filter(|rule| rule.source.name == mine).map(|rule| &*rule.name).collect();
    let found = history::search(ask.console.queries.as_ref(), &EventFilter::default(), None, LOOKED).await?;
    let fits = |event: &&history::EventLine| routes.iter().any(|route| route.fit(&event.address).is_some());
    let mut lines = Vec::new();
    for event in found.events.iter().filter(fits).take(LATELY) {
        let Ok(content) = ask.content(event.id).await else { continue };
        let Ok(shown) = preview(ruleset, &content, None, Answers::OfSteps(&draft.answers)) else { continue };
        let mut rules = Vec::new();
        for rule in shown.rules.iter().filter(|rule| names.contains(&&*rule.rule)) {
            rules.push((rule.rule.clone(), preview::verdict(rule)));
        }
        lines.push((event, rules));
    }
    Ok(html! {
        @if lines.len() > 1 {
            h2 { "The latest " (lines.len()) " events of its addresses" }
            table.rows {
                thead { tr { th { "Received" } th { "Event" } th { "What it would do" } } }
                tbody { @for (event, rules) in &lines {
                    tr {
                        td { (draw::time(event.received)) }
                        td { (draw::event(ask, event.id)) }
                        td { @for (rule, verdict) in rules { div { (draw::brief(rule)) " " (verdict) } } }
                    }
                } }
            }
        }
    })
}

/// The event that the text is tried on.
async fn event(ask: &Ask, draft: &Draft, ruleset: &Ruleset) -> Result<Option<Event>, Fault> {
    let routes = draft.routes(ask, ruleset);
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

//! What happens to a rule file from its page: it is saved and put to use, renamed, or deleted. Each is in the audit log.
//!
//! Rules that need secrets which are not set yet are saved switched off: otherwise one new rule would keep all other edits
//! from being used.

use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::model::hash::hash;
use crate::operations::editing::{NotSaved, RuleFile};
use crate::operations::switched_off::{Loads, not_set, switched_off};
use crate::problem::{Problem, Severity};
use crate::text::count::{number, with_and};
use crate::web::console::ask::{Ask, escaped_path};
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::draft::{Draft, shown};

/// How long saving waits until the rules are in use.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of it.
pub enum Saved {
    /// It is done; the page that shows it now.
    See(String),
    /// It is not; why, and what to do.
    Not(Markup),
    /// It is not, because somebody else has changed the file; with what it says now, which the next one replaces.
    Changed(Markup, Option<RuleFile>),
}

/// What is done to a file, as messages say it.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    Saved,
    Renamed,
    Deleted,
}

impl Deed {
    fn word(self) -> &'static str {
        match self {
            Deed::Saved => "saved",
            Deed::Renamed => "renamed",
            Deed::Deleted => "deleted",
        }
    }
}

/// The name of a rule file, from what people type: the ending may be missing, and spaces become dashes.
pub fn named(typed: &str) -> String {
    let name = typed.trim().replace(' ', "-");
    let has_ending = [".yaml", ".yml"].iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
    if has_ending { name } else { format!("{name}.yaml") }
}

/// Saves a text, under another name if one was chosen, and waits until it is used.
pub async fn save(ask: &Ask, draft: &Draft, name: Option<&str>) -> Result<Saved, Fault> {
    let name = name.unwrap_or(&draft.name);
    if let Err(why) = ask.console.editor.may_be_called(name) {
        return Ok(Saved::Not(alert(html! { "Not saved: " (draw::text(&why)) ". Choose another name." })));
    }
    let draft = &Draft::of(name, draft.text.clone(), draft.opened.clone());
    let mine = draft.shown(ask);
    let mut problems = draft.load(ask, false).await?.problems;
    let missing = not_set(&problems, &mine);
    let waiting = if missing.is_empty() { None } else { without_those_that_wait(ask, draft).await? };
    if waiting.is_some() {
        problems.retain(|problem| problem.file != mine);
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if !missing.is_empty() && waiting.is_none() && ask.field("anyway").is_none() {
        let said = html! { "Not saved: " (with_and(&missing)) " " (if missing.len() == 1 { "is" } else { "are" }) " not set, and Doorbell could not switch off the rules that need it. Write " code { "enabled: false" } " into these rules, then save." };
        return Ok(Saved::Not(alert(said)));
    }
    if errors > 0 && ask.field("anyway").is_none() {
        return Ok(Saved::Not(with_errors(&problems, &mine, errors)));
    }
    let text = waiting.as_ref().unwrap_or(&draft.text);
    let before = failed_reloads(ask);
    let saved = match ask.console.editor.save(&draft.name, text, draft.opened.as_deref()) {
        Ok(saved) => saved,
        Err(NotSaved::Changed(now)) if draft.opened.is_some() => return Ok(Saved::Changed(changed(&draft.name, now.as_ref()), now)),
        Err(why) => return Ok(Saved::Not(not_done(Deed::Saved, &draft.name, why)?)),
    };
    let what = if draft.opened.is_none() { "created" } else { "edited" };
    note(ask, format!("{what} the rule file {}", draft.name));
    let is_used = is_in_use(ask, before, |all| all.iter().any(|(name, hash)| *name == mine && is_text_of(&saved, hash))).await;
    let said = match (is_used, waiting.is_some(), errors) {
        (true, false, _) => "Saved, and in use.".to_owned(),
        (_, true, _) => switched_off_until_set(&missing, is_used),
        (false, false, 1..) => "Saved, but not in use: the rules from before stay in use until the errors are fixed.".to_owned(),
        (false, false, 0) => "Saved. It is not in use yet; the page “Rules” shows why.".to_owned(),
    };
    ask.console.sessions.say(&ask.visitor, said);
    Ok(Saved::See(format!("/edit/{}", escaped_path(&draft.name))))
}

/// Deletes a file. Its versions that were in use are kept.
pub async fn delete(ask: &Ask, name: &str) -> Result<Saved, Fault> {
    let (opened, mine) = (ask.must("opened")?, shown(ask, name));
    let broken = broken_without(ask, name).await?;
    if !broken.is_empty() && ask.field("anyway").is_none() {
        return Ok(Saved::Not(needed(&broken, &opened)));
    }
    let before = failed_reloads(ask);
    if let Err(why) = ask.console.editor.remove(name, &opened) {
        return Ok(Saved::Not(not_done(Deed::Deleted, name, why)?));
    }
    note(ask, format!("deleted the rule file {name}"));
    let said = match is_in_use(ask, before, |all| all.iter().all(|(file, _)| *file != mine)).await {
        true => format!("{name} is deleted, and its rules do not run any more."),
        false => {
            format!("{name} is deleted, but its rules stay in use until the errors in other files are fixed; the page “Rules” shows them.")
        }
    };
    ask.console.sessions.say(&ask.visitor, said);
    Ok(Saved::See(format!("/history/{}", escaped_path(name))))
}

/// Gives a file another name.
pub async fn rename(ask: &Ask, name: &str) -> Result<Saved, Fault> {
    let (opened, to) = (ask.must("opened")?, named(&ask.must("to")?));
    let before = failed_reloads(ask);
    if let Err(why) = ask.console.editor.rename(name, &to, &opened) {
        return Ok(Saved::Not(not_done(Deed::Renamed, name, why)?));
    }
    note(ask, format!("renamed the rule file {name} to {to}"));
    let new = shown(ask, &to);
    is_in_use(ask, before, |all| all.iter().any(|(file, _)| *file == new)).await;
    ask.console.sessions.say(&ask.visitor, format!("The file is called {to} now."));
    Ok(Saved::See(format!("/edit/{}", escaped_path(&to))))
}

fn note(ask: &Ask, did: String) {
    ask.console.editors.note(format!("the console, from {}", ask.visitor.ip));
    ask.console.audit.write(Timestamp::now(), None, format!("{did} in the console, from {}", ask.visitor.ip));
}

fn alert(said: Markup) -> Markup {
    html! { p.said.bad role="alert" { (said) } }
}

/// The text in which rules that need something that is not set are switched off, if that is all that is wrong with it.
async fn without_those_that_wait(ask: &Ask, draft: &Draft) -> Result<Option<String>, Fault> {
    let (console, name, text, mine) = (ask.console.clone(), draft.name.clone(), draft.text.clone(), draft.shown(ask));
    let work = move || {
        let real = |text: &str| console.editor.with(&name, text, false);
        let with_stand_ins = |text: &str| console.editor.with(&name, text, true);
        switched_off(&mine, &text, &Loads { real: &real, with_stand_ins: &with_stand_ins })
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::Failed(e.to_string()))?.map_err(Fault::Bad)
}

/// What is said about a file whose rules wait for these secrets and variables.
fn switched_off_until_set(missing: &[String], is_used: bool) -> String {
    let (be, them) = if missing.len() == 1 { ("is", "it") } else { ("are", "them") };
    let but = if is_used { "" } else { " It is not in use yet; the page “Rules” shows why." };
    format!(
        "Saved, with the rules switched off that need {0}, because {0} {be} not set.{but} Set {them} where Doorbell runs: in the file of `serve --env-file`, as a file /run/secrets/NAME, or as an environment variable, which needs a restart. Then delete the line `enabled: false` here, and save.",
        with_and(missing)
    )
}

fn with_errors(problems: &[Problem], mine: &str, errors: usize) -> Markup {
    let own = problems.iter().filter(|problem| problem.severity == Severity::Error && problem.file == mine).count();
    let (there, fix) = (if errors == 1 { "is" } else { "are" }, if errors == 1 { "it" } else { "them" });
    let place = if own == 0 { " in other files" } else { "" };
    alert(
        html! { "Not saved: there " (there) " " (number(errors, "error")) (place) ". Fix " (fix) ", or save anyway: then the rules from before stay in use until that is done." },
    )
}

/// What would be wrong in other files without this one, and is not now: also that an address would be open to everybody.
async fn broken_without(ask: &Ask, name: &str) -> Result<Vec<Problem>, Fault> {
    let (console, file, mine) = (ask.console.clone(), name.to_owned(), shown(ask, name));
    let work = move || {
        let Some(now) = console.editor.read(&file)? else { return Ok(Vec::new()) };
        let now = console.editor.with(&file, &now.text, false)?.problems;
        let mut without = console.editor.without(&file)?.problems;
        let is_known = |problem: &Problem| now.iter().any(|known| known.file == problem.file && known.message == problem.message);
        without.retain(|problem| problem.severity != Severity::Note && problem.file != mine && !is_known(problem));
        Ok(without)
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::Failed(e.to_string()))?.map_err(Fault::Bad)
}

/// Other files need what is in this one.
fn needed(broken: &[Problem], opened: &str) -> Markup {
    html! {
        div.said.bad role="alert" {
            p { "Not deleted yet: other files need what is in it. Without it, this would be wrong:" }
            ul { @for problem in broken { li { code { (draw::text(&problem.file)) } ": " (draw::text(&problem.message)) } } }
            form.inline method="post" {
                input type="hidden" name="opened" value=(opened);
                input type="hidden" name="anyway" value="yes";
                button name="do" value="delete" { "Delete it anyway" }
            }
        }
    }
}

/// Why a file was not changed.
fn not_done(deed: Deed, name: &str, why: NotSaved) -> Result<Markup, Fault> {
    let word = deed.word();
    Ok(match why {
        NotSaved::Changed(Some(_)) if deed == Deed::Saved => {
            alert(html! { "Not saved: there is a file called " code { (name) } " already. Choose another name." })
        }
        NotSaved::Changed(Some(_)) => {
            alert(html! { "Not " (word) ": " code { (name) } " was changed while you looked at it. This is what it says now." })
        }
        NotSaved::Changed(None) => return Err(Fault::Gone(format!("The rule file “{}” was deleted by somebody else.", draw::plain(name)))),
        NotSaved::Name(why) => alert(html! { "Not " (word) ": " (draw::text(&why)) "." }),
        NotSaved::TooLarge => alert(html! { "Not saved: a rule file can have at most 1 MB; put some of the rules into another file." }),
        NotSaved::ReadOnly(why) => alert(html! { "Not " (word) ". " (why) }),
        NotSaved::Disk(why) if deed == Deed::Saved => {
            alert(html! { "Not saved: " (why) ". The file is as it was, and your text is still here; copy it before you leave this page." })
        }
        NotSaved::Disk(why) => alert(html! { "Not " (word) ": " (why) "." }),
    })
}

/// Somebody else was faster: both texts.
fn changed(name: &str, now: Option<&RuleFile>) -> Markup {
    html! {
        div.said.bad role="alert" {
            @match now {
                Some(file) => {
                    p { "Not saved: " code { (name) } " was changed while you edited it. This is what it says now; take over what you need, then save again." }
                    (draw::block(&file.text))
                },
                None => p { "Not saved: " code { (name) } " was deleted while you edited it. Save again to make it anew." },
            }
        }
    }
}

fn is_text_of(file: &RuleFile, wanted: &str) -> bool {
    hash(file.text.as_bytes()) == wanted
}

/// How often rules that were read could not be used, since Doorbell started.
fn failed_reloads(ask: &Ask) -> u64 {
    ask.console.metrics.counters.failed_reloads.now()
}

/// Waits until the files in use, by name and hash, are as they should be, or could not be used.
async fn is_in_use(ask: &Ask, failed_before: u64, are_right: impl Fn(&[(&str, &str)]) -> bool) -> bool {
    let is_right = || {
        let rules = ask.console.health.rules.load();
        let files: Vec<(&str, &str)> = rules.ruleset.texts.iter().map(|(hash, source)| (source.name.as_str(), &**hash)).collect();
        are_right(&files)
    };
    let mut changes = ask.console.store.news().watch();
    ask.console.reload.notify_one();
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_right() {
        if failed_reloads(ask) > failed_before || tokio::time::Instant::now() >= end {
            return false;
        }
        // The rules are stored before they are used.
        let _ = tokio::time::timeout(Duration::from_millis(100), changes.changed()).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gets_the_ending_that_it_lacks() {
        let names =
            [("shop", "shop.yaml"), (" my shop ", "my-shop.yaml"), ("a.yml", "a.yml"), ("a/b.YAML", "a/b.YAML"), ("a.txt", "a.txt.yaml")];
        for (typed, name) in names {
            assert_eq!(named(typed), name);
        }
    }
}

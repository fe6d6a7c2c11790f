//! `/rules`: all rules, by file; first of all the problems of the last edit.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::operations::hours::{self, Lately};
use crate::operations::versions;
use crate::rule::Rule;
use crate::rule::sentence::{self, Sentence};
use crate::secret::Vault;
use crate::text::count::number;
use crate::text::printable::short;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped_path};
use crate::web::console::bars;
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// The longest sentence in the list, in characters.
const SENTENCE: usize = 300;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let all = ask.console.health.rules.load_full();
    let mut files: BTreeMap<&str, Vec<&Arc<Rule>>> = BTreeMap::new();
    for rule in &all.ruleset.rules {
        files.entry(&rule.source.name).or_default().push(rule);
    }
    let console = ask.console.clone();
    let names = tokio::task::spawn_blocking(move || console.editor.files()).await.unwrap_or_default();
    let used: Vec<String> = files.keys().filter_map(|file| ask.console.editor.below(file)).collect();
    let unused: Vec<&String> = names.iter().filter(|name| !used.contains(name)).collect();
    let now = Timestamp::now();
    let (lately, empty) = (hours::of_all(ask.console.queries.as_ref(), now).await?, Lately::empty(now));
    let live = html! {
        (problems(ask))
        @if files.is_empty() { p.empty { "There are no rules yet." } }
        @for name in &unused {
            section.file {
                h2 { code { (draw::plain(name)) } " " a.button href=(ask.at(&format!("/edit/{}", escaped_path(name)))) { "Edit" } }
                p.note { "No rule of this file is in use." }
            }
        }
        @for (file, rules) in &files {
            section.file {
                h2 { code { (draw::text(file)) } " " @if let Some(name) = ask.console.editor.below(file) { a.button href=(ask.at(&format!("/edit/{}", escaped_path(&name)))) { "Edit" } } }
                table.rows {
                    thead { tr { th { "Rule" } th { "Starts" } th { "Steps" } th { "State" } th { "Last run" } th { "Last 24 hours" } } }
                    tbody { @for rule in rules { (row(ask, rule, &all.ruleset.vault, lately.get(&*rule.name).unwrap_or(&empty))) } }
                }
            }
        }
    };
    let below = deleted(ask).await?;
    Ok(Answer::Page(Page::new("Rules", "/rules", html! {}).live(live).below(below)))
}

/// The way back to files that were deleted.
async fn deleted(ask: &Ask) -> Result<Markup, Fault> {
    let all = versions::deleted(ask.console.queries.as_ref()).await?;
    let names: Vec<String> = all.iter().filter_map(|shown| ask.console.editor.below(shown)).collect();
    Ok(html! {
        @if !names.is_empty() {
            details {
                summary { "Deleted files" }
                ul { @for name in &names { li { a href=(ask.at(&format!("/history/{}", escaped_path(name)))) { "Versions of " (draw::plain(name)) } } } }
            }
        }
    })
}

/// The problems of the last edit, which is therefore not in use.
fn problems(ask: &Ask) -> Markup {
    let last_edit = ask.console.health.last_edit.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    html! {
        @if !last_edit.is_empty() {
            section.problems {
                h2 { "The last edit is not in use: " (number(last_edit.len(), "problem")) }
                p { "The rules from before this edit still run. Fix the problems and save; then the new rules are used at once." }
                @for problem in last_edit.iter() { (draw::problem(problem)) }
            }
        }
    }
}

fn row(ask: &Ask, rule: &Rule, vault: &Vault, lately: &Lately) -> Markup {
    html! {
        tr {
            td { (draw::rule(ask, &rule.name)) div.hint { (draw::text(&short(&Sentence::of(rule, vault).text(), SENTENCE))) } }
            td {
                @for (n, when) in rule.when.iter().enumerate() { @if n > 0 { ", " } code { (draw::brief(when.route.text())) } }
                @for (n, said) in sentence::by_itself(rule).iter().enumerate() { @if n > 0 || !rule.when.is_empty() { ", " } (draw::text(said.trim_start_matches("it is time, "))) }
            }
            td { (number(rule.steps.len(), "step")) }
            td { @if rule.enabled { span.state.good { span aria-hidden="true" { "✓" } " on" } } @else { span.state.off { span aria-hidden="true" { "–" } " off" } } }
            td { @match lately.last_run {
                Some(hour) => { "ended within the hour from " (draw::time(hour)) },
                None => { "no run ended in the last week" },
            } }
            td { (bars::day(&lately.day)) }
        }
    }
}

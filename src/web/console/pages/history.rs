//! `/history/FILE`: the versions of a rule file that were in use, what changed, and the way back to one.

use maud::{Markup, html};

use crate::operations::versions::{DiffLine, FileVersion, difference, of_file};
use crate::text::printable::one_line;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped_path};
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many versions are shown.
const SHOWN: usize = 20;

pub async fn show(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    let queries = ask.console.queries.as_ref();
    let versions = of_file(queries, &ask.console.editor.folder.join(name)).await?;
    if versions.is_empty() {
        return Err(Fault::NotFound(format!("No version of “{}” was in use yet.", draw::plain(name))));
    }
    let mut texts = Vec::new();
    for version in versions.iter().take(SHOWN + 1) {
        texts.push(match &version.hash {
            Some(hash) => queries.text(hash.clone()).await?,
            None => None,
        });
    }
    let text = |n: usize| texts.get(n).and_then(|text| text.as_deref()).unwrap_or_default();
    let is_there = versions.first().is_some_and(|latest| latest.hash.is_some());
    let still = html! {
        @if is_there { p { a.button href=(ask.at(&format!("/edit/{}", escaped_path(name)))) { "Edit this file" } } }
        @for (n, version) in versions.iter().take(SHOWN).enumerate() {
            (drawn(ask, name, version, versions.get(n + 1), n == 0, &difference(text(n + 1), text(n))))
        }
        @if versions.len() > SHOWN { p.more { "Only the latest " (SHOWN) " versions are shown." } }
    };
    Ok(Answer::Page(Page::new(format!("Versions of {}", draw::plain(name)), "/rules", still)))
}

fn drawn(ask: &Ask, name: &str, version: &FileVersion, before: Option<&FileVersion>, is_latest: bool, changes: &[DiffLine]) -> Markup {
    let renamed = before.filter(|before| before.name != version.name).and_then(|before| ask.console.editor.below(&before.name));
    html! {
        section {
            h2 { "Since " (draw::time(version.at)) @if let Some(by) = &version.by { span.note { ", by " (draw::text(by)) } } @if is_latest && version.hash.is_some() { " " span.state.good { "✓ in use" } } }
            @match (&version.hash, renamed) {
                (None, _) => p { "There was no file of this name: it was deleted or renamed." },
                (Some(_), Some(old)) => p { "Renamed; before, it was called " code { (draw::plain(&old)) } "." },
                (Some(hash), None) => {
                    (diff(changes))
                    @if !is_latest && ask.may_edit() {
                        p { a.button href=(ask.at(&format!("/edit/{}?version={hash}", escaped_path(name)))) { "Back to this one" } }
                    }
                },
            }
        }
    }
}

/// A difference: a sign and a colour for each line.
fn diff(changes: &[DiffLine]) -> Markup {
    html! {
        pre.diff tabindex="0" { @for line in changes {
            @match line {
                DiffLine::Same(text) => { "  " (one_line(text)) "\n" },
                DiffLine::Added(text) => { ins { "+ " (one_line(text)) } "\n" },
                DiffLine::Removed(text) => { del { "- " (one_line(text)) } "\n" },
                DiffLine::Gap => { "…\n" },
            }
        } }
    }
}

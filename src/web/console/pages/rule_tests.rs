//! `/rules/NAME/test`: runs the `tests:` of a rule, as `doorbell test` does, and shows what is different.

use maud::{Markup, html};

use crate::operations::rule_tests::{TestResults, run};
use crate::text::count::number;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped};
use crate::web::console::draw;
use crate::web::console::fault::Fault;

pub async fn show(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    let (console, only) = (ask.console.clone(), name.to_owned());
    let work = move || {
        let loaded = console.editor.in_use(&console.health.rules.load().ruleset)?;
        let ruleset = loaded.ruleset.ok_or("the rules cannot be loaded with the names of their secrets")?;
        Ok::<TestResults, String>(run(&ruleset, &console.editor.folder, Some(&only)))
    };
    let results = tokio::task::spawn_blocking(work).await.map_err(|e| Fault::Failed(e.to_string()))?.map_err(Fault::Failed)?;
    if results.tests.is_empty() && results.without == 0 {
        return Err(Fault::NotFound(format!("No rule is called “{}”.", draw::plain(name))));
    }
    let still = html! {
        p { a.button href=(ask.at(&format!("/rules/{}", escaped(name)))) { "Back to the rule" } }
        (drawn(&results))
    };
    Ok(Answer::Page(Page::new(format!("Tests of {}", draw::plain(name)), "/rules", still)))
}

fn drawn(results: &TestResults) -> Markup {
    let failed = results.failed();
    html! {
        @if results.tests.is_empty() { p.empty { "This rule has no tests. An event page can keep an event as a test." } }
        @else if failed == 0 { p.said { (number(results.tests.len(), "test")) " passed." } }
        @else { p.said.bad { (failed) " of " (number(results.tests.len(), "test")) " failed." } }
        @for test in &results.tests {
            section {
                h2 {
                    @if test.differences.is_some() { span.state.bad { "✗ failed" } } @else { span.state.good { "✓ passed" } }
                    " " (draw::brief(&test.test))
                }
                @if let Some(differences) = &test.differences { p.hint { (test.file) ":" (test.line) } (draw::block(differences)) }
            }
        }
    }
}

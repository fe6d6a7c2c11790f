//! `/failed`: the runs that failed for good, grouped by rule, step and reason.

use maud::html;

use crate::operations::history;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::Ask;
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many failed runs are looked at.
const MOST: usize = 1_000;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let runs = history::failed(ask.console.queries.as_ref(), MOST).await?;
    let live = html! {
        @if runs.is_empty() { p.calm { span aria-hidden="true" { "✓ " } "No run has failed." } } @else {
            table.rows {
                thead { tr { th { "Failed" } th { "Rule" } th { "Why" } th { "Event" } } }
                tbody { @for run in &runs {
                    tr { td { (draw::time(run.at)) } td { (draw::rule(ask, &run.rule)) } td { (draw::text(&run.why)) } td { (draw::event(ask, run.event)) } }
                } }
            }
        }
    };
    Ok(Answer::Page(Page::new("Failed", "/failed", html! {}).live(live)))
}

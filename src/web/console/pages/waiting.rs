//! `/waiting`: the runs that are not finished: what each waits for, and until when.

use maud::html;

use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::Ask;
use crate::web::console::draw;
use crate::web::console::fault::Fault;
use crate::web::console::pages::event::waits;

/// How many runs are shown.
const SHOWN: usize = 200;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let runs = ask.waiting_runs(SHOWN).await?;
    let live = html! {
        @if runs.is_empty() { p.calm { span aria-hidden="true" { "✓ " } "Nothing waits." } } @else {
            table.rows {
                thead { tr { th { "Received" } th { "Rule" } th { "Step" } th { "What it waits for" } th { "Last" } th { "Event" } } }
                tbody { @for run in &runs {
                    tr {
                        td { (draw::time(run.received)) }
                        td { (draw::rule(ask, &run.rule)) }
                        td { (run.at_step) }
                        td { (waits(Some(&run.waits))) }
                        td { (draw::text(&run.why)) }
                        td { (draw::event(ask, run.event)) }
                    }
                } }
            }
            @if runs.len() == SHOWN { p.more { "Only the " (SHOWN) " that arrived first are shown." } }
        }
    };
    Ok(Answer::Page(Page::new("Waiting", "/waiting", html! {}).live(live)))
}

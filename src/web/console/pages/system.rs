//! `/system`: this Doorbell: how much it has stored, what it listens to, and what people did to it.

use maud::html;

use crate::store::audit;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::Ask;
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many entries of the audit log are shown, and the most that is counted.
const ENTRIES: usize = 50;
const MOST: usize = 1_000_000;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let console = &ask.console;
    let (counts, size) = (console.queries.counts(MOST).await?, console.queries.size().await?);
    let report = console.health.report();
    let data = console.data.clone();
    let entries = tokio::task::spawn_blocking(move || audit::entries(&data, ENTRIES)).await.ok().and_then(Result::ok).unwrap_or_default();
    let still = html! {
        table.pairs {
            tr { th { "Version" } td { (env!("CARGO_PKG_VERSION")) } }
            tr { th { "State" } td { (report.status.word()) } }
            tr { th { "Senders call" } td { code { (console.settings.webhooks) } } }
            tr { th { "Rules in use" } td { (report.rules) } }
            tr { th { "Stored" } td { (draw::count(counts.events, "event")) ", " (draw::count(counts.waiting, "waiting run")) ", " (draw::count(counts.failed, "failed run")) } }
            tr { th { "Data folder" } td { code { (console.data.display()) } ", " (size >> 20) " MB" } }
        }
        h2 { "What people did" }
        @if entries.is_empty() { p.empty { "Nothing yet." } } @else {
            table.rows {
                thead { tr { th { "When" } th { "User" } th { "What" } } }
                tbody { @for entry in entries.iter().rev() {
                    tr { td { (draw::time(entry.at)) } td { @if let Some(user) = entry.user { (user) } } td { (draw::text(&entry.did)) } }
                } }
            }
            p.more { "The latest " (ENTRIES) "; " code { "doorbell audit" } " lists all." }
        }
    };
    Ok(Answer::Page(Page::new("This Doorbell", "", still)))
}

//! `/servers`: the servers that rules call, and the files that they write.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::action::http::host::HostState;
use crate::operations::schedules::{ScheduledRule, scheduled_rules};
use crate::tally::Distribution;
use crate::text::count;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped_path};
use crate::web::console::download;
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// How many lines of the end of a file are shown.
const SHOWN: usize = 30;
/// The most columns of a table.
const MOST_COLUMNS: usize = 40;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    let console = ask.console.clone();
    let files = tokio::task::spawn_blocking(move || console.files.list()).await.unwrap_or_default();
    let rules = ask.console.health.rules.load_full();
    let schedules = scheduled_rules(&rules.ruleset, &ask.console.queries.schedules().await?, Timestamp::now());
    let live = html! {
        section {
            h2 { "Servers" }
            (servers(ask, &ask.console.health.net.hosts()))
        }
        section {
            h2 { "Files" }
            p.hint { "In the folder " code { (ask.console.files.folder.display()) } }
            @if files.is_empty() { p.empty { "No rule has written a file yet." } } @else {
                table.rows {
                    thead { tr { th { "File" } th { "Size" } th { "Changed" } th { "Get it" } } }
                    tbody { @for file in &files {
                        tr {
                            td { a href=(ask.at(&format!("/files/{}", escaped_path(&file.name)))) { (draw::brief(&file.name)) } }
                            td { (count::bytes(file.bytes)) }
                            td { @if let Some(changed) = file.changed { (draw::time(changed)) } }
                            td { @if ask.shows_bodies() { a href=(ask.at(&format!("/download/{}", escaped_path(&file.name)))) { "Save" } } }
                        }
                    } }
                }
            }
        }
    };
    let live = html! {
        (live)
        @if !schedules.is_empty() { (by_themselves(ask, &schedules)) }
    };
    Ok(Answer::Page(Page::new("Servers and files", "/servers", html! {}).live(live)))
}

fn servers(ask: &Ask, all: &[HostState]) -> Markup {
    html! {
        @if all.is_empty() { p.empty { "No rule has called another server since Doorbell started." } } @else {
            table.rows {
                thead { tr { th { "Server" } th { "State" } th { "Last answer" } th { "How long calls take" } } }
                tbody { @for host in all {
                    tr {
                        td { (draw::brief(&host.name)) }
                        td { @match host.rests {
                            Some(rests) => { span.state.bad { span aria-hidden="true" { "✗" } " does not answer" } " Calls wait; it is tried again in " (draw::took(rests.as_millis() as u64)) ". " a href=(ask.at("/waiting")) { "What waits" } },
                            None if host.silent > 0 => { span.state.wait { span aria-hidden="true" { "…" } " the last " (host.silent) " calls were not answered" } },
                            None => { span.state.good { span aria-hidden="true" { "✓" } " answers" } },
                        } }
                        td { @if let Some(ago) = host.last { (draw::took(ago.as_millis() as u64)) " ago" } }
                        td { (times(host.listed.as_ref().map(|listed| ask.console.health.net.servers.of(Some(listed)).took.now()).as_ref())) }
                    }
                } }
            }
            p.hint { "Times are rounded up, and are those of all calls since Doorbell started." }
        }
    }
}

/// The rules that start by themselves, and when they do next.
fn by_themselves(ask: &Ask, all: &[ScheduledRule]) -> Markup {
    html! {
        section {
            h2 { "Rules that start by themselves" }
            table.rows {
                thead { tr { th { "Rule" } th { "Starts" } th { "Next" } } }
                tbody { @for one in all {
                    tr {
                        td { (draw::rule(ask, &one.rule)) }
                        td { (draw::text(&one.when)) }
                        td {
                            @for (n, moment) in one.next.iter().enumerate() { @if n > 0 { ", then " } (moment) }
                            @if one.next.is_empty() { (if one.enabled { "never" } else { "switched off" }) }
                        }
                    }
                } }
            }
        }
    }
}

/// How long calls took; those to a server that an event has chosen are not counted by server.
fn times(calls: Option<&Distribution>) -> Markup {
    let Some((calls, half, slowest)) = calls.and_then(|calls| Some((calls, calls.bound_of(0.5)?, calls.bound_of(1.0)?))) else {
        return html! { span.hint { "not known" } };
    };
    let took = |bound: f64| match bound.is_finite() {
        true => format!("at most {}", draw::took((bound * 1_000.0).ceil() as u64)),
        false => "more than 30 s".to_owned(),
    };
    html! { "half of them " (took(half)) ", the slowest " (took(slowest)) " (" (draw::count(calls.count, "call")) ")" }
}

/// The end of a file: as a table, if it is one.
pub async fn file(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    if !ask.shows_bodies() {
        return Err(Fault::Forbidden("What files say is hidden in this console.".to_owned()));
    }
    let (console, wanted) = (ask.console.clone(), name.to_owned());
    let read = tokio::task::spawn_blocking(move || console.files.tail(&wanted, SHOWN)).await;
    let (first, last) = read.map_err(|e| Fault::Failed(e.to_string()))?.map_err(|why| Fault::NotFound(format!("{why}.")))?;
    let vault = ask.console.health.rules.load().ruleset.vault.clone();
    let last: Vec<String> = last.iter().map(|line| vault.strike(line)).collect();
    let is_table = [".csv", ".tsv"].iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
    let is_workbook = name.to_ascii_lowercase().ends_with(".xlsx");
    let live = html! {
        @if is_workbook { p { "A workbook can be saved and opened in a spreadsheet program." } }
        @else if is_table { (table(&first, &last)) }
        @else { p.hint { "The last lines:" } (draw::block(&last.join("\n"))) }
    };
    let still = html! { p { a.button href=(ask.at(&format!("/download/{}", escaped_path(name)))) { "Save this file" } } };
    Ok(Answer::Page(Page::new(draw::plain(name), "/servers", still).live(live)))
}

/// The last rows of a table, under its titles; the newest first.
fn table(first: &str, last: &[String]) -> Markup {
    let delimiter = [b'\t', b';', b'|', b','].into_iter().max_by_key(|d| first.bytes().filter(|b| b == d).count()).unwrap_or(b',');
    let fields = |line: &str| -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(line.as_bytes());
        let row = reader.records().next().and_then(Result::ok);
        row.map(|row| row.iter().take(MOST_COLUMNS).map(str::to_owned).collect()).unwrap_or_default()
    };
    html! {
        p.hint { "The last rows, the newest first:" }
        div.wide tabindex="0" role="region" aria-label="Rows" {
            table {
                thead { tr { @for title in fields(first) { th { (draw::brief(&title)) } } } }
                tbody { @for line in last.iter().rev().filter(|line| *line != first) {
                    tr { @for value in fields(line) { td { (draw::brief(&value)) } } }
                } }
            }
        }
    }
}

pub async fn download(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    if !ask.shows_bodies() {
        return Err(Fault::Forbidden("What files say is hidden in this console.".to_owned()));
    }
    let (console, wanted) = (ask.console.clone(), name.to_owned());
    let opened = tokio::task::spawn_blocking(move || console.files.whole(&wanted)).await;
    let (file, size) = opened.map_err(|e| Fault::Failed(e.to_string()))?.map_err(|why| Fault::NotFound(format!("{why}.")))?;
    let plain = name.rsplit('/').next().unwrap_or(name).to_owned();
    Ok(Answer::File { name: plain, kind: "application/octet-stream", size, body: download::of(file, size) })
}

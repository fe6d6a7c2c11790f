//! The same as the pages show, as JSON at `/api/v1/`, for programs. Fields are only ever added; cursors mean nothing; ids are
//! text. docs/openapi.json describes all of it, and a test compares both.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::ask::Ask;
use super::fault::Fault;
use super::pages;
use crate::engine::intake::rejections::Rejections;
use crate::operations::command::{Command, Done};
use crate::operations::failures::groups;
use crate::operations::history::{self, Found};
use crate::operations::hours::{self, Day, Lately};
use crate::operations::lost_calls::lost_calls;
use crate::operations::recipes;
use crate::operations::replay::{self, Mode};
use crate::operations::schedules::scheduled_rules;
use crate::store::contract::{Queries, WaitingRuns};

/// The description of the API.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");
/// The most entries of one list.
const MOST: usize = 200;
/// How many failed runs are looked at.
const MOST_FAILED: usize = 10_000;

/// A rule in the list of rules.
#[derive(Serialize)]
struct ListedRule {
    name: String,
    file: String,
    enabled: bool,
    addresses: Vec<String>,
    /// The hour in which it ran last, or failed, in the last week.
    last_run: Option<Timestamp>,
    /// The last 24 hours, the oldest first.
    hours: Day,
}

/// Shows a program something.
pub async fn show(ask: &Ask) -> Result<Value, Fault> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let queries = ask.console.queries.as_ref();
    match path.as_slice() {
        ["api", "v1", "openapi.json"] => serde_json::from_str(OPENAPI).map_err(|e| Fault::Failed(e.to_string())),
        ["api", "v1", "events"] => events(ask).await,
        ["api", "v1", "events", id] => event(ask, queries, id).await,
        ["api", "v1", "failed"] => Ok(json!({ "runs": as_json(ask.failed_runs(MOST).await?)? })),
        ["api", "v1", "failed", "groups"] => Ok(json!({ "groups": as_json(groups(&ask.failed_runs(MOST_FAILED).await?))? })),
        ["api", "v1", "waiting"] => Ok(json!({ "runs": as_json(ask.waiting_runs(MOST).await?)? })),
        ["api", "v1", "refused"] => {
            let data = ask.console.data.clone();
            let refused = tokio::task::spawn_blocking(move || Rejections::latest(&data, MOST)).await;
            let unknown = ask.console.rejections.unknown_addresses.lately(Timestamp::now());
            let lost = lost_calls(unknown, &ask.console.health.rules.load().ruleset);
            let refused = refused.map_err(|e| Fault::Failed(e.to_string()))?;
            Ok(json!({ "requests": as_json(refused)?, "unknown_addresses": as_json(lost)? }))
        }
        ["api", "v1", "recipes"] => Ok(json!({ "recipes": as_json(recipes::search(&ask.query("search").unwrap_or_default()))? })),
        ["api", "v1", "rules"] => Ok(json!({ "rules": as_json(rules(ask, queries).await?)? })),
        ["api", "v1", "schedules"] => {
            let rules = ask.console.health.rules.load_full();
            Ok(json!({ "rules": as_json(scheduled_rules(&rules.ruleset, &queries.schedules().await?, Timestamp::now()))? }))
        }
        ["api", "v1", "words"] => pages::words::words(ask).await,
        ["api", "v1", "health"] => as_json(ask.console.health.report()),
        _ => Err(nothing_here()),
    }
}

/// Does something for a program that may change things.
pub async fn act(ask: &Ask) -> Result<Value, Fault> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let queries = ask.console.queries.as_ref();
    match path.as_slice() {
        ["api", "v1", "events", id, "replay"] => {
            let command = Command::Replay { event: ask.event_id(id).await?, rule: ask.field("rule") };
            done(ask, command).await
        }
        ["api", "v1", "events", id, "again"] => {
            let (id, rules) = (ask.event_id(id).await?, ask.console.health.rules.load_full());
            let command = replay::command(queries, id, ask.field("rule").as_deref(), &Mode::StartAnew(&rules.ruleset)).await?;
            done(ask, command).await
        }
        ["api", "v1", "schedules", "start"] => {
            Ok(json!({ "event": ask.console.start_rule(&ask.visitor, &ask.must("rule")?).await?.to_string() }))
        }
        ["api", "v1", "events", id, "cancel"] => {
            done(ask, Command::Cancel(WaitingRuns { event: Some(ask.event_id(id).await?), rule: ask.field("rule") })).await
        }
        _ => Err(nothing_here()),
    }
}

fn nothing_here() -> Fault {
    Fault::NotFound("There is nothing at this address; /api/v1/openapi.json describes what there is.".to_owned())
}

async fn events(ask: &Ask) -> Result<Value, Fault> {
    let (filter, from) = pages::events::filter_of(ask)?;
    let mut found = as_json(ask.events(&filter, from, MOST).await?)?;
    // A cursor is text to programs, so that it can become something else.
    let next = found.get("next").and_then(Value::as_i64).map(|next| next.to_string());
    if let Some(found) = found.as_object_mut() {
        found.insert("next".to_owned(), json!(next));
    }
    Ok(found)
}

async fn event(ask: &Ask, queries: &dyn Queries, id: &str) -> Result<Value, Fault> {
    match history::find(queries, &ask.console.data, id).await {
        Ok(Found::Event(dossier)) => as_json(ask.explanation(&dossier)?),
        Ok(Found::Rejection(_)) => Err(Fault::NotFound("This request was refused; /api/v1/refused lists those.".to_owned())),
        Err(e) => Err(Fault::NotFound(format!("{e}."))),
    }
}

/// Does something, and says for how many runs.
async fn done(ask: &Ask, command: Command) -> Result<Value, Fault> {
    match ask.console.perform(&ask.visitor, command).await? {
        Done::Runs(runs) => Ok(json!({ "runs": runs })),
        Done::Cancelled(cancelled) => Ok(json!({ "runs": cancelled.runs, "busy": cancelled.busy })),
        Done::Pruned(pruned) => Ok(json!({ "events": pruned.events })),
    }
}

async fn rules(ask: &Ask, queries: &dyn Queries) -> Result<Vec<ListedRule>, Fault> {
    let now = Timestamp::now();
    let mut lately = hours::of_all(queries, now).await?;
    let rules = ask.console.health.rules.load();
    let mut listed = |rule: &std::sync::Arc<crate::rule::Rule>| {
        let Lately { day, last_run } = lately.remove(&*rule.name).unwrap_or_else(|| Lately::empty(now));
        ListedRule {
            name: rule.name.to_string(),
            file: rule.source.name.clone(),
            enabled: rule.enabled,
            addresses: rule.when.iter().map(|when| when.route.text().to_owned()).collect(),
            last_run,
            hours: day,
        }
    };
    Ok(rules.ruleset.rules.iter().map(&mut listed).collect())
}

fn as_json(what: impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(what).map_err(|e| Fault::Failed(e.to_string()))
}

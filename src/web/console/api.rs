//! The same as the pages show, as JSON at `/api/v1/`, for programs. Fields are only ever added; cursors mean nothing; ids are
//! text.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::Ask;
use super::fault::Fault;
use super::pages;
use crate::operations::history::{self, Found};
use crate::operations::hours;

/// The most entries of one list.
const MOST: usize = 200;

/// Answers a program.
pub async fn answer(ask: &Ask) -> Result<Value, Fault> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let queries = ask.console.queries.as_ref();
    let value = match (ask.is_post, path.as_slice()) {
        (false, ["api", "v1", "events"]) => {
            let (filter, from) = pages::events::filter_of(ask)?;
            let mut found = as_json(history::search(queries, &filter, from, MOST).await?)?;
            let next = found["next"].as_i64().map(|n| n.to_string());
            found["next"] = json!(next);
            found
        }
        (false, ["api", "v1", "events", id]) => match history::find(queries, &ask.console.data, id).await? {
            Found::Event(dossier) => as_json((ask.console.explain)(&dossier).map_err(|e| Fault::Failed(format!("{e:#}")))?)?,
            Found::Rejection(rejection) => as_json(rejection)?,
        },
        (false, ["api", "v1", "rules", name, "hours"]) => as_json(hours::of_rule(queries, name, Timestamp::now()).await?)?,
        (false, ["api", "v1", "failed"]) => as_json(history::failed(queries, MOST).await?)?,
        (false, ["api", "v1", "health"]) => as_json(ask.console.health.report())?,
        _ => return Err(Fault::NotFound("There is nothing at this address; the addresses are listed in docs/console.md.".to_owned())),
    };
    Ok(value)
}

fn as_json(what: impl serde::Serialize) -> Result<Value, Fault> {
    serde_json::to_value(what).map_err(|e| Fault::Failed(e.to_string()))
}

//! `/words?address=…`: what the editor of rule files can offer, as JSON: the words of the language, the addresses and the names
//! of secrets that are in use, and the fields of events that really came to the addresses that are asked for.

use serde_json::{Value, json};

use crate::operations::event_fields;
use crate::operations::vocabulary::vocabulary;
use crate::route::Route;
use crate::web::console::answer::Answer;
use crate::web::console::ask::Ask;
use crate::web::console::fault::Fault;

/// The most addresses that are looked for.
const MOST_ASKED: usize = 100;

pub async fn show(ask: &Ask) -> Result<Answer, Fault> {
    words(ask).await.map(Answer::Json)
}

/// The words; programs get the same.
pub async fn words(ask: &Ask) -> Result<Value, Fault> {
    let rules = ask.console.health.rules.load_full();
    let addresses: Vec<&str> = rules.ruleset.addresses.iter().map(|address| address.route.text()).collect();
    let vault = &rules.ruleset.vault;
    // What is typed may not be an address yet.
    let routes: Vec<Route> = ask.queries("address").iter().take(MOST_ASKED).filter_map(|address| Route::read(address).ok()).collect();
    // Names of fields can say as much as their values.
    let seen = match ask.shows_bodies() {
        false => Vec::new(),
        true => event_fields::seen(ask.console.queries.as_ref(), routes, vault).await?,
    };
    let mut words = serde_json::to_value(vocabulary()).map_err(|e| Fault::Failed(e.to_string()))?;
    if let Value::Object(words) = &mut words {
        words.insert("addresses".to_owned(), json!(addresses));
        words.insert("secrets".to_owned(), json!(vault.names()));
        words.insert("seen".to_owned(), json!(seen));
    }
    Ok(words)
}

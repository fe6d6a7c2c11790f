//! The fields of events that really came: what rules can name, with an example of each.
//!
//! The work is limited, whatever is stored: so many events, so many bytes of bodies, so many fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::history;
use crate::expr::field::Field;
use crate::expr::spell::spell;
use crate::model::event::{Event, pairs};
use crate::route::Route;
use crate::secret::Vault;
use crate::store::contract::{EventFilter, Queries, Result};
use crate::text::printable::short;

/// The most addresses that are looked at, the most events of all of them together, and the most bytes of their bodies.
const MOST_ADDRESSES: usize = 10;
const MOST_EVENTS: usize = 50;
const MOST_BYTES: usize = 8 << 20;
/// An address with placeholders stands for many paths: how many events are searched for them.
const MOST_SEARCHED: usize = 300;
/// The most fields of one event, and of all events of an address.
const MOST_FIELDS: usize = 300;
/// The longest name of a field, and the longest example, in characters.
const LONGEST_NAME: usize = 200;
const LONGEST_EXAMPLE: usize = 60;

/// The fields of the latest events of one address.
#[derive(Debug, Serialize)]
pub struct SeenFields {
    pub address: String,
    /// How many events were looked at.
    pub events: usize,
    /// In the order of their names.
    pub fields: Vec<SeenField>,
}

/// A field that came.
#[derive(Debug, PartialEq, Serialize)]
pub struct SeenField {
    /// As rules write it: `body.items[0].sku`.
    pub name: String,
    /// Its value in the latest event that has it, without secrets.
    pub example: String,
    /// How many of the events have it.
    pub events: usize,
}

/// The fields of the latest events of some addresses.
pub async fn seen(queries: &dyn Queries, routes: Vec<Route>, vault: &Arc<Vault>) -> Result<Vec<SeenFields>> {
    let each = MOST_EVENTS / routes.len().clamp(1, MOST_ADDRESSES);
    let mut bytes = 0;
    let mut all = Vec::new();
    for route in routes.into_iter().take(MOST_ADDRESSES) {
        let filter = EventFilter { address: route.literal(), ..EventFilter::default() };
        let most = if filter.address.is_some() { each } else { MOST_SEARCHED };
        let found = history::search(queries, &filter, None, most).await?;
        let mut events = Vec::new();
        for line in found.events.iter().filter(|line| route.fit(&line.address).is_some()).take(each) {
            if bytes > MOST_BYTES {
                break;
            }
            let event = queries.dossier(line.id).await?.event;
            bytes += event.raw.len();
            events.push(event);
        }
        let vault = vault.clone();
        let address = route.text().to_owned();
        // Reading hundreds of values is work for another thread.
        let fields = tokio::task::spawn_blocking(move || (events.len(), together(&route, &events, &vault))).await;
        let (events, fields) = fields.unwrap_or_default();
        all.push(SeenFields { address, events, fields });
    }
    Ok(all)
}

/// The fields of events of one address, the latest event first.
fn together(route: &Route, events: &[Event], vault: &Vault) -> Vec<SeenField> {
    let mut all: BTreeMap<String, (Value, usize)> = BTreeMap::new();
    for event in events {
        for (name, value) in of_event(route, event) {
            let is_room = all.len() < MOST_FIELDS && name.chars().count() <= LONGEST_NAME;
            match all.get_mut(&name) {
                Some((_, events)) => *events += 1,
                None if is_room => drop(all.insert(name, (value, 1))),
                None => {}
            }
        }
    }
    let example = |value: &Value| {
        let text = spell(value).map_or_else(|| value.to_string(), std::borrow::Cow::into_owned);
        // Struck before it is cut, so that no part of a secret is left.
        short(&vault.strike(&text), LONGEST_EXAMPLE)
    };
    let field = |(name, (value, events)): (String, (Value, usize))| {
        let name = vault.strike(&name);
        SeenField { name, example: example(&value), events }
    };
    all.into_iter().map(field).collect()
}

/// Every single value of an event, by its field.
fn of_event(route: &Route, event: &Event) -> Vec<(String, Value)> {
    let mut all = fields(&event.body, MOST_FIELDS);
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let query = match pairs(event.query.as_bytes()) {
        Value::Object(query) => query,
        _ => serde_json::Map::new(),
    };
    let path = route.fit(&event.address).unwrap_or_default();
    let mut headers = serde_json::Map::new();
    for (name, value) in &event.headers {
        headers.entry(name.clone()).or_insert_with(|| Value::from(value.as_str()));
    }
    for (root, values) in [("query", query), ("path", path), ("header", headers)] {
        let named = values.into_iter().filter(|(name, _)| plain(name)).take(MOST_FIELDS);
        all.extend(named.map(|(name, value)| (format!("{root}.{name}"), value)));
    }
    all
}

/// Single values of a body, by their field; of a list, those of its first element.
pub fn fields(body: &Value, most: usize) -> Vec<(String, Value)> {
    fn walk(at: &str, value: &Value, most: usize, out: &mut Vec<(String, Value)>) {
        if out.len() >= most {
            return;
        }
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') && !name.is_empty();
                    let field = if plain { format!("{at}.{name}") } else { format!("{at}['{name}']") };
                    if Field::read(&field).is_ok() {
                        walk(&field, value, most, out);
                    }
                }
            }
            Value::Array(list) => {
                if let Some(first) = list.first() {
                    walk(&format!("{at}[0]"), first, most, out);
                }
            }
            one => out.push((at.to_owned(), one.clone())),
        }
    }
    let mut out = Vec::new();
    if body.is_object() || body.is_array() {
        walk("body", body, most, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(query: &str, headers: &[(&str, &str)], body: Value) -> Event {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Event { address: "/shop/a/orders".into(), query: query.into(), headers, body, ..Event::nobody() }
    }

    #[test]
    fn fields_of_several_events_are_counted_and_have_the_latest_example() {
        let mut vault = Vault::default();
        vault.keep("KEY", "very-secret-token".into());
        let route = Route::read("/shop/{shop}/orders").unwrap();
        let events = [
            event("a=1", &[("x-kind", "b")], serde_json::json!({ "total": 3, "items": [{ "sku": "A" }], "key": "my very-secret-token" })),
            event("", &[("x-kind", "a"), ("x-kind", "c")], serde_json::json!({ "total": 2, "é": 1, "']": 1 })),
        ];
        let seen: Vec<String> =
            together(&route, &events, &vault).into_iter().map(|f| format!("{} {} {}", f.name, f.example, f.events)).collect();
        let wanted = [
            "body.items[0].sku A 1",
            "body.key my *** 1",
            "body.total 3 2",
            "body['é'] 1 1",
            "header.x-kind b 2",
            "path.shop a 2",
            "query.a 1 1",
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn the_number_of_fields_is_limited() {
        let body: serde_json::Map<_, _> = (0..5_000).map(|n| (format!("f{n}"), Value::from(n))).collect();
        let many = event("", &[], Value::Object(body));
        assert_eq!(together(&Route::read("/{*all}").unwrap(), &[many], &Vault::default()).len(), MOST_FIELDS);
    }
}

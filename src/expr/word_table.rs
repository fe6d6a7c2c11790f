//! A table of words under `set:`: what to write for each value of a field.

use serde_json::Value;

use crate::expr::comparison::{compare, spelled};
use crate::expr::field::{Field, Values};
use crate::expr::template::data::Data;

/// `{ of: body.status, map: { paid: Bezahlt, open: Offen }, else: "?" }`
#[derive(Debug, Clone)]
pub struct WordTable {
    pub of: Looked,
    /// In the order of the file.
    pub map: Vec<(String, Data)>,
    pub otherwise: Option<Data>,
}

/// What is looked up.
#[derive(Debug, Clone)]
pub enum Looked {
    Field(Field),
    Data(Data),
}

impl WordTable {
    /// The word for one event. A missing value is like one that is not in the table.
    pub fn value(&self, names: &dyn Values) -> Result<Option<Value>, String> {
        let found = match &self.of {
            Looked::Field(field) => field.value(names)?,
            Looked::Data(data) => Some(data.value(names).map_err(|e| e.message)?),
        };
        let Some(found) = found else { return self.missing(names) };
        let word = self.map.iter().find(|(key, _)| is_key(key, &found)).map(|(_, word)| word);
        match word.or(self.otherwise.as_ref()) {
            Some(word) => word.value(names).map(Some).map_err(|e| e.message),
            None => {
                let shown = spelled(&found)
                    .map_or("a list or an object".to_owned(), |text| format!("`{}`", crate::text::printable::short(&text, 60)));
                Err(format!("the table has no entry for {shown} and no `else:`"))
            }
        }
    }

    fn missing(&self, names: &dyn Values) -> Result<Option<Value>, String> {
        match (&self.otherwise, &self.of) {
            (Some(word), _) => word.value(names).map(Some).map_err(|e| e.message),
            (None, Looked::Field(field)) => Err(field.why_missing(names)),
            (None, Looked::Data(_)) => Ok(None),
        }
    }

    /// Every field that it may use.
    pub fn fields(&self) -> Vec<&Field> {
        let of = match &self.of {
            Looked::Field(field) => vec![field],
            Looked::Data(data) => data.fields(),
        };
        of.into_iter().chain(self.map.iter().map(|(_, word)| word).chain(&self.otherwise).flat_map(Data::fields)).collect()
    }
}

/// Whether a value is the one of a key: a number by its value, everything else by its spelling.
fn is_key(key: &str, found: &Value) -> bool {
    match found {
        Value::Number(_) => compare(found, &Value::from(key)).is_some_and(|order| order.is_eq()),
        other => spelled(other).is_some_and(|text| text == key),
    }
}

//! The compliance test suite of RFC 9535 (`tests/jsonpath`): every path finds what it should, or is refused by name.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Field, Root, Values};
use crate::model::budget::Budget;

/// A path, and what it finds in a document: one of several results, where the order of names is free.
#[derive(Deserialize)]
struct Case {
    name: String,
    selector: String,
    #[serde(default)]
    invalid: bool,
    #[serde(default)]
    document: Value,
    #[serde(default)]
    results: Vec<Vec<Value>>,
}

struct Body<'v>(&'v Value, Budget);
impl Values for Body<'_> {
    fn budget(&self) -> &Budget {
        &self.1
    }
    fn root(&self, _: &Root) -> Result<Option<Cow<'_, Value>>, String> {
        Ok(Some(Cow::Borrowed(self.0)))
    }
}

/// Valid paths that are refused, with the sentence that says so.
const REFUSED: [&str; 1] = ["the pattern of match() and search() must be plain text"];

/// Whether a path finds what it should; the error says what it does instead.
fn judge(case: &Case) -> Result<(), String> {
    let field = match Field::read(&case.selector) {
        Ok(field) => field,
        Err(no) if case.invalid || REFUSED.contains(&no.message.as_str()) => return Ok(()),
        Err(no) => return Err(format!("is refused: {}", no.message)),
    };
    // Around a field, white space belongs to the rule file.
    if case.invalid && case.selector.trim() == case.selector {
        return Err("is accepted".to_owned());
    }
    if case.invalid {
        return Ok(());
    }
    let found = field.value(&Body(&case.document, Budget::default()))?;
    let found = match (found, field.is_single()) {
        (None, _) => Vec::new(),
        (Some(value), true) => vec![value],
        (Some(Value::Array(all)), false) => all,
        (Some(other), false) => return Err(format!("is not a list: {other}")),
    };
    match case.results.contains(&found) {
        true => Ok(()),
        false => Err(format!("finds {}", Value::from(found))),
    }
}

#[test]
fn every_path_of_the_suite_finds_what_it_should_or_is_refused_by_name() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/jsonpath/suite.json")).unwrap();
    assert_eq!(cases.len(), 703);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| judge(case).err().map(|why| format!("{}: {} in {} {why}", case.name, case.selector, case.document)))
        .collect();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

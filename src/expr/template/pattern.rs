//! Regular expressions in templates: those of the rules, compiled once for each thread.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

/// The maximum memory of one compiled pattern.
const MAX_PATTERN: usize = 1 << 20;
/// The maximum length of a pattern.
const MAX_LENGTH: usize = 1_000;
/// How many patterns a thread keeps.
const KEPT: usize = 64;

thread_local! {
    static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::default();
}

/// The compiled pattern; the error describes what is wrong with it.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("a pattern has at most {MAX_LENGTH} characters"));
    }
    if let Some(known) = PATTERNS.with_borrow(|known| known.get(text).cloned()) {
        return Ok(known);
    }
    let built = RegexBuilder::new(text).size_limit(MAX_PATTERN).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => "this pattern is too large".to_owned(),
        other => {
            let said = other.to_string();
            format!("this pattern cannot be read: {}", said.lines().last().unwrap_or("").trim_start_matches("error: "))
        }
    })?;
    PATTERNS.with_borrow_mut(|known| {
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(text.to_owned(), built.clone());
    });
    Ok(built)
}

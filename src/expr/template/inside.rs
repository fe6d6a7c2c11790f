//! The names that are available to the pieces inside a block: the names around it, and what the block adds to them.

use std::borrow::Cow;

use serde_json::Value;

use crate::expr::field::{Field, Root, Values};
use crate::model::budget::Budget;

/// What a block adds to the names around it.
pub(super) struct Inside<'a> {
    pub(super) around: &'a dyn Values,
    pub(super) names: &'a [String],
    pub(super) this: &'a Value,
    /// `@index` and similar variables: only in `{{#each}}`.
    pub(super) turn: Option<Turn<'a>>,
}

/// One iteration of `{{#each}}`.
pub(super) struct Turn<'a> {
    pub(super) index: usize,
    pub(super) last: bool,
    pub(super) key: Option<&'a str>,
}

impl Turn<'_> {
    fn word(&self, word: &str) -> Option<Value> {
        match word {
            "@index" => Some(self.index.into()),
            "@first" => Some((self.index == 0).into()),
            "@last" => Some(self.last.into()),
            _ => self.key.map(Value::from),
        }
    }
}

impl Values for Inside<'_> {
    fn budget(&self) -> &Budget {
        self.around.budget()
    }
    fn root(&self, root: &Root) -> Result<Option<Cow<'_, Value>>, String> {
        match (root, &self.turn) {
            (Root::This, _) => Ok(Some(Cow::Borrowed(self.this))),
            (Root::Loop(word), Some(turn)) => Ok(turn.word(word).map(Cow::Owned)),
            (Root::Named(name), turn) => match (self.names.iter().position(|n| n == name), turn) {
                (Some(0), _) => Ok(Some(Cow::Borrowed(self.this))),
                (Some(_), Some(turn)) => Ok(Some(Cow::Owned(turn.key.map_or_else(|| turn.index.into(), Value::from)))),
                _ => self.around.root(root),
            },
            _ => self.around.root(root),
        }
    }
    fn stand_in(&self, field: &Field) -> Option<Value> {
        self.around.stand_in(field)
    }
    fn take_unknown(&self) -> Option<String> {
        self.around.take_unknown()
    }
}

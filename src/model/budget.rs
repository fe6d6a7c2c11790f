//! The maximum cost of evaluating one thing for an event: a step of a run, or the condition of a rule.
//!
//! A webhook determines how long its lists and text are, so it could determine how much CPU and memory a rule uses. All
//! access to the event's values goes through `field::Values`, which has a budget; every path step, iteration of a block,
//! helper call and created text is charged to it. Once a budget is spent it stays spent, so that nothing can continue
//! with half a result; the caller must check for that.

use std::cell::Cell;
use std::fmt;
use std::io;

use serde_json::Value;

/// The maximum number of path steps, block iterations, tests of values, and bytes matched against patterns, in total.
pub const MOST_STEPS: usize = 10_000_000;
/// The maximum number of bytes of text and values that are created, including intermediate ones.
pub const MOST_MADE: usize = 256 << 20;
/// The same for what is evaluated immediately, while other work waits; anything that needs more is restarted in a thread
/// where it delays nothing else.
pub const FEW_STEPS: usize = 100_000;
pub const LITTLE_MADE: usize = 4 << 20;
/// The memory for one value, in addition to its text.
pub const VALUE: usize = 96;

/// Which limit was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    Steps,
    Made,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Spent::Steps => write!(
                f,
                "this takes more than {} million steps to evaluate for this request; name the fields you need instead of searching with `..`, filters or loops inside loops",
                MOST_STEPS / 1_000_000
            ),
            Spent::Made => write!(
                f,
                "this produces more than {} MB of text and values for this request; use less of the request, or shorten it with `truncate`",
                MOST_MADE >> 20
            ),
        }
    }
}

impl From<Spent> for String {
    fn from(spent: Spent) -> String {
        spent.to_string()
    }
}

/// How much may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allowance {
    /// Everything that the limits allow.
    #[default]
    Full,
    /// Only as much as delays nothing else.
    Small,
}

/// What remains of an allowance.
#[derive(Debug, Clone)]
pub struct Budget {
    allowance: Allowance,
    steps: Cell<usize>,
    made: Cell<usize>,
    spent: Cell<Option<Spent>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Allowance::Full)
    }
}

impl Budget {
    pub fn new(allowance: Allowance) -> Self {
        let (steps, made) = match allowance {
            Allowance::Full => (MOST_STEPS, MOST_MADE),
            Allowance::Small => (FEW_STEPS, LITTLE_MADE),
        };
        Self { allowance, steps: Cell::new(steps), made: Cell::new(made), spent: Cell::new(None) }
    }

    pub fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Which limit was exceeded, if any; if one was, no result is valid.
    pub fn spent(&self) -> Option<Spent> {
        self.spent.get()
    }

    /// Charges this many steps.
    pub fn steps(&self, n: usize) -> Result<(), Spent> {
        self.charge(&self.steps, n, Spent::Steps)
    }

    /// Charges this many bytes of text or values.
    pub fn made(&self, bytes: usize) -> Result<(), Spent> {
        self.charge(&self.made, bytes, Spent::Made)
    }

    fn charge(&self, left: &Cell<usize>, n: usize, what: Spent) -> Result<(), Spent> {
        if let Some(spent) = self.spent.get() {
            return Err(spent);
        }
        match left.get().checked_sub(n) {
            Some(rest) => {
                left.set(rest);
                Ok(())
            }
            None => {
                self.spent.set(Some(what));
                Err(what)
            }
        }
    }

    /// Charges what another budget, a copy of this one, has spent since it was copied.
    pub fn take_over(&self, copy: &Budget) {
        self.steps.set(copy.steps.get());
        self.made.set(copy.made.get());
        self.spent.set(copy.spent.get());
    }

    /// How many more bytes may be created.
    pub fn left(&self) -> usize {
        if self.spent.get().is_some() { 0 } else { self.made.get() }
    }

    /// Charges a value that is about to be copied.
    pub fn copy(&self, value: &Value) -> Result<(), Spent> {
        match value {
            Value::Array(list) => {
                self.made(VALUE)?;
                list.iter().try_for_each(|v| self.copy(v))
            }
            Value::Object(map) => {
                self.made(VALUE)?;
                map.iter().try_for_each(|(name, v)| {
                    self.made(VALUE + name.len())?;
                    self.copy(v)
                })
            }
            single => self.made(size(single)),
        }
    }

    /// A value as JSON text, charged while it is written.
    pub fn json(&self, value: &Value) -> Result<String, Spent> {
        json_up_to(value, self.left()).map_or_else(
            || Err(self.made(usize::MAX).err().unwrap_or(Spent::Made)),
            |text| {
                self.made(text.len())?;
                Ok(text)
            },
        )
    }
}

/// The memory for a single value.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => VALUE + text.len(),
        Value::Number(n) => VALUE + n.as_str().len(),
        _ => VALUE,
    }
}

/// The memory for a value, including everything in it.
pub fn weight(value: &Value) -> usize {
    match value {
        Value::Array(list) => VALUE + list.iter().map(weight).sum::<usize>(),
        Value::Object(map) => VALUE + map.iter().map(|(name, v)| VALUE + name.len() + weight(v)).sum::<usize>(),
        single => size(single),
    }
}

/// A value as JSON text; `None` if it is longer than `most` bytes.
pub fn json_up_to(value: &Value, most: usize) -> Option<String> {
    struct UpTo(Vec<u8>, usize);
    impl io::Write for UpTo {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.1 - self.0.len() {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut out = UpTo(Vec::new(), most);
    serde_json::to_writer(&mut out, value).ok()?;
    String::from_utf8(out.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        let budget = Budget::default();
        assert_eq!((budget.steps(MOST_STEPS), budget.spent()), (Ok(()), None));
        assert_eq!((budget.steps(1), budget.spent()), (Err(Spent::Steps), Some(Spent::Steps)));
        let budget = Budget::default();
        assert_eq!((budget.made(MOST_MADE), budget.made(0)), (Ok(()), Ok(())));
        assert_eq!(budget.made(1), Err(Spent::Made));
        assert_eq!(budget.steps(0), Err(Spent::Made), "a spent budget stays spent");
    }

    #[test]
    fn a_copy_costs_what_it_weighs() {
        let value = json!({"a": [1, "xyz", null], "b": {"c": true}});
        let budget = Budget::default();
        budget.copy(&value).unwrap();
        assert_eq!(MOST_MADE - budget.left(), weight(&value));
    }

    #[test]
    fn json_text_is_written_up_to_the_limit() {
        let value = json!(["\n", 1.5, {"a": null}]);
        let text = value.to_string();
        assert_eq!(json_up_to(&value, text.len()), Some(text.clone()));
        assert_eq!(json_up_to(&value, text.len() - 1), None);
        let budget = Budget::new(Allowance::Small);
        assert_eq!(budget.json(&value), Ok(text));
        assert_eq!(budget.json(&json!("x".repeat(LITTLE_MADE))), Err(Spent::Made));
        assert_eq!(budget.spent(), Some(Spent::Made));
    }
}

//! Where a rule reads what depends on its address: headers and query values, which `verify:` may redact, and the sender. They
//! are gathered while the rule is read, and checked when all files are.

use serde_json::Value;

use super::condition::{Operand, Test};
use super::field::{Field, Root};
use crate::yaml::locate::Path;

/// A field, and where it is written.
pub struct FieldUse {
    pub field: Field,
    pub path: Path,
    /// The part of a longer text.
    pub within: Option<String>,
}

/// The name of a sender that a condition expects.
pub struct SenderUse {
    pub name: String,
    pub ignore_case: bool,
    pub path: Path,
}

/// All of them in one rule.
#[derive(Default)]
pub struct FieldUses {
    pub fields: Vec<FieldUse>,
    pub senders: Vec<SenderUse>,
}

impl FieldUses {
    pub fn add(&mut self, field: &Field, path: &Path, within: Option<&str>) {
        if matches!(field.root, Root::Header(Some(_)) | Root::Query | Root::Sender) {
            self.fields.push(FieldUse { field: field.clone(), path: path.clone(), within: within.map(str::to_owned) });
        }
    }

    /// Adds what a line of a condition expects of a field, which is used from the position `before` on.
    pub fn compared(&mut self, field: &Field, tests: &[Test], ignore_case: bool, path: &Path, before: usize) {
        // Whether it exists can be asked even if its value is redacted.
        let is_existence = |test: &Test| matches!(test, Test::Exists(_) | Test::Empty(_) | Test::Count(_));
        if tests.iter().all(is_existence) && before < self.fields.len() {
            self.fields.remove(before);
        }
        if field.root == Root::Sender {
            let senders = expected(tests).into_iter();
            self.senders.extend(senders.map(|name| SenderUse { name, ignore_case, path: path.clone() }));
        }
    }
}

fn expected(tests: &[Test]) -> Vec<String> {
    let one = |test: &Test| match test {
        Test::Is(all) => all.iter().filter_map(fixed).collect(),
        Test::Not(tests) => expected(tests),
        _ => Vec::new(),
    };
    tests.iter().flat_map(one).collect()
}

fn fixed(operand: &Operand) -> Option<String> {
    match operand {
        Operand::Fixed(Value::String(text)) => Some(text.clone()),
        Operand::Fixed(other) => Some(other.to_string()),
        Operand::Field(_) => None,
    }
}

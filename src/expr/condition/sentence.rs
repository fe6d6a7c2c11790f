//! A condition as part of a sentence: `body.total is over 100 and body.status is one of paid, open`.

use super::{All, ConditionPart};
use crate::secret::Vault;

impl All {
    /// Secrets are redacted; a condition without lines is empty text.
    pub fn sentence(&self, vault: &Vault) -> String {
        if let [ConditionPart::Any(groups)] = self.0.as_slice() {
            return list(groups, " or ", vault);
        }
        let parts: Vec<String> = self.0.iter().map(|part| part.sentence(vault)).collect();
        parts.join(" and ")
    }
}

impl ConditionPart {
    fn sentence(&self, vault: &Vault) -> String {
        match self {
            ConditionPart::Line(line) => {
                let tests: Vec<String> = line.tests.iter().map(|test| test.said(vault)).collect();
                let case = if line.ignore_case { " (ignoring case)" } else { "" };
                format!("{} {}{case}", line.field.text(), tests.join(" and "))
            }
            ConditionPart::Any(groups) if groups.len() == 1 => list(groups, "", vault),
            ConditionPart::Any(groups) => format!("({})", list(groups, " or ", vault)),
            ConditionPart::Every(groups) => list(groups, " and ", vault),
            ConditionPart::None(groups) => format!("not ({})", list(groups, " or ", vault)),
        }
    }
}

/// The conditions of a group; those of several lines are in brackets.
fn list(groups: &[All], word: &str, vault: &Vault) -> String {
    let each = |group: &All| if group.0.len() > 1 { format!("({})", group.sentence(vault)) } else { group.sentence(vault) };
    groups.iter().map(each).collect::<Vec<_>>().join(word)
}

impl super::Test {
    /// A test with its verb: `is over 100`.
    fn said(&self, vault: &Vault) -> String {
        use super::Test;
        let text = self.text(vault);
        match self {
            Test::Over(_) | Test::AtLeast(_) | Test::Under(_) | Test::AtMost(_) | Test::Between(..) | Test::InNetwork(_) => {
                format!("is {text}")
            }
            Test::Before(_) | Test::After(_) | Test::Within(..) => format!("is {text}"),
            Test::Count(tests) => {
                let each: Vec<String> = tests.iter().map(|test| test.said(vault)).collect();
                format!("has a number of elements that {}", each.join(" and "))
            }
            Test::Not(tests) => match tests.as_slice() {
                [Test::Is(wanted)] if wanted.len() == 1 => format!("is not {}", text.trim_start_matches("not: is ")),
                tests => {
                    let each: Vec<String> = tests.iter().map(|test| test.said(vault)).collect();
                    format!("does not pass: {}", each.join(" and "))
                }
            },
            Test::Is(_) | Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) | Test::Like(..) | Test::Matches(..) => text,
            Test::Exists(_) | Test::Empty(_) => text,
        }
    }
}
